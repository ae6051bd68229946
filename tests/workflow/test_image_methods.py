"""Images whose raw data are gone: cut bodies completed, streaks of metal taken away."""

import copy

import numpy as np
import pytest

from latentct.correction.body import body_mask
from latentct.findings import find
from latentct.geometry import Grid
from latentct.io.image import CTImage
from latentct.workflow.completed_image import CompletedImage
from latentct.workflow.metal_image import MetalReducedImage
from latentct.workflow.simulate_image import cut_image

from .images import body_image

FINE = Grid((3, 120, 140), (5.0, 2.5, 2.5))


def found_in(image: CTImage):
    return find(image.x_hu, Grid(image.x_hu.shape, image.spacing_mm), image.padding)


def test_a_cut_body_is_completed_and_its_field_stays(prior):
    whole = body_image(FINE)
    cut = cut_image(whole, 180.0)
    method = CompletedImage(cut, found_in(cut), prior.method)
    results, before_hu = method.correct(slice(0, 3)), method.before(slice(0, 3))
    known = method.frame.known
    assert results.x_hu.shape == whole.x_hu.shape
    np.testing.assert_array_equal(results.x_hu[:, known], whole.x_hu[:, known])
    np.testing.assert_array_equal(known, ~cut.padding[0])
    outside = body_mask(whole.x_hu, FINE.spacing_mm[1:]) & ~known
    error, at_first = (np.abs(x_hu - whole.x_hu)[outside].mean() for x_hu in (results.x_hu, before_hu))
    assert error < 0.75 * at_first
    np.testing.assert_array_equal(results.synthesised > 0, np.broadcast_to(~known, results.x_hu.shape))
    assert np.isfinite(results.misfit).all() and results.trace.shape[1] == 3


def test_of_a_field_without_marks_the_outermost_pixel_is_not_trusted(prior):
    cut = cut_image(body_image(FINE), 180.0)
    method = CompletedImage(CTImage(cut.x_hu, cut.affine_lps_mm), found_in(cut), prior.method)
    assert 0.9 < method.frame.known.sum() / (~cut.padding[0]).sum() < 1


def test_an_image_that_ends_in_the_body_grows_and_its_voxels_stay_in_place(prior):
    whole = body_image(FINE)
    cut = CTImage(whole.x_hu[:, :, 40:], whole.affine_lps_mm @ shift(0, 0, 40))
    method = CompletedImage(cut, found_in(cut), prior.method)
    results = method.correct(slice(1, 2))
    rows, columns = method.frame.margin
    assert min(method.frame.plane.extent_mm) >= 512.0
    np.testing.assert_array_equal(results.x_hu[0, rows:-rows, columns:-columns][:, 1:], cut.x_hu[1][:, 1:])
    index = np.array([1, rows + 7, columns + 9, 1.0])
    np.testing.assert_allclose(method.affine_lps_mm @ index, cut.affine_lps_mm @ [1, 7, 9, 1], atol=1e-3)


def test_slices_of_a_whole_body_get_air_about_them(prior):
    whole = body_image(FINE)
    whole.x_hu[0] = np.where(whole.x_hu[0] > -900, -1000.0, whole.x_hu[0])  # nothing in the first slice
    cut = cut_image(whole, 180.0)
    method = CompletedImage(cut, found_in(cut), prior.method)
    results = method.correct(slice(0, 1))
    assert np.isnan(results.misfit).all()
    assert (results.x_hu[0][~method.frame.known] == -1000.0).all()


def test_the_rays_that_are_shown_are_those_through_the_field(prior):
    cut = cut_image(body_image(FINE), 180.0)
    method = CompletedImage(cut, found_in(cut), prior.method)
    y, ray_mask = method.sinogram(method.before(slice(0, 1))[0])
    assert y.shape == ray_mask.shape == method.scan.sinogram_shape
    assert (y[~ray_mask] < 0.3).all()  # where the image is air, but for the pixels on the rim
    assert y[ray_mask].max() > 2.0


