"""What a method is made of, as a short text: the same settings and weights give the same one."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from torch import Tensor, nn

PLAIN = (type(None), bool, int, float, str, bytes)


def fingerprint(*things: Any) -> str:
    """Return 16 hexadecimal digits that follow from the settings and weights of things, and from nothing else.

    Objects count by their class and their attributes, networks by their class and weights, functions by their name.

    Args:
        things: plain values, tensors, networks, and objects and collections of them.

    >>> fingerprint({"n_iterations": 50}) == fingerprint({"n_iterations": 50})
    True
    """
    digest = hashlib.sha256()
    for part in _parts(things, ()):
        digest.update(part + b"\x00")
    return digest.hexdigest()[:16]


def _parts(thing: Any, within: tuple[int, ...]) -> Iterator[bytes]:
    """Give the parts of a thing one after the other; `within` are the objects that hold it, so that circles end."""
    if isinstance(thing, PLAIN):
        yield repr(thing).encode()
        return
    yield type(thing).__qualname__.encode()
    if isinstance(thing, Tensor | np.ndarray):
        yield from _array_parts(thing)
    elif id(thing) not in within:
        for content in _contents(thing):
            yield from _parts(content, (*within, id(thing)))


def _contents(thing: Any) -> list[Any]:
    if isinstance(thing, nn.Module):
        return list(thing.state_dict().items())
    if isinstance(thing, Mapping):
        return list(thing.items())
    if isinstance(thing, list | tuple):
        return list(thing)
    if isinstance(thing, functools.partial):
        return [thing.func, thing.args, thing.keywords]
    if callable(thing) and hasattr(thing, "__qualname__"):
        return [thing.__qualname__]
    return sorted(getattr(thing, "__dict__", {}).items())


def _array_parts(array: Tensor | np.ndarray) -> Iterator[bytes]:
    if isinstance(array, Tensor):
        values = array.detach().cpu()
        array = (values.float() if values.is_floating_point() else values).numpy()
    yield repr(array.shape).encode()
    yield np.ascontiguousarray(array).tobytes()
