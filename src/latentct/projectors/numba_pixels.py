"""Compiled kernels for the pixel-driven back-projection of plane scans, of several slices side by side or of one.

Filtered projections are (A, pitch, lanes), or (A, pitch) for one slice, float32: each view begins with one bin of
zeros and ends in at least two, so that places beyond the detector are moved to its edge without a test. Slices side
by side are worked on in tiles and a few views at a time, which together stay in the caches. Of one slice, sixteen
pixels of a row are looked up in one window of the detector (`numba_window.lookup`) if they fit, for which each view
ends in `WINDOW` zeros more.
"""

from __future__ import annotations

import math
from typing import Any

import numba
import numpy as np

from latentct.projectors import numba_window as window
from latentct.projectors.numba_compile import compiled, inlined, kernel
from latentct.projectors.numba_plane import Float32Array, Lanes
from latentct.projectors.numba_vectors import address, fma, load, store, zeros
from latentct.projectors.numba_window import N_LANES, WINDOW

PARALLEL, FLAT, CURVED = 0, 1, 2
TILE = 32
"""Rows and columns of a tile of the image."""
RUN = 16
"""Pixels of a row whose places on the detector are found at a time."""
VIEWS = 8
"""Views that add to a pixel while its sum is in a register."""


@inlined
def fan_angle(across: float, depth: float, squared: float) -> float:
    """Return ``atan2(across, depth)`` for angles below 90 degrees, by the series at a quarter of it.

    ``squared`` is the sum of both squares. The series errs by less than 1e-9, and unlike the function of the library
    it is computed for several pixels at a time.
    """
    half = across / (depth + math.sqrt(squared))
    t = half / (1.0 + math.sqrt(1.0 + half * half))
    s = t * t
    tail = 1 / 13 - s * (1 / 15 - s * (1 / 17 - s * (1 / 19 - s / 21)))
    return 4.0 * t * (1.0 - s * (1 / 3 - s * (1 / 5 - s * (1 / 7 - s * (1 / 9 - s * (1 / 11 - s * tail))))))


@inlined
def keep_place(place: Any, near: Any, far: Any, p: int, position: float, weight: float, stride: int) -> None:
    """Write the bin at a position times ``stride``, and the weights of this bin and of the next."""
    whole = np.int32(position)
    place[p] = whole * np.int32(stride)
    far[p] = np.float32(weight * (position - whole))
    near[p] = np.float32(weight * (1.0 - (position - whole)))


@inlined
def find_places(
    place: Any, near: Any, far: Any, x_mm: Any, y_mm: float, cosine: float, sine: float, detector: Any, stride: int
) -> None:
    """Write where pixels of a row at the columns ``x_mm`` are found in a view, and the weights of two bins there.

    ``detector`` is the kind, the centre of the first bin, the width of a bin, the number of bins, the distances of
    the source from the axis and from the detector, and 1.0 if pixels are weighted by their distance from the source,
    else 0.0. A loop for each kind, because one with the choice inside is not vectorised.
    """
    kind, first_mm, bin_mm, n_bins, sod_mm, sdd_mm, weighted = detector
    last, along = n_bins + 1.0, sod_mm + y_mm * cosine
    if kind == PARALLEL:
        for p in range(len(x_mm)):
            position = (x_mm[p] * cosine + y_mm * sine - first_mm) / bin_mm + 1.0
            keep_place(place, near, far, p, min(max(position, 0.0), last), 1.0, stride)
    elif kind == FLAT:
        for p in range(len(x_mm)):
            scale = 1.0 / (along - x_mm[p] * sine)
            position = ((x_mm[p] * cosine + y_mm * sine) * sdd_mm * scale - first_mm) / bin_mm + 1.0
            weight = weighted * (sod_mm * scale) ** 2 + (1.0 - weighted)
            keep_place(place, near, far, p, min(max(position, 0.0), last), weight, stride)
    else:
        for p in range(len(x_mm)):
            across, depth = x_mm[p] * cosine + y_mm * sine, along - x_mm[p] * sine
            squared = across * across + depth * depth
            position = (sdd_mm * fan_angle(across, depth, squared) - first_mm) / bin_mm + 1.0
            weight = weighted * sod_mm * sod_mm / squared + (1.0 - weighted)
            keep_place(place, near, far, p, min(max(position, 0.0), last), weight, stride)


