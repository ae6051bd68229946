"""The grid of pixels or voxels on which an image lives."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Grid:
    """A regular grid, 2-D (y, x) or 3-D (z, y, x), centred on the rotation axis unless told otherwise.

    Voxel ``i`` of an axis with ``n`` voxels has its centre at ``center + (i - (n - 1) / 2) * spacing``; the index
    grows with the coordinate (x: patient left, y: posterior, z: superior). Sequences given as lists are kept as
    tuples, so that a grid read from a configuration file is hashable.

    Attributes:
        shape: Number of voxels, (H, W) or (D, H, W).
        spacing_mm: Distance of neighbouring centres in mm, same order.
        center_mm: World position of the middle of the grid in mm, same order; zeros when None is given.

    Raises:
        ValueError: The tuples do not have the same length of 2 or 3, or a size is not positive.

    >>> Grid((2, 4), (1.0, 0.5)).coordinates_mm(1)
    array([-0.75, -0.25,  0.25,  0.75])
    """

    shape: tuple[int, ...]
    spacing_mm: tuple[float, ...]
    center_mm: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        center_mm = (0.0,) * len(self.shape) if self.center_mm is None else self.center_mm
        object.__setattr__(self, "shape", tuple(int(n) for n in self.shape))
        object.__setattr__(self, "spacing_mm", tuple(float(s) for s in self.spacing_mm))
        object.__setattr__(self, "center_mm", tuple(float(c) for c in center_mm))
        if len(self.shape) not in (2, 3) or not len(self.shape) == len(self.spacing_mm) == len(center_mm):
            raise ValueError(f"a grid has 2 or 3 axes and as many spacings and centres, not {self}")
        if min(self.shape) < 1 or min(self.spacing_mm) <= 0:
            raise ValueError(f"shape and spacing_mm must be positive, not {self}")

    @property
    def ndim(self) -> int:
        """Number of axes, 2 or 3."""
        return len(self.shape)

    @property
    def extent_mm(self) -> tuple[float, ...]:
        """Size from edge to edge in mm, in the order of ``shape``."""
        return tuple(n * s for n, s in zip(self.shape, self.spacing_mm, strict=True))

    @property
    def origin_mm(self) -> tuple[float, ...]:
        """Centre of the first voxel in mm, in the order of ``shape``."""
        return tuple(float(self.coordinates_mm(axis)[0]) for axis in range(self.ndim))

    def coarser(self, factor: int) -> Grid:
        """Return a grid of the same extent with fewer, larger voxels; its axes are multiples of the factor.

        >>> Grid((4, 8), (3.0, 2.0)).coarser(2)
        Grid(shape=(2, 4), spacing_mm=(6.0, 4.0), center_mm=(0.0, 0.0))
        """
        return Grid(tuple(n // factor for n in self.shape), tuple(s * factor for s in self.spacing_mm), self.center_mm)

    def finer(self, factor: int) -> Grid:
        """Return a grid of the same extent with each voxel divided along every axis.

        >>> Grid((2, 4), (6.0, 4.0)).finer(2)
        Grid(shape=(4, 8), spacing_mm=(3.0, 2.0), center_mm=(0.0, 0.0))
        """
        return Grid(tuple(n * factor for n in self.shape), tuple(s / factor for s in self.spacing_mm), self.center_mm)

    def coordinates_mm(self, axis: int) -> FloatArray:
        """Return the voxel centres along one axis in mm, float64.

        Args:
            axis: Index into ``shape``; for a slice 0 is y and 1 is x.
        """
        n, center_mm = self.shape[axis], cast("tuple[float, ...]", self.center_mm)[axis]
        return center_mm + (np.arange(n, dtype=np.float64) - (n - 1) / 2) * self.spacing_mm[axis]
