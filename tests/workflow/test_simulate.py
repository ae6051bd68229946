"""Projections of an image: which rays they hold, and where their reconstruction lies."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest
import yaml

from latentct.errors import InputError
from latentct.findings import virtual_scan
from latentct.geometry import ConeBeam, FanBeam, Grid, ParallelBeam, VectorConeBeam
from latentct.geometry.masks import ray_distance_mm
from latentct.io.image import CTImage
from latentct.io.projections import read_projections, write_projections
from latentct.io.scan_geometry import ScanGeometry
from latentct.projectors import make_projector
from latentct.simulate import make_scanner
from latentct.tasks import LimitedAngle, SparseView, Truncation
from latentct.units import MU_WATER_70KEV
from latentct.workflow.reconstruct import make_method, reconstruct
from latentct.workflow.simulate import prepare_simulation, simulate
from latentct.workflow.simulate_geometry import incomplete_scan, largest_distance_mm
from latentct.workflow.simulate_image import PADDING_HU, cut_image
from latentct.workflow.simulate_metal import METAL_PHOTONS, metal_scanner, put_implant

from .images import GRID, MIDDLE_MM, body_image

PARALLEL = ParallelBeam.equally_spaced(n_views=60, arc_rad=math.pi, n_bins=100, bin_mm=4.0, offset_mm=1.0)


@pytest.fixture(scope="module")
def complete():
    """The complete scan of the body in the virtual fan beam."""
    return simulate(prepare_simulation(body_image()))


def test_the_reconstruction_lands_on_the_voxels_with_the_hu_of_the_image(complete):
    image, geometry = body_image(), complete.geometry
    again = reconstruct(complete, geometry.image, make_method("fbp", geometry.scan, geometry.mu_water))
    assert largest_distance_mm(again.affine_lps_mm, image.affine_lps_mm, GRID.shape) < 1e-3
    error_hu = again.x_hu - image.x_hu
    assert np.sqrt((error_hu**2).mean()) < 12
    assert abs(error_hu[:, 28:36, 25:35].mean()) < 1


@pytest.mark.parametrize("name", ["scan.npz", "scan.npy", "scan.h5", "scan"])
def test_files_give_back_rays_and_geometry(tmp_path, complete, name):
    write_projections(tmp_path / name, complete, "a note")
    found = read_projections(tmp_path / name)
    np.testing.assert_array_equal(found.y, complete.y)
    before, after = complete.geometry, found.geometry
    assert after.image == before.image and after.mu_water == before.mu_water
    np.testing.assert_allclose(after.isocenter_mm, MIDDLE_MM, atol=1e-3)
    assert after.slice_mm == pytest.approx(5.0, abs=1e-3)
    np.testing.assert_allclose(after.scan.angles_rad, before.scan.angles_rad, rtol=0, atol=1e-9)
    np.testing.assert_allclose(after.scan.u_mm(), before.scan.u_mm(), atol=1e-3)
    assert (after.scan.sod_mm, after.scan.sdd_mm) == pytest.approx((before.scan.sod_mm, before.scan.sdd_mm), abs=1e-3)


@pytest.mark.parametrize(
    ("name", "number", "task"),
    [
        ("truncation", {"field_mm": 120.0}, Truncation(120.0)),
        ("limited-angle", {"arc_deg": 100.0}, LimitedAngle(math.radians(100.0))),
        ("sparse-view", {"n_views": 37}, SparseView(37)),
    ],
)
@pytest.mark.parametrize("given", [None, ScanGeometry(PARALLEL, MU_WATER_70KEV)])
def test_measured_are_exactly_the_rays_that_the_mask_of_the_complete_scan_leaves(complete, name, number, task, given):
    whole = complete if given is None else simulate(prepare_simulation(body_image(), given=given))
    part = simulate(prepare_simulation(body_image(), name, given=given, **number))
    mask = task.mask_of(whole.geometry.scan).numpy()
    views, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    np.testing.assert_allclose(part.y, whole.y[:, views][..., columns], atol=2e-5)
    np.testing.assert_allclose(part.geometry.scan.u_mm(), whole.geometry.scan.u_mm()[columns], atol=1e-9)
    assert part.geometry.scan.angles_rad == tuple(np.array(whole.geometry.scan.angles_rad)[views])
    assert part.y[0].size == mask.sum()


def test_a_cone_beam_loses_views_and_columns_and_a_free_panel_views():
    scan = ConeBeam.equally_spaced(16, math.pi, (20, 30), (10.0, 12.0), 600.0, 900.0, offset_mm=(3.0, 6.0))
    given = ScanGeometry(scan, MU_WATER_70KEV)
    whole = simulate(prepare_simulation(body_image(), given=given))
    assert whole.y.shape == (16, 20, 30) and whole.geometry.image is None
    narrow = simulate(prepare_simulation(body_image(), "truncation", given=given, field_mm=150.0))
    columns = np.flatnonzero(ray_distance_mm(scan) <= 75.0)
    np.testing.assert_allclose(narrow.y, whole.y[..., columns], atol=2e-5)
    free = replace(given, scan=scan.vectors())
    few = simulate(prepare_simulation(body_image(), "sparse-view", given=free, n_views=4))
    assert isinstance(few.geometry.scan, VectorConeBeam)
    np.testing.assert_allclose(few.y, whole.y[::4], atol=2e-5)


def test_noise_follows_from_the_seed_and_the_number_of_photons(complete):
    first, same, other = (simulate(prepare_simulation(body_image(), photons=1e4, seed=seed)).y for seed in (3, 3, 4))
    np.testing.assert_array_equal(first, same)
    assert (first != other).mean() > 0.9
    scaled = (first - complete.y) * np.sqrt(1e4 * np.exp(-complete.y))
    assert scaled[complete.y < 3].std() == pytest.approx(1, abs=0.02)


def test_padding_is_air_to_the_scan():
    image = body_image()
    padding = np.zeros(GRID.shape, bool)
    padding[:, :, :6] = True
    strange = replace(image, x_hu=np.where(padding, np.float32(3000), image.x_hu), padding=padding)
    np.testing.assert_allclose(
        simulate(prepare_simulation(strange)).y, simulate(prepare_simulation(image)).y, atol=1e-5
    )


def test_sentences_tell_the_scan_and_that_a_body_is_cut():
    words = " ".join(prepare_simulation(body_image(), "limited-angle", arc_deg=90.0, photons=1e5).sentences)
    n_views = virtual_scan(GRID).scan.n_views
    assert "virtual fan beam, which is no real scanner's" in words
    assert f"{n_views // 4} of {n_views} views" in words and "100000 photons" in words and "cut" not in words
    cut = prepare_simulation(body_image(Grid((5, 64, 44), GRID.spacing_mm)), given=ScanGeometry(PARALLEL, 0.02))
    assert "The body is cut in the image" in " ".join(cut.sentences)
    assert "virtual" not in " ".join(cut.sentences)


def test_metal_lies_in_the_body_and_is_seen_by_the_scanner_of_the_bundle(complete):
    simulation = prepare_simulation(body_image(), "metal", seed=2)
    implant = simulation.implant
    assert implant is not None and simulation.photons == METAL_PHOTONS
    fraction = implant.fraction.numpy()
    assert 0 < fraction.max() <= 1 and (simulation.x_hu[fraction > 0] > -900).all()
    assert f"{(fraction > 0).any(axis=(1, 2)).sum()} of 5 slices" in implant.sentence
    y = simulate(simulation).y
    assert y.shape == complete.y.shape
    projector = make_projector(complete.geometry.image, complete.geometry.scan)
    trace = projector(implant.fraction[:, None])[:, 0].numpy() > 8.0
    assert (y - complete.y)[trace].min() > 0.3
    again = put_implant(simulation.x_hu, GRID, 2)
    assert (again.fraction == implant.fraction).all() and again.sentence == implant.sentence
    assert (put_implant(simulation.x_hu, GRID, 3).fraction != implant.fraction).any()


def test_the_scanner_is_the_one_of_the_metal_bundle(pytestconfig):
    configs = pytestconfig.rootpath / "bundles/lsr_metal/configs"
    settings = yaml.safe_load((configs / "inference.yaml").read_text())["scanner"]
    scan = json.loads((configs / "metadata.json").read_text())["scan"]
    del settings["_target_"]
    assert make_scanner(**settings | {key: scan[key] for key in ("kvp", "mu_water", "i0_photons")}) == metal_scanner()


def test_air_has_no_room_for_an_implant():
    with pytest.raises(InputError, match="no room"):
        put_implant(np.full(GRID.shape, -1000, np.float32), GRID, 0)


def turned(image: CTImage, angle_rad: float) -> CTImage:
    turn = np.eye(4)
    turn[1:3, 1:3] = [[math.cos(angle_rad), -math.sin(angle_rad)], [math.sin(angle_rad), math.cos(angle_rad)]]
    return replace(image, affine_lps_mm=turn @ image.affine_lps_mm)


def moved(image: CTImage, by_mm: float) -> CTImage:
    affine = image.affine_lps_mm.copy()
    affine[2, 3] += by_mm
    return replace(image, affine_lps_mm=affine)


@pytest.mark.parametrize(
    ("image", "settings", "words"),
    [
        (body_image(), {"task": "truncation"}, "needs --field-mm"),
        (body_image(), {"task": "truncation", "field_mm": 120.0, "n_views": 3}, "--views does not belong to --task"),
        (body_image(), {"arc_deg": 120.0}, "--arc-deg does not belong to --task none"),
        (body_image(), {"task": "truncation", "field_mm": 9999.0}, "leaves the complete scan"),
        (body_image(), {"task": "truncation", "field_mm": 0.01}, "columns; ask for more"),
        (body_image(), {"task": "truncation", "field_mm": math.nan}, "above 0 is expected"),
        (body_image(), {"task": "limited-angle", "arc_deg": 360.0}, "leaves the complete scan"),
        (body_image(), {"task": "limited-angle", "arc_deg": -5.0}, "above 0 is expected"),
        (body_image(), {"task": "sparse-view", "n_views": 100000}, "leaves the complete scan"),
        (body_image(), {"task": "spiral"}, "choose one of none, truncation"),
        (body_image(), {"photons": math.nan}, "--photons is nan"),
        (body_image(), {"photons": 1.0}, "--photons is 1, but 100 to"),
        (turned(body_image(), 0.2), {}, "tilted gantry"),
        (moved(body_image(), 1e7), {}, r"geometry of the simulated scan breaks the schema at .*isocenter_mm"),
        (body_image(Grid((3, 12, 40), (4.0, 4.0, 4.0))), {}, "at least 16 x 16"),
        (body_image(Grid((2, 40, 40), (4.0, 90.0, 90.0))), {}, "correct the spacing"),
    ],
)
def test_bad_settings_are_refused(image, settings, words):
    with pytest.raises(InputError, match=words) as refusal:
        prepare_simulation(image, **settings)
    assert "\n" not in str(refusal.value)


def test_what_no_file_may_hold_is_refused():
    image = body_image()
    with pytest.raises(InputError, match=r"line integrals up to .*; correct its HU"):
        simulate(prepare_simulation(replace(image, x_hu=image.x_hu + 30_000)))


def test_scans_that_cannot_be_are_refused():
    inside = FanBeam.equally_spaced(10, 6.28, 50, 4.0, sod_mm=100.0, sdd_mm=300.0)
    with pytest.raises(InputError, match="source comes within 100 mm"):
        prepare_simulation(body_image(), given=ScanGeometry(inside, 0.02))
    huge = ParallelBeam.equally_spaced(100_000, math.pi, 100_000, 0.1)
    with pytest.raises(InputError, match="GB of memory are free"):
        prepare_simulation(body_image(), given=ScanGeometry(huge, 0.02))
    with pytest.raises(InputError, match="sources on a circle"):
        incomplete_scan(ConeBeam((0.0,), (4, 4), (1.0, 1.0), 500.0, 900.0).vectors(), "truncation", 9.0, None, None)


def test_a_cut_image_keeps_its_hu_inside_and_is_padding_outside():
    image = body_image()
    cut = cut_image(image, 150.0)
    distance_mm = np.hypot(GRID.coordinates_mm(1)[:, None], GRID.coordinates_mm(2)[None])
    assert cut.padding is not None
    for plane, kept, padding in zip(image.x_hu, cut.x_hu, cut.padding, strict=True):
        np.testing.assert_array_equal(padding, distance_mm > 75.0)
        np.testing.assert_array_equal(kept[~padding], plane[~padding])
        assert (kept[padding] == PADDING_HU).all()
    already = np.zeros(GRID.shape, bool)
    already[:, 32, 36] = True
    assert cut_image(replace(image, padding=already), 150.0).padding[:, 32, 36].all()
    for diameter_mm in (0.1, 1e4, math.inf, -1.0):
        with pytest.raises(InputError, match="--field-mm"):
            cut_image(image, diameter_mm)
