"""How much a correction changed, in numbers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from latentct.workflow.gather import Arrays
from latentct.workflow.outcome import SYNTHESISED_SHARE
from latentct.workflow.slices import FloatArray

MEASURED_SHARE = 0.01
"""Share of synthesised rays below which a voxel counts as measured."""


def figures_of(found: Arrays, searched: NDArray[np.bool_], failed: dict[int, str]) -> dict[str, float]:
    """Return the figures of a correction by name.

    Args:
        found: arrays of all slices, see `latentct.workflow.gather`.
        searched: slices for which the prior was searched, (D,).
        failed: slices that were left as they were.
    """
    figures: dict[str, float] = {"slices": len(searched), "slices_searched": int(searched.sum())}
    figures["slices_left_as_they_were"] = len(failed)
    measured, synthesised = _Change("measured"), _Change("synthesised")
    for before_hu, x_hu, share in zip(found["before_hu"], found["x_hu"], found["synthesised"], strict=True):
        change_hu = np.abs(x_hu - before_hu)
        measured.add(change_hu[share < MEASURED_SHARE])
        synthesised.add(change_hu[share >= SYNTHESISED_SHARE])
    figures["synthesised_voxels_percent"] = 100 * synthesised.n / found["x_hu"].size
    figures |= measured.figures() | synthesised.figures()
    if "ray_mask" in found:
        figures["synthesised_rays_percent"] = 100 * float(1 - found["ray_mask"].mean())
    if searched.any():
        figures["misfit_median"] = float(np.median(found["misfit"][searched]))
    return {name: round(value, 4) for name, value in figures.items()}


@dataclass
class _Change:
    """How much the voxels of a kind changed, slice by slice."""

    name: str
    n: int = 0
    total_hu: float = 0.0
    largest_hu: float = 0.0

    def add(self, change_hu: FloatArray) -> None:
        self.n += change_hu.size
        self.total_hu += float(change_hu.sum(dtype=np.float64))
        self.largest_hu = max(self.largest_hu, float(change_hu.max(initial=0.0)))

    def figures(self) -> dict[str, float]:
        if not self.n:
            return {}
        prefix = f"{self.name}_voxels"
        return {f"{prefix}_mean_change_hu": self.total_hu / self.n, f"{prefix}_largest_change_hu": self.largest_hu}
