"""Scan geometries: where the source and the detector pixels are for each view.

All share one frame (mm, right-handed, +x patient left, +y posterior, +z superior; angles anticlockwise about +z). At
angle ``t`` the detector's u axis is ``(cos t, sin t)``, the central ray runs along ``(-sin t, cos t)`` and a divergent
source stands at ``sod_mm * (sin t, -cos t)``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
Vector = tuple[float, float, float]


def equally_spaced_rad(n_views: int, arc_rad: float, start_rad: float = 0.0) -> tuple[float, ...]:
    """Return ``n_views`` angles in rad from ``start_rad`` over ``arc_rad``, the end point excluded.

    >>> equally_spaced_rad(2, 3.0)
    (0.0, 1.5)
    """
    return tuple(float(start_rad + arc_rad * i / n_views) for i in range(n_views))


def centred_steps(n: int, step: float, offset: float = 0.0) -> FloatArray:
    """Return ``n`` positions ``step`` apart whose middle is ``offset``."""
    return (np.arange(n, dtype=np.float64) - (n - 1) / 2) * step + offset


@dataclass(frozen=True)
class ParallelBeam:
    """Parallel rays in one plane: ray (t, u) holds the points p with ``p . (cos t, sin t) = u``.

    Attributes:
        angles_rad: One angle per view.
        n_bins: Number of detector bins.
        bin_mm: Distance of neighbouring bin centres in mm.
        offset_mm: Position u of the detector's middle in mm.
    """

    angles_rad: tuple[float, ...]
    n_bins: int
    bin_mm: float
    offset_mm: float = 0.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "angles_rad", tuple(float(t) for t in self.angles_rad))

    @classmethod
    def equally_spaced(
        cls, n_views: int, arc_rad: float, n_bins: int, bin_mm: float, offset_mm: float = 0.0, start_rad: float = 0.0
    ) -> Self:
        """Build a scan whose views are equally spaced over ``arc_rad``, the end point excluded."""
        return cls(equally_spaced_rad(n_views, arc_rad, start_rad), n_bins, bin_mm, offset_mm)

    @property
    def n_views(self) -> int:
        """Number of views A."""
        return len(self.angles_rad)

    @property
    def sinogram_shape(self) -> tuple[int, int]:
        """Shape (A, U) of the projections."""
        return (self.n_views, self.n_bins)

    def u_mm(self) -> FloatArray:
        """Return the bin centres in mm, shape (U,)."""
        return centred_steps(self.n_bins, self.bin_mm, self.offset_mm)


@dataclass(frozen=True)
class FanBeam:
    """Rays of a point source in one plane, with a flat or a curved (equiangular, centred on the source) detector.

    Attributes:
        angles_rad: One angle per view.
        n_bins: Number of detector bins.
        bin_mm: Distance of neighbouring bin centres in mm on the detector; arc length if curved.
        sod_mm: Source to rotation axis in mm.
        sdd_mm: Source to detector in mm.
        offset_mm: Position u of the detector's middle in mm on the detector; arc length if curved.
        curved: Whether the detector is an arc about the source: bin u sees the fan angle ``u / sdd_mm``.
    """

    angles_rad: tuple[float, ...]
    n_bins: int
    bin_mm: float
    sod_mm: float
    sdd_mm: float
    offset_mm: float = 0.0
    curved: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "angles_rad", tuple(float(t) for t in self.angles_rad))

    @classmethod
    def equally_spaced(
        cls,
        n_views: int,
        arc_rad: float,
        n_bins: int,
        bin_mm: float,
        sod_mm: float,
        sdd_mm: float,
        offset_mm: float = 0.0,
        curved: bool = False,
        start_rad: float = 0.0,
    ) -> Self:
        """Build a scan whose views are equally spaced over ``arc_rad``, the end point excluded."""
        return cls(equally_spaced_rad(n_views, arc_rad, start_rad), n_bins, bin_mm, sod_mm, sdd_mm, offset_mm, curved)

    @property
    def n_views(self) -> int:
        """Number of views A."""
        return len(self.angles_rad)

    @property
    def sinogram_shape(self) -> tuple[int, int]:
        """Shape (A, U) of the projections."""
        return (self.n_views, self.n_bins)

    def u_mm(self) -> FloatArray:
        """Return the bin centres on the detector in mm, shape (U,)."""
        return centred_steps(self.n_bins, self.bin_mm, self.offset_mm)

    def fan_angles_rad(self) -> FloatArray:
        """Return the angle of each bin's ray to the central ray in rad, shape (U,), growing with u."""
        return self.u_mm() / self.sdd_mm if self.curved else np.arctan2(self.u_mm(), self.sdd_mm)


