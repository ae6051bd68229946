"""Incomplete scans of slices, corrected with the weights that the package ships."""

import math
from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
import yaml

from latentct.bundle import stage_bundle
from latentct.correction.body import body_mask
from latentct.errors import InputError
from latentct.geometry import FanBeam, Grid, ParallelBeam, Scan2D, field_of_measurement_mask
from latentct.io.nifti import read_volume
from latentct.io.projections import Projections, npz_bytes, read_projections
from latentct.io.scan_geometry import ScanGeometry
from latentct.projectors import make_projector
from latentct.recon import fbp
from latentct.serving import Corrector, load_corrector
from latentct.simulate import make_scanner
from latentct.units import hu_to_mu, mu_to_hu
from latentct.workflow.ray_settings import SETTINGS, refinement_for
from latentct.workflow.rays import image_grid, rays_method, working_grid
from latentct.workflow.slices import FloatArray

from ..checks import ROOT

DEG = math.pi / 180
PARALLEL = ParallelBeam.equally_spaced(180, math.pi, 200, 2.5)
FAN = FanBeam.equally_spaced(320, 2 * math.pi, 200, 4.6, 595.0, 1085.6, curved=True)
IRON_MM = 12.0


@pytest.fixture(scope="module")
def corrector(tmp_path_factory: pytest.TempPathFactory) -> Corrector:
    folder = tmp_path_factory.mktemp("staged") / "lsr_truncation"
    return load_corrector(stage_bundle(ROOT / "bundles" / "lsr_truncation", folder).root, "cpu")


@dataclass(frozen=True)
class Patient:
    """Slices (S, H, W) in HU, and where metal is drawn into them for a scan that is to see some."""

    x_hu: np.ndarray
    grid: Grid

    @property
    def body(self) -> np.ndarray:
        return body_mask(self.x_hu, self.grid.spacing_mm)

    def metal(self, margin_mm: float = 0.0) -> np.ndarray:
        y_mm, x_mm = self.grid.coordinates_mm(0)[:, None], self.grid.coordinates_mm(1)[None]
        return np.tile(np.hypot(y_mm - 20, x_mm - 40) < IRON_MM / 2 + margin_mm, (len(self.x_hu), 1, 1))

    def one(self, index: int) -> "Patient":
        return replace(self, x_hu=self.x_hu[index : index + 1])


def phantom_and_real_slice() -> Patient:
    """A chest of ellipses, and a slice of a real one."""
    x_hu, affine = read_volume(ROOT / "src" / "latentct" / "sample" / "lidc_idri_0001.nii.gz")
    spacing_mm = tuple(2 * np.linalg.norm(affine[:3, 1:3], axis=0))
    real_hu = x_hu[6, ::2, ::2]
    grid = Grid(real_hu.shape, spacing_mm)
    y_mm, x_mm = grid.coordinates_mm(0)[:, None], grid.coordinates_mm(1)[None]
    drawn_hu = np.full(grid.shape, -1000.0, np.float32)
    drawn_hu[np.hypot(y_mm / 105, x_mm / 150) < 1] = 30
    for side in (-1, 1):
        drawn_hu[np.hypot((y_mm + 15) / 60, (x_mm - side * 70) / 45) < 1] = -820
    drawn_hu[np.hypot((y_mm - 65) / 18, x_mm / 20) < 1] = 500
    return Patient(np.stack([drawn_hu, real_hu]), grid)


PATIENT = phantom_and_real_slice()
REAL = PATIENT.one(1)


def part(scan: Scan2D, y: np.ndarray, views: np.ndarray, reach_mm: float | None) -> tuple[np.ndarray, Scan2D]:
    """The scan of some views and of the bins within a distance of the axis, and its rays."""
    at_axis = scan.u_mm() * (scan.sod_mm / scan.sdd_mm if isinstance(scan, FanBeam) else 1.0)
    bins = np.flatnonzero(np.abs(at_axis) <= (reach_mm or np.inf))
    kept = scan.u_mm()[bins]
    angles_rad = tuple(np.array(scan.angles_rad)[views])
    smaller = replace(scan, angles_rad=angles_rad, n_bins=len(bins), offset_mm=float(kept[0] + kept[-1]) / 2)
    return np.ascontiguousarray(y[:, views][..., bins]), smaller


