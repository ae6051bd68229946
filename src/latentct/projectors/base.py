"""What a projector is: a linear map and its exact transpose, differentiable in torch."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, cast

import torch

from latentct.geometry import Grid, Scan

LinearFunction = Callable[[torch.Tensor], torch.Tensor]


class _LinearMap(torch.autograd.Function):
    """Apply a linear function whose gradient is its transpose, to any order of differentiation."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, apply: LinearFunction, transposed: LinearFunction) -> torch.Tensor:
        ctx.function, ctx.function_transposed = apply, transposed
        return apply(x)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor, None, None]:
        return linear_map(gradients[0], ctx.function_transposed, ctx.function), None, None


def linear_map(x: torch.Tensor, apply: LinearFunction, transposed: LinearFunction) -> torch.Tensor:
    """Return ``apply(x)``; gradients flow through ``transposed``.

    Args:
        x: Argument of ``apply``.
        apply: A linear function of one tensor.
        transposed: Its exact transpose.
    """
    return cast("torch.Tensor", _LinearMap.apply(x, apply, transposed))  # type: ignore[no-untyped-call]


class Projector(ABC):
    """The projection ``A`` of images on one grid to the line integrals of one scan, and its exact transpose.

    Backends implement `_project` and `_backproject` on stacks without batch and channel axes; this class flattens,
    checks and differentiates. The gradient of `forward` is `adjoint` and the reverse.

    Attributes:
        grid: Where the pixels are.
        scan: Where the rays are.
        dtypes: Data types the backend computes in; other tensors are converted to the first.
    """

    dtypes: tuple[torch.dtype, ...] = (torch.float32,)

    def __init__(self, grid: Grid, scan: Scan) -> None:
        self.grid = grid
        self.scan = scan

    @abstractmethod
    def _project(self, x: torch.Tensor) -> torch.Tensor:
        """Map (N, *grid.shape) to (N, *scan.sinogram_shape)."""

    @abstractmethod
    def _backproject(self, y: torch.Tensor) -> torch.Tensor:
        """Map (N, *scan.sinogram_shape) to (N, *grid.shape)."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the line integrals ``A x``.

        Args:
            x: Images (B, C, H, W) or volumes (B, C, D, H, W) on ``grid``, in 1/mm.

        Returns:
            Line integrals (B, C, A, U) or (B, C, A, V, U), dimensionless (unit of ``x`` times mm).

        Raises:
            ValueError: The last axes of ``x`` are not ``grid.shape``.
        """
        return self._apply(x, self._project, self._backproject, self.grid.shape, self.scan.sinogram_shape)

    def adjoint(self, y: torch.Tensor) -> torch.Tensor:
        """Return ``A^T y``, the exact transpose of `forward`.

        Args:
            y: Line integrals (B, C, A, U) or (B, C, A, V, U).

        Returns:
            Images (B, C, H, W) or volumes (B, C, D, H, W), in the unit of ``y`` times mm.

        Raises:
            ValueError: The last axes of ``y`` are not ``scan.sinogram_shape``.
        """
        return self._apply(y, self._backproject, self._project, self.scan.sinogram_shape, self.grid.shape)

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        """Return ``forward(x)``."""
        return self.forward(x)

    @property
    def T(self) -> TransposedProjector:
        """The transposed operator: ``A.T(y)`` is ``A.adjoint(y)``."""
        return TransposedProjector(self)

    def masked(self, ray_mask: torch.Tensor) -> Projector:
        """Return ``M A``, the projector that knows the measured rays only.

        Rays that were not measured are zero in `forward` and not read in `adjoint`; the numba backend does not compute
        what no slice of a plane scan has measured.

        Args:
            ray_mask: bool, broadcastable to the line integrals, True = measured: ``scan.sinogram_shape`` for a mask
                that all slices share, (B, 1, A, U) or (B, 1, A, V, U) for one mask a slice, such as a metal trace.
        """
        return MaskedProjector(self, ray_mask)

    def _apply(
        self,
        data: torch.Tensor,
        apply: LinearFunction,
        transposed: LinearFunction,
        shape_in: tuple[int, ...],
        shape_out: tuple[int, ...],
    ) -> torch.Tensor:
        lead, trail = data.shape[: -len(shape_in)], data.shape[-len(shape_in) :]
        if tuple(trail) != shape_in:
            raise ValueError(f"{type(self).__name__} takes tensors ending in {shape_in}, not {tuple(data.shape)}")
        if data.dtype not in self.dtypes:
            data = data.to(self.dtypes[0])
        return linear_map(data.reshape(-1, *shape_in), apply, transposed).reshape(*lead, *shape_out)


class TransposedProjector:
    """The transpose of a projector, itself a callable linear operator."""

    def __init__(self, projector: Projector) -> None:
        self.T = projector

    def forward(self, y: torch.Tensor) -> torch.Tensor:
        """Return ``A^T y``."""
        return self.T.adjoint(y)

    def adjoint(self, x: torch.Tensor) -> torch.Tensor:
        """Return ``A x``."""
        return self.T.forward(x)

    def __call__(self, y: torch.Tensor) -> torch.Tensor:
        """Return ``A^T y``."""
        return self.forward(y)


class MaskedProjector(Projector):
    """A projector followed by a mask of the rays, one for all slices or one a slice."""

    def __init__(self, projector: Projector, ray_mask: torch.Tensor) -> None:
        super().__init__(projector.grid, projector.scan)
        self.dtypes = projector.dtypes
        self._projector = projector
        self._ray_mask = ray_mask

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return ``M A x``; see `Projector.forward`."""
        return self._measured(super().forward(x))

    def adjoint(self, y: torch.Tensor) -> torch.Tensor:
        """Return ``A^T M y``; see `Projector.adjoint`."""
        return super().adjoint(self._measured(y))

    def _measured(self, y: torch.Tensor) -> torch.Tensor:
        return torch.where(self._ray_mask, y, 0)

    def _project(self, x: torch.Tensor) -> torch.Tensor:
        return self._projector._project(x)

    def _backproject(self, y: torch.Tensor) -> torch.Tensor:
        return self._projector._backproject(y)
