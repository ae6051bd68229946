"""The tasks by name."""

from __future__ import annotations

from typing import Any

from latentct.errors import InputError
from latentct.tasks.base import Task
from latentct.tasks.combination import Combination
from latentct.tasks.geometric import DeadPixels, LimitedAngle, SparseView, Truncation
from latentct.tasks.metal import Metal

TASKS: dict[str, type[Task]] = {
    task.name: task for task in (Truncation, Metal, LimitedAngle, SparseView, DeadPixels, Combination)
}


def make_task(name: str, **settings: Any) -> Task:
    """Build a task.

    Args:
        name: One of `TASKS`.
        settings: Arguments of its class.

    Raises:
        InputError: The name is not known.

    >>> make_task("sparse_view", n_views=32).name
    'sparse_view'
    """
    if name not in TASKS:
        raise InputError(f"the task {name!r} is not known; choose one of {', '.join(TASKS)}.")
    return TASKS[name](**settings)
