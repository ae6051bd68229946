"""What the ends of a detector see of the body."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from latentct.correction.edges import ray_position_mm
from latentct.geometry import Scan2D
from latentct.geometry.arc import arc_of
from latentct.geometry.completion import bin_at_axis_mm

AIR_MM = 30.0
"""Rays through less water than this see air, a blanket or the rim of a table: in real slices scanned to their whole
width up to 20 mm. A body of 400 mm that is cut by half a millimetre has more at the end."""
END_BINS = 2
LEAST_SHARE = 0.02
"""Share of the views of a slice in which a body must be cut; fewer are a hand, a cable, or noise."""


@dataclass(frozen=True)
class DetectorEnds:
    """Whether rays are missing beside the detector.

    Attributes:
        cut_share: Largest share of the views of a slice in which the body goes on beside an end that matters. Of a
            displaced detector whose views go all round only the far one does: the lines beside the other are seen from
            behind.
        radius_mm: Of the circle about the rotation axis that what was measured lies in.
    """

    cut_share: float
    radius_mm: float

    @property
    def is_cut(self) -> bool:
        """Whether the body is cut."""
        return self.cut_share >= LEAST_SHARE


def find_ends(y: npt.NDArray[np.float32], scan: Scan2D, mu_water: float) -> DetectorEnds:
    """Look at the outermost bins.

    Args:
        y: Line integrals (S, A, U).
        scan: Parallel or fan beam.
        mu_water: Attenuation of water in 1/mm at the energy of the scan.
    """
    air = AIR_MM * mu_water
    position_mm = ray_position_mm(scan)
    ends = np.stack([y[..., :END_BINS].mean(axis=-1), y[..., -END_BINS:].mean(axis=-1)]) > air
    reach_mm = np.abs(position_mm[[0, -1]])
    if abs(reach_mm[0] - reach_mm[1]) > 2 * bin_at_axis_mm(scan) and arc_of(scan, reach_mm.max()).is_turn:
        ends = ends[[reach_mm.argmax()]]
    seen = np.flatnonzero(y.max(axis=(0, 1)) > air)
    radius_mm = np.abs(position_mm[seen]).max() if len(seen) else reach_mm.max()
    cut_share = float(ends.any(axis=0).mean(axis=-1).max())
    return DetectorEnds(cut_share, float(radius_mm) + bin_at_axis_mm(scan))
