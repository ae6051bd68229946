"""Arrays from the nested lists of a request, which may hold anything."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from latentct.errors import InputError
from latentct.geometry import Scan
from latentct.serving.limits import check_projections_shape


def numbers(value: list[Any], scan: Scan, name: str) -> NDArray[np.float64]:
    """Return the projections of a scan.

    Raises:
        InputError: the lists have another shape, are uneven, or hold something other than numbers.
    """
    shape = _first_shape(value)
    check_projections_shape(shape, scan, name)
    _check_lists(value, shape, {int, float}, name, "numbers")
    try:
        return np.array(value, dtype=np.float64)
    except OverflowError as error:
        raise InputError(f"{name} holds a number that is too large; send line integrals.") from error


def booleans(value: list[Any], scan: Scan, name: str) -> NDArray[np.bool_]:
    """Return the ray mask of a scan.

    Raises:
        InputError: the lists have another shape, are uneven, hold something other than true and false, or no true.
    """
    shape, expected = _first_shape(value), scan.sinogram_shape
    if shape != expected:
        raise InputError(f"{name} has shape {shape}, but {expected} (views, bins) is expected; send that.")
    _check_lists(value, shape, {bool}, name, "true and false")
    mask = np.array(value)
    if not mask.any():
        raise InputError(f"{name} says that no ray was measured; send true where one was.")
    return mask


def _first_shape(value: Any) -> tuple[int, ...]:
    """Return the lengths of the first list of each depth, of ten at most."""
    shape: list[int] = []
    while isinstance(value, list) and len(shape) < 10:
        shape.append(len(value))
        value = value[0] if value else None
    return tuple(shape)


def _check_lists(value: Any, shape: tuple[int, ...], types: set[type], name: str, content: str) -> None:
    """Refuse what is not of this shape and these types, before numpy makes room for the largest of what is there."""
    if not isinstance(value, list) or len(value) != shape[0]:
        raise InputError(f"{name} holds lists of different lengths or depths; send {content} in even rows.")
    if len(shape) > 1:
        for row in value:
            _check_lists(row, shape[1:], types, name, content)
    elif not set(map(type, value)) <= types:
        raise InputError(f"{name} holds something other than {content}; send {content} only.")