@compiled
def backproject_tile(x: int, q: Any, lanes: Lanes, row: int, column: int, places: Any, detector: Any) -> None:
    """Write the tile at ``row`` and ``column`` of the image at ``x``; see `backproject_slices`."""
    y_mm, x_mm, cosines, sines = places
    (n_views, pitch, n), data = q.shape, address(q)
    place = np.empty((VIEWS, RUN), np.int32)
    near, far = np.empty((VIEWS, RUN), np.float32), np.empty((VIEWS, RUN), np.float32)
    stop_row, stop_column = min(row + TILE, len(y_mm)), min(column + TILE, len(x_mm))
    for first in range(0, n_views, VIEWS):
        n_own = min(VIEWS, n_views - first)
        for begin in range(column, stop_column, RUN):
            run = x_mm[begin : min(begin + RUN, stop_column)]
            for i in range(row, stop_row):
                for v in range(n_own):
                    cosine, sine = cosines[first + v], sines[first + v]
                    find_places(place[v], near[v], far[v], run, y_mm[i], cosine, sine, detector, n)
                for p in range(len(run)):
                    pixel = (i * len(x_mm) + begin + p) * n
                    total = load(x, pixel, lanes) if first > 0 else zeros(lanes)
                    for v in range(n_own):
                        cell = (first + v) * pitch * n + place[v, p]
                        total = fma(total, load(data, cell, lanes), near[v, p])
                        total = fma(total, load(data, cell + n, lanes), far[v, p])
                    store(x, pixel, total)


@kernel
def backproject_slices(q: Float32Array, x: Float32Array, lanes: Lanes, places: Any, detector: Any) -> None:
    """Write the back-projection of ``q`` (A, pitch, lanes) to ``x`` (H, W, lanes), tiles in parallel.

    ``places`` are the coordinates of the rows and of the columns in mm, and the cosines and sines of the views; for
    ``detector`` see `find_places`.
    """
    n_across = (x.shape[1] + TILE - 1) // TILE
    n_tiles = n_across * ((x.shape[0] + TILE - 1) // TILE)
    for tile in numba.prange(n_tiles):
        row, column = tile // n_across * TILE, tile % n_across * TILE
        backproject_tile(address(x), q, lanes, row, column, places, detector)


@compiled
def backproject_row(q: Float32Array, x: Float32Array, y_mm: float, places: Any, detector: Any) -> None:
    """Write one row of `backproject_slice`."""
    _, x_mm, cosines, sines = places
    size = (len(x) + N_LANES - 1) // N_LANES * N_LANES
    place, near, far = np.zeros(size, np.float32), np.zeros(size, np.float32), np.zeros(size, np.float32)
    total = np.zeros(size, np.float32)
    for a in range(len(q)):
        find_places(place, near, far, x_mm, y_mm, cosines[a], sines[a], detector, 1)
        for first in range(0, size, N_LANES):
            one, other = place[first], place[min(first + N_LANES, len(x)) - 1]
            lowest = min(one, other)
            if max(one, other) - lowest < WINDOW - 1:  # places change in one direction along a row
                cell = a * q.shape[1] + int(lowest)
                low, high = window.load(q, cell), window.load(q, cell + N_LANES)
                at = window.truncated(window.load(place, first) - window.spread(lowest))
                nearer = window.load(near, first) * window.lookup(low, high, at)
                farther = window.load(far, first) * window.lookup(low, high, window.following(at))
                window.store(total, first, window.load(total, first) + nearer + farther)
            else:
                for p in range(first, first + N_LANES):
                    k = int(place[p])
                    total[p] += near[p] * q[a, k] + far[p] * q[a, k + 1]
    x[:] = total[: len(x)]


@kernel
def backproject_slice(q: Float32Array, x: Float32Array, places: Any, detector: Any) -> None:
    """Write the back-projection of ``q`` (A, pitch) to ``x`` (H, W), rows in parallel; see `backproject_slices`."""
    for i in numba.prange(len(x)):
        backproject_row(q, x[i], places[0][i], places, detector)