@pytest.fixture(scope="module")
def streaky() -> tuple[CTImage, CTImage]:
    """A body with a metal disc in its second slice, whose rays saw too little; and what it should look like."""
    import torch

    from latentct.findings import virtual_scan
    from latentct.projectors import make_projector
    from latentct.recon import fbp
    from latentct.units import MU_WATER_70KEV, hu_to_mu, mu_to_hu

    clean = body_image(FINE)
    y_mm, x_mm = (FINE.coordinates_mm(axis) for axis in (1, 2))
    metal = np.hypot(y_mm[:, None] - 10.0, x_mm[None] + 45.0) < 9.0
    truth = clean.x_hu.copy()
    truth[1, metal] = 8000.0
    virtual = virtual_scan(FINE)
    projector = make_projector(virtual.grid, virtual.scan)
    y = projector(hu_to_mu(torch.from_numpy(truth[1])[None, None], MU_WATER_70KEV))
    hardened = y - 0.12 * (y - 3.0).clamp_min(0.0) ** 2
    x_hu = clean.x_hu.copy()
    x_hu[1] = mu_to_hu(fbp(hardened, virtual.grid, virtual.scan), MU_WATER_70KEV)[0, 0].numpy()
    return CTImage(x_hu, clean.affine_lps_mm), CTImage(truth, clean.affine_lps_mm)


def test_streaks_become_fewer_and_all_else_stays(prior, streaky):
    image, truth = streaky
    findings = found_in(image)
    assert findings.task == "metal"
    assert findings.metal.slices.tolist() == [False, True, False]
    results = MetalReducedImage(image, findings, prior.method).correct(slice(0, 3))
    for other in (0, 2):
        np.testing.assert_array_equal(results.x_hu[other], image.x_hu[other])
    metal = findings.metal.mask[1]
    np.testing.assert_array_equal(results.x_hu[1][metal], image.x_hu[1][metal])
    body = body_mask(truth.x_hu, FINE.spacing_mm[1:])[1] & ~metal & (truth.x_hu[1] < 3000)
    error, at_first = (np.abs(x_hu[1] - truth.x_hu[1])[body].mean() for x_hu in (results.x_hu, image.x_hu))
    assert error < 0.7 * at_first
    assert 0 < results.synthesised[1].max() <= 1 and not results.synthesised[[0, 2]].any()
    assert np.isfinite(results.misfit).tolist() == [False, True, False]


@pytest.fixture
def sampled(prior):
    """The prior with two further searches, all of one step."""
    method = copy.copy(prior.method)
    method.inferer = copy.copy(method.inferer)
    method.inferer.n_samples, method.inferer.rounds = 2, (1,)
    return method


def test_further_searches_tell_where_the_result_is_uncertain(sampled, streaky):
    cut = cut_image(body_image(FINE), 180.0)
    completed = CompletedImage(cut, found_in(cut), sampled)
    results = completed.correct(slice(0, 2))
    assert not results.spread_hu[:, completed.frame.known].any()
    assert results.spread_hu[:, ~completed.frame.known].mean() > 10
    image = streaky[0]
    reduced = MetalReducedImage(image, found_in(image), sampled).correct(slice(0, 2))
    assert not reduced.spread_hu[0].any() and reduced.spread_hu[1].max() > 10
    assert not reduced.spread_hu[1][found_in(image).metal.mask[1]].any()


def test_a_cut_body_with_metal_may_be_completed_and_shows_the_rays_through_the_field(prior, streaky):
    cut = CTImage(streaky[0].x_hu[:, :, 40:], streaky[0].affine_lps_mm @ shift(0, 0, 40))
    findings = found_in(cut)
    assert findings.task == "metal" and findings.cut.slices.all()
    method = CompletedImage(cut, findings, prior.method)
    y, ray_mask = method.sinogram(method.before(slice(1, 2))[0])
    assert y.shape == ray_mask.shape == method.scan.sinogram_shape
    assert np.array_equal(ray_mask[0], ray_mask[-1])  # through a circle about the axis, not beside metal


def test_metal_in_a_cut_body_leaves_what_was_not_reconstructed_alone(prior, streaky):
    cut = cut_image(streaky[0], 180.0)
    method = MetalReducedImage(cut, found_in(cut), prior.method)
    results = method.correct(slice(1, 2))
    np.testing.assert_array_equal(results.x_hu[0][cut.padding[1]], cut.x_hu[1][cut.padding[1]])
    assert not results.synthesised[0][cut.padding[1]].any()
    assert np.abs(results.x_hu[0] - cut.x_hu[1]).max() > 50
    y, ray_mask = method.sinogram(1)
    assert y.shape == ray_mask.shape == method.scan.sinogram_shape
    assert 0.02 < 1 - ray_mask.mean() < 0.5


def shift(*voxels: int) -> np.ndarray:
    matrix = np.eye(4)
    matrix[:3, 3] = voxels
    return matrix
