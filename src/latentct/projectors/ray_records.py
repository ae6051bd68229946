"""The rays of a plane scan as the compiled kernels read them: all that belongs to a ray in one place in memory."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from latentct.projectors.rays import IntArray, RayTable

RAY = np.dtype(
    [
        ("at_zero", np.float64),
        ("slope", np.float64),
        ("step_mm", np.float32),
        ("start", np.int32),
        ("stop", np.int32),
        ("over_rows", np.int32),
    ]
)
"""A ray as in `rays.RayTable`, half a line of the cache."""


class RayRecords(NamedTuple):
    """Rays, and where in a view to look for them.

    Attributes:
        rays: Records of the type `RAY`, (A, U).
        ranges: First bin and one past the last of a view whose rays step over columns, or over rows, and inside the
            grid, (2, A, 2); others may lie between them.
    """

    rays: npt.NDArray[Any]
    ranges: IntArray


def ray_records(table: RayTable) -> RayRecords:
    """Return the rays of a table as records."""
    rays = np.empty(table.start.shape, RAY)
    for name in table._fields:
        rays[name] = getattr(table, name)
    crosses = table.stop > table.start
    return RayRecords(rays, np.stack([_ranges(crosses & ~table.over_rows), _ranges(crosses & table.over_rows)]))


def _ranges(chosen: npt.NDArray[np.bool_]) -> IntArray:
    """Return the first and one past the last chosen bin of each view; the same twice where none is."""
    first = chosen.argmax(axis=1)
    stop = np.where(chosen.any(axis=1), chosen.shape[1] - chosen[:, ::-1].argmax(axis=1), first)
    return np.stack([first, stop], axis=1)
