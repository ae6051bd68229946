"""Diffusion of latents by angles: how noise is mixed in, what a denoiser predicts, and how it is taken out again.

At time t in [0, 1] a latent is the mixture ``z_t = cos(a) z_0 + sin(a) eps`` at the angle ``a = pi t / 2`` (the cosine
schedule of Nichol and Dhariwal 2021, arXiv 2102.09672, without its offset). At t = 1 nothing of the latent is left, so
that sampling starts where training ended however few its steps are (Lin et al. 2024, arXiv 2305.08891). The denoiser
predicts the velocity ``v = cos(a) eps - sin(a) z_0``, the derivative along the angle (Salimans and Ho 2022, arXiv
2202.00512).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise

import torch
from torch import Tensor

Refinement = Callable[[Tensor, float], Tensor]
"""`refine(z_0, t)` gives a better estimate of clean latents (B, C, d, h, w) found at time t."""


def noised(z_0: Tensor, eps: Tensor, t: Tensor) -> Tensor:
    """Return ``z_t`` (B, C, d, h, w) of clean latents and noise of that shape, at times t (B,) in [0, 1]."""
    a = _angle(t, z_0)
    return torch.cos(a) * z_0 + torch.sin(a) * eps


def velocity(z_0: Tensor, eps: Tensor, t: Tensor) -> Tensor:
    """Return ``v`` (B, C, d, h, w), what the denoiser is to predict from ``noised(z_0, eps, t)``."""
    a = _angle(t, z_0)
    return torch.cos(a) * eps - torch.sin(a) * z_0


def ddim(
    denoise: Callable[[Tensor, Tensor], Tensor], eps: Tensor, steps: int, refine: Refinement | None = None
) -> Tensor:
    """Turn noise into latents by DDIM (Song et al. 2021, arXiv 2010.02502), in equal steps of the angle.

    Args:
        denoise: from z_t (B, C, d, h, w) and t (B,) to the velocity.
        eps: noise to start from (B, C, d, h, w); it decides which sample is found.
        steps: calls of `denoise`, at least 1.
        refine: mends the estimate of the clean latents in every step; None leaves it as it is.

    Returns:
        Clean latents (B, C, d, h, w).

    >>> z_0 = torch.ones(1, 1, 2, 2, 2)
    >>> bool(ddim(lambda z_t, t: velocity(z_0, torch.zeros_like(z_0), t), torch.zeros_like(z_0), 4).allclose(z_0))
    True
    """
    z_t = eps
    times = torch.linspace(1.0, 0.0, steps + 1, dtype=torch.float64).tolist()
    for t, t_next in pairwise(times):
        a, b = 0.5 * math.pi * t, 0.5 * math.pi * t_next
        v = denoise(z_t, z_t.new_full((len(z_t),), t))
        z_0, noise = math.cos(a) * z_t - math.sin(a) * v, math.sin(a) * z_t + math.cos(a) * v
        if refine is not None:
            z_0 = refine(z_0, t)
        z_t = math.cos(b) * z_0 + math.sin(b) * noise
    return z_t


def _angle(t: Tensor, like: Tensor) -> Tensor:
    return (0.5 * math.pi * t).reshape(-1, *[1] * (like.ndim - 1))
