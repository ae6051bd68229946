"""Which method, on which pixels, and what is said of rays that are cut."""

import math
from dataclasses import replace

import numpy as np
import pytest

from latentct.errors import InputError
from latentct.geometry import ConeBeam, FanBeam, Grid, ParallelBeam
from latentct.io.projections import Projections
from latentct.io.scan_geometry import ScanGeometry
from latentct.recon import FDK, FilteredBackProjection, Sirt, TotalVariation
from latentct.workflow.reconstruct import is_truncated, make_method, reconstruct, usual_method
from latentct.workflow.reconstruct_grid import choose_grid, grid_sentence
from latentct.workflow.simulate import prepare_simulation, simulate

from .images import MIDDLE_MM, body_image

MU = 0.02
PARALLEL = ParallelBeam.equally_spaced(n_views=60, arc_rad=math.pi, n_bins=100, bin_mm=4.0)
CONE = ConeBeam.equally_spaced(40, 2 * math.pi, (30, 60), (8.0, 9.0), 600.0, 900.0)


@pytest.fixture(scope="module")
def few():
    """Sixty views of the body with little noise."""
    return simulate(prepare_simulation(body_image(), given=ScanGeometry(PARALLEL, MU), photons=1e5))


def test_each_scan_has_a_usual_method():
    free = CONE.vectors()
    assert [usual_method(scan) for scan in (PARALLEL, CONE, free)] == ["fbp", "fdk", "sirt"]
    kinds = {"fbp": FilteredBackProjection, "fdk": FDK, "sirt": Sirt, "tv": TotalVariation}
    for name, scan in (("fbp", PARALLEL), ("fdk", CONE), ("sirt", free), ("tv", free)):
        assert isinstance(make_method(name, scan, MU), kinds[name])


def test_the_weight_of_total_variation_of_volumes_follows_the_views_until_it_is_given():
    def weight(n_views, **given):
        return make_method("tv", replace(CONE, angles_rad=CONE.angles_rad[:n_views]), MU, **given).weight

    assert (weight(2), weight(5), weight(40)) == (0.08, 0.02, 0.006)
    assert weight(5, weight=0.3) == 0.3
    assert make_method("tv", PARALLEL, MU).weight == 0.006
    assert make_method("tv", PARALLEL, MU, n_iterations=7).n_iterations == 7


@pytest.mark.parametrize("name", ["fbp", "sirt", "tv"])
def test_slices_come_out_in_hu_where_the_image_was(few, name):
    image = body_image()
    found = reconstruct(few, few.geometry.image, make_method(name, few.geometry.scan, MU))
    np.testing.assert_allclose(found.affine_lps_mm, image.affine_lps_mm, atol=1e-3)
    error_hu = found.x_hu - image.x_hu
    assert abs(error_hu[:, 28:36, 25:35].mean()) < 6
    assert np.sqrt((error_hu**2).mean()) < {"fbp": 90, "sirt": 40, "tv": 35}[name]


def test_a_volume_stands_about_the_isocentre():
    grid = Grid((24, 32, 36), (8.0, 8.0, 8.0))
    projections = simulate(prepare_simulation(body_image(grid), given=ScanGeometry(CONE, MU)))
    chosen, _ = choose_grid(projections.geometry, 36, 8.0)
    found = reconstruct(projections, chosen, make_method("fdk", CONE, MU))
    middle = np.array([*(np.array(found.x_hu.shape) - 1) / 2, 1])
    np.testing.assert_allclose((found.affine_lps_mm @ middle)[:3], MIDDLE_MM, atol=1e-3)
    assert found.spacing_mm == pytest.approx((8.0, 8.0, 8.0))
    z, y, x = (np.array(found.x_hu.shape) - 1) // 2
    assert abs(found.x_hu[z - 1 : z + 2, y - 2 : y + 1, x - 4 : x - 1].mean() - 40) < 15


def test_parts_of_a_scan_are_reconstructed_as_the_whole(few):
    long = Projections(np.concatenate([few.y] * 8), few.geometry)
    seen = []
    found = reconstruct(
        long, few.geometry.image, make_method("fbp", few.geometry.scan, MU), lambda parts: seen.extend(parts) or parts
    )
    assert [part.stop - part.start for part in seen] == [32, 8]
    np.testing.assert_allclose(found.x_hu[35:], found.x_hu[:5], atol=0.1)


