"""The patient's mask as an entry of the data, see `latentct.correction.body`."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

from monai.transforms import MapTransform

from latentct.correction.body import body_mask


class BodyMaskd(MapTransform):
    """Add the body masks of a volume as `body_key`, for volumes of keys (1, D, H, W) in HU.

    Args:
        keys: keys of volumes with an affine in the order (z, y, x), after `Orientationd(axcodes="SPL")`.
        body_key: where the mask (1, D, H, W), bool, goes.
    """

    def __init__(self, keys: Sequence[Hashable] | Hashable, body_key: str = "body") -> None:
        super().__init__(keys)
        self.body_key = body_key

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Return the data with the mask of the last key's volume."""
        d = dict(data)
        for key in self.key_iterator(d):
            volume = d[key]
            d[self.body_key] = body_mask(volume[0].numpy(), volume.pixdim[1:].tolist())[None]
        return d