def rays_of(patient: Patient, scan: Scan2D, mu_water: float, metal: bool = False, scale: float = 1.0) -> np.ndarray:
    x_mu = hu_to_mu(torch.from_numpy(patient.x_hu)[:, None], mu_water)
    projector = make_projector(patient.grid, scan)
    scanner = make_scanner(120.0 if metal else None, i0_photons=1e6, scatter_to_primary=0.0, mu_water=mu_water)
    iron = {"iron": torch.from_numpy(patient.metal()).float()[:, None]} if metal else None
    if not metal:
        scanner = replace(scanner, water_correction=None)
    y = scanner.scan(x_mu, projector, iron, torch.Generator().manual_seed(0))[:, 0].numpy()
    return (y * np.float32(scale)).astype(np.float32)


def error_hu(x_hu: np.ndarray, reference_hu: np.ndarray, region: np.ndarray) -> float:
    return float(np.sqrt(np.square(x_hu - reference_hu)[region].mean()))


CASES = {
    "limited angle": (PARALLEL, np.arange(120), None, False, ("limited-angle",), 0.5),
    "limited fan": (FAN, np.arange(124), None, False, ("limited-angle",), 0.5),
    "sparse": (PARALLEL, np.arange(0, 180, 6), None, False, ("sparse-view",), 0.7),
    "sparse fan": (FAN, np.arange(0, 320, 8), None, False, ("sparse-view",), 0.7),
    "truncation": (PARALLEL, np.arange(180), 85.0, False, ("truncation",), 0.1),
    "metal": (FAN, np.arange(320), None, True, ("metal",), 0.7),
    "truncation and metal": (FAN, np.arange(320), 100.0, True, ("metal", "truncation"), 0.3),
    "short arc and narrow detector": (FAN, np.arange(124), 100.0, False, ("limited-angle", "truncation"), 0.4),
}


@pytest.mark.parametrize("case", CASES)
def test_images_are_better_and_measured_rays_are_kept(corrector, case):
    scan, views, reach_mm, metal, found, ratio = CASES[case]
    mu_water, grid = corrector.method.mu_water, PATIENT.grid
    y, smaller = part(scan, rays_of(PATIENT, scan, mu_water, metal), views, reach_mm)
    method = rays_method(Projections(y, ScanGeometry(smaller, mu_water, image=grid)), None, corrector)
    assert method.findings.found == found
    result = method.correct(slice(0, 2))

    completion = method.findings.completion
    mask = np.broadcast_to(result.ray_mask, result.y_hat.shape)
    measured = completion.extract(mask)
    assert np.array_equal(completion.extract(result.y_hat)[measured], y[measured])
    assert measured.all() != metal and measured.sum() == mask.sum()

    whole = torch.from_numpy(rays_of(PATIENT, scan, mu_water))[:, None]
    reference_hu = mu_to_hu(fbp(whole, grid, scan), mu_water)[:, 0].numpy()
    fbp_hu = mu_to_hu(fbp(torch.from_numpy(y)[:, None], grid, smaller), mu_water)[:, 0].numpy()
    region = PATIENT.body & ~PATIENT.metal(8.0) if metal else PATIENT.body
    if reach_mm:
        region &= field_of_measurement_mask(grid, 2 * reach_mm - 8)
    for index in (0, 1):
        error, before = (error_hu(x[index], reference_hu[index], region[index]) for x in (result.x_hu, fbp_hu))
        assert error < ratio * before
    if metal:
        assert (result.x_hu[PATIENT.metal()].reshape(2, -1).mean(axis=1) > 3000).all()
    share = result.synthesised
    assert share.shape == result.x_hu.shape and share.min() >= 0 and 0.3 < share.max() <= 1
    assert np.isfinite(result.misfit).all() and np.isfinite(result.trace).all() and len(result.trace) > 1


def test_slices_alone_are_those_of_all(corrector):
    mu_water = corrector.method.mu_water
    y, scan = part(PARALLEL, rays_of(PATIENT, PARALLEL, mu_water), np.arange(180), 85.0)
    method = rays_method(Projections(y, ScanGeometry(scan, mu_water, image=PATIENT.grid)), None, corrector)
    both, last = method.correct(slice(0, 2)), method.correct(slice(1, 2))
    assert method.n_slices == 2 and method.wave >= 2 and both.x_hu.shape == (2, 128, 128)
    field = field_of_measurement_mask(PATIENT.grid, 160.0)
    assert error_hu(last.x_hu[0], both.x_hu[1], field) < 10  # the search of slices depends on who is searched with them
    np.testing.assert_allclose(last.misfit, both.misfit[1:], rtol=0.1)
    assert last.synthesised[0][field].max() == 0 and last.synthesised[0].max() > 0.7


