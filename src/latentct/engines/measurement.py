"""What a method may see of a simulated scan, and what is held back until its answer is frozen."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import torch
from einops import rearrange
from monai.engines.utils import PrepareBatch
from torch import Tensor

from latentct import keys as K
from latentct.errors import InputError
from latentct.geometry import Scan2D
from latentct.projectors import Projector, make_projector
from latentct.recon import Reconstructor
from latentct.simulate import truncate
from latentct.tasks import Metal, Task
from latentct.transforms import slice_grid

HELD_BACK = (K.IMAGE, K.SINOGRAM, K.REFERENCE, K.METAL, K.BODY)
"""Entries of a batch that no method may see."""


@dataclass(frozen=True)
class Measurement:
    """The S slices of a volume as a method sees them.

    Attributes:
        y: line integrals (S, 1, A, U), zero where not measured.
        ray_mask: bool (A, U) or (S, 1, A, U), True = measured.
        projector: grid of the slices and geometry of the rays.
    """

    y: Tensor
    ray_mask: Tensor
    projector: Projector

    @classmethod
    def complete(cls, y: Tensor, projector: Projector) -> Self:
        """Return the measurement of line integrals all of which were measured."""
        return cls(y, torch.ones(projector.scan.sinogram_shape, dtype=torch.bool, device=y.device), projector)

    def solve(self, method: Reconstructor) -> Tensor:
        """Return what a method makes of copies: it cannot change what the next one sees."""
        return method(self.y.clone(), self.projector, self.ray_mask.clone())


class FrozenOutputs:
    """Images that can be read but not changed any more.

    Each is a read-only copy with its SHA-256; reading compares the hash first and gives a fresh copy.

    Args:
        outputs: images (S, 1, H, W) by method.
    """

    def __init__(self, outputs: Mapping[str, Tensor]) -> None:
        self._arrays = {name: _read_only(x) for name, x in outputs.items()}
        self._hashes = {name: _sha256(array) for name, array in self._arrays.items()}

    def __iter__(self) -> Any:
        return iter(self._arrays)

    def array(self, name: str) -> np.ndarray:
        """Return the read-only array itself."""
        return self._arrays[name]

    def __getitem__(self, name: str) -> Tensor:
        """Return a copy of an image.

        Raises:
            RuntimeError: it is not what was frozen.
        """
        array = self._arrays[name]
        if _sha256(array) != self._hashes[name]:
            raise RuntimeError(f"the output of {name} was changed after it was frozen; its score would mean nothing")
        return torch.from_numpy(array.copy())


class HeldBack:
    """Entries of a batch under lock until the outputs of all methods are frozen.

    Args:
        contents: the entries by key.
    """

    def __init__(self, contents: Mapping[str, Any]) -> None:
        self.__contents = dict(contents)

    def open(self, outputs: FrozenOutputs) -> dict[str, Any]:
        """Return the entries, in exchange for frozen outputs.

        Raises:
            RuntimeError: the outputs are not frozen.
        """
        if not isinstance(outputs, FrozenOutputs):
            raise RuntimeError("the reference stays closed until the outputs of all methods are frozen")
        return dict(self.__contents)


class ScanPrepareBatch(PrepareBatch):
    """Give methods what they may see of a simulated scan, and hold the rest of the batch back.

    The entries of `HELD_BACK` leave the batch; in place of the image, the engine gets its place in space with NaN for
    every value. `measurement` and `held_back` are those of the newest batch.

    Args:
        scan: geometry the sinograms were simulated in.
        task: what is missing. Rays through metal were measured, too, but are corrupt: what they show without
            correction is no secret, and `as_measured` holds them; for other tasks it is zero where not measured.
    """

    def __init__(self, scan: Scan2D, task: Task) -> None:
        self.scan = scan
        self.task = task
        self.measurement: Measurement | None = None
        self.as_measured: Tensor | None = None
        self.held_back = HeldBack({})

    def __call__(
        self,
        batchdata: dict[str, Any],
        device: str | torch.device | None = None,
        non_blocking: bool = False,
        **kwargs: Any,
    ) -> tuple[Tensor, Tensor, tuple[()], dict[str, Any]]:
        """Return measured line integrals (1, 1, D, A, U), zero elsewhere, the image's place, and inferer arguments.

        Raises:
            InputError: a line integral is not finite.
        """
        volume = batchdata[K.IMAGE]
        y = torch.as_tensor(batchdata[K.SINOGRAM]).to(device)
        if not bool(torch.isfinite(y).all()):
            raise InputError(
                "the scan holds values that are not finite; replace NaN and infinity by HU, e.g. -1000 for air."
            )
        ray_mask = torch.as_tensor(batchdata[K.RAY_MASK]).to(device)[0]
        projector = make_projector(slice_grid(volume[0]), self.scan, "auto", str(y.device))
        self.held_back = HeldBack({key: batchdata.pop(key) for key in HELD_BACK if key in batchdata})
        y = rearrange(y, "b c d a u -> (b d) c a u")
        mask = ray_mask if ray_mask.ndim == 2 else ray_mask[:, None]
        self.measurement = Measurement(truncate(y, mask), mask, projector)
        self.as_measured = y if isinstance(self.task, Metal) else self.measurement.y.clone()
        inputs = rearrange(self.measurement.y, "d c a u -> c d a u")[None].clone()
        return inputs, torch.full_like(volume, torch.nan), (), {"projector": projector, "ray_mask": mask.clone()}


def _read_only(x: Tensor) -> np.ndarray:
    array = x.detach().cpu().numpy().copy()
    array.flags.writeable = False
    return array


def _sha256(array: np.ndarray) -> str:
    return hashlib.sha256(array.tobytes()).hexdigest()