def test_the_grid_is_the_one_of_the_geometry_then_what_is_asked_for_then_what_is_seen():
    asked = ScanGeometry(PARALLEL, MU, image=Grid((64, 72), (4.0, 4.0)))
    assert choose_grid(asked, None, None)[0] == asked.image
    assert choose_grid(asked, 144, None)[0] == Grid((144, 144), (2.0, 2.0))
    assert choose_grid(asked, None, 3.0)[0] == Grid((96, 96), (3.0, 3.0))
    assert choose_grid(asked, 10, 3.0)[0] == Grid((10, 10), (3.0, 3.0))
    seen, source = choose_grid(ScanGeometry(PARALLEL, MU), None, None)
    assert seen == Grid((99, 99), (4.0, 4.0)) and "covers" not in source
    assert grid_sentence(seen, source) == (
        "Reconstructed are 99 x 99 pixels of 4 x 4 mm, to cover what the detector sees."
    )
    fine = FanBeam.equally_spaced(10, 6.0, 3000, 0.3, 600.0, 1100.0)
    assert choose_grid(ScanGeometry(fine, MU), None, None)[0].shape == (512, 512)


@pytest.mark.parametrize("scan", [CONE, CONE.vectors()])
def test_a_volume_covers_the_panel(scan):
    grid, _ = choose_grid(ScanGeometry(scan, MU), None, None)
    assert grid.spacing_mm == pytest.approx((6.0, 6.0, 6.0), rel=0.05)
    assert grid.extent_mm[0] == pytest.approx(160.0, abs=8) and grid.extent_mm[2] == pytest.approx(350.0, abs=15)


def test_a_detector_that_is_too_narrow_is_noticed(few):
    assert not is_truncated(few)
    narrow = ScanGeometry(replace(PARALLEL, n_bins=30), MU)
    assert is_truncated(simulate(prepare_simulation(body_image(), given=narrow)))
    grid = Grid((24, 32, 36), (8.0, 8.0, 8.0))
    for n_columns, is_cut in ((60, False), (20, True)):
        given = ScanGeometry(replace(CONE, detector_shape=(30, n_columns)), MU)
        assert is_truncated(simulate(prepare_simulation(body_image(grid), given=given))) == is_cut


@pytest.mark.parametrize(
    ("name", "scan", "options", "words"),
    [
        ("fdk", PARALLEL, {}, "for a cone beam on a circle, but the scan is none; choose fbp"),
        ("fbp", CONE, {}, "for slices of a parallel or fan beam, but the scan is none; choose fdk"),
        ("fdk", CONE.vectors(), {}, "choose sirt"),
        ("art", PARALLEL, {}, "choose one of fbp, fdk, sirt, tv"),
        ("fbp", PARALLEL, {"n_iterations": 3}, "--iterations is none of the options of --method fbp"),
        ("sirt", PARALLEL, {"weight": 0.1}, "--weight is none of the options"),
        ("tv", PARALLEL, {"filter_name": "hann"}, "--filter is none of the options"),
        ("fbp", PARALLEL, {"filter_name": "ramp"}, "choose one of ram-lak"),
        ("tv", PARALLEL, {"weight": 0.0}, "above 0"),
        ("sirt", PARALLEL, {"n_iterations": 0}, "1 or more"),
    ],
)
def test_methods_that_do_not_suit_are_refused(name, scan, options, words):
    with pytest.raises(InputError, match=words):
        make_method(name, scan, MU, **options)


def test_grids_that_make_no_sense_are_refused(few):
    for size, spacing_mm in ((0, None), (10**9, None), (None, 0.0), (None, math.nan), (None, -1.0)):
        with pytest.raises(InputError, match=r"--size|--spacing-mm"):
            choose_grid(few.geometry, size, spacing_mm)
    wide = ScanGeometry(replace(PARALLEL, n_bins=50_000, bin_mm=40.0), MU)
    with pytest.raises(InputError, match="choose a larger one"):
        choose_grid(wide, None, 0.01)
    with pytest.raises(InputError, match="GB of memory are free; give a smaller --size"):
        reconstruct(few, Grid((90_000, 90_000), (0.01, 0.01)), make_method("fbp", PARALLEL, MU))


@pytest.mark.parametrize("scan", [FanBeam.equally_spaced(8, 6.0, 20, 8.0, 100.0, 300.0), replace(CONE, sod_mm=100.0)])
def test_a_source_within_the_image_is_refused(scan):
    slices = isinstance(scan, FanBeam)
    y = np.ones((1, *scan.sinogram_shape) if slices else scan.sinogram_shape, np.float32)
    grid = Grid((64, 72), (4.0, 4.0)) if slices else Grid((24, 64, 72), (4.0, 4.0, 4.0))
    method = make_method("fbp" if slices else "fdk", scan, MU)
    with pytest.raises(InputError, match="source"):
        reconstruct(Projections(y, ScanGeometry(scan, MU)), grid, method)
