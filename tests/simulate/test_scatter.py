"""Scattered radiation."""

import pytest
import torch

from latentct.simulate.scatter import add_scatter


def shadow(n_bins: int = 60, height: float = 5.0) -> torch.Tensor:
    """Line integrals of a cylinder in four views, (1, 1, 4, U)."""
    u = torch.linspace(-1.5, 1.5, n_bins, dtype=torch.float64)
    return (height * (1 - u.square()).clamp(min=0).sqrt()).expand(1, 1, 4, n_bins).clone()


def ratio(y: torch.Tensor, with_scatter: torch.Tensor) -> torch.Tensor:
    """Scattered over primary signal of each ray."""
    return torch.exp(y - with_scatter) - 1


@pytest.mark.parametrize("wanted", [0.01, 0.1, 1.0])
def test_the_ratio_behind_the_object_is_the_one_asked_for(wanted):
    y = torch.cat([shadow(), shadow(height=2.0)])
    realised = ratio(y, add_scatter(y, wanted, (20.0,)))
    for slice_y, slice_ratio in zip(y, realised, strict=True):
        assert slice_ratio[slice_y > 0.1].median().item() == pytest.approx(wanted, rel=1e-6)


def test_the_signal_is_smooth_and_largest_ratio_behind_metal():
    y = shadow()
    y[..., 28:32] += 4.0
    realised = ratio(y, add_scatter(y, 0.05, (20.0,)))
    signal = realised * torch.exp(-y)
    assert (signal[..., 1:] / signal[..., :-1] - 1).abs().max() < 0.1
    assert realised[0, 0, 0].argmax() in range(28, 32)


def test_a_cone_beam_scatters_along_both_axes():
    y = torch.zeros(1, 1, 2, 21, 31, dtype=torch.float64)
    y[..., 10, 15] = 1.0
    signal = ratio(y, add_scatter(y, 0.1, (2.0, 4.0))) * torch.exp(-y)
    row, column = signal[0, 0, 0, 10:, 15], signal[0, 0, 0, 10, 15:]
    assert (row[2] / row[0]).item() == pytest.approx(torch.tensor(-0.5).exp().item(), rel=0.01)
    assert (column[4] / column[0]).item() == pytest.approx(torch.tensor(-0.5).exp().item(), rel=0.01)


def test_without_scatter_or_without_an_object_nothing_changes():
    y = shadow()
    assert add_scatter(y, 0.0, (20.0,)) is y
    empty = torch.zeros(2, 1, 3, 8)
    torch.testing.assert_close(add_scatter(empty, 0.1, (2.0,)), empty)


def test_opaque_metal_sees_scatter_only():
    y = shadow().float()
    y[..., 28:32] = 500.0
    with_scatter = add_scatter(y, 0.05, (20.0,))
    assert with_scatter.isfinite().all()
    assert with_scatter.max() < 15


def test_differentiable():
    y = (shadow(12)[..., :1, :] + torch.linspace(0.01, 0.05, 12)).requires_grad_()
    assert torch.autograd.gradcheck(lambda y: add_scatter(y, 0.05, (3.0,)), (y,))
