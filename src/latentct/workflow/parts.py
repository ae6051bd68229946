"""A work in parts, a few slices at a time."""

from collections.abc import Callable, Iterable, Sequence

Progress = Callable[[Sequence[slice]], Iterable[slice]]
"""Passes on the parts of a work one by one, and shows how far it is."""


def parts_of(n_slices: int, n_at_once: int) -> list[slice]:
    """Return ranges that cover the slices in order.

    >>> parts_of(5, 2)
    [slice(0, 2, None), slice(2, 4, None), slice(4, 5, None)]
    """
    return [slice(start, min(start + n_at_once, n_slices)) for start in range(0, n_slices, n_at_once)]
