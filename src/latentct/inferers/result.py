"""What latent space reconstruction returns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True)
class LatentReconstruction:
    """What the search returns, for S slices.

    Attributes:
        x_mu: corrected slices (S, 1, H, W) on the scan's grid, 1/mm.
        y_hat: corrected line integrals (S, 1, A, U); the measured ones bit for bit as they came in.
        x_prior_mu: G(z*), the prior's slices (S, 1, H', W') on its own grid, 1/mm.
        z: the latents z* (S, C, h, w).
        misfit: root mean squared misfit of the measured line integrals of G(z*), weighted as the search weighted them,
            (S,).
        trace: square root of the objective, prior's term included, after each step of the search, (steps, S); where a
            wave stopped early its last row is repeated.
        x_std_mu: standard deviation over the samples of the slices that complete the scan, (S, 1, H, W), 1/mm; None
            without samples.
        y_std: standard deviation over the samples of the line integrals, zero where measured, (S, 1, A, U); None
            without samples.
    """

    x_mu: Tensor
    y_hat: Tensor
    x_prior_mu: Tensor
    z: Tensor
    misfit: Tensor
    trace: Tensor
    x_std_mu: Tensor | None = None
    y_std: Tensor | None = None


def interleaved(parts: Sequence[LatentReconstruction]) -> LatentReconstruction:
    """Put slices that were searched in waves, every len(parts)-th one in each, back in order."""
    n = sum(len(part.x_mu) for part in parts)
    order = torch.cat([torch.arange(wave, n, len(parts)) for wave in range(len(parts))]).argsort()
    longest = max(len(part.trace) for part in parts)
    traces = [torch.cat([p.trace, p.trace[-1:].expand(longest - len(p.trace), -1)]) for p in parts]

    def joined(name: str) -> Any:
        values = [getattr(part, name) for part in parts]
        return None if values[0] is None else torch.cat(values)[order]

    names = ("x_mu", "y_hat", "x_prior_mu", "z", "misfit", "x_std_mu", "y_std")
    return LatentReconstruction(**{name: joined(name) for name in names}, trace=torch.cat(traces, dim=1)[:, order])
