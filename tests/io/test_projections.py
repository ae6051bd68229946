import dataclasses
import math

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from latentct.errors import InputError
from latentct.geometry import ConeBeam, FanBeam, Grid, ParallelBeam
from latentct.io.projections import Projections, check_scan, projections_of, read_projections, write_projections
from latentct.io.scan_geometry import ScanGeometry, write_geometry

GRID = Grid((8, 8, 8), (30.0, 50.0, 50.0))
SCAN = ConeBeam.equally_spaced(3, math.pi, (6, 8), (100.0, 100.0), 800.0, 1200.0)


def projections(scan=SCAN, **geometry) -> Projections:
    y = np.random.default_rng(0).uniform(0, 8, scan.sinogram_shape).astype(np.float32)
    return Projections(y, ScanGeometry(scan, 0.02, **geometry))


@pytest.mark.parametrize("name", ["folder", "file.npz"])
@pytest.mark.parametrize("scan", [SCAN, SCAN.vectors()], ids=["circle", "vectors"])
def test_what_is_written_is_read_back(tmp_path, name, scan):
    written = projections(scan, isocenter_mm=(1.0, 2.0, 3.0))
    write_projections(tmp_path / name, written)
    read = read_projections(tmp_path / name)
    assert read.geometry == written.geometry
    assert read.y.dtype == np.float32
    assert_array_equal(read.y, written.y)


PLANE = [
    ParallelBeam.equally_spaced(7, 3.0, 9, 2.5, offset_mm=0.1),
    FanBeam.equally_spaced(7, 3.0, 9, 2.5, 500.0, 900.0),
]


@pytest.mark.parametrize("name", ["folder", "file.npz"])
@pytest.mark.parametrize("scan", PLANE, ids=["parallel", "fan"])
def test_stacks_of_slices_are_read_back(tmp_path, name, scan):
    y = np.random.default_rng(0).uniform(0, 8, (4, *scan.sinogram_shape)).astype(np.float32)
    written = Projections(y, ScanGeometry(scan, 0.02, slice_mm=2.5))
    write_projections(tmp_path / name, written)
    read = read_projections(tmp_path / name)
    assert read.geometry == written.geometry
    assert_array_equal(read.y, y)


def test_one_slice_becomes_a_stack_of_one():
    y = np.ones(PLANE[0].sinogram_shape)
    assert projections_of(y, ScanGeometry(PLANE[0], 0.02), "a slice").y.shape == (1, 7, 9)


@pytest.mark.parametrize("shape", [(9, 7), (0, 7, 9), (1, 2, 7, 9), (7,)])
def test_slices_of_another_shape_are_refused(shape):
    with pytest.raises(InputError, match=r"slices have shape .* expects \(7, 9\) \(views, columns\), one or more"):
        projections_of(np.ones(shape), ScanGeometry(PLANE[0], 0.02), "slices")


def test_complex_numbers_are_refused():
    with pytest.raises(InputError, match="not finite numbers"):
        projections_of(np.ones(SCAN.sinogram_shape, complex), ScanGeometry(SCAN, 0.02), "views")


def test_slices_are_no_views_of_a_volume():
    with pytest.raises(InputError, match="projections dir: a parallel or fan beam was found"):
        check_scan(PLANE[1], GRID, (2, 16), "projections dir")


def test_views_in_files_of_their_own_are_joined_by_name(tmp_path):
    written = projections()
    write_projections(tmp_path, written)
    (tmp_path / "projections.npy").unlink()
    for i in (2, 0, 1):
        np.save(tmp_path / f"view_{i:03d}.npy", written.y[i])
    assert_array_equal(read_projections(tmp_path).y, written.y)


def test_intensities_become_line_integrals(tmp_path):
    written = projections(i0=5e4)
    write_projections(tmp_path, written)
    (tmp_path / "geometry.yaml").write_text(write_geometry(written.geometry))
    np.save(tmp_path / "projections.npy", 5e4 * np.exp(-written.y.astype(np.float64)))
    read = read_projections(tmp_path)
    assert read.geometry.i0 is None
    assert_allclose(read.y, written.y, atol=1e-5)


def test_a_pixel_that_saw_nothing_has_the_largest_line_integral(tmp_path):
    written = projections(i0=100.0)
    write_projections(tmp_path, written)
    (tmp_path / "geometry.yaml").write_text(write_geometry(written.geometry))
    np.save(tmp_path / "projections.npy", np.zeros(SCAN.sinogram_shape))
    assert_allclose(read_projections(tmp_path).y, -math.log(1e-6), rtol=1e-6)


