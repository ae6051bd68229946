"""A helical scan: a fan of several detector rows that turns while the patient moves along the axis."""

from __future__ import annotations

import math
from dataclasses import dataclass

from latentct.geometry.scan import FanBeam, FloatArray, centred_steps


@dataclass(frozen=True)
class Helix:
    """A point source and a detector of several rows that turn about the z axis and move along it.

    Attributes:
        angles_rad: One angle per view, without jumps at whole turns.
        source_z_mm: Position of the source along z in mm, one per view.
        detector_shape: Number of detector elements (V, U).
        pixel_mm: Distance of neighbouring rows and columns (dv, du) in mm on the detector; du along the arc if curved.
        sod_mm: Source to rotation axis in mm.
        sdd_mm: Source to detector in mm.
        offset_mm: Position (v, u) of the detector's middle in mm, v from the height of the source.
        curved: Whether the detector is a cylinder about the line through the source along z.

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

    def v_mm(self) -> FloatArray:
        """Return the heights of the rows over the source in mm, shape (V,)."""
        return centred_steps(self.detector_shape[0], self.pixel_mm[0], self.offset_mm[0])

    def fan(self, views: range) -> FanBeam:
        """Return the fan beam that these views form in a plane across the axis."""
        angles_rad = self.angles_rad[views.start : views.stop]
        n_bins, bin_mm, u_mm = self.detector_shape[1], self.pixel_mm[1], self.offset_mm[1]
        return FanBeam(angles_rad, n_bins, bin_mm, self.sod_mm, self.sdd_mm, u_mm, self.curved)
