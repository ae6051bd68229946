"""Volumes at the border: refused or turned back to HU."""

import nibabel as nib
import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from monai.transforms import Compose, EnsureChannelFirstd, LoadImaged

from latentct.errors import InputError
from latentct.transforms import AttenuationToHUd, CheckVolumed, check_volumes, volumes_with_slices


def read(path, array: np.ndarray, affine: np.ndarray) -> dict:
    nib.save(nib.Nifti1Image(array.astype(np.float32), affine), path)
    load = Compose([LoadImaged("image", image_only=True), EnsureChannelFirstd("image")])
    return CheckVolumed("image")(load({"image": str(path)}))


def test_a_volume_passes_unchanged(tmp_path):
    array = np.random.default_rng(0).normal(size=(16, 20, 3))
    out = read(tmp_path / "a.nii.gz", array, np.eye(4))
    assert np.allclose(out["image"][0], array, atol=1e-6)


def test_the_slice_axis_may_stand_first(tmp_path):
    affine = np.eye(4)[[2, 1, 0, 3]]  # the file's axes are z, y, x
    assert read(tmp_path / "a.nii", np.zeros((3, 40, 56)), affine)["image"].shape == (1, 3, 40, 56)


@pytest.mark.parametrize(
    ("shape", "found"),
    [((40, 40), r"\(40, 40\)"), ((20, 20, 4, 2), r"\(20, 20, 4\)"), ((8, 40, 3), r"\(8, 40, 3\)")],
)
def test_other_shapes_are_refused_by_name(tmp_path, shape, found):
    with pytest.raises(InputError, match=rf"wrong\.nii has shape {found}, but one 3-D volume"):
        read(tmp_path / "wrong.nii", np.zeros(shape), np.eye(4))


def test_several_channels_are_refused(make_volume):
    rgb = MetaTensor(torch.zeros(3, 4, 20, 20), meta={"filename_or_obj": "rgb.nii"})
    with pytest.raises(InputError, match=r"rgb\.nii has"):
        CheckVolumed("image")({"image": rgb})


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite_are_refused_by_name(tmp_path, value):
    array = np.zeros((20, 20, 3))
    array[4, 5, 1] = value
    with pytest.raises(InputError, match=r"bad\.nii\.gz holds values that are not finite"):
        read(tmp_path / "bad.nii.gz", array, np.eye(4))


def test_a_plain_tensor_is_named_by_its_key():
    with pytest.raises(InputError, match=r"^scan holds"):
        CheckVolumed("scan")({"scan": torch.full((1, 3, 16, 16), torch.nan)})


@pytest.mark.filterwarnings("error")
def test_attenuation_becomes_hu_in_the_place_of_the_other(make_volume):
    like = make_volume(np.zeros((2, 16, 16)), filename_or_obj="scan.nii.gz")
    x_mu = torch.full((1, 2, 16, 16), 0.02)
    x_mu[0, 0, :2, 0] = torch.tensor([0.0, 0.0250123])
    x_mu[0, 1, :2, 0] = torch.tensor([-1.0, 100.0])
    out = AttenuationToHUd("pred", like="image", mu_water=0.02)({"pred": x_mu, "image": like})["pred"]
    assert isinstance(out, MetaTensor)
    assert torch.equal(out.affine, like.affine)
    assert out.meta["filename_or_obj"] == "scan.nii.gz"
    assert out[0, 0, :3, 0].tolist() == [-1000, 251, 0]
    assert out[0, 1, :2, 0].tolist() == [-1024, 32767]  # what int16 and DICOM hold


def test_volumes_without_a_slice_are_left_out():
    data = [{"depth": d, "patient": f"p{d}"} for d in (2, 0, 1)]
    kept = volumes_with_slices(data, lambda item: item | {"image": torch.zeros(1, item["depth"], 4, 4)}, progress=False)
    assert [volume["patient"] for volume in kept] == ["p2", "p1"]
    assert "image" not in data[0]


def test_no_volume_with_a_slice_is_an_error():
    with pytest.raises(InputError, match="none of 2 volumes has a slice to evaluate"):
        volumes_with_slices([{}, {}], lambda item: {"image": torch.zeros(1, 0, 4, 4)}, progress=False)


def test_every_volume_is_read_before_any_is_used():
    data, read_depths = [{"depth": d} for d in (2, 1)], []

    def note(item: dict) -> dict:
        item["image"] = read_depths.append(item["depth"])
        return item

    check_volumes(data, note, progress=False)
    assert read_depths == [2, 1]
    assert all("image" not in item for item in data)


def test_a_bad_volume_is_the_cause_of_the_error():
    data = [{"image": torch.zeros(1, 2, 16, 16)}, {"image": torch.full((1, 2, 16, 16), torch.inf)}]
    check_volumes(data[:1], CheckVolumed("image"), progress=False)
    with pytest.raises(RuntimeError) as caught:  # MONAI wraps what a transform raises
        check_volumes(data, CheckVolumed("image"), progress=False)
    assert isinstance(caught.value.__cause__, InputError)
