"""How the views of a slice's scan lie on the turn, and which arc would be complete."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from latentct.geometry.scan import FanBeam, ParallelBeam

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.intp]

LEAST_GAP_RAD = math.radians(3.0)
"""What a gap between views must have beside a step to be one; that little filtered back-projection bridges."""
LEAST_GAP_STEPS = 5.0
"""So many steps wide it must be too, so that a few views at uneven angles are no arc with gaps."""
SAME_RAD = 1e-6


@dataclass(frozen=True)
class Arc:
    """The arc of a scan's views.

    Attributes:
        covered_rad: The longest arc without a gap; of parallel rays, what they see of the half turn.
        needed_rad: What would be complete: of parallel rays the half turn, of a fan that and the angle of the fan that
            meets the object.
        step_rad: Median distance of neighbouring views.
        line_step_rad: The same of views of the same lines. Opposite rays of a whole turn of a fan lie between each
            other; those of parallel rays may be the same.
        is_turn: Whether the views go round without a gap.
    """

    covered_rad: float
    needed_rad: float
    step_rad: float
    line_step_rad: float
    is_turn: bool

    @property
    def missing_rad(self) -> float:
        """What is missing of a complete arc, 0 where nothing is."""
        missing_rad = self.needed_rad - self.covered_rad
        return missing_rad if missing_rad > LEAST_GAP_RAD and not self.is_turn else 0.0


def arc_of(scan: ParallelBeam | FanBeam, radius_mm: float) -> Arc:
    """Measure the arc of a scan.

    Args:
        scan: Parallel or fan beam, its views in any order.
        radius_mm: Of the circle about the rotation axis that the object lies in.
    """
    angles_rad = on_one_arc(scan.angles_rad)[1]
    gaps_rad = np.diff(angles_rad, append=angles_rad[0] + 2 * math.pi)
    step_rad = _median(gaps_rad[:-1])
    is_turn = bool((gaps_rad <= _widest_step(step_rad)).all())
    if isinstance(scan, ParallelBeam):
        return _half_turn(angles_rad, step_rad, is_turn)
    needed_rad = math.pi + 2 * math.asin(min(radius_mm / scan.sod_mm, 1.0))
    ends = np.flatnonzero(gaps_rad > _widest_step(step_rad))
    starts = np.append(0, ends[:-1] + 1)
    covered_rad = 2 * math.pi if is_turn else float((angles_rad[ends] - angles_rad[starts]).max()) + step_rad
    return Arc(covered_rad, needed_rad, step_rad, step_rad / 2 if is_turn else step_rad, is_turn)


def on_one_arc(angles_rad: tuple[float, ...]) -> tuple[IntArray, FloatArray]:
    """Order views along one arc, which begins behind the widest gap of the turn.

    Args:
        angles_rad: In any order, of any turn.

    Returns:
        The views' indices in that order, and their angles, growing, each changed by whole turns only.
    """
    given_rad = np.asarray(angles_rad, dtype=np.float64)
    around = np.mod(given_rad, 2 * math.pi)
    order = np.argsort(around, kind="stable")
    gaps_rad = np.diff(around[order], prepend=around[order][-1] - 2 * math.pi)
    first = int((gaps_rad > gaps_rad.max() - SAME_RAD).argmax())
    order = np.roll(order, -first)
    first_rad = given_rad[order[0]]
    along_rad = np.mod(given_rad[order] - first_rad + SAME_RAD, 2 * math.pi) - SAME_RAD
    turns = np.rint((first_rad + along_rad - given_rad[order]) / (2 * math.pi))
    return order, given_rad[order] + 2 * math.pi * turns


def _half_turn(angles_rad: FloatArray, step_rad: float, is_turn: bool) -> Arc:
    """Return the arc of parallel rays, which see a line again half a turn later."""
    folded_rad = np.sort(np.mod(angles_rad, math.pi))
    gaps_rad = np.diff(folded_rad, append=folded_rad[0] + math.pi)
    line_step_rad = _median(gaps_rad)
    wide_rad = gaps_rad[gaps_rad > _widest_step(line_step_rad)]
    covered_rad = math.pi - float((wide_rad - line_step_rad).sum())
    return Arc(covered_rad, math.pi, step_rad, line_step_rad, is_turn and not len(wide_rad))


def _median(gaps_rad: FloatArray) -> float:
    """Return the median gap between views at different angles."""
    different_rad = gaps_rad[gaps_rad > SAME_RAD]
    return float(np.median(different_rad)) if len(different_rad) else math.pi


def _widest_step(step_rad: float) -> float:
    return max(LEAST_GAP_STEPS * step_rad, step_rad + LEAST_GAP_RAD)