@pytest.fixture(scope="module")
def few_views(corrector: Corrector) -> tuple[Projections, FloatArray]:
    """A sparse scan of the real slice, and its corrected image."""
    mu_water = corrector.method.mu_water
    y, scan = part(PARALLEL, rays_of(REAL, PARALLEL, mu_water), np.arange(0, 180, 6), None)
    projections = Projections(y, ScanGeometry(scan, mu_water, image=REAL.grid))
    return projections, rays_method(projections, None, corrector).correct(slice(0, 1)).x_hu


def test_order_and_turn_of_the_views_and_the_energy_do_not_matter(corrector, few_views):
    projections, x_hu = few_views
    y, geometry = projections.y, projections.geometry
    order = np.random.default_rng(0).permutation(geometry.scan.n_views)
    angles_rad = np.array(geometry.scan.angles_rad)[order] + 2 * math.pi * (order % 2)
    shuffled = replace(geometry.scan, angles_rad=tuple(angles_rad))
    denser = replace(geometry, scan=shuffled, mu_water=1.25 * geometry.mu_water)
    method = rays_method(Projections(1.25 * y[:, order], denser), None, corrector)
    result = method.correct(slice(0, 1))
    np.testing.assert_allclose(result.x_hu, x_hu, atol=3)
    assert np.array_equal(method.findings.completion.extract(result.y_hat), 1.25 * y[:, order])


def test_body_outside_of_a_small_image_is_explained_too(corrector, few_views):
    projections, x_hu = few_views
    small = replace(projections.geometry, image=Grid((48, 40), REAL.grid.spacing_mm))
    result = rays_method(Projections(projections.y, small), None, corrector).correct(slice(0, 1))
    np.testing.assert_allclose(result.x_hu[0], x_hu[0, 40:88, 44:84], atol=1)


def test_metal_is_corrected_where_it_is_and_other_slices_stay(corrector):
    patient, mu_water = PATIENT, corrector.method.mu_water
    y = rays_of(patient, FAN, mu_water)
    y[1] = rays_of(patient, FAN, mu_water, metal=True)[1]
    method = rays_method(Projections(y, ScanGeometry(FAN, mu_water, image=patient.grid)), "metal", corrector)
    result = method.correct(slice(0, 2))
    expected = mu_to_hu(fbp(torch.from_numpy(y[:1])[:, None], patient.grid, FAN), mu_water)[0, 0].numpy()
    np.testing.assert_allclose(result.x_hu[0], expected, atol=1e-2)
    assert result.ray_mask[0].all() and not result.ray_mask[1].all()
    assert np.isnan(result.misfit[0]) and np.isfinite(result.misfit[1])
    alone = method.correct(slice(0, 1))
    assert alone.ray_mask.all() and alone.trace.shape == (0, 1) and not alone.synthesised.any()


def test_complete_scan_gives_its_filtered_back_projection(corrector):
    patient, mu_water = PATIENT, corrector.method.mu_water
    y = rays_of(patient, PARALLEL, mu_water)
    method = rays_method(Projections(y, ScanGeometry(PARALLEL, mu_water, image=patient.grid)), None, corrector)
    assert method.findings.task is None
    result = method.correct(slice(0, 2))
    assert np.array_equal(result.y_hat, y) and np.isnan(result.misfit).all() and result.ray_mask.all()
    assert not result.synthesised.any() and error_hu(result.x_hu[:1], patient.x_hu[:1], patient.body[:1]) < 120