@dataclass(frozen=True)
class ConeBeam:
    """A point source and a flat panel turning together about the z axis in the plane z = 0.

    Attributes:
        angles_rad: One angle per view.
        detector_shape: Number of pixels (V, U).
        pixel_mm: Distance of neighbouring pixel centres (dv, du) in mm on the panel.
        sod_mm: Source to rotation axis in mm.
        sdd_mm: Source to panel in mm.
        offset_mm: Position (v, u) of the panel's middle in mm on the panel.
    """

    angles_rad: tuple[float, ...]
    detector_shape: tuple[int, int]
    pixel_mm: tuple[float, float]
    sod_mm: float
    sdd_mm: float
    offset_mm: tuple[float, float] = (0.0, 0.0)

    def __post_init__(self) -> None:
        for name in ("angles_rad", "detector_shape", "pixel_mm", "offset_mm"):
            object.__setattr__(self, name, tuple(getattr(self, name)))

    @classmethod
    def equally_spaced(
        cls,
        n_views: int,
        arc_rad: float,
        detector_shape: tuple[int, int],
        pixel_mm: tuple[float, float],
        sod_mm: float,
        sdd_mm: float,
        offset_mm: tuple[float, float] = (0.0, 0.0),
        start_rad: float = 0.0,
    ) -> Self:
        """Build a scan whose views are equally spaced over ``arc_rad``, the end point excluded."""
        return cls(equally_spaced_rad(n_views, arc_rad, start_rad), detector_shape, pixel_mm, sod_mm, sdd_mm, offset_mm)

    @property
    def n_views(self) -> int:
        """Number of views A."""
        return len(self.angles_rad)

    @property
    def sinogram_shape(self) -> tuple[int, int, int]:
        """Shape (A, V, U) of the projections."""
        return (self.n_views, *self.detector_shape)

    def u_mm(self) -> FloatArray:
        """Return the column centres on the panel in mm, shape (U,)."""
        return centred_steps(self.detector_shape[1], self.pixel_mm[1], self.offset_mm[1])

    def v_mm(self) -> FloatArray:
        """Return the row centres on the panel in mm, shape (V,)."""
        return centred_steps(self.detector_shape[0], self.pixel_mm[0], self.offset_mm[0])

    def vectors(self) -> VectorConeBeam:
        """Return the same scan as per-view vectors."""
        t = np.asarray(self.angles_rad)
        zero = np.zeros_like(t)
        along = np.stack([-np.sin(t), np.cos(t), zero], axis=1)
        across = np.stack([np.cos(t), np.sin(t), zero], axis=1)
        up = np.stack([zero, zero, zero + 1.0], axis=1)
        center = (self.sdd_mm - self.sod_mm) * along + self.offset_mm[1] * across + self.offset_mm[0] * up
        return VectorConeBeam(
            source_mm=as_vectors(-self.sod_mm * along),
            detector_mm=as_vectors(center),
            u_mm=as_vectors(self.pixel_mm[1] * across),
            v_mm=as_vectors(self.pixel_mm[0] * up),
            detector_shape=self.detector_shape,
        )


@dataclass(frozen=True)
class VectorConeBeam:
    """A point source and a flat panel placed freely in each view, e.g. from a calibration.

    Attributes:
        source_mm: Source position (x, y, z) in mm per view.
        detector_mm: Position (x, y, z) of the panel's middle in mm per view.
        u_mm: Step (x, y, z) in mm from one panel column to the next, per view.
        v_mm: Step (x, y, z) in mm from one panel row to the next, per view.
        detector_shape: Number of pixels (V, U).
    """

    source_mm: tuple[Vector, ...]
    detector_mm: tuple[Vector, ...]
    u_mm: tuple[Vector, ...]
    v_mm: tuple[Vector, ...]
    detector_shape: tuple[int, int]

    @property
    def n_views(self) -> int:
        """Number of views A."""
        return len(self.source_mm)

    @property
    def sinogram_shape(self) -> tuple[int, int, int]:
        """Shape (A, V, U) of the projections."""
        return (self.n_views, *self.detector_shape)


def as_vectors(array: FloatArray) -> tuple[Vector, ...]:
    """Return an (A, 3) array as a hashable tuple of (x, y, z) tuples."""
    return tuple((float(x), float(y), float(z)) for x, y, z in array)


Scan2D = ParallelBeam | FanBeam
Scan = ParallelBeam | FanBeam | ConeBeam | VectorConeBeam
