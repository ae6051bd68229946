"""The choice of a backend."""

from __future__ import annotations

from latentct.geometry import FanBeam, Grid, ParallelBeam, Scan
from latentct.projectors.base import Projector
from latentct.projectors.numba_cpu import NumbaPlaneProjector


def make_projector(grid: Grid, scan: Scan, backend: str = "auto", device: str = "cpu") -> Projector:
    """Build the projector of one grid and one scan.

    Args:
        grid: Where the pixels are.
        scan: Where the rays are.
        backend: "numba" (CPU), or "auto".
        device: Where the tensors will be.

    Raises:
        ValueError: The backend is not known or cannot serve the scan.
    """
    if backend in ("auto", "numba") and isinstance(scan, ParallelBeam | FanBeam):
        return NumbaPlaneProjector(grid, scan)
    raise ValueError(f"no backend {backend!r} for {type(scan).__name__} on {device}")