def test_completed_projections_can_be_written_and_need_nothing_more(corrector, tmp_path):
    patient, mu_water = REAL, corrector.method.mu_water
    y, scan = part(PARALLEL, rays_of(patient, PARALLEL, mu_water), np.arange(180), 85.0)
    geometry = ScanGeometry(replace(scan, offset_mm=0.0), mu_water, None, (1.0, 2.0, 3.0), 2.5, patient.grid)
    method = rays_method(Projections(y, geometry), None, corrector)
    result = method.correct(slice(0, 1))
    (tmp_path / "scan.npz").write_bytes(npz_bytes(Projections(result.y_hat, method.output_geometry)))
    again = read_projections(tmp_path / "scan.npz")
    assert again.geometry == method.output_geometry and again.geometry.slice_mm == 2.5
    whole = rays_method(again, None, corrector)
    assert whole.findings.found == ()
    np.testing.assert_allclose(whole.correct(slice(0, 1)).x_hu, result.x_hu, atol=0.1)
    spacing_mm = patient.grid.spacing_mm[0]
    corner_mm = -63.5 * spacing_mm
    np.testing.assert_allclose(method.affine_lps_mm[:3, 3], (1 + corner_mm, 2 + corner_mm, 3.0))
    np.testing.assert_allclose(method.affine_lps_mm[:3, :3] @ (1, 1, 1), (spacing_mm, spacing_mm, 2.5))


def test_pixels_that_nobody_asks_for():
    assert image_grid(ScanGeometry(PARALLEL, 0.02)) == Grid((204, 204), (512 / 204,) * 2)
    assert image_grid(ScanGeometry(replace(PARALLEL, bin_mm=0.5), 0.02)) == Grid((512, 512), (1.0, 1.0))
    assert working_grid(Grid((512, 512), (1.0, 1.0))) == Grid((512, 512), (1.0, 1.0))
    assert working_grid(Grid((101, 300), (2.0, 2.0))) == Grid((257, 300), (2.0, 2.0))
    wide = working_grid(Grid((100, 100), (2.0, 2.0), (30.0, 0.0)))
    assert wide.extent_mm[0] >= 512 + 60 and wide.center_mm == (30.0, 0.0)


def test_a_task_that_the_scan_contradicts_and_a_source_in_the_image_are_refused(corrector):
    patient, mu_water = PATIENT, corrector.method.mu_water
    y = rays_of(patient, FAN, mu_water)
    geometry = ScanGeometry(FAN, mu_water, image=patient.grid)
    with pytest.raises(InputError, match="the task limited-angle was asked for"):
        rays_method(Projections(y, geometry), "limited-angle", corrector)
    near = replace(geometry, scan=replace(FAN, sod_mm=300.0))
    with pytest.raises(InputError, match="the source must stand outside the image"):
        rays_method(Projections(y, near), None, corrector)


def test_settings_are_those_of_the_bundles():
    def config(task: str, name: str) -> dict:
        return yaml.safe_load((ROOT / "bundles" / f"lsr_{task}" / "configs" / f"{name}.yaml").read_text())

    limited_angle, sparse = SETTINGS["limited-angle"], SETTINGS["sparse-view"]
    assert limited_angle.rounds == tuple(config("limited_angle", "inference")["rounds"])
    assert limited_angle.prior_weight == config("limited_angle", "inference")["prior_weight"]
    for task, settings in (("limited_angle", limited_angle), ("sparse_view", sparse)):
        evaluated = config(task, "evaluate")["methods"]["lsr_tv"]
        weight = evaluated["weight"]
        weight = config(task, "evaluate")["tv_weight"] / 2 if weight == "$@tv_weight / 2" else weight
        found = settings.refinement
        assert (found.weight, found.n_iterations, found.prior_share) == (
            weight,
            evaluated["n_iterations"],
            evaluated["prior_share"],
        )
    for task in ("sparse_view", "metal"):
        for key in ("rounds", "prior_weight"):
            assert config(task, "inference")[key].startswith("%bundles/lsr_truncation/")


def test_total_variation_suits_views_and_pixels(corrector):
    def weight(task: str, n_views: float, pixel_mm: float) -> float:
        return refinement_for(task, n_views, pixel_mm, corrector.method.inferer, corrector.method).weight

    assert weight("sparse-view", 32, 4.0) == SETTINGS["sparse-view"].refinement.weight
    assert weight("sparse-view", 64, 4.0) == pytest.approx(0.002 / 2, rel=0.01)
    assert weight("sparse-view", 32, 2.0) == pytest.approx(2 * weight("sparse-view", 32, 4.0))
    assert weight("limited-angle", 120, 4.0) == weight("limited-angle", 240, 4.0) == 0.003
    assert refinement_for("metal", 120, 4.0, corrector.method.inferer, corrector.method) is None
