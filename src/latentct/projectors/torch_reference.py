"""The reference backend: Joseph's method written plainly in torch, for any device, in float32 or float64.

One view at a time, the crossings of its rays with the grid are listed as flat indices and weights. Projection gathers
with them and the adjoint scatters with the same ones, so it is the exact transpose.
"""

from __future__ import annotations

import itertools
import math

import numpy as np
import torch

from latentct.geometry import ConeBeam, Grid, Scan, VectorConeBeam
from latentct.projectors.base import Projector
from latentct.projectors.rays import TIE, FloatArray, cone_rays, plane_rays


class TorchProjector(Projector):
    """Any scan by Joseph's method in torch. Memory grows with rays per view times the longest axis of the grid."""

    dtypes = (torch.float32, torch.float64)

    def __init__(self, grid: Grid, scan: Scan) -> None:
        super().__init__(grid, scan)
        self._bordered_shape = tuple(n + 2 for n in grid.shape)
        self._strides = tuple(math.prod(self._bordered_shape[axis + 1 :]) for axis in range(grid.ndim))

    def _project(self, x: torch.Tensor) -> torch.Tensor:
        flat = torch.nn.functional.pad(x, (1, 1) * self.grid.ndim).flatten(1)
        y = x.new_empty(len(x), *self.scan.sinogram_shape)
        for view in range(self.scan.n_views):
            index, weight = self._crossings(view, x)
            y[:, view] = (flat[:, index] * weight).sum((-2, -1)).reshape(y[:, view].shape)
        return y

    def _backproject(self, y: torch.Tensor) -> torch.Tensor:
        bordered = y.new_zeros(len(y), *self._bordered_shape)
        flat = bordered.flatten(1)
        for view in range(self.scan.n_views):
            index, weight = self._crossings(view, y)
            values = y[:, view].flatten(1)[:, :, None, None] * weight
            flat.index_add_(1, index.flatten(), values.flatten(1))
        return torch.nn.functional.pad(bordered, (-1, -1) * self.grid.ndim)

    def _crossings(self, view: int, like: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the flat indices into the bordered grid and the weights in mm, both (rays, steps, neighbours)."""
        device, ndim = like.device, self.grid.ndim
        point, direction = (torch.as_tensor(a, device=device) for a in self._rays_px(view))
        main = (direction.abs() * (1.0 - TIE) ** torch.arange(ndim, device=device)).argmax(dim=1)
        axes = [[axis, *(other for other in range(ndim) if other != axis)] for axis in range(ndim)]
        order = torch.tensor(axes, device=device)[main]
        point, direction = point.gather(1, order), direction.gather(1, order)
        shape = torch.tensor(self.grid.shape, device=device)[order]
        stride = torch.tensor(self._strides, device=device)[order]

        step = torch.arange(1, max(self.grid.shape) + 1, device=device)
        along_mm = (step - point[:, :1]) / direction[:, :1]
        across = point[:, None, 1:] + along_mm[..., None] * direction[:, None, 1:]
        inside = ((across >= 0) & (across < shape[:, None, 1:] + 1)).all(-1) & (step <= shape[:, :1])
        base = across.floor()
        fraction = (across - base)[..., None, :]
        corner = torch.tensor(list(itertools.product((0, 1), repeat=ndim - 1)), device=device)
        weight = torch.where(corner == 1, fraction, 1.0 - fraction).prod(-1)
        index = (base.long()[..., None, :] + corner).mul(stride[:, None, None, 1:]).sum(-1)
        index = index + (step * stride[:, :1])[..., None]
        weight = weight * (inside / direction[:, :1].abs())[..., None]
        return index * inside[..., None], weight.to(like.dtype)

    def _rays_px(self, view: int) -> tuple[FloatArray, FloatArray]:
        """Return, both (rays, ndim), a point of each ray in the bordered grid and its direction in voxels per mm."""
        if isinstance(self.scan, ConeBeam | VectorConeBeam):
            point_mm, direction = cone_rays(self.scan, view)
        else:
            point_mm, direction = (array[view] for array in plane_rays(self.scan))
        spacing_mm = np.asarray(self.grid.spacing_mm)
        point = (point_mm - np.asarray(self.grid.origin_mm)) / spacing_mm + 1.0
        return point.reshape(-1, self.grid.ndim), (direction / spacing_mm).reshape(-1, self.grid.ndim)
