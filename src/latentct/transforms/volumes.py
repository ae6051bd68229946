"""Volumes at the border of the system: read, checked, turned to HU again."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any

import torch
from monai.data import MetaTensor
from monai.transforms import MapTransform, apply_transform
from tqdm import tqdm

from latentct.errors import InputError
from latentct.units import mu_to_hu


class CheckVolumed(MapTransform):
    """Refuse what is no CT volume: keys must hold one 3-D volume of finite values in HU, its axes in any order.

    Args:
        keys: keys of volumes as MONAI loads them.

    Raises:
        InputError: Naming the file, what was found and what to do.
    """

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Return the data as it came in."""
        d = dict(data)
        for key in self.key_iterator(d):
            volume = d[key]
            name = volume.meta.get("filename_or_obj", key) if isinstance(volume, MetaTensor) else key
            if volume.ndim != 4 or volume.shape[0] != 1 or sorted(volume.shape[1:])[1] < 16:
                raise InputError(
                    f"{name} has shape {tuple(volume.shape[1:])}, but one 3-D volume with slices of at least 16 x 16 "
                    "pixels is expected; split or stack the images first."
                )
            if not bool(torch.isfinite(torch.as_tensor(volume)).all()):
                raise InputError(
                    f"{name} holds values that are not finite; replace NaN and infinity by HU, e.g. -1000 for air."
                )
        return d


class AttenuationToHUd(MapTransform):
    """Turn reconstructions in 1/mm into HU, rounded to whole numbers, with the place in space of another volume.

    Args:
        keys: keys of reconstructions (1, D, H, W) in 1/mm.
        like: key of a MetaTensor of the same shape, whose affine they get.
        mu_water: attenuation of water in 1/mm at the energy of the scan.
    """

    def __init__(self, keys: Sequence[Hashable] | Hashable, like: str, mu_water: float) -> None:
        super().__init__(keys)
        self.like = like
        self.mu_water = mu_water

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Return the data with volumes in HU."""
        d = dict(data)
        for key in self.key_iterator(d):
            x_hu = mu_to_hu(torch.as_tensor(d[key]), self.mu_water).round().clamp(-1024, 32767)
            d[key] = MetaTensor(x_hu, meta=d[self.like].meta)
        return d


def check_volumes(data: Sequence[Mapping[str, Any]], transform: Callable[[Any], Any], progress: bool = True) -> None:
    """Read every volume once before any work starts, so that a bad one is found while nothing is written yet.

    Args:
        data: items of a data list.
        transform: reads an item and checks it.
        progress: show a progress bar.

    Raises:
        InputError: what the transform refuses.
    """
    for item in tqdm(data, desc="checking volumes", disable=not progress):
        apply_transform(transform, dict(item))


def volumes_with_slices(
    data: Sequence[Mapping[str, Any]], transform: Callable[[Any], Any], key: str = "image", progress: bool = True
) -> list[dict[str, Any]]:
    """Read volumes and keep those of which a slice is left.

    Args:
        data: items of a data list.
        transform: reads an item and leaves the slices of interest of `key` (1, D, H, W).
        key: key of the volume.
        progress: show a progress bar.

    Raises:
        InputError: no volume is left.
    """
    volumes = [
        apply_transform(transform, dict(item)) for item in tqdm(data, desc="reading volumes", disable=not progress)
    ]
    kept = [volume for volume in volumes if volume[key].shape[1]]
    if not kept:
        raise InputError(
            f"none of {len(data)} volumes has a slice to evaluate; the body must be whole and reach beyond the "
            "field of measurement."
        )
    return kept
