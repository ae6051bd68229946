"""The metrics of line integrals look at missing rays, or at measured ones, and at nothing else."""

import pytest
import torch

from latentct.metrics import mae_sinogram, projection_residual


def test_only_missing_rays_count() -> None:
    ray_mask = torch.tensor([[True, False, False], [True, True, False]])
    y = torch.zeros(2, 1, 2, 3)
    y_hat = torch.full((2, 1, 2, 3), 100.0)
    y_hat[0, 0][~ray_mask] = torch.tensor([1.0, -2.0, 3.0])
    y_hat[1, 0][~ray_mask] = 0.5
    assert mae_sinogram(y_hat, y, ray_mask).tolist() == [2.0, 0.5]


def test_nothing_missing_gives_nan() -> None:
    y = torch.zeros(1, 1, 2, 3)
    assert torch.isnan(mae_sinogram(y + 1, y, torch.ones(2, 3, dtype=torch.bool))).all()


def test_residual_is_relative_to_the_measured_rays() -> None:
    ray_mask = torch.ones(2, 3, 4, dtype=torch.bool)
    ray_mask[1] = False
    y = torch.full((2, 1, 2, 3, 4), 2.0)
    y_hat = torch.stack([1.5 * y[0], torch.zeros_like(y[0])])
    y_hat[:, :, 1] = torch.nan
    assert projection_residual(y_hat, y, ray_mask).tolist() == [0.5, 1.0]
    y_hat[0, 0, 0, 0, 0] = 2.0  # one of 12 rays without error
    assert projection_residual(y_hat, y, ray_mask)[0].item() == pytest.approx(0.5 * (11 / 12) ** 0.5)


def test_residual_without_a_measured_ray_is_nan() -> None:
    y = torch.ones(1, 1, 2, 3)
    assert torch.isnan(projection_residual(y, y, torch.zeros(2, 3, dtype=torch.bool))).all()
