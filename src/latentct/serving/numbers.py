"""Arrays from the nested lists of a request, which may hold anything."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from latentct.errors import InputError
from latentct.geometry import Scan
from latentct.serving.limits import check_projections_shape


def numbers(value: list[Any], scan: Scan, name: str) -> NDArray[Any]:
    """Return the projections of a scan.

    Raises:
        InputError: the lists have another shape, are uneven, or hold something other than numbers.
    """
    check_projections_shape(_first_shape(value), scan, name)
    array = _array(value, name, "numbers")
    if array.dtype.kind not in "iuf":
        raise InputError(f"{name} holds something other than numbers; send line integrals.")
    check_projections_shape(array.shape, scan, name)
    return array


def booleans(value: list[Any], scan: Scan, name: str) -> NDArray[np.bool_]:
    """Return the ray mask of a scan.

    Raises:
        InputError: the lists have another shape, are uneven, hold something other than true and false, or no true.
    """
    expected = scan.sinogram_shape
    if _first_shape(value) == expected:
        array = _array(value, name, "true or false")
        if array.dtype != bool:
            raise InputError(f"{name} holds something other than true and false; send true where a ray was measured.")
        if not array.any():
            raise InputError(f"{name} says that no ray was measured; send true where one was.")
        if array.shape == expected:
            return array
    raise InputError(f"{name} has shape {_first_shape(value)}, but {expected} (views, bins) is expected; send that.")


def _array(value: list[Any], name: str, content: str) -> NDArray[Any]:
    try:
        return np.array(value)
    except ValueError as error:
        raise InputError(f"{name} holds lists of different lengths; send {content} in even rows.") from error


def _first_shape(value: Any) -> tuple[int, ...]:
    """Return the lengths of the first list of each depth, of ten at most."""
    shape = []
    while isinstance(value, list) and len(shape) < 10:
        shape.append(len(value))
        value = value[0] if value else None
    return tuple(shape)
