"""The classical methods behind the one seam, with a mask for each slice."""

import pytest
import torch

from latentct.correction import linear_interpolation, zero_fill
from latentct.geometry import ConeBeam, Grid
from latentct.projectors import make_projector
from latentct.recon import fbp
from latentct.tasks import NMAR, CorrectionFBP, FirstReconstruction, LinearInterpolation

METHODS = {
    "zero": CorrectionFBP(zero_fill),
    "li": LinearInterpolation(),
    "nmar": NMAR(),
    "first": FirstReconstruction(),
}


@pytest.fixture
def case(projector, body_mu, metal):
    """Line integrals without metal, and the rays beside it."""
    return projector(body_mu), projector(metal.float()) == 0


@pytest.mark.parametrize("name", METHODS)
def test_seam(name, projector, case):
    """Never read what is not measured; a batch is its slices one by one; complete data give the plain FBP."""
    y, ray_mask = case
    method, unread = METHODS[name], torch.where(ray_mask, y, torch.nan)
    x = method(unread, projector, ray_mask)
    assert x.shape == (2, 1, *projector.grid.shape)
    for i in range(2):
        alone = method(unread[i : i + 1], projector, ray_mask[i, 0])
        torch.testing.assert_close(x[i : i + 1], alone, rtol=1e-4, atol=1e-6)
    everything = torch.ones_like(ray_mask)
    torch.testing.assert_close(method(y, projector, everything), fbp(y, projector.grid, projector.scan))


def test_linear_interpolation_is_its_name(projector, case):
    y, ray_mask = case
    expected = fbp(linear_interpolation(y, ray_mask), projector.grid, projector.scan)
    assert torch.equal(METHODS["li"](y, projector, ray_mask), expected)


def test_nmar_is_best_and_zeros_are_worst(projector, case, metal):
    y, ray_mask = case
    reference = fbp(y, projector.grid, projector.scan)
    error = {
        name: float((method(y, projector, ray_mask) - reference)[~metal].abs().mean())
        for name, method in METHODS.items()
    }
    assert error["nmar"] < error["li"] < 0.2 * error["zero"]


def test_cone_beams_are_refused():
    scan = ConeBeam.equally_spaced(3, 6.0, (4, 4), (4.0, 4.0), 300.0, 500.0)
    projector = make_projector(Grid((4, 4, 4), (4.0, 4.0, 4.0)), scan)
    y = torch.zeros(1, 1, *scan.sinogram_shape)
    with pytest.raises(TypeError, match="not ConeBeam"):
        METHODS["nmar"](y, projector, torch.ones(scan.sinogram_shape, dtype=torch.bool))
