"""Implants of simulated scans."""

from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
import torch

from latentct.errors import InputError
from latentct.geometry import Grid
from latentct.io.nifti import write_volume
from latentct.simulate.implants import IMPLANT_MATERIALS, SIZES_MM2
from latentct.transforms import MetalFromFile, RandImplants, SliceCase

GRID = Grid((64, 64), (4.0, 4.0))
Y, X = np.meshgrid(GRID.coordinates_mm(0), GRID.coordinates_mm(1), indexing="ij")
BODY = (Y / 100) ** 2 + (X / 110) ** 2 < 1
X_HU = np.where(BODY, 40.0, -1000.0).astype(np.float32)
X_HU[np.hypot(Y + 40, X) < 25] = 1500


def slices(implants, volume="v", n=20, seed=0):
    return [implants(X_HU, BODY, GRID, SliceCase(seed, volume, index, n)) for index in range(n)]


@pytest.fixture(scope="module")
def metals():
    return slices(RandImplants())


def test_sizes_are_realised_on_a_coarse_grid(metals):
    for metal in metals:
        area_mm2 = float(metal.fraction.sum()) * 16
        assert area_mm2 == pytest.approx(SIZES_MM2[metal.size - 1], rel=0.25)


def test_twenty_slices_have_every_size_in_every_material(metals):
    assert Counter((m.size, m.material) for m in metals) == {(s, m): 1 for s in range(1, 6) for m in IMPLANT_MATERIALS}
    assert all(a.size != b.size and a.material != b.material for a, b in pairwise(metals))


def test_volumes_start_anywhere():
    firsts = {SliceCase(0, f"volume {i}", 0, 1).number(20) for i in range(60)}
    assert len(firsts) > 12


def test_metal_stays_in_the_body(metals):
    for metal in metals:
        assert metal.fraction.numpy()[~BODY].sum() == 0


def test_draws_depend_on_seed_volume_and_position_alone(metals):
    case = SliceCase(0, "v", 7, 20)
    torch.manual_seed(5)
    assert torch.equal(RandImplants()(X_HU, BODY, GRID, case).fraction, metals[7].fraction)
    others = [SliceCase(1, "v", 7, 20), SliceCase(0, "w", 7, 20), SliceCase(0, "v", 8, 20)]
    one_size = RandImplants(sizes_mm2=[150.0], materials=["gold"])
    first, *rest = (one_size(X_HU, BODY, GRID, c) for c in (case, *others))
    assert first.material == "gold"
    assert all(not torch.equal(first.fraction, other.fraction) for other in rest)


def test_noise_and_implants_have_chances_of_their_own():
    case = SliceCase(0, "v", 0, 1)
    assert case.generator("noise").initial_seed() != case.generator("implant").initial_seed()
    assert case.generator("noise").initial_seed() == SliceCase(0, "v", 0, 9).generator("noise").initial_seed()


def test_fillings_are_for_teeth():
    bone = np.where(X_HU > 1000, 600, X_HU)
    with pytest.raises(InputError, match="no room for an implant"):
        RandImplants([20.0], kinds=["dental_filling"])(bone, BODY, GRID, SliceCase(0, "v", 0, 1))


def test_a_body_without_room_is_refused():
    small = np.hypot(Y, X) < 20
    with pytest.raises(InputError, match=r"slice 3 of v has no room for an implant of 1100.0 mm2; choose smaller"):
        RandImplants([1100.0])(np.where(small, 40.0, -1000.0), small, GRID, SliceCase(0, "v", 3, 9))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"kinds": ["nail"]}, "implants nail are not known; choose among hip_stem"),
        ({"materials": ["wood"]}, "metals wood are not known; choose among titanium"),
        ({"kinds": ["clip"]}, "none of the implants clip comes in 150.0 mm2"),
    ],
)
def test_settings_that_cannot_be_are_refused(settings, message):
    with pytest.raises(InputError, match=message):
        RandImplants(**settings)


def mask_file(tmp_path, mask, spacing_mm=(3.0, 2.0, 2.0)):
    affine = np.zeros((4, 4))
    affine[[2, 1, 0, 3], [0, 1, 2, 3]] = (*spacing_mm, 1.0)
    write_volume(tmp_path / "metal.nii.gz", mask, affine)
    return tmp_path / "metal.nii.gz"


def test_a_mask_from_a_file_is_drawn_centre_on_centre(tmp_path):
    mask = np.zeros((1, 32, 40))
    mask[0, 4:10, 6:10] = 1  # anterior and on the right: 12 mm by 8 mm about (-18, -24) mm
    implants = MetalFromFile(mask_file(tmp_path, mask), "titanium")
    metal = implants(X_HU, BODY, GRID, SliceCase(0, "v", 1, 2))
    assert (metal.material, metal.size) == ("titanium", 3)  # 96 is nearer 150 than 60 by ratio
    assert float(metal.fraction.sum()) * 16 == pytest.approx(96, rel=0.02)
    weights = metal.fraction.numpy() / float(metal.fraction.sum())
    assert (weights * Y).sum() == pytest.approx(-18, abs=0.5)
    assert (weights * X).sum() == pytest.approx(-24, abs=0.5)


def test_a_mask_of_many_slices_goes_slice_by_slice(tmp_path):
    mask = np.zeros((3, 32, 32))
    mask[2, 10:20, 10:20] = 1
    implants = MetalFromFile(mask_file(tmp_path, mask), "iron")
    assert [implants(X_HU, BODY, GRID, SliceCase(0, "v", i, 3)).size for i in range(3)] == [0, 0, 4]
    with pytest.raises(InputError, match="has 3 slices and the volume 5"):
        implants(X_HU, BODY, GRID, SliceCase(0, "v", 0, 5))


def test_files_that_are_no_masks_are_refused(tmp_path):
    with pytest.raises(InputError, match="does not exist; give the path of a NIfTI file"):
        MetalFromFile(tmp_path / "none.nii", "iron")
    with pytest.raises(InputError, match="holds values from -1000 to 0; a mask of metal is within 0 and 1"):
        MetalFromFile(mask_file(tmp_path, np.full((1, 4, 4), -1000.0) + 1000 * np.eye(4)), "iron")
