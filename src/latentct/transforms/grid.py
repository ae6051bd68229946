"""Slices and volumes of a scan's own grid on another grid, such as the prior's."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from typing import Any, cast

import numpy as np
import torch
from monai.data import MetaTensor
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


class ResampleVolumed(MapTransform):
    """Bring volumes (1, D, H, W) in HU to the voxels of a 3-D grid, centre on centre; what lies outside is air.

    In-plane the result has the grid's size. Along z it is as long as the scan, and at least as long as the grid: a
    crop, random in training and central otherwise, takes the grid's part of it.

    Args:
        keys: keys of volumes with an affine in the order (z, y, x), after `Orientationd(axcodes="SPL")`.
        grid: the 3-D grid.
    """

    def __init__(self, keys: Sequence[Hashable] | Hashable, grid: Grid) -> None:
        super().__init__(keys)
        self.grid = grid

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Return the data with MetaTensors (1, D', H', W') whose affine is that of their new voxels."""
        d = dict(data)
        for key in self.key_iterator(d):
            source = volume_grid(d[key])
            depth = max(self.grid.shape[0], math.ceil(source.extent_mm[0] / self.grid.spacing_mm[0]))
            target = Grid((depth, *self.grid.shape[1:]), self.grid.spacing_mm)
            x_hu = resample_volume(torch.as_tensor(d[key].array), source, target, outside=-1000.0)
            meta = {name: value for name, value in d[key].meta.items() if name != "affine"}
            d[key] = MetaTensor(x_hu, affine=_centred_affine(d[key], source, target), meta=meta)
        return d


def resample_volume(x: Tensor, source: Grid, target: Grid, outside: float) -> Tensor:
    """Resample volumes (..., D, H, W) from one 3-D grid to another as `resample_slices` does slices."""
    slices = resample_slices(x, _plane(source), _plane(target), outside)
    weights = _triangle_weights(source, target, axis=0).to(x)
    return torch.einsum("ij,...jhw->...ihw", weights, slices - outside) + outside


def volume_grid(volume: Any) -> Grid:
    """Return the 3-D grid of a MetaTensor (1, D, H, W), centred on the origin."""
    return Grid(tuple(volume.shape[-3:]), tuple(volume.pixdim.tolist()))


def slice_grid(volume: Any) -> Grid:
    """Return the 2-D grid of the axial slices of a MetaTensor (1, D, H, W), centred on the rotation axis."""
    _, dy, dx = volume.pixdim.tolist()
    return Grid(tuple(volume.shape[-2:]), (dy, dx))


def _plane(grid: Grid) -> Grid:
    """Return the slices of a volume's grid."""
    return Grid(grid.shape[1:], grid.spacing_mm[1:], cast("tuple[float, ...]", grid.center_mm)[1:])


def _centred_affine(volume: Any, source: Grid, target: Grid) -> Tensor:
    """Return the affine of the target's voxels, given that both grids share their middle."""
    affine = volume.affine.clone()
    ratio = torch.tensor([t / s for t, s in zip(target.spacing_mm, source.spacing_mm, strict=True)], dtype=affine.dtype)
    first = [(n - 1) / 2 - r * (m - 1) / 2 for n, m, r in zip(source.shape, target.shape, ratio.tolist(), strict=True)]
    affine[:3, 3] += affine[:3, :3] @ torch.tensor(first, dtype=affine.dtype)
    affine[:3, :3] = affine[:3, :3] * ratio
    return affine


def _triangle_weights(source: Grid, target: Grid, axis: int) -> Tensor:
    """Matrix (n_target, n_source); a row sums to 1 inside the source and falls to 0 beyond it."""
    step_mm = source.spacing_mm[axis]
    width = max(step_mm, target.spacing_mm[axis])
    n_beyond = math.ceil(width / step_mm)
    n = source.shape[axis]
    centres_mm = source.coordinates_mm(axis)[0] + np.arange(-n_beyond, n + n_beyond) * step_mm
    distance = np.abs(target.coordinates_mm(axis)[:, None] - centres_mm[None, :])
    weights = np.maximum(0.0, 1.0 - distance / width)
    weights /= np.maximum(weights.sum(axis=1, keepdims=True), 1e-12)
    return torch.from_numpy(weights[:, n_beyond : n_beyond + n])
