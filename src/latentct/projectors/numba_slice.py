"""A compiled kernel for a single slice, sixteen neighbouring rays at a time.

The steps of a ray are rows or columns of the image, the two kinds that `slice_table.SliceTable` tells apart; the kernel
gets the image and its transpose, so that rays of either kind interpolate between neighbours in memory. At each step
the places of sixteen rays fall into a window that is loaded whole (`numba_window.lookup`), or, where rays are far
apart, those of a part of them. `numba_slice_transposed` has the transpose.
"""

from __future__ import annotations

import math

import numba
import numpy as np
import numpy.typing as npt

from latentct.projectors.numba_compile import compiled, kernel
from latentct.projectors.numba_window import (
    N_LANES,
    WINDOW,
    Vector,
    as_vector,
    following,
    keep,
    lines,
    load,
    load_rounded,
    lookup,
    spread,
    store,
    truncated,
)

Float32Array = npt.NDArray[np.float32]
FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

MARGIN = WINDOW
"""Zeros before a row of the image, for windows that lie beside it; those of the next row serve behind it."""
MAX_STEPS = 32
"""Steps for which float32 holds a position relative to the window to some 1e-6 pixel."""


@kernel
def project_slice(
    by_rows: Float32Array,
    by_columns: Float32Array,
    y: Float32Array,
    row_weight: Float32Array,
    column_weight: Float32Array,
    start: IntArray,
    stop: IntArray,
    at_zero: FloatArray,
    slope: FloatArray,
) -> None:
    """Write the line integrals of one slice to ``y`` (A, U + 2 MARGIN), views in parallel.

    Step ``i`` and position ``k`` of the bordered grid are the cell ``(i, MARGIN + k)`` of ``by_rows``, and of
    ``by_columns`` for rays that step over columns; the rest is zero. The other arguments are those of `SliceTable`.
    """
    n_views, n_bins = y.shape
    for a in numba.prange(n_views):
        for u in range(MARGIN, n_bins - MARGIN, N_LANES):
            ray = a * n_bins + u
            along_rows = _chunk(by_rows, row_weight, start, stop, at_zero, slope, ray)
            store(y, ray, _chunk(by_columns, column_weight, start, stop, at_zero, slope, ray) + along_rows)


@compiled
def _chunk(
    image: Float32Array,
    weight: Float32Array,
    start: IntArray,
    stop: IntArray,
    at_zero: FloatArray,
    slope: FloatArray,
    ray: int,
) -> Vector:
    """Return the line integrals of the rays of one kind among sixteen from number ``ray`` on, else zero."""
    first, last, step, end = _extent(weight, start, stop, ray)
    total = spread(np.float32(0.0))
    while first <= last:
        part = last
        while part > first and _widest(at_zero, slope, first, part, step, end) > WINDOW - 3:
            part = (first + part) // 2
        total = total + keep(_part(image, at_zero, slope, ray, first, part, step, end), first - ray, part - ray)
        first = part + 1
    return load(weight, ray) * total


@compiled
def _extent(weight: Float32Array, start: IntArray, stop: IntArray, ray: int) -> tuple[int, int, int, int]:
    """Return first and last ray with a weight among sixteen, their first step and one past their last."""
    first, last, step, end = ray + N_LANES, ray, 1 << 60, 0
    for r in range(ray, ray + N_LANES):
        if weight.flat[r] > 0.0:
            first, last = min(first, r), r
            step, end = min(step, int(start.flat[r])), max(end, int(stop.flat[r]))
    return first, last, step, end


@compiled
def _widest(at_zero: FloatArray, slope: FloatArray, first: int, last: int, step: int, end: int) -> float:
    """Return the largest distance of two rays at the steps from ``step`` to ``end``."""
    apart, diverging = at_zero.flat[last] - at_zero.flat[first], slope.flat[last] - slope.flat[first]
    return max(abs(apart + diverging * step), abs(apart + diverging * (end - 1)))


@compiled
def _part(
    image: Float32Array, at_zero: FloatArray, slope: FloatArray, ray: int, first: int, last: int, step: int, end: int
) -> Vector:
    """Return the sums over the steps of the rays ``first`` to ``last``, which fit a window; other lanes are void."""
    zero_a, zero_b, slope_a, slope_b = at_zero.flat[first], at_zero.flat[last], slope.flat[first], slope.flat[last]
    room, steepest = WINDOW - 2 - _widest(at_zero, slope, first, last, step, end), max(abs(slope_a), abs(slope_b))
    n_steps = MAX_STEPS if steepest * MAX_STEPS < room else 1 + int(room / steepest)
    length, change, total = image.shape[1], load_rounded(slope, ray), spread(np.float32(0.0))
    while step < end:
        until = min(step + n_steps, end)
        lowest = min(
            min(zero_a + slope_a * step, zero_b + slope_b * step),
            min(zero_a + slope_a * (until - 1), zero_b + slope_b * (until - 1)),
        )
        base = min(max(math.floor(lowest) + MARGIN, 0), length)
        position = lines(at_zero, slope, ray, float(step), float(base - MARGIN))
        cell = step * length + base
        for _ in range(step, until):
            low, high, place = load(image, cell), load(image, cell + N_LANES), truncated(position)
            near, far = lookup(low, high, place), lookup(low, high, following(place))
            total = total + near + (position - as_vector(place)) * (far - near)
            position = position + change
            cell += length
        step = until
    return total
