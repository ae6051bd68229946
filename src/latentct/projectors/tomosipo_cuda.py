"""The CUDA backend: a thin adaptor to ASTRA's kernels through tomosipo (Hendriksen et al. 2021, doi 10.1364/OE.439909).

tomosipo orders vectors (z, y, x) and volumes (D, H, W) as this package does, and projections (V, A, U); all
conversion is here. ASTRA projects by a Joseph-like method along rays and back-projects voxel by voxel, so the adjoint
is the transpose up to the discretisation only, unlike in the other backends. tomosipo is imported when a projector is
built, never before; its releases up to 0.6 need NumPy below 2.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from latentct.geometry import ConeBeam, Grid, ParallelBeam, VectorConeBeam
from latentct.projectors.base import Projector
from latentct.projectors.rays import FloatArray


class TomosipoProjector(Projector):
    """Parallel beam, a stack of slices in one call, or cone beam, one volume after the other, on a CUDA device.

    Fan beams are not offered: a fan is a cone with one row, for which ASTRA's back-projection weighs voxels by the
    squared magnification where the transpose of a fan needs the magnification itself.
    """

    def __init__(self, grid: Grid, scan: ParallelBeam | ConeBeam | VectorConeBeam) -> None:
        super().__init__(grid, scan)
        self._operators: dict[int, Any] = {}

    def _operator(self, n_slices: int) -> Any:
        import tomosipo
        import tomosipo.torch_support

        if n_slices not in self._operators:
            self._operators[n_slices] = tomosipo.operator(*tomosipo_geometries(self.grid, self.scan, n_slices))
        return self._operators[n_slices]

    def _project(self, x: torch.Tensor) -> torch.Tensor:
        if self.grid.ndim == 2:
            return self._run(self._operator(len(x)), x)
        return torch.stack([self._run(self._operator(1), volume).transpose(0, 1) for volume in x])

    def _backproject(self, y: torch.Tensor) -> torch.Tensor:
        if self.grid.ndim == 2:
            return self._run(self._operator(len(y)).T, y)
        return torch.stack([self._run(self._operator(1).T, projections.transpose(0, 1)) for projections in y])

    @staticmethod
    def _run(operator: Any, data: torch.Tensor) -> torch.Tensor:
        out = data.new_empty(operator.range_shape)
        operator(data.detach().contiguous(), out=out)
        return out


def tomosipo_geometries(grid: Grid, scan: Any, n_slices: int) -> tuple[Any, Any]:
    """Return the tomosipo volume and projection geometry of a grid and a scan.

    Args:
        grid: The grid; a 2-D one becomes a stack of ``n_slices`` slices 1 mm apart about z = 0.
        scan: A parallel beam on a 2-D grid, or a cone beam on a 3-D one.
        n_slices: Number of slices of the stack; not used for cone beams.
    """
    import tomosipo

    if isinstance(scan, ParallelBeam):
        volume = tomosipo.volume(
            shape=(n_slices, *grid.shape), pos=(0.0, *_center_mm(grid)), size=(float(n_slices), *grid.extent_mm)
        )
        ray_dir, across = parallel_vectors(scan)
        up = np.broadcast_to(np.array([1.0, 0.0, 0.0]), across.shape)
        projections = tomosipo.parallel_vec(
            shape=(n_slices, scan.n_bins),
            ray_dir=ray_dir,
            det_pos=scan.offset_mm * across,
            det_v=up,
            det_u=scan.bin_mm * across,
        )
        return volume, projections
    vectors: VectorConeBeam = scan.vectors() if isinstance(scan, ConeBeam) else scan
    src_pos, det_pos, det_v, det_u = (
        np.asarray(per_view)[:, ::-1]
        for per_view in (vectors.source_mm, vectors.detector_mm, vectors.v_mm, vectors.u_mm)
    )
    return (
        tomosipo.volume(shape=grid.shape, pos=_center_mm(grid), size=grid.extent_mm),
        tomosipo.cone_vec(shape=vectors.detector_shape, src_pos=src_pos, det_pos=det_pos, det_v=det_v, det_u=det_u),
    )


def parallel_vectors(scan: ParallelBeam) -> tuple[FloatArray, FloatArray]:
    """Return the ray direction and the unit vector along u of each view, both (A, 3) as (z, y, x)."""
    t = np.asarray(scan.angles_rad)
    zero = np.zeros_like(t)
    return np.stack([zero, np.cos(t), -np.sin(t)], axis=1), np.stack([zero, np.sin(t), np.cos(t)], axis=1)


def _center_mm(grid: Grid) -> tuple[float, ...]:
    return tuple(float(grid.coordinates_mm(axis).mean()) for axis in range(grid.ndim))
