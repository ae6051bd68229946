"""A measured scan of slices as part of a complete one: a wider detector, a longer arc, views between the views."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from latentct.geometry.arc import SAME_RAD, FloatArray, IntArray, arc_of, on_one_arc
from latentct.geometry.scan import FanBeam, ParallelBeam, Scan2D

FARTHEST_SHARE = 0.95
"""How far from the axis, as a share of the source's distance, a detector is extended at most."""


@dataclass(frozen=True, eq=False)
class Completion:
    """A measured scan within a complete one.

    Attributes:
        scan: The complete scan; every measured ray is one of its rays.
        views: Index in it of each measured view, (A,).
        columns: Its columns that were measured.
    """

    scan: Scan2D
    views: IntArray
    columns: slice

    @property
    def ray_mask(self) -> npt.NDArray[np.bool_]:
        """The measured rays, bool of ``scan.sinogram_shape``, True = measured."""
        mask = np.zeros(self.scan.sinogram_shape, dtype=np.bool_)
        mask[self.views, self.columns] = True
        return mask

    def embed(self, y: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Return measured rays (..., A, U) among those of the complete scan (..., A', U'), zero where not measured."""
        complete = np.zeros((*y.shape[:-2], *self.scan.sinogram_shape), dtype=y.dtype)
        complete[..., self.views, self.columns] = y
        return complete

    def extract(self, y: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Return the measured rays (..., A, U) of those of the complete scan, as they came."""
        return y[..., self.views, self.columns]


def complete_scan(scan: Scan2D, radius_mm: float, widen: bool = False, step_rad: float | None = None) -> Completion:
    """Complete a scan by whole bins and whole views.

    Args:
        scan: Parallel or fan beam, its views in any order.
        radius_mm: Of the circle about the rotation axis that the object lies in.
        widen: Whether to extend the detector on both sides until it covers that circle. A displaced detector whose
            views go all round sees the near side from behind, and is extended on its far side only.
        step_rad: Largest distance, about, of neighbouring views: wider gaps are filled evenly, that at the end of the
            arc as well if the arc is not complete. None: no view is added, and the views stay in their order.
    """
    order, angles_rad = on_one_arc(scan.angles_rad)
    arc = arc_of(scan, radius_mm)
    # Synthesised views of parallel rays are bent like measured ones of the half turn before or after, which are
    # mirrored for it (`latentct.correction.view_seam`): then the detector must lie evenly about the axis.
    mirrored = step_rad is not None and isinstance(scan, ParallelBeam)
    below, above = _missing_bins(scan, radius_mm if widen else 0.0, arc.is_turn and not mirrored, mirrored)
    wide = replace(
        scan, n_bins=scan.n_bins + below + above, offset_mm=scan.offset_mm + (above - below) * scan.bin_mm / 2
    )
    columns = slice(below, below + scan.n_bins)
    if step_rad is not None:
        end_rad = angles_rad[0] + (2 * math.pi if arc.is_turn else arc.needed_rad)
        index, filled_rad = _filled(angles_rad, end_rad, step_rad)
        return Completion(replace(wide, angles_rad=tuple(filled_rad)), index[np.argsort(order)], columns)
    if np.ptp(angles_rad) + SAME_RAD < np.ptp(scan.angles_rad) < 2 * math.pi:  # several turns are taken as they are
        wide = replace(wide, angles_rad=tuple(angles_rad[np.argsort(order)]))
    return Completion(wide, np.arange(scan.n_views), columns)


def bin_at_axis_mm(scan: Scan2D) -> float:
    """Return the distance of neighbouring rays at the rotation axis in mm."""
    return scan.bin_mm * scan.sod_mm / scan.sdd_mm if isinstance(scan, FanBeam) else scan.bin_mm


def _missing_bins(scan: Scan2D, radius_mm: float, far_side_only: bool, even: bool) -> tuple[int, int]:
    """Return how many bins are to be added below the first and above the last.

    Args:
        scan: Parallel or fan beam.
        radius_mm: Of the circle to be covered.
        far_side_only: Leave the near side of a displaced detector as it is.
        even: Add bins to the near side until the axis is in the middle, to half a bin.
    """
    ends_mm = np.array([-scan.u_mm()[0], scan.u_mm()[-1]])
    missing = np.ceil((_column_mm(scan, radius_mm) - ends_mm) / scan.bin_mm - 1e-6)
    if far_side_only and abs(scan.offset_mm) > scan.bin_mm:
        missing[ends_mm.argmin()] = 0
    missing = np.maximum(missing, 0)
    if even:
        ends_mm += missing * scan.bin_mm
        missing += np.rint((ends_mm.max() - ends_mm) / scan.bin_mm)
    return int(missing[0]), int(missing[1])


def _column_mm(scan: Scan2D, radius_mm: float) -> float:
    """Return where on the detector the ray lands that passes the rotation axis at a distance."""
    if isinstance(scan, ParallelBeam):
        return radius_mm
    fan_rad = math.asin(min(radius_mm / scan.sod_mm, FARTHEST_SHARE))
    return scan.sdd_mm * (fan_rad if scan.curved else math.tan(fan_rad))


def _filled(angles_rad: FloatArray, end_rad: float, step_rad: float) -> tuple[IntArray, FloatArray]:
    """Divide the gaps between growing angles, and that to the end, which is none of them, into steps.

    Returns:
        Index of each given angle among all, and all of them.
    """
    gaps_rad = np.diff(angles_rad, append=end_rad)
    n_steps = np.maximum(1, np.rint(gaps_rad / step_rad)).astype(np.intp)
    parts = [t + gap * np.arange(n) / n for t, gap, n in zip(angles_rad, gaps_rad, n_steps, strict=True)]
    return np.append(0, np.cumsum(n_steps)[:-1]), np.concatenate(parts)
