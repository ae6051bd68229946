"""The volume beneath a coarse one, on finer voxels: what a simulated scan goes through."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from monai.data import MetaTensor
from monai.transforms import MapTransform

from latentct.transforms.grid import resample_volume, volume_grid


class ResampleBeneathd(MapTransform):
    """Bring volumes (1, D, H, W) in HU to the voxels of another key's volume, each divided along every axis.

    A scan that is simulated on the grid on which it is reconstructed flatters methods that use the same projector
    (Kaipio and Somersalo 2007, doi 10.1016/j.cam.2005.09.027, call it an inverse crime); scanned on finer voxels, the
    volume has structure that no volume on the grid can explain. What lies outside the scan is air.

    Args:
        keys: keys of volumes with an affine in the order (z, y, x), on their own voxels.
        like: key of the coarse volume of the same scan, with axes in the same order.
        factor: voxels of the result to one of the coarse volume, along each axis.
    """

    def __init__(self, keys: Sequence[Hashable] | Hashable, like: str, factor: int) -> None:
        super().__init__(keys)
        self.like = like
        self.factor = factor

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Return the data with tensors (1, factor * D, factor * H, factor * W) in place of the volumes."""
        d = dict(data)
        finer = volume_grid(d[self.like]).finer(self.factor)
        for key in self.key_iterator(d):
            target = replace(finer, center_mm=_middle_mm(d[self.like], d[key]))
            d[key] = resample_volume(torch.as_tensor(d[key].array), volume_grid(d[key]), target, outside=-1000.0)
        return d


def _middle_mm(volume: MetaTensor, source: MetaTensor) -> tuple[float, ...]:
    """Return where the middle of a volume lies, (z, y, x) in mm along its axes from the middle of another."""
    first, second = _middle_world_mm(volume), _middle_world_mm(source)
    directions = source.affine[:3, :3] / source.pixdim.to(source.affine)
    return tuple((directions.mT @ (first - second)).tolist())


def _middle_world_mm(volume: MetaTensor) -> torch.Tensor:
    indices = (torch.tensor(volume.shape[1:]) - 1) / 2
    return volume.affine[:3, :3] @ indices.to(volume.affine) + volume.affine[:3, 3]
