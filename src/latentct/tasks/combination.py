"""Several tasks at once."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from latentct.errors import InputError
from latentct.projectors import Projector
from latentct.tasks.base import Task


class Combination:
    """A ray is measured if every one of several tasks leaves it.

    The tasks are asked in order and each is told what the ones before it left: put those that look at the data, as
    metal does, last.

    Args:
        tasks: The tasks.
    """

    name = "combination"

    def __init__(self, tasks: Sequence[Task]) -> None:
        if not tasks:
            raise InputError("the task combination has no tasks; name at least one.")
        self.tasks = tuple(tasks)

    def ray_mask(self, y: torch.Tensor, projector: Projector, measured: torch.Tensor | None = None) -> torch.Tensor:
        """Return the rays that all tasks leave; see `Task.ray_mask`."""
        left = torch.ones(projector.scan.sinogram_shape, dtype=torch.bool, device=y.device)
        left = left if measured is None else left & measured
        for task in self.tasks:
            left = left & task.ray_mask(y, projector, left)
        if not bool(left.any()):
            names = ", ".join(task.name for task in self.tasks)
            raise InputError(f"the tasks {names} leave no ray together; change their settings.")
        return left
