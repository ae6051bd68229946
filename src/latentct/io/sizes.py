"""Checks of what an array or a work needs, before its numbers are in memory."""

from __future__ import annotations

import math
from collections.abc import Sequence

from latentct.errors import InputError
from latentct.io.scan_geometry import ScanGeometry

BYTES_PER_VALUE = 24
"""What reading takes at its peak: the numbers as stored, and as float64 before and after the logarithm."""


def check_shape(shape: Sequence[int], geometry: ScanGeometry, name: str) -> None:
    """Refuse an array that does not hold the rays of its geometry.

    Args:
        shape: of a cone beam (A, V, U), of slices (S, A, U) or of one slice (A, U).
        geometry: where the rays are.
        name: what the message calls the array.

    Raises:
        InputError: shape and geometry differ.
    """
    expected = geometry.scan.sinogram_shape
    full = (1, *shape) if len(shape) == len(expected) == 2 else tuple(shape)
    found = full[len(full) - len(expected) :]
    if len(full) != 3 or found != expected or not full[0]:
        axes = "views, columns), one or more slices of it" if len(expected) == 2 else "views, rows, columns)"
        raise InputError(
            f"{name} have shape {full}, but their geometry expects {expected} ({axes}; correct one of them."
        )


def check_memory(shape: Sequence[int], name: str) -> None:
    """Refuse an array that this machine has no memory for.

    Raises:
        InputError: it is larger than what is free.
    """
    needed = BYTES_PER_VALUE * math.prod(shape)
    check_free(needed, f"{name} have shape {tuple(shape)}, which takes", "give fewer views or slices at a time")


def check_free(needed: float, what: str, remedy: str) -> None:
    """Refuse work that this machine has no memory for.

    Args:
        needed: bytes that it takes at its peak.
        what: beginning of the message, up to the number of GB.
        remedy: end of the message.

    Raises:
        InputError: it is more than what is free.
    """
    import psutil  # type: ignore[import-untyped]

    free = psutil.virtual_memory().available
    if needed > free:
        raise InputError(f"{what} {needed / 1e9:.1f} GB where {free / 1e9:.1f} GB of memory are free; {remedy}.")
