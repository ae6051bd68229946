"""Scans simulated from images, as a transform."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import torch
from monai.transforms import MapTransform

from latentct import keys as K
from latentct.errors import InputError
from latentct.geometry import Scan2D, truncation_ray_mask
from latentct.projectors import make_projector
from latentct.transforms.grid import slice_grid
from latentct.units import hu_to_mu


class SimulateTruncationd(MapTransform):
    """Project the axial slices of volumes (1, D, H, W) in HU, and say which rays a narrow detector would have measured.

    The line integrals are complete: what the mask calls missing is there for the reference, and every method must be
    given the masked ones only. The simulation is noiseless and of a single energy. Adds `sinogram` (1, D, A, U) and
    `ray_mask` (A, U).

    Args:
        keys: keys of volumes with an affine in the order (z, y, x), after `Orientationd(axcodes="SPL")`.
        scan: 2-D geometry of all slices; its detector covers the whole image.
        diameter_mm: diameter of the field of measurement.
        mu_water: attenuation of water in 1/mm at the energy of the scan.

    Raises:
        InputError: the field of measurement leaves no ray, or leaves none out.
    """

    def __init__(self, keys: Sequence[Hashable] | Hashable, scan: Scan2D, diameter_mm: float, mu_water: float) -> None:
        super().__init__(keys)
        self.scan = scan
        self.mu_water = mu_water
        self.ray_mask = torch.from_numpy(truncation_ray_mask(scan, diameter_mm))
        if not self.ray_mask.any() or self.ray_mask.all():
            raise InputError(
                f"a field of measurement of {diameter_mm} mm leaves {int(self.ray_mask.sum())} of "
                f"{self.ray_mask.numel()} rays measured; "
                "choose a diameter between two detector bins and the detector's width."
            )

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Return the data with the line integrals of the last key's volume and the mask."""
        d = dict(data)
        for key in self.key_iterator(d):
            projector = make_projector(slice_grid(d[key]), self.scan, "auto")
            slices_hu = torch.as_tensor(d[key].array)[0, :, None]
            x_mu = hu_to_mu(slices_hu, self.mu_water).clamp_min(0.0).contiguous()
            d[K.SINOGRAM] = projector(x_mu)[:, 0][None]
            d[K.RAY_MASK] = self.ray_mask
        return d
