"""The choice of a backend."""

from __future__ import annotations

import importlib.util

import torch

from latentct.geometry import FanBeam, Grid, ParallelBeam, Scan
from latentct.projectors.base import Projector

BACKENDS = ("auto", "numba", "torch", "tomosipo")


def make_projector(grid: Grid, scan: Scan, backend: str = "auto", device: str | torch.device = "cpu") -> Projector:
    """Build the projector of one grid and one scan.

    ``auto`` takes numba on the CPU; on a CUDA device tomosipo if it is installed and the scan is a parallel or a cone
    beam; the torch reference otherwise.

    Args:
        grid: Where the pixels are; 2-D for parallel and fan beams, 3-D for cone beams.
        scan: Where the rays are.
        backend: "auto", "numba" (CPU, float32), "torch" (any device, float32 and float64) or "tomosipo" (CUDA,
            float32).
        device: Where the tensors will be; decides what "auto" means.

    Raises:
        ValueError: The backend is not known, or it does not serve the scan, or grid and scan differ in dimension.
    """
    if len(scan.sinogram_shape) != grid.ndim:
        raise ValueError(f"{type(scan).__name__} needs a {len(scan.sinogram_shape)}-D grid, not shape {grid.shape}")
    if backend not in BACKENDS:
        raise ValueError(f"projector backend {backend!r} is not known; choose one of {', '.join(BACKENDS)}")
    chosen = _automatic(scan, torch.device(device).type) if backend == "auto" else backend
    if chosen == "tomosipo":
        return _tomosipo(grid, scan)
    return _numba(grid, scan) if chosen == "numba" else _torch(grid, scan)


def _automatic(scan: Scan, device_type: str) -> str:
    if device_type == "cpu":
        return "numba"
    served = device_type == "cuda" and not isinstance(scan, FanBeam)
    return "tomosipo" if served and importlib.util.find_spec("tomosipo") else "torch"


def _numba(grid: Grid, scan: Scan) -> Projector:
    if isinstance(scan, ParallelBeam | FanBeam):
        from latentct.projectors.cpu_plane import NumbaPlaneProjector

        return NumbaPlaneProjector(grid, scan)
    from latentct.projectors.cpu_cone import NumbaConeProjector

    return NumbaConeProjector(grid, scan)


def _torch(grid: Grid, scan: Scan) -> Projector:
    from latentct.projectors.torch_reference import TorchProjector

    return TorchProjector(grid, scan)


def _tomosipo(grid: Grid, scan: Scan) -> Projector:
    from latentct.projectors.tomosipo_cuda import TomosipoProjector

    if isinstance(scan, FanBeam):
        raise ValueError("the tomosipo backend serves parallel and cone beams, not FanBeam; choose torch")
    return TomosipoProjector(grid, scan)
