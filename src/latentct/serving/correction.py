"""What a correction is: the image, and what of it was measured."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from latentct.units import mu_to_hu

HU_RANGE = (-1024, 32767)
"""What files of results hold, see `latentct.transforms.AttenuationToHUd`."""


@dataclass(frozen=True)
class Correction:
    """A corrected scan.

    Attributes:
        x_hu: image in HU, whole numbers, (D, H, W) in patient axes.
        affine_lps_mm: from voxel indices (z, y, x) to LPS mm.
        ray_mask: measured rays, (A, U), or (S, A, U) for a mask of each slice's own, or (A, V, U).
        y_hat: line integrals, what was not measured synthesised, (S, A, U) or (A, V, U).
        misfit: of the measured rays to the model's image: of slices the root mean square of each, (S,); of a volume one
            number, relative to the rays.
        sentence: what was measured and what was synthesised, for people.
        x_std_hu: standard deviation over samples in HU, (D, H, W); None without samples.
    """

    x_hu: NDArray[np.int16]
    affine_lps_mm: NDArray[np.float64]
    ray_mask: NDArray[np.bool_]
    y_hat: NDArray[np.float32]
    misfit: NDArray[np.float32]
    sentence: str
    x_std_hu: NDArray[np.float32] | None = None


def image_hu(x_mu: Tensor, mu_water: float) -> NDArray[np.int16]:
    """Return images in 1/mm as HU in whole numbers, as files of results hold them."""
    x_hu = mu_to_hu(x_mu.float().cpu(), mu_water).round().clamp(*HU_RANGE)
    return x_hu.numpy().astype(np.int16)


def spread_hu(x_std_mu: Tensor | None, mu_water: float) -> NDArray[np.float32] | None:
    """Return standard deviations in 1/mm as HU."""
    return None if x_std_mu is None else (1000 * x_std_mu.float().cpu() / mu_water).numpy()


def at_energy(y: NDArray[np.float32], mu_water_scan: float, mu_water: float) -> Tensor:
    """Return line integrals as a beam would have measured them in which water attenuates as the networks know it."""
    return torch.from_numpy(y * np.float32(mu_water / mu_water_scan))
