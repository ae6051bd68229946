"""Gaussian blur of slices."""

import torch
from torch.nn import functional


def blur(x: torch.Tensor, sigma_px: float, radius_px: int) -> torch.Tensor:
    """Convolve slices (..., H, W) with a Gaussian sampled at the pixels, edges repeated.

    Args:
        x: slices, any unit.
        sigma_px: standard deviation in pixels.
        radius_px: where the Gaussian is cut off, in pixels.
    """
    offsets_px = torch.arange(-radius_px, radius_px + 1, dtype=x.dtype, device=x.device)
    window = torch.exp(-0.5 * (offsets_px / sigma_px) ** 2)
    window = (window / window.sum()).view(1, 1, 1, -1)
    slices = functional.pad(x.reshape(-1, 1, *x.shape[-2:]), (radius_px,) * 4, mode="replicate")
    return functional.conv2d(functional.conv2d(slices, window), window.mT).reshape(x.shape)
