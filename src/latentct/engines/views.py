"""Few cone-beam views of clean volumes, made as training goes along."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import torch
from ignite.engine import Engine, Events
from monai.engines.utils import PrepareBatch
from torch import Tensor

from latentct import keys
from latentct.geometry import ConeBeam, Grid
from latentct.projectors import make_projector
from latentct.simulate.noise import noisy
from latentct.units import MU_WATER_70KEV, hu_to_mu, x_to_hu


class DrawnViews(Protocol):
    """What draws a scan, e.g. `latentct.simulate.RandomViews`."""

    def draw(self, generator: torch.Generator) -> ConeBeam:
        """Return the scan of a batch."""


class FewViewPrepareBatch(PrepareBatch):
    """Scan the volumes of a batch with a few views, the same for all of it, and give the line integrals as input.

    The volumes are the targets; the network is called with ``scan=``. With a seed, chance is the batch maker's own and
    begins anew with every run of an engine it is attached to, so every validation sees the same views and noise.

    Args:
        grid: grid of the volumes.
        views: draws the scan of each batch; a list of scans is gone through in turn instead.
        hu_min: HU at network value 0.
        hu_max: HU at network value 1.
        mu_water: attenuation of water in 1/mm.
        i0_photons: photons a pixel without object, which give Poisson noise; None: no noise.
        seed: start of the own chance; None: chance is torch's global one.
        key: key of the volumes (B, 1, D, H, W) in the network range.
    """

    def __init__(
        self,
        grid: Grid,
        views: DrawnViews | Sequence[ConeBeam],
        hu_min: float,
        hu_max: float,
        mu_water: float = MU_WATER_70KEV,
        i0_photons: float | None = 1e6,
        seed: int | None = None,
        key: str = keys.IMAGE,
    ) -> None:
        self.grid, self.views = grid, views
        self.hu_min, self.hu_max, self.mu_water = hu_min, hu_max, mu_water
        self.i0_photons, self.seed, self.key = i0_photons, seed, key
        self.restart()

    def attach(self, engine: Engine) -> None:
        """Begin anew with every run of an engine."""
        engine.add_event_handler(Events.STARTED, self.restart)

    def restart(self) -> None:
        """Go back to the first batch; of torch's global chance, nothing is changed."""
        self._n_batches = 0
        self._generator = torch.default_generator
        if self.seed is not None:
            self._generator = torch.Generator().manual_seed(self.seed)

    def __call__(
        self,
        batchdata: Mapping[str, Any],
        device: str | torch.device | None = None,
        non_blocking: bool = False,
        **kwargs: Any,
    ) -> tuple[Tensor, Tensor, tuple[()], dict[str, Any]]:
        """Return line integrals (B, 1, A, V, U), volumes (B, 1, D, H, W), no arguments and the scan as `scan`."""
        image = torch.as_tensor(batchdata[self.key]).as_subclass(Tensor)
        image = image.to(device=device, non_blocking=non_blocking, **kwargs)
        scan = self._scan()
        return self.measured(image, scan), image, (), {"scan": scan}

    @torch.no_grad()
    def measured(self, image: Tensor, scan: ConeBeam) -> Tensor:
        """Return noisy line integrals (B, 1, A, V, U) of volumes (B, 1, D, H, W) in the network range."""
        x_mu = hu_to_mu(x_to_hu(image, self.hu_min, self.hu_max), self.mu_water).clamp_min(0.0)
        y = make_projector(self.grid, scan, "auto", image.device)(x_mu)
        if self.i0_photons is None:
            return y
        noise = torch.Generator(y.device).manual_seed(int(torch.randint(2**31, (), generator=self._generator)))
        return noisy(y, self.i0_photons, noise)

    def _scan(self) -> ConeBeam:
        self._n_batches += 1
        if isinstance(self.views, Sequence):
            return self.views[(self._n_batches - 1) % len(self.views)]
        return self.views.draw(self._generator)
