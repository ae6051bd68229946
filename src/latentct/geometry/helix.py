"""A helical scan: a fan of several detector rows that turns while the patient moves along the axis."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from latentct.geometry.scan import FanBeam, FloatArray, centred_steps


@dataclass(frozen=True)
class FocalSpot:
    """Where a focal spot stands, seen from the point on which the detector is centred.

    Attributes:
        angle_rad: Turned further about the axis.
        z_mm: Higher along the axis.
        radial_mm: Further from the axis.
    """

    angle_rad: float = 0.0
    z_mm: float = 0.0
    radial_mm: float = 0.0


@dataclass(frozen=True)
class Helix:
    """A source and a detector of several rows that turn about the z axis and move along it.

    The detector is centred on a point, its focus, at the distances and angles given here. The source stands there too,
    unless its focal spot flies: then each view shines from the next of ``spots``, while focus and detector go on as if
    nothing flew.

    Attributes:
        angles_rad: One angle per view, without jumps at whole turns.
        source_z_mm: Position of the focus along z in mm, one per view.
        detector_shape: Number of detector elements (V, U).
        pixel_mm: Distance of neighbouring rows and columns (dv, du) in mm on the detector; du along the arc if curved.
        sod_mm: Focus to rotation axis in mm.
        sdd_mm: Focus to detector in mm.
        offset_mm: Position (v, u) of the detector's middle in mm, v from the height of the focus.
        curved: Whether the detector is a cylinder about the line through the focus along z.
        spots: The focal spots, in the turn in which the views use them, beginning with the first view.

    >>> Helix.equally_spaced(2, 4, 10.0, (1, 2), (1.0, 1.0), 500.0, 1000.0).source_z_mm
    (-7.5, -2.5, 2.5, 7.5)
    """

    angles_rad: tuple[float, ...]
    source_z_mm: tuple[float, ...]
    detector_shape: tuple[int, int]
    pixel_mm: tuple[float, float]
    sod_mm: float
    sdd_mm: float
    offset_mm: tuple[float, float] = (0.0, 0.0)
    curved: bool = True
    spots: tuple[FocalSpot, ...] = (FocalSpot(),)

    @classmethod
    def equally_spaced(
        cls,
        views_per_turn: int,
        n_views: int,
        feed_mm: float,
        detector_shape: tuple[int, int],
        pixel_mm: tuple[float, float],
        sod_mm: float,
        sdd_mm: float,
        offset_mm: tuple[float, float] = (0.0, 0.0),
        curved: bool = True,
    ) -> Helix:
        """Build a scan about z = 0 that moves by ``feed_mm`` in a turn."""
        angles_rad = tuple(2 * math.pi * i / views_per_turn for i in range(n_views))
        source_z_mm = tuple(float(z) for z in centred_steps(n_views, feed_mm / views_per_turn))
        return cls(angles_rad, source_z_mm, detector_shape, pixel_mm, sod_mm, sdd_mm, offset_mm, curved)

    @property
    def n_views(self) -> int:
        """Number of views A."""
        return len(self.angles_rad)

    @property
    def sinogram_shape(self) -> tuple[int, int, int]:
        """Shape (A, V, U) of the projections."""
        return (self.n_views, *self.detector_shape)

    @property
    def step_rad(self) -> float:
        """Mean angle from view to view, negative where the angles fall."""
        return (self.angles_rad[-1] - self.angles_rad[0]) / (self.n_views - 1)

    def v_mm(self) -> FloatArray:
        """Return the heights of the rows over the focus in mm, shape (V,)."""
        return centred_steps(self.detector_shape[0], self.pixel_mm[0], self.offset_mm[0])

    def fan(self) -> FanBeam:
        """Return the fan beam of one turn, whose source is the focus and whose first angle is that of the first view.

        >>> [round(math.degrees(t)) for t in Helix.equally_spaced(4, 9, 1.0, (1, 2), (1, 1), 5, 9).fan().angles_rad]
        [0, 90, 180, 270]
        """
        n_views = round(2 * math.pi / abs(self.step_rad))
        step_rad = math.copysign(2 * math.pi / n_views, self.step_rad)
        angles_rad = tuple(self.angles_rad[0] + step_rad * i for i in range(n_views))
        n_bins, bin_mm, u_mm = self.detector_shape[1], self.pixel_mm[1], self.offset_mm[1]
        return FanBeam(angles_rad, n_bins, bin_mm, self.sod_mm, self.sdd_mm, u_mm, self.curved)

    def passing_rad(self, z_mm: float) -> float:
        """Return the angle at which the focus passes a height."""
        z, angles_rad = np.asarray(self.source_z_mm), np.asarray(self.angles_rad)
        rising = slice(None) if z[-1] > z[0] else slice(None, None, -1)
        return float(np.interp(z_mm, z[rising], angles_rad[rising]))
