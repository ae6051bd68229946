"""A prior whose decoder is linear, so that the latent behind a scan is known, and scans of its images."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from latentct.geometry import FanBeam, Grid, ParallelBeam
from latentct.projectors import make_projector

PRIOR_GRID = Grid((24, 24), (14.0, 14.0))
GRID = Grid((40, 36), (7.0, 8.0))
LATENT = (3, 2, 2)
SCANS = {
    "parallel": ParallelBeam.equally_spaced(40, math.pi, 60, 7.0),
    "fan": FanBeam.equally_spaced(40, 2 * math.pi, 70, 10.0, sod_mm=500.0, sdd_mm=800.0, curved=True),
}
DIAMETER_MM = 180.0
HU_MIN, HU_MAX, MU_WATER = -1000.0, 3000.0, 0.02


class LinearPrior(nn.Module):
    """G(z) = body + sum z_k b_k with smooth b_k; the encoder is its least-squares inverse."""

    def __init__(self) -> None:
        super().__init__()
        y, x = (torch.from_numpy(PRIOR_GRID.coordinates_mm(a)).float() for a in (0, 1))
        radius = torch.hypot(y[:, None] / 110, x[None, :] / 140)
        self.body = nn.Parameter(0.25 * torch.sigmoid(12 * (1 - radius)), requires_grad=False)
        generator = torch.Generator().manual_seed(5)
        centres = 200 * (torch.rand(math.prod(LATENT), 2, generator=generator) - 0.5)
        blobs = torch.exp(-((y[:, None] - centres[:, :1, None]) ** 2 + (x - centres[:, 1:, None]) ** 2) / (2 * 35**2))
        self.basis = nn.Parameter(0.03 * blobs, requires_grad=False)
        self.inverse = nn.Parameter(torch.linalg.pinv(self.basis.flatten(1)), requires_grad=False)

    def latent_shape(self, image_shape: tuple[int, ...]) -> tuple[int, int, int]:
        assert image_shape == PRIOR_GRID.shape
        return LATENT

    def decode(self, z: Tensor) -> Tensor:
        return self.body + (z.flatten(1) @ self.basis.flatten(1)).reshape(-1, 1, *PRIOR_GRID.shape)

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        z = ((x - self.body).flatten(1) @ self.inverse).reshape(-1, *LATENT)
        return z, torch.zeros_like(z)


class MisleadingPrior(LinearPrior):
    """The same decoder with an encoder that is far off."""

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        z = torch.full((len(x), *LATENT), 20.0)
        return z, torch.zeros_like(z)


@dataclass(frozen=True)
class Problem:
    """A truncated scan of an image that the prior can make exactly."""

    z: Tensor
    x_mu: Tensor
    y: Tensor
    scan: ParallelBeam | FanBeam
    ray_mask: Tensor

    @property
    def measured(self) -> Tensor:
        return torch.where(self.ray_mask, self.y, 0.0)

    @property
    def geometry(self) -> dict[str, Any]:
        return {"projector": make_projector(GRID, self.scan), "ray_mask": self.ray_mask}


def rms(x: Tensor) -> float:
    """Root mean square."""
    return float(np.sqrt(np.mean(np.square(x.detach().numpy()))))
