"""How strongly each part of a latent is felt by the measured rays, so that a search can step alike in all of them."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

DAMPING = 1.0
"""Curvature, as a multiple of the mean, below which parts of a latent are treated alike: what hardly any ray feels must
not be free to move far for little."""
LEAST_PROBES = 4
"""Slices times probes that are at least averaged."""


def latent_scale(rays: Callable[[Tensor], Tensor], z: Tensor, weights: Tensor, seed: int = 0) -> Tensor:
    """Return the unit of each entry of a latent in which the misfit is about equally curved.

    The Gauss-Newton curvature of ``sum_i w_i (rays(z)_i - q_i)^2 / 2`` has the diagonal ``E[(J^T sqrt(w) s)^2]`` over
    random signs ``s`` (the squared form of Bekas, Kokiopoulou and Saad 2007, doi 10.1016/j.apnum.2007.01.003): one
    product with the transposed Jacobian a probe. Slices are averaged, because they are scanned alike.

    Args:
        rays: modelled line integrals of latents, differentiable, one slice independent of another.
        z: latents (S, C, h, w), where the search begins.
        weights: w of each ray, as `rays` returns them.
        seed: of the signs.

    Returns:
        Scale (1, C, h, w), 1 / sqrt(curvature + `DAMPING` times its mean), with a mean of 1.
    """
    generator = torch.Generator().manual_seed(seed)
    n_probes = -(-LEAST_PROBES // len(z))
    z = z.detach().requires_grad_()
    with torch.enable_grad():
        y = rays(z)
        squares = torch.zeros_like(z[:1])
        for _ in range(n_probes):
            signs = torch.randint(0, 2, y.shape, generator=generator).to(y) * 2 - 1
            (felt,) = torch.autograd.grad(y, z, weights.sqrt() * signs, retain_graph=True)
            squares += felt.square().mean(dim=0, keepdim=True)
    scale = (squares + DAMPING * squares.mean().clamp_min(torch.finfo(z.dtype).tiny)).rsqrt()
    return scale / scale.mean()
