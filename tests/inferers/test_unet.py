"""The U-Net as a reconstructor and as a prior, with networks whose change is known."""

import math

import pytest
import torch
from torch import nn

from latentct.geometry import ConeBeam, Grid, ParallelBeam, truncation_ray_mask
from latentct.inferers.unet import UNetCompletion, UNetExtrapolation, UNetReconstructor
from latentct.projectors import make_projector
from latentct.recon import fbp
from latentct.tasks import first_reconstruction
from latentct.units import MU_WATER_70KEV

PRIOR = Grid((32, 32), (8.0, 8.0))
OWN = Grid((48, 40), (4.0, 4.0))
SCAN = ParallelBeam.equally_spaced(60, math.pi, 80, 4.0)
MASKS = {
    "truncated": torch.from_numpy(truncation_ray_mask(SCAN, 90.0)),
    "limited": torch.arange(60)[:, None].expand(60, 80) < 40,
    "own of each slice": torch.stack([torch.arange(80) != 30, torch.arange(80) < 45])[:, None, None].expand(
        2, 1, 60, 80
    ),
}


class Change(nn.Module):
    """Adds an image to every slice, and remembers what came in."""

    def __init__(self, change: torch.Tensor) -> None:
        super().__init__()
        self.change = change
        self.seen: list[torch.Tensor] = []

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.seen.append(x)
        return x + self.change


def disks(grid: Grid, radii_mm: tuple[float, ...] = (70.0, 50.0)) -> torch.Tensor:
    """Water cylinders with a soft edge, one a slice, in 1/mm (B, 1, H, W)."""
    y, x = (torch.from_numpy(grid.coordinates_mm(a)).float() for a in (0, 1))
    radius = torch.hypot(y[:, None], x[None, :])
    return torch.stack([MU_WATER_70KEV * torch.sigmoid((r - radius) / 3) for r in radii_mm])[:, None]


def reconstructor(network: nn.Module, **settings: object) -> UNetReconstructor:
    return UNetReconstructor(network, PRIOR, -1000.0, 3000.0, **settings)


@pytest.fixture
def projector():
    return make_projector(OWN, SCAN)


@pytest.fixture
def y(projector) -> torch.Tensor:
    return projector(disks(OWN))


@pytest.mark.parametrize("ray_mask", MASKS.values(), ids=MASKS)
def test_without_a_change_it_is_the_first_reconstruction(projector, y, ray_mask):
    first = first_reconstruction(y, ray_mask, OWN, SCAN)
    assert torch.allclose(reconstructor(nn.Identity())(y, projector, ray_mask), first, atol=1e-6)


def test_a_change_comes_back_in_1_mm_on_the_scans_grid(projector, y):
    """0.25 of a window of 4000 HU is 1000 HU, the attenuation of water; half of the prior's grid changes."""
    change = 0.25 * (torch.arange(32) < 16).float()[:, None].expand(32, 32)
    first, x = (reconstructor(n)(y, projector, MASKS["truncated"]) for n in (nn.Identity(), Change(change)))
    difference = (x - first) / MU_WATER_70KEV
    assert difference.shape == (2, 1, 48, 40)
    assert torch.allclose(difference[..., :22, :], torch.tensor(1.0), atol=1e-4)
    assert torch.allclose(difference[..., 26:, :], torch.tensor(0.0), atol=1e-4)
    assert difference[0, 0, 23:25, 5].tolist() == pytest.approx([0.75, 0.25], abs=1e-3)  # linear between pixel centres


def test_network_sees_the_first_reconstruction_on_its_grid_in_its_range(projector, y):
    network = Change(torch.zeros(()))
    reconstructor(network)(100 * y, projector, MASKS["limited"])
    expected = first_reconstruction(100 * y, MASKS["limited"], PRIOR, SCAN) / MU_WATER_70KEV / 4
    assert torch.allclose(network.seen[0], expected.clamp(-0.25, 1.25), atol=1e-5)
    assert expected.max() > 2


def test_clipping_is_undone_with_the_change(projector, y):
    """Where a network returns a plain image, the result on its own grid is that image, however bright the streaks."""
    network = Change(torch.zeros(()))
    network.forward = lambda x: torch.full_like(x, 0.25)
    own = make_projector(PRIOR, SCAN)
    x_mu = reconstructor(network)(100 * y, own, MASKS["limited"])
    assert torch.allclose(x_mu / MU_WATER_70KEV, torch.tensor(1.0), atol=1e-3)


