"""Slices of a scan's own grid on another grid, such as the prior's."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from monai.transforms import MapTransform
from torch import Tensor

from latentct.geometry import Grid


def resample_slices(x: Tensor, source: Grid, target: Grid, outside: float) -> Tensor:
    """Resample slices from one 2-D grid to another, smoothed where the target is coarser.

    Separable: each axis is one small matrix of triangle weights as wide as the coarser of both pixels, so that fine
    structure is averaged and not sampled. Where the target reaches beyond the source it gets `outside`.

    Args:
        x: slices (..., H, W) on `source`, any unit.
        source: grid of x.
        target: grid of the result.
        outside: value where the source has no pixels, e.g. -1000 for HU.

    Returns:
        Slices (..., H', W') on `target`.
    """
    rows, columns = (_triangle_weights(source, target, axis).to(x) for axis in (0, 1))
    return rows @ (x - outside) @ columns.mT + outside


class ResampleSlicesd(MapTransform):
    """Bring the axial slices of volumes (1, D, H, W) in HU to `grid`, centre on centre; what lies outside is air.

    Args:
        keys: keys of volumes with an affine in the order (z, y, x), after `Orientationd(axcodes="SPL")`.
        grid: the 2-D grid of the result.
    """

    def __init__(self, keys: Sequence[Hashable] | Hashable, grid: Grid) -> None:
        super().__init__(keys)
        self.grid = grid

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Return the data with plain tensors (1, D, H', W') in place of the volumes."""
        d = dict(data)
        for key in self.key_iterator(d):
            d[key] = resample_slices(torch.as_tensor(d[key].array), slice_grid(d[key]), self.grid, outside=-1000.0)
        return d


def slice_grid(volume: Any) -> Grid:
    """Return the 2-D grid of the axial slices of a MetaTensor (1, D, H, W), centred on the rotation axis."""
    _, dy, dx = volume.pixdim.tolist()
    return Grid(tuple(volume.shape[-2:]), (dy, dx))


def _triangle_weights(source: Grid, target: Grid, axis: int) -> Tensor:
    """Matrix (n_target, n_source); a row sums to 1 well inside the source and falls to 0 beyond it."""
    width = max(source.spacing_mm[axis], target.spacing_mm[axis])
    distance = np.abs(target.coordinates_mm(axis)[:, None] - source.coordinates_mm(axis)[None, :])
    weights = np.maximum(0.0, 1.0 - distance / width)
    return torch.from_numpy(weights * source.spacing_mm[axis] / width)
