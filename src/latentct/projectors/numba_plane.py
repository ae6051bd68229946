"""Compiled kernels for plane scans on the CPU, several slices side by side.

Images are (H + 2, pitch, lanes) with a border of zeros around the grid and unused pixels behind each row, projections
(A, U, lanes), float32. A step along the ray and a step across it are both strides into the image, so one loop serves
rays over rows and over columns.

The image is worked on in parts that stay in the first cache: strips of rows (columns for rays that step over
columns), cut into blocks by where rays cross the middle of the strip. All rays of a few views that cross one block
are taken before those of the next. Positions are fixed-point numbers with 32 binary places, so that no step converts
a whole part.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
import numpy.typing as npt

from latentct.projectors.numba_compile import compiled, inlined, kernel
from latentct.projectors.numba_vectors import ALIGNED, add, address, fma, load, store, zeros

Float32Array = npt.NDArray[np.float32]
FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
Lanes = tuple[int, ...]

STRIP = 32
"""Rows of a strip of the projection."""
BAND = 16
"""Rows of a strip of the transpose, which belongs to one thread: fewer, to occupy more of them."""
BLOCK = 8
"""Pixels across the rays in one block of a strip."""
VIEWS = 8
"""Views that take their turns in a block."""
BEYOND = 1e9
"""A position behind all pixels."""

ONE = float(1 << 32)
FRACTION_BITS = (1 << 31) - 1
FRACTION = np.float32(2.0**-31)


@inlined
def fraction(position: int, unit: Any) -> Any:
    """Return the fractional part of a fixed-point number, times ``unit`` and 2^31."""
    return np.float32(np.int32((position >> 1) & FRACTION_BITS)) * unit


@inlined
def gather(x: int, lanes: Lanes, begin: int, stop: int, at_zero: float, slope: float, along: int, across: int) -> Any:
    """Return the sum of what a ray meets in the image at ``x`` at the steps [begin, stop)."""
    position, change = int((at_zero + slope * begin) * ONE), int(slope * ONE)
    row = begin * along
    near, far, near_odd, far_odd = zeros(lanes), zeros(lanes), zeros(lanes), zeros(lanes)
    for _ in range((stop - begin) >> 1):  # by twos, because each addition waits for the one before
        place, weight = row + (position >> 32) * across, fraction(position, FRACTION)
        near = fma(near, load(x, place, lanes), np.float32(1.0) - weight)
        far = fma(far, load(x, place + across, lanes), weight)
        position += change
        place, weight = row + along + (position >> 32) * across, fraction(position, FRACTION)
        near_odd = fma(near_odd, load(x, place, lanes), np.float32(1.0) - weight)
        far_odd = fma(far_odd, load(x, place + across, lanes), weight)
        position += change
        row += 2 * along
    if (stop - begin) & 1:
        place, weight = row + (position >> 32) * across, fraction(position, FRACTION)
        near = fma(near, load(x, place, lanes), np.float32(1.0) - weight)
        far = fma(far, load(x, place + across, lanes), weight)
    return add(add(near, far), add(near_odd, far_odd))


@inlined
def scatter(
    x: int, lanes: Lanes, begin: int, stop: int, at_zero: float, slope: float, along: int, across: int, y: Any, mm: Any
) -> None:
    """Add the cell ``y`` of a ray with steps of ``mm`` to the image at ``x``; the transpose of `gather`."""
    position, change = int((at_zero + slope * begin) * ONE), int(slope * ONE)
    row, unit = begin * along, FRACTION * mm
    for _ in range(begin, stop):
        place, weight = row + (position >> 32) * across, fraction(position, unit)
        store(x, place, fma(load(x, place, lanes), y, mm - weight))
        store(x, place + across, fma(load(x, place + across, lanes), y, weight))
        position += change
        row += along


@inlined
def line_up(queue: IntArray, rays: Any, ranges: IntArray, over_rows: int, first_view: int, middle: float) -> None:
    """Set the rows of ``queue`` to the first bin of a view, one past the last and the way in which positions grow.

    Where positions are in no order, blocks are less compact and nothing is lost.
    """
    for a in range(len(queue)):
        low, high = ranges[over_rows, first_view + a, 0], ranges[over_rows, first_view + a, 1]
        queue[a, 0], queue[a, 1], queue[a, 2] = low, high, 1
        if high > low:
            one, other = rays[first_view + a, low], rays[first_view + a, high - 1]
            if one.at_zero + one.slope * middle > other.at_zero + other.slope * middle:
                queue[a, 0], queue[a, 1], queue[a, 2] = high - 1, low - 1, -1


@compiled
def project_views(
    x: int,
    sums: int,
    lanes: Lanes,
    shape: tuple[int, int, int],
    first_view: int,
    queue: IntArray,
    rays: Any,
    ranges: Any,
) -> None:
    """Add the line integrals of a few views to ``sums`` (views, U, lanes); ``shape`` is (H, W, pitch)."""
    height, width, pitch = shape
    n, n_bins = len(lanes), rays.shape[1]
    for over_rows in range(2):
        along, across = (pitch * n, n) if over_rows else (n, pitch * n)
        n_along, n_across = (height, width) if over_rows else (width, height)
        for first in range(1, n_along + 1, STRIP):
            last = min(first + STRIP, n_along + 1)
            middle = 0.5 * (first + last - 1)
            line_up(queue, rays, ranges, over_rows, first_view, middle)
            for edge in range(BLOCK, n_across + BLOCK + 1, BLOCK):
                limit = float(edge) if edge <= n_across else BEYOND
                for a in range(len(queue)):
                    u = queue[a, 0]
                    while u != queue[a, 1]:
                        ray = rays[first_view + a, u]
                        if ray.at_zero + ray.slope * middle >= limit:
                            break
                        begin, stop = max(ray.start, first), min(ray.stop, last)
                        if begin < stop and ray.over_rows == over_rows:
                            met = gather(x, lanes, begin, stop, ray.at_zero, ray.slope, along, across)
                            place = (a * n_bins + u) * n
                            store(sums, place, fma(load(sums, place, lanes), met, ray.step_mm))
                        u += queue[a, 2]
                    queue[a, 0] = u


@kernel
def project_plane(x: Float32Array, y: Float32Array, lanes: Lanes, width: int, rays: Any, ranges: IntArray) -> None:
    """Write the line integrals of the slices in ``x`` (H + 2, pitch, lanes) to ``y`` (N, A, U).

    Args:
        x: Slices of ``width`` columns side by side.
        y: At most ``lanes`` slices.
        lanes: A tuple of one of the lengths `numba_vectors.LANES`.
        width: Columns of the grid.
        rays: See `ray_records.RayRecords`.
        ranges: Likewise.
    """
    n_views, n_bins = rays.shape
    shape = (x.shape[0] - 2, width, x.shape[1])
    n_cells = VIEWS * n_bins
    for part in numba.prange((n_views + VIEWS - 1) // VIEWS):
        first_view = part * VIEWS
        n_own = min(VIEWS, n_views - first_view)
        memory = np.zeros(n_cells * len(lanes) + ALIGNED // 4, np.float32)
        skipped = -(address(memory) // 4) % (ALIGNED // 4)
        sums = memory[skipped : skipped + n_cells * len(lanes)].reshape(VIEWS, n_bins, len(lanes))
        queue = np.empty((n_own, 3), np.int64)
        project_views(address(x), address(sums), lanes, shape, first_view, queue, rays, ranges)
        for a in range(n_own):
            for b in range(len(y)):
                for u in range(n_bins):
                    y[b, first_view + a, u] = sums[a, u, b]


@compiled
def project_band_transposed(
    x: int, y: int, lanes: Lanes, pitch: int, over_rows: int, band: tuple[int, int, int], rays: Any, ranges: Any
) -> None:
    """Add to the pixels of a band what all rays bring; ``band`` is its first row or column, one past its last, and
    how many pixels it is long.
    """
    first, last, n_across = band
    n, (n_views, n_bins) = len(lanes), rays.shape
    along, across = (pitch * n, n) if over_rows else (n, pitch * n)
    middle = 0.5 * (first + last - 1)
    for first_view in range(0, n_views, VIEWS):
        queue = np.empty((min(VIEWS, n_views - first_view), 3), np.int64)
        line_up(queue, rays, ranges, over_rows, first_view, middle)
        for edge in range(BLOCK, n_across + BLOCK + 1, BLOCK):
            limit = float(edge) if edge <= n_across else BEYOND
            for a in range(len(queue)):
                u = queue[a, 0]
                while u != queue[a, 1]:
                    ray = rays[first_view + a, u]
                    if ray.at_zero + ray.slope * middle >= limit:
                        break
                    begin, stop = max(ray.start, first), min(ray.stop, last)
                    if begin < stop and ray.over_rows == over_rows:
                        value = load(y, ((first_view + a) * n_bins + u) * n, lanes)
                        scatter(x, lanes, begin, stop, ray.at_zero, ray.slope, along, across, value, ray.step_mm)
                    u += queue[a, 2]
                queue[a, 0] = u


@kernel
def project_plane_transposed(
    y: Float32Array, x: Float32Array, lanes: Lanes, width: int, rays: Any, ranges: IntArray
) -> None:
    """Write the transpose of `project_plane` applied to ``y`` (A, U, lanes) to ``x`` (H + 2, pitch, lanes).

    For the rays that step over rows, then for the others, the image is cut into bands of rows or columns that belong
    to one thread each, so that no two write the same pixel and the order of summation does not depend on their
    number. The border is overwritten.
    """
    n_rows, pitch, _ = x.shape
    for row in numba.prange(n_rows):
        x[row] = 0.0
    for over_rows in (1, 0):
        n_along, n_across = (n_rows - 2, width) if over_rows else (width, n_rows - 2)
        for part in numba.prange((n_along + BAND - 1) // BAND):
            first = 1 + part * BAND
            band = (first, min(first + BAND, n_along + 1), n_across)
            project_band_transposed(address(x), address(y), lanes, pitch, over_rows, band, rays, ranges)