def refusal(path) -> str:
    with pytest.raises(InputError) as error:
        read_projections(path)
    assert "\n" not in str(error.value)
    return str(error.value)


def bad_array(folder, array) -> str:
    write_projections(folder, projections())
    np.save(folder / "projections.npy", array)
    sentence = refusal(folder)
    assert str(folder) in sentence
    return sentence


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_values_that_are_not_finite_are_refused(tmp_path, value):
    y = projections().y.copy()
    y[1, 2, 3] = value
    assert "not finite" in bad_array(tmp_path, y)


def test_text_instead_of_numbers_is_refused(tmp_path):
    assert "not finite numbers" in bad_array(tmp_path, np.full(SCAN.sinogram_shape, "x"))


@pytest.mark.parametrize("shape", [(2, 6, 8), (3, 8, 6), (48,)])
def test_a_shape_that_is_not_the_geometrys_is_refused(tmp_path, shape):
    assert f"have shape {shape}" in bad_array(tmp_path, np.zeros(shape))


def test_views_of_different_panels_are_refused(tmp_path):
    write_projections(tmp_path, projections())
    np.save(tmp_path / "view.npy", np.zeros((5, 5)))
    assert "differ in shape" in refusal(tmp_path)


@pytest.mark.parametrize("values", [(0.0, 40000.0), (-3.0, 5.0)])
def test_what_cannot_be_line_integrals_is_refused(tmp_path, values):
    assert "quantity: intensities" in bad_array(tmp_path, np.linspace(*values, 3 * 6 * 8).reshape(3, 6, 8))


def test_missing_parts_are_refused(tmp_path):
    assert "geometry.yaml does not exist" in refusal(tmp_path / "absent")
    write_projections(tmp_path, projections())
    (tmp_path / "projections.npy").unlink()
    assert "no .npy file" in refusal(tmp_path)


def test_files_that_are_no_arrays_are_refused(tmp_path):
    write_projections(tmp_path, projections())
    (tmp_path / "projections.npy").write_text("no array")
    assert "cannot be read as a numpy file" in refusal(tmp_path)
    (tmp_path / "broken.npz").write_bytes(b"PK\x03\x04 no archive")
    assert "cannot be read as a numpy file" in refusal(tmp_path / "broken.npz")
    np.savez(tmp_path / "other.npz", y=np.zeros(3))
    assert "no NPZ file with 'projections'" in refusal(tmp_path / "other.npz")
    (tmp_path / "geometry.yaml").write_bytes(b"\xff\xfe\x00")
    assert "is no text" in refusal(tmp_path)


def refused_views(scan, **options) -> str:
    with pytest.raises(InputError) as error:
        check_scan(scan, GRID, (2, 16), "projections dir", **options)
    return str(error.value)


def test_good_views_pass():
    check_scan(SCAN, GRID, (2, 16), "projections dir")


@pytest.mark.parametrize("n_views", [1, 17])
def test_too_few_or_too_many_views_are_refused(n_views):
    scan = ConeBeam.equally_spaced(n_views, math.pi, (6, 8), (100.0, 100.0), 800.0, 1200.0)
    assert f"projections dir: {n_views} views were found, but 2 to 16 are expected" in refused_views(scan)


def test_a_view_that_does_not_see_the_volume_is_named():
    vectors = SCAN.vectors()
    x, y, z = vectors.detector_mm[1]
    away = (vectors.detector_mm[0], (x, y, z + 5000.0), vectors.detector_mm[2])
    sentence = refused_views(dataclasses.replace(vectors, detector_mm=away))
    assert "projections dir: view 1 sees 0 % of the volume of 240 x 400 x 400 mm" in sentence


def test_a_source_in_the_volume_is_refused():
    assert "source of view 0" in refused_views(dataclasses.replace(SCAN, sod_mm=80.0, sdd_mm=120.0))


@pytest.mark.parametrize("share", [0.3, 0.7])
def test_a_view_must_see_the_share_asked_for(share):
    """The shifted panel sees a half of a thin slab across the central ray."""
    slab = Grid((1, 1, 100), (1.0, 1.0, 4.0))
    scan = dataclasses.replace(SCAN, angles_rad=(0.0, math.pi), offset_mm=(0.0, 400.0))
    if share < 0.5:
        check_scan(scan, slab, (2, 16), "slab", least_share=share)
        return
    with pytest.raises(InputError, match="slab: view 0 sees 50 %"):
        check_scan(scan, slab, (2, 16), "slab", least_share=share)
