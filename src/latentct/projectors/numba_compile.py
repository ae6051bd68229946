"""How the kernels of the CPU backend are compiled and called.

Two facts of numba's thread pools are handled here, once: some pools must not be entered from two Python threads at a
time, and none survives a fork. Kernels therefore run behind a lock, and serially in a forked process such as the
worker of a data loader.
"""

from __future__ import annotations

import functools
import os
import threading
from collections.abc import Callable
from types import FunctionType
from typing import Any, TypeVar, cast

import numba

Function = TypeVar("Function", bound=Callable[..., Any])

OPTIONS = {"fastmath": True, "error_model": "numpy"}
"""Relaxed floating point order, and division as the processor does it, without a test."""

_pool_lock = threading.Lock()
_forked = threading.Event()
os.register_at_fork(after_in_child=_forked.set)


def kernel(function: Function) -> Function:
    """Compile a function with ``prange`` loops for all cores, with relaxed floating point order.

    Compilation happens at the first call; the machine code is kept on disk where a folder for it can be written.
    """
    name = f"{function.__name__}_serial"
    twin = FunctionType(function.__code__, function.__globals__, name)
    twin.__qualname__ = name  # numba's disk cache tells functions apart by this name, not by their options
    parallel = _kept(function, parallel=True)
    serial = _kept(twin)

    @functools.wraps(function)
    def call(*arguments: Any) -> Any:
        if _forked.is_set():
            return serial(*arguments)
        with _pool_lock:
            return parallel(*arguments)

    return cast("Function", call)


def _kept(function: Function, **options: bool) -> Function:
    """Compile with a cache on disk, or without one where numba finds no folder that it may write to."""
    try:
        return cast("Function", numba.njit(cache=True, **OPTIONS, **options)(function))
    except RuntimeError:
        return cast("Function", numba.njit(**OPTIONS, **options)(function))


def compiled(function: Function) -> Function:
    """Compile a function that kernels call, for one thread."""
    return cast("Function", numba.njit(**OPTIONS)(function))


def inlined(function: Function) -> Function:
    """Compile a helper into the kernels that call it."""
    return cast("Function", numba.njit(inline="always", **OPTIONS)(function))
