"""The sinogram metric looks at missing rays and at nothing else."""

import torch

from latentct.metrics import mae_sinogram


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
