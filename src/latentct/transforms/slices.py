"""Which slices of a volume are used, and a data set of single slices."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from monai.transforms import MapTransform, apply_transform
from torch import Tensor
from torch.utils.data import Dataset, WeightedRandomSampler
from tqdm import tqdm

from latentct.correction.body import cut_contour_fraction
from latentct.errors import InputError


class KeepSlicesd(MapTransform):
    """Keep the slices that can be trained on or scored: enough body, whole, wide enough; of these at most `at_most`.

    Args:
        keys: keys of volumes and masks (1, D, H, W) to thin out, all of one shape.
        body_key: the body mask that decides.
        cut_at_most: largest share of the contour that may lie on the border, see `cut_contour_fraction`.
        wider_than_mm: least distance from the image's centre to the farthest body pixel, doubled; 0 keeps all.
        area_at_least_mm2: least area of the body.
        at_most: number of slices kept, evenly spaced over those that qualify; None keeps all.
        hu_below: slices of the first key with a pixel that reaches this are left out, e.g. 2500 for those that hold
            metal of the patient's own; None keeps them.
    """

    def __init__(
        self,
        keys: Sequence[Hashable] | Hashable,
        body_key: str = "body",
        cut_at_most: float = 0.02,
        wider_than_mm: float = 0.0,
        area_at_least_mm2: float = 3000.0,
        at_most: int | None = None,
        hu_below: float | None = None,
    ) -> None:
        super().__init__(keys)
        self.body_key = body_key
        self.hu_below = hu_below
        self.cut_at_most = cut_at_most
        self.wider_than_mm = wider_than_mm
        self.area_at_least_mm2 = area_at_least_mm2
        self.at_most = at_most

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Return the data with the slices kept, and their indices as `slices`."""
        d = dict(data)
        first = d[self.first_key(d)]
        body = np.asarray(d[self.body_key][0])
        if self.hu_below is not None:
            body = body & (np.asarray(first[0]).max(axis=(1, 2), keepdims=True) < self.hu_below)
        kept = self.select(body, first.pixdim[1:].tolist())
        for key in self.key_iterator(d):
            d[key] = d[key][:, kept]
        d["slices"] = kept
        return d

    def select(self, body: np.ndarray, spacing_mm: Sequence[float]) -> list[int]:
        """Return the indices along z of the slices kept, for a body mask (D, H, W) of pixels (dy, dx) in mm."""
        _, height, width = body.shape
        y, x = ((np.arange(n) - (n - 1) / 2) * step for n, step in zip((height, width), spacing_mm, strict=True))
        radius = np.hypot(y[:, None], x[None, :])
        reach_mm = 2 * np.where(body, radius, 0.0).max(axis=(1, 2))
        area_mm2 = body.sum(axis=(1, 2)) * spacing_mm[0] * spacing_mm[1]
        good = (area_mm2 >= self.area_at_least_mm2) & (cut_contour_fraction(body) <= self.cut_at_most)
        indices = np.flatnonzero(good & (reach_mm > self.wider_than_mm))
        if self.at_most is not None and len(indices) > self.at_most:
            indices = indices[np.linspace(0, len(indices) - 1, self.at_most).round().astype(int)]
        return [int(i) for i in indices]


class SliceDataset(Dataset[dict[str, Any]]):
    """The slices of many volumes, held in memory in half precision (0.5 HU at a window of 4000 HU).

    Args:
        data: items of `latentct.io.manifest.datalist`.
        volume_transform: from such an item to the volume `key` (1, D, H, W) in the network range [0, 1].
        slice_transform: random transforms of a single slice, a dictionary with `key` (1, H, W).
        key: key of the image.
        progress: show a progress bar while reading.

    Raises:
        InputError: no slice is left.
    """

    def __init__(
        self,
        data: Sequence[Mapping[str, Any]],
        volume_transform: Callable[[Mapping[str, Any]], Any],
        slice_transform: Callable[[Any], Any] | None = None,
        key: str = "image",
        progress: bool = True,
    ) -> None:
        self.key = key
        self.slice_transform = slice_transform
        slices: list[Tensor] = []
        self.groups: list[str] = []
        for item in tqdm(data, desc="reading volumes", disable=not progress):
            volume = torch.as_tensor(apply_transform(volume_transform, dict(item))[key])
            slices += volume[0].half().unbind(0)
            self.groups += [item.get("group", "")] * volume.shape[1]
        if not slices:
            raise InputError(f"none of {len(data)} volumes has a usable slice; check the manifest and `KeepSlicesd`.")
        self.slices = torch.stack(slices)

    def __len__(self) -> int:
        return len(self.slices)

    def __getitem__(self, index: int) -> dict[str, Any]:
        item = {self.key: self.slices[index][None].float()}
        return item if self.slice_transform is None else apply_transform(self.slice_transform, item)


def group_sampler(dataset: SliceDataset, shares: Mapping[str, float], n_slices: int) -> WeightedRandomSampler:
    """Draw `n_slices` slices an epoch with replacement, each group in proportion to its share.

    Args:
        dataset: the slices, whose groups are those of the manifest.
        shares: relative share of each group; one not named gets a share of 1.
        n_slices: length of an epoch.
    """
    sizes = {group: dataset.groups.count(group) for group in set(dataset.groups)}
    weights = [shares.get(group, 1.0) / sizes[group] for group in dataset.groups]
    return WeightedRandomSampler(weights, n_slices, replacement=True)
