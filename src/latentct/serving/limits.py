"""What a request may ask for at most; everything is compared with this before memory is taken for it."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Sequence

import numpy as np

from latentct.errors import InputError
from latentct.geometry import FanBeam, Grid, Scan, Scan2D

MAX_MB = 256
"""Content of a request in 10^6 bytes, as it comes and decoded, unless `LATENTCT_SERVE_MAX_MB` says otherwise."""
MAX_SLICES = 512
MAX_PIXELS = 1024
"""Along a side of a slice."""
MAX_VIEWS = 4096
MAX_BINS = 4096
"""Detector elements along a side."""
BIN_MM = (0.05, 100.0)
"""Smallest and largest bins of a detector."""
MAX_RAD = 20 * math.pi
"""Angle of a view, either way; corrections go through the turns."""
MAX_TEXT = 2**18
"""Characters of a geometry."""
MAX_REQUESTS = 16
"""Scans in one message."""


def max_bytes() -> int:
    """Return the largest content of a request in bytes."""
    text = os.environ.get("LATENTCT_SERVE_MAX_MB", str(MAX_MB))
    if not text.isdecimal() or int(text) == 0:
        raise InputError(f"LATENTCT_SERVE_MAX_MB is '{text}'; give a whole number of megabytes.")
    return int(text) * 10**6


def check_size(n_bytes: int, name: str) -> None:
    """Refuse content that is larger than `max_bytes`."""
    limit = max_bytes()
    if n_bytes > limit:
        raise InputError(
            f"{name} takes {n_bytes} bytes, but at most {limit / 1e6:g} MB are served; send fewer slices, or ask for a "
            "larger LATENTCT_SERVE_MAX_MB."
        )


def check_count(n: int, largest: int, what: str, name: str) -> None:
    """Refuse none, and more than the largest number of something."""
    if not 0 < n <= largest:
        raise InputError(f"{name} has {n} {what}, but 1 to {largest} are served; send others or fewer.")


def check_scan_size(scan: Scan, name: str) -> None:
    """Refuse scans of too many views or detector elements."""
    check_count(scan.n_views, MAX_VIEWS, "views", name)
    check_count(max(scan.sinogram_shape[1:]), MAX_BINS, "detector elements along a side", name)


def check_detector(scan: Scan2D, name: str) -> None:
    """Refuse detectors of slices that are no machine's: corrections extend them, bin by bin, to the whole object."""
    low, high = BIN_MM
    if not low <= scan.bin_mm <= high:
        raise InputError(f"{name} has bin_mm {scan.bin_mm:g}, but {low:g} to {high:g} mm are served; give it in mm.")
    if max(map(abs, scan.angles_rad)) > MAX_RAD:
        raise InputError(
            f"{name} has angles of more than {math.degrees(MAX_RAD):.0f} degrees; give them within a turn."
        )
    if abs(np.diff(np.exp(1j * np.asarray(scan.angles_rad)))).max(initial=0.0) < 1e-6:
        raise InputError(f"{name} has views from one side only; give the angle of each view.")
    if abs(scan.offset_mm) > scan.n_bins * scan.bin_mm / 2:
        raise InputError(
            f"{name} has offset_mm {scan.offset_mm:g}, so that no ray passes the rotation axis; give it in mm."
        )


def check_source(scan: Scan2D, grids: Iterable[Grid], name: str) -> None:
    """Refuse a source within the pixels of slices about the axis, from where no ray goes through all of them."""
    radius_mm = max(math.hypot(*grid.extent_mm) for grid in grids) / 2
    if isinstance(scan, FanBeam) and scan.sod_mm <= radius_mm:
        raise InputError(
            f"{name} has sod_mm {scan.sod_mm:g}, but the source must stand outside the image, more than "
            f"{radius_mm:.0f} mm from the axis; give the distance in mm."
        )


def check_projections_shape(shape: Sequence[int], scan: Scan, name: str) -> None:
    """Refuse projections that are not the scan's, or of too many slices."""
    expected = scan.sinogram_shape
    axes = "views, bins" if isinstance(scan, Scan2D) else "views, rows, columns"
    slices = shape[: len(shape) - len(expected)]
    if len(shape) > 3 or tuple(shape[len(slices) :]) != expected or len(slices) + len(expected) not in (2, 3):
        more = ", or slices of that" if isinstance(scan, Scan2D) else ""
        raise InputError(
            f"{name} has shape {_short(shape)}, but its geometry expects {expected} ({axes}){more}; correct one."
        )
    n_slices = slices[0] if slices else 1
    check_count(n_slices, MAX_SLICES, "slices", name)
    rays = n_slices
    for n in expected:
        rays *= n
    check_size(4 * rays, name)


def _short(shape: Sequence[int]) -> str:
    sizes = ", ".join(f"{n:.3g}" if abs(n) > 10**9 else str(n) for n in shape[:6])
    return f"({sizes}{', ...' if len(shape) > 6 else ''})"