def test_slices_are_split_into_batches(projector, y):
    network = Change(torch.zeros(()))
    alone, together = (reconstructor(network, batch_size=n)(y, projector, MASKS["truncated"]) for n in (1, 2))
    assert [len(x) for x in network.seen] == [1, 1, 2]
    assert torch.allclose(alone, together, atol=1e-7)


@pytest.mark.parametrize("make", [reconstructor, lambda n: UNetExtrapolation(reconstructor(n))])
@pytest.mark.parametrize("ray_mask", MASKS.values(), ids=MASKS)
def test_what_is_not_measured_is_never_read(projector, y, ray_mask, make):
    method = make(nn.Identity())
    spoiled = torch.where(ray_mask, y, torch.tensor(1e4))
    x_mu = method(torch.where(ray_mask, y, 0.0), projector, ray_mask)
    assert torch.isfinite(x_mu).all()
    assert torch.allclose(method(spoiled, projector, ray_mask), x_mu, atol=1e-6)


class Truth(UNetReconstructor):
    """A reconstructor that knows the object."""

    def __init__(self) -> None:
        super().__init__(nn.Identity(), PRIOR, -1000.0, 3000.0)

    def __call__(self, y, projector, ray_mask):
        return disks(projector.grid) - 1e-3 * (disks(projector.grid) < 1e-6)


@pytest.mark.parametrize("ray_mask", MASKS.values(), ids=MASKS)
def test_extrapolation_from_the_true_image_is_the_complete_reconstruction(projector, y, ray_mask):
    method = UNetExtrapolation(Truth())
    filled = method.fill(y, projector, ray_mask)
    assert torch.equal(torch.where(ray_mask, filled, 0), torch.where(ray_mask, y, 0))
    assert torch.allclose(filled, y, atol=1e-4)  # attenuation below zero was cut off
    assert torch.allclose(method(y, projector, ray_mask), fbp(y, OWN, SCAN), atol=1e-4)


def test_extrapolation_keeps_what_was_measured_where_the_image_is_wrong(projector, y):
    """A prior image that is 10 % too dense: inside a field wider than the object nothing of it is left."""
    ray_mask = torch.from_numpy(truncation_ray_mask(SCAN, 170.0))
    wrong = Truth()
    wrong.__class__ = type("Wrong", (Truth,), {"__call__": lambda self, y, p, m: 1.1 * disks(p.grid)})
    x_mu = UNetExtrapolation(wrong)(y, projector, ray_mask)
    assert torch.allclose(x_mu[..., 20:28, 16:24], fbp(y, OWN, SCAN)[..., 20:28, 16:24], rtol=5e-3)


@pytest.mark.parametrize("method", [reconstructor(nn.Identity()), UNetExtrapolation(reconstructor(nn.Identity()))])
def test_cone_beam_is_refused(method):
    scan = ConeBeam.equally_spaced(4, math.pi, (2, 4), (4.0, 4.0), 500.0, 1000.0)
    projector = make_projector(Grid((2, 4, 4), (4.0, 4.0, 4.0)), scan)
    with pytest.raises(TypeError, match="parallel and fan beams, not ConeBeam"):
        method(torch.zeros(1, 1, *scan.sinogram_shape), projector, torch.ones(scan.sinogram_shape, dtype=torch.bool))


class Guess(nn.Module):
    """Says what a completion shall guess, as a network for two channels does."""

    def __init__(self, x: float) -> None:
        super().__init__()
        self.x = x

    def forward(self, shown: torch.Tensor) -> torch.Tensor:
        assert shown.shape[1] == 2
        return torch.where(shown[:, 1:] > 0, shown[:, :1], self.x)


@pytest.mark.parametrize(("guess", "mu"), [(0.25, MU_WATER_70KEV), (0.0, 0.0), (-0.2, 0.0)])
def test_a_completion_keeps_known_pixels_and_takes_the_guess_elsewhere(guess, mu):
    x_mu = 2 * MU_WATER_70KEV * torch.rand(5, 1, 32, 32)
    x_mu[0, 0, 3, 3] = 20 * MU_WATER_70KEV  # beyond what the network can show
    known = torch.arange(32)[:, None].expand(32, 32) < 12
    unseen = torch.where(known, x_mu, torch.nan)
    completed = UNetCompletion(Guess(guess), -1000.0, 3000.0, batch_size=2)(unseen, known)
    assert torch.equal(completed[..., known], x_mu[..., known])
    assert completed[..., ~known].unique().tolist() == pytest.approx([mu], abs=1e-8)
