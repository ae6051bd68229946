"""Scans simulated from images, as a transform."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.transforms import MapTransform
from torch import Tensor

from latentct import keys as K
from latentct.correction.body import body_mask
from latentct.errors import InputError
from latentct.geometry import Scan2D
from latentct.projectors import Projector, make_projector
from latentct.recon import fbp
from latentct.simulate.scanner import Scanner
from latentct.tasks import Task
from latentct.transforms.grid import slice_grid
from latentct.transforms.implants import Implants, SliceCase, SliceMetal
from latentct.units import hu_to_mu, mu_to_hu


class SimulateScand(MapTransform):
    """Scan the axial slices of volumes (1, D, H, W) in HU, and say which rays a method may see.

    The line integrals are complete: what the mask calls missing is there for scores, and every method must be given the
    measured ones only. Every random number of a slice follows from the seed, the volume's hash (its file name without
    one) and the slice's position, so that all methods and runs see the same scans. Adds

    - `sinogram` (1, D, A, U): line integrals of the scan, with metal, noise and scatter as the scanner has them;
    - `ray_mask` (A, U), or (D, A, U) for a task that looks at each slice; True = measured;
    - `reference` (1, D, H, W) in HU: FBP on the slices' own grid of the complete, metal-free, noiseless scan by the
      same beam and with the same correction;
    - with implants, `metal` (1, D, H, W), the true fraction of metal, and `metal_size` and `metal_material`, one a
      slice.

    Args:
        keys: keys of volumes with an affine in the order (z, y, x), after `Orientationd(axcodes="SPL")`.
        scan: 2-D geometry of all slices; its detector covers the whole image.
        task: decides which rays are measured.
        mu_water: attenuation of water in 1/mm at the (reference) energy of the scan.
        scanner: beam, noise, scatter and corrections; None is a single energy without noise.
        implants: gives each slice its metal; needs a scanner.
        seed: changes implants and noise.
        filter_name: ramp filter of the reference.

    Raises:
        InputError: there are implants and no scanner.
    """

    def __init__(
        self,
        keys: Sequence[Hashable] | Hashable,
        scan: Scan2D,
        task: Task,
        mu_water: float,
        scanner: Scanner | None = None,
        implants: Implants | None = None,
        seed: int = 0,
        filter_name: str = "ram-lak",
    ) -> None:
        super().__init__(keys)
        if implants is not None and scanner is None:
            raise InputError("implants need a scanner, which knows how metal attenuates; set scanner in the config.")
        self.scan, self.task, self.mu_water = scan, task, mu_water
        self.scanner, self.implants, self.seed = scanner, implants, seed
        self.filter_name = filter_name

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Return the data with the scan of the last key's volume."""
        d = dict(data)
        for key in self.key_iterator(d):
            volume = d[key]
            projector = make_projector(slice_grid(volume), self.scan, "auto")
            slices_hu = torch.as_tensor(volume.array)[0]
            x_mu = hu_to_mu(slices_hu[:, None], self.mu_water).clamp_min(0.0).contiguous()
            cases = self._cases(_name(d, volume), len(x_mu))
            metal = self._metal(slices_hu.numpy(), projector, cases)
            y_clean = projector(x_mu) if self.scanner is None else self.scanner.noiseless().scan(x_mu, projector)
            y = y_clean if self.scanner is None else self._measure(x_mu, projector, metal, cases)
            ray_mask = self.task.ray_mask(y, projector)
            reference_mu = fbp(y_clean, projector.grid, self.scan, self.filter_name)
            d[K.SINOGRAM] = y[:, 0][None]
            d[K.RAY_MASK] = ray_mask if ray_mask.ndim == 2 else ray_mask[:, 0]
            d[K.REFERENCE] = mu_to_hu(reference_mu, self.mu_water)[:, 0][None]
            d.update(_metal_entries(metal))
        return d

    def _cases(self, name: str, n_slices: int) -> list[SliceCase]:
        return [SliceCase(self.seed, name, index, n_slices) for index in range(n_slices)]

    def _metal(self, slices_hu: np.ndarray, projector: Projector, cases: list[SliceCase]) -> list[SliceMetal]:
        """Return the metal of each slice, or nothing."""
        if self.implants is None:
            return []
        body = body_mask(slices_hu, projector.grid.spacing_mm)
        slices = zip(slices_hu, body, cases, strict=True)
        return [self.implants(x_hu, inside, projector.grid, case) for x_hu, inside, case in slices]

    def _measure(self, x_mu: Tensor, projector: Projector, metal: list[SliceMetal], cases: list[SliceCase]) -> Tensor:
        """Scan slice by slice, each with its own metal and its own noise."""
        assert self.scanner is not None
        scans = []
        for i, case in enumerate(cases):
            inserts = {metal[i].material: metal[i].fraction[None, None]} if metal else {}
            scans.append(self.scanner.scan(x_mu[i : i + 1], projector, inserts, generator=case.generator("noise")))
        return torch.cat(scans)


def _metal_entries(metal: list[SliceMetal]) -> dict[Hashable, Any]:
    if not metal:
        return {}
    return {
        K.METAL: torch.stack([m.fraction for m in metal])[None],
        K.METAL_SIZE: [m.size for m in metal],
        K.METAL_MATERIAL: [m.material for m in metal],
    }


def _name(data: Mapping[Hashable, Any], volume: Any) -> str:
    """Return what the random numbers of a volume follow from: its hash in the manifest, or its file name."""
    return str(data["sha256"]) if "sha256" in data else Path(str(volume.meta.get("filename_or_obj", ""))).name
