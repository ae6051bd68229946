"""The corrupted reconstructions that the encoder is trained on."""

import doctest

import pytest
import torch

import latentct.engines.corruption
from latentct.engines import IncompleteReconstruction
from latentct.geometry import Grid, field_of_measurement_mask

GRID = Grid((64, 64), (8.0, 8.0))


def disk(radius_mm: float, x_mm: float = 0.0) -> torch.Tensor:
    """A water cylinder in the network range, smooth at its edge: (1, 1, H, W)."""
    y, x = (torch.from_numpy(GRID.coordinates_mm(a)).float() for a in (0, 1))
    return 0.25 * torch.sigmoid((radius_mm - torch.hypot(y[:, None], x[None, :] - x_mm)) / 3)[None, None]


@pytest.fixture
def corrupt() -> IncompleteReconstruction:
    torch.manual_seed(0)
    return IncompleteReconstruction(GRID, -1000.0, 3000.0, diameter_mm=(200.0, 200.0), n_views=90)


def test_a_body_within_the_field_stays_as_it_is(corrupt):
    x = disk(70)
    for _ in range(6):  # both extrapolations come up
        out = corrupt(x)
        inner = torch.from_numpy(field_of_measurement_mask(GRID, 110.0))
        assert (out - x)[..., inner].abs().max() < 0.01  # 40 HU
        assert (out - x).abs().mean() < 0.003


def test_a_wider_body_is_corrupted_outside(corrupt):
    arm = disk(35, x_mm=205)
    x = disk(150) + arm
    inside = torch.from_numpy(field_of_measurement_mask(GRID, 190.0))
    for _ in range(6):
        error = (corrupt(x) - x).abs()[0, 0]
        assert error[arm[0, 0] > 0.2].mean() > 0.05  # 200 HU
        assert error[inside].mean() < 0.02


def test_both_extrapolations_and_all_diameters_are_drawn():
    torch.manual_seed(0)
    corrupt = IncompleteReconstruction(GRID, -1000.0, 3000.0, diameter_mm=(100.0, 300.0), n_views=20)
    names = {corrupt._extrapolation().__code__.co_names for _ in range(40)}
    assert len(names) == 2
    x = disk(180)
    outs = [corrupt(x) for _ in range(4)]
    assert not any(torch.allclose(a, outs[0], atol=1e-3) for a in outs[1:])


def test_seed_decides(corrupt):
    outs = []
    for _ in range(2):
        torch.manual_seed(5)
        outs.append(corrupt(disk(180)))
    assert torch.equal(*outs)


def test_slices_are_each_their_own(corrupt):
    torch.manual_seed(1)
    both = corrupt(torch.cat([disk(180), disk(60)]))
    torch.manual_seed(1)
    alone = corrupt(disk(60))
    assert both.shape == (2, 1, 64, 64)
    assert torch.allclose(both[1:], alone, atol=1e-5)


def test_range_and_gradient(corrupt):
    out = corrupt((10 * torch.rand(1, 1, 64, 64)).requires_grad_())
    assert out.min() >= -0.25
    assert out.max() <= 1.25
    assert not out.requires_grad


def test_air_must_be_zero():
    with pytest.raises(ValueError, match="hu_min is -1024"):
        IncompleteReconstruction(GRID, -1024.0, 3000.0)


def test_doctest():
    assert doctest.testmod(latentct.engines.corruption) == (0, 3)
