"""Filtered back-projection of parallel and fan beams."""

import functools
import math
from dataclasses import replace
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import torch

from latentct.geometry import FanBeam, Grid, ParallelBeam, Scan2D
from latentct.projectors import Projector, backproject
from latentct.recon.filters import padded_length, ramp_response
from latentct.recon.weights import ray_weights

WAVE = 32
"""Slices that are filtered and back-projected together: enough to fill the vectors, few enough to stay in the cache."""

PlaneScan = TypeVar("PlaneScan", bound=ParallelBeam | FanBeam)

CACHED = 1 << 19
"""Numbers that are filtered at a time on a CPU, so that their spectra stay in its cache."""


def fbp(y: torch.Tensor, grid: Grid, scan: ParallelBeam | FanBeam, filter_name: str = "ram-lak") -> torch.Tensor:
    """Reconstruct slices by filtered back-projection.

    ``x = sum_t w(t, p) [h * (y cos(fan angle) rho)](t, u(t, p))`` with the ray weights ``rho`` of `ray_weights`, the
    ramp ``h`` of `ramp_response` and the distance weight ``w`` of `backproject` (Kak and Slaney 1988, ch. 3,
    doi 10.1137/1.9780898719277). The amplitude is that of the object: no calibration follows.

    Args:
        y: Line integrals (B, C, A, U), zero where nothing was measured.
        grid: Grid of the slices.
        scan: Parallel or fan beam (flat or curved), full or short scan, any arc and detector offset. An arc too short
            for the object leaves limited-angle artefacts.
        filter_name: One of `latentct.recon.filters.FILTER_NAMES`.

    Returns:
        Slices (B, C, H, W) in 1/mm on the device of ``y``.

    Raises:
        ValueError: The filter is not known, or ``y`` does not end in ``scan.sinogram_shape``.
    """
    weights = remembered_weights(scan)
    if isinstance(scan, FanBeam):
        weights = weights * np.cos(scan.fan_angles_rad())
    of_rays = torch.as_tensor(weights, dtype=y.dtype, device=y.device)

    def reconstruct(part: torch.Tensor) -> torch.Tensor:
        q, centred = ramp_filtered(part * of_rays, scan, filter_name)
        return backproject(q, grid, centred, weighted=True)

    slices = y.reshape(-1, 1, *y.shape[-2:])
    x = torch.cat([reconstruct(part) for part in torch.split(slices, WAVE)])
    return x.reshape(*y.shape[:-2], *grid.shape)


def ramp_filtered(weighted: torch.Tensor, scan: PlaneScan, filter_name: str) -> tuple[torch.Tensor, PlaneScan]:
    """Convolve weighted rays with the ramp along the detector's columns.

    Data filtered by the ramp reach beyond the bins they were measured on, and a displaced detector needs them there:
    it is extended until it is centred, unless its offset is one bin or less.

    Args:
        weighted: Rays times their weights (..., U).
        scan: The plane scan of these columns.
        filter_name: One of `latentct.recon.filters.FILTER_NAMES`.

    Returns:
        Filtered rays (..., U') per mm, and the scan with as many bins.

    Raises:
        ValueError: The filter is not known.
    """
    bin_mm, radius_mm = scan.bin_mm, None
    if isinstance(scan, FanBeam):
        bin_mm = scan.bin_mm * scan.sod_mm / scan.sdd_mm
        radius_mm = scan.sod_mm if scan.curved else None
    near, centred = _centred(scan)
    n = padded_length(centred.n_bins)
    response = torch.as_tensor(ramp_response(n, bin_mm, filter_name, radius_mm)).to(weighted)
    rows = weighted.reshape(-1, weighted.shape[-1])
    at_once = CACHED // n if rows.device.type == "cpu" else len(rows)
    parts = []
    for part in torch.split(rows, max(1, at_once)):
        q = torch.fft.irfft(torch.fft.rfft(part, n).mul_(response), n)
        parts.append((torch.roll(q, near, dims=-1) if near else q)[:, : centred.n_bins])
    return torch.cat(parts).reshape(*weighted.shape[:-1], centred.n_bins), centred


@functools.lru_cache(maxsize=8)
def remembered_weights(scan: ParallelBeam | FanBeam) -> npt.NDArray[np.float64]:
    """Return `ray_weights`, which of one slice would take as long as the rest; not to be written to."""
    return ray_weights(scan)


def plane_scan(projector: Projector) -> Scan2D:
    """Return the scan of a projector.

    Raises:
        TypeError: It is neither a parallel nor a fan beam.
    """
    if not isinstance(projector.scan, Scan2D):
        raise TypeError(f"filtered back-projection is for parallel and fan beams, not {type(projector.scan).__name__}")
    return projector.scan


def _centred(scan: PlaneScan) -> tuple[int, PlaneScan]:
    """Extend a displaced detector until it is centred; return also how many bins were added below its first."""
    n_added = int(2 * abs(scan.offset_mm) / scan.bin_mm) if abs(scan.offset_mm) > scan.bin_mm else 0
    shift_mm = math.copysign(n_added * scan.bin_mm / 2, scan.offset_mm)
    centred = replace(scan, n_bins=scan.n_bins + n_added, offset_mm=scan.offset_mm - shift_mm)
    return (n_added if scan.offset_mm > 0 else 0), centred


class FilteredBackProjection:
    """The reconstructor made of `fbp`.

    Attributes:
        filter_name: One of `latentct.recon.filters.FILTER_NAMES`.
    """

    def __init__(self, filter_name: str = "ram-lak") -> None:
        self.filter_name = filter_name

    def __call__(self, y: torch.Tensor, projector: Projector, ray_mask: torch.Tensor | None = None) -> torch.Tensor:
        """Reconstruct ``x_mu`` (B, C, H, W) from ``y`` (B, C, A, U); rays that were not measured count as zero."""
        scan = plane_scan(projector)
        measured = y if ray_mask is None else torch.where(ray_mask, y, 0)
        return fbp(measured, projector.grid, scan, self.filter_name)
