"""Bins of a detector, cut into smaller ones and joined again."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import torch

from latentct.geometry import ConeBeam, Scan, VectorConeBeam
from latentct.geometry.scan import as_vectors


def split_bins(scan: Scan, parts: int) -> Scan:
    """Return the scan whose detector bins are cut into ``parts`` along each detector axis.

    >>> from latentct.geometry import ParallelBeam
    >>> split_bins(ParallelBeam((0.0,), n_bins=2, bin_mm=3.0), 3).u_mm().tolist()
    [-2.5, -1.5, -0.5, 0.5, 1.5, 2.5]
    """
    if isinstance(scan, ConeBeam):
        dv_mm, du_mm = scan.pixel_mm
        return dataclasses.replace(
            scan, detector_shape=_times(scan.detector_shape, parts), pixel_mm=(dv_mm / parts, du_mm / parts)
        )
    if isinstance(scan, VectorConeBeam):
        return dataclasses.replace(
            scan,
            detector_shape=_times(scan.detector_shape, parts),
            u_mm=as_vectors(np.asarray(scan.u_mm) / parts),
            v_mm=as_vectors(np.asarray(scan.v_mm) / parts),
        )
    return dataclasses.replace(scan, n_bins=scan.n_bins * parts, bin_mm=scan.bin_mm / parts)


def join_bins(y: torch.Tensor, parts: int, n_axes: int) -> torch.Tensor:
    """Join neighbouring bins by the mean of their intensities, ``-ln(mean(exp(-y)))``.

    Args:
        y: Line integrals whose last ``n_axes`` axes are those of a detector cut by `split_bins`.
        parts: Bins to join along each axis.
        n_axes: Number of detector axes: 1 for (..., U), 2 for (..., V, U).

    Returns:
        Line integrals with ``parts`` times fewer bins along these axes.
    """
    for axis in range(y.ndim - n_axes, y.ndim):
        split = y.reshape(*y.shape[:axis], y.shape[axis] // parts, parts, *y.shape[axis + 1 :])
        y = math.log(parts) - torch.logsumexp(-split, dim=axis + 1)
    return y


def bin_sizes_mm(scan: Scan) -> tuple[float, ...]:
    """Return the distance of neighbouring bins on the detector in mm, (u,) or (v, u); of the first view."""
    if isinstance(scan, ConeBeam):
        return scan.pixel_mm
    if isinstance(scan, VectorConeBeam):
        return math.hypot(*scan.v_mm[0]), math.hypot(*scan.u_mm[0])
    return (scan.bin_mm,)


def _times(shape: tuple[int, int], parts: int) -> tuple[int, int]:
    return shape[0] * parts, shape[1] * parts
