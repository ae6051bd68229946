"""Scattered radiation."""

from __future__ import annotations

import math

import torch

_BEHIND_OBJECT = 0.1
"""Rays with larger line integrals have passed the object."""


def add_scatter(y: torch.Tensor, scatter_to_primary: float, width_bins: tuple[float, ...]) -> torch.Tensor:
    """Add a smooth scatter signal to the primary one, ``y' = -ln(exp(-y) + s)``.

    Radiation scatters where it is absorbed but not swallowed: the signal is ``y exp(-y)`` (Ohnesorge, Flohr and
    Klingenbeck-Regn 1999, doi 10.1007/s003300050710) blurred by a Gaussian along the detector. One factor a scan
    scales it so that the median of ``s exp(y)`` over the rays behind the object is the ratio asked for; behind metal
    and along the thick direction of the body the ratio is larger, at the body's edge smaller.

    Args:
        y: Line integrals of the primary radiation (B, C, A, U) or (B, C, A, V, U).
        scatter_to_primary: Ratio of scattered to primary signal, >= 0; 0 returns ``y``.
        width_bins: Standard deviation of the blur in detector bins, (U,) or (V, U).

    Returns:
        Line integrals of the same shape. A scan that no ray of which meets an object stays as it is.
    """
    if scatter_to_primary == 0:
        return y
    signal = y.clamp(min=0) * torch.exp(-y)
    for axis, width in zip(range(-len(width_bins), 0), width_bins, strict=True):
        signal = _blurred(signal, axis, width)
    log_signal = signal.clamp(min=torch.finfo(y.dtype).tiny).log()
    log_ratio = torch.where(y > _BEHIND_OBJECT, log_signal + y, math.nan).flatten(2).nanmedian(dim=2).values
    log_factor = (math.log(scatter_to_primary) - log_ratio).nan_to_num(nan=-math.inf)
    return -torch.logaddexp(-y, log_signal + log_factor.reshape(*y.shape[:2], *(1,) * (y.ndim - 2)))


def _blurred(signal: torch.Tensor, axis: int, width_bins: float) -> torch.Tensor:
    """Return the Gaussian mean along one axis; at the ends the weights of what lies within are raised to sum 1."""
    steps = torch.arange(signal.shape[axis], dtype=signal.dtype, device=signal.device)
    weights = torch.softmax(-((steps[:, None] - steps) / width_bins).square() / 2, dim=1)
    return torch.matmul(signal.movedim(axis, -1), weights.T).movedim(-1, axis)
