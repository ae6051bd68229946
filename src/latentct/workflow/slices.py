"""What corrects the slices of a scan, a few at a time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from latentct.geometry import Grid, Scan2D

FloatArray = NDArray[np.float32]


@dataclass(frozen=True)
class SliceResults:
    """Corrected slices of a scan, S of them.

    Attributes:
        x_hu: corrected slices in HU, (S, H, W).
        synthesised: share of the rays through each pixel that were synthesised, 0 to 1, (S, H, W).
        misfit: root mean squared misfit of the search to what was measured, (S,); NaN where nothing was searched.
        trace: what the search minimised, by step, (steps, S), NaN where nothing was searched.
        spread_hu: standard deviation over further searches, 0 where nothing was searched, (S, H, W); None without them.
        y_hat: line integrals with the synthesised ones filled in, (S, A, U); None where no rays were measured.
        ray_mask: True where they were measured, (A, U), or (S, A, U) for masks of each slice's own; None as `y_hat`.
    """

    x_hu: FloatArray
    synthesised: FloatArray
    misfit: FloatArray
    trace: FloatArray
    spread_hu: FloatArray | None = None
    y_hat: FloatArray | None = None
    ray_mask: NDArray[np.bool_] | None = None


def among_all(trace: FloatArray, searched: NDArray[np.intp], n_slices: int) -> FloatArray:
    """Return the trace (steps, S) of the slices that were searched as one of all slices, NaN for the others."""
    of_all = np.full((len(trace), n_slices), np.nan, np.float32)
    of_all[:, searched] = trace
    return of_all


class SliceMethod(Protocol):
    """Corrects any slices of one scan.

    Attributes:
        n_slices: how many the scan has.
        wave: how many are best corrected together.
        image: pixels of a slice of the result, 2-D.
        scan: the rays, measured and synthesised; of images those of a virtual scan.
        has_spread: whether further searches tell how uncertain the result is.
    """

    n_slices: int
    wave: int
    image: Grid
    scan: Scan2D
    has_spread: bool

    @property
    def affine_lps_mm(self) -> NDArray[np.float64]:
        """From voxel indices (z, y, x) of the result to LPS mm."""

    def before(self, slices: slice) -> FloatArray:
        """Return what a classical method makes of what was measured, (S, H, W) in HU on the voxels of the result."""

    def correct(self, slices: slice) -> SliceResults:
        """Correct the slices of a range.

        Raises:
            InputError: they cannot be corrected; the others may be.
        """
