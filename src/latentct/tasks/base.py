"""What a task is: it says which rays of a scan are there."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Protocol

import torch

from latentct.errors import InputError
from latentct.geometry import Scan
from latentct.projectors import Projector


class Task(Protocol):
    """Which rays a method may use; all else is to be filled or left out.

    Attributes:
        name: Name of the task in tables, folders and configurations.
    """

    name: str

    def ray_mask(self, y: torch.Tensor, projector: Projector, measured: torch.Tensor | None = None) -> torch.Tensor:
        """Return the measured rays.

        Args:
            y: Line integrals (B, 1, A, U) of the machine.
            projector: Grid of the reconstruction and geometry of the rays.
            measured: bool, rays that other tasks leave; None: all. Only tasks that look at ``y`` need it.

        Returns:
            bool on the device of ``y``, True = measured: ``scan.sinogram_shape`` where the geometry decides,
            (B, 1, A, U) where the slice does.

        Raises:
            InputError: No ray is left, or the task does nothing.
        """


class GeometricTask(ABC):
    """A task whose mask depends on the scan alone and is shared by all slices."""

    name: str

    @abstractmethod
    def mask_of(self, scan: Scan) -> torch.Tensor:
        """Return the measured rays of a scan, bool of ``scan.sinogram_shape``, not checked."""

    def ray_mask(self, y: torch.Tensor, projector: Projector, measured: torch.Tensor | None = None) -> torch.Tensor:
        """Return the measured rays; see `Task.ray_mask`."""
        ray_mask = self.mask_of(projector.scan)
        n_measured, n = int(ray_mask.sum()), ray_mask.numel()
        if n_measured in (0, n):
            raise InputError(
                f"the task {self.name} leaves {n_measured} of {n} rays measured, which is nothing to reconstruct or "
                f"nothing to correct; change its settings ({self.settings()})."
            )
        return ray_mask.to(y.device)

    def settings(self) -> str:
        """Return the settings in words, for messages."""
        return ", ".join(f"{key}={value!r}" for key, value in vars(self).items())


def spread_over_rays(chosen: torch.Tensor, scan: Scan) -> torch.Tensor:
    """Return a mask of the views (A,) as one of ``scan.sinogram_shape``."""
    shape = scan.sinogram_shape
    return chosen.reshape(-1, *(1,) * (len(shape) - 1)).expand(shape).clone()
