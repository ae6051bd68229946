"""Methods made of others: with a network bound to them, or of what another has found for the same scan."""

from __future__ import annotations

from typing import Any

import torch
from monai.inferers import Inferer
from torch import Tensor, nn

from latentct.inferers import LatentReconstructionInferer
from latentct.projectors import Projector
from latentct.recon import Reconstructor


class FoundBySearch:
    """The reconstructor that returns what the latent search of the evaluator has just found.

    Args:
        inferer: the search, which has seen the same scan.
    """

    def __init__(self, inferer: LatentReconstructionInferer) -> None:
        self.inferer = inferer

    def __call__(self, y: Tensor, projector: Projector, ray_mask: Tensor) -> Tensor:
        """Return slices (S, 1, H, W) in 1/mm."""
        assert self.inferer.last is not None
        return self.inferer.last.x_mu.clone()


class WithNetwork:
    """The reconstructor made of an inferer and the network it works with.

    Args:
        inferer: `(y, network, projector=..., ray_mask=...) -> x_mu`.
        network: in eval mode.
    """

    def __init__(self, inferer: Inferer, network: nn.Module) -> None:
        self.inferer: Any = inferer
        self.network = network

    def __call__(self, y: Tensor, projector: Projector, ray_mask: Tensor | None = None) -> Tensor:
        """Return what the inferer makes of line integrals."""
        return self.inferer(y, self.network, projector=projector, ray_mask=ray_mask)


class Remembered:
    """A reconstructor that runs once for a scan, however many methods ask it.

    Args:
        reconstructor: gives the same slices for the same scan.
    """

    def __init__(self, reconstructor: Reconstructor) -> None:
        self.reconstructor = reconstructor
        self._scan: tuple[Tensor, Projector, Tensor] | None = None
        self._x_mu = torch.empty(0)

    def __call__(self, y: Tensor, projector: Projector, ray_mask: Tensor) -> Tensor:
        """Return slices (S, 1, H, W) in 1/mm, a copy of those found before where the scan is the same."""
        if not self._knows(y, projector, ray_mask):
            self._x_mu = self.reconstructor(y, projector, ray_mask)
            self._scan = (y.clone(), projector, ray_mask.clone())
        return self._x_mu.clone()

    def _knows(self, y: Tensor, projector: Projector, ray_mask: Tensor) -> bool:
        if self._scan is None or self._scan[1] is not projector:
            return False
        return torch.equal(self._scan[0], y) and torch.equal(self._scan[2], ray_mask)
