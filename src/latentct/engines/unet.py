"""What training the U-Net of a task adds: scans of clean slices, made as training goes along."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from ignite.engine import Engine, Events
from monai.engines.utils import PrepareBatch
from torch import Tensor

from latentct import keys
from latentct.engines.corruption import between
from latentct.engines.vae import BodyError
from latentct.errors import InputError
from latentct.geometry import Grid, ParallelBeam
from latentct.projectors import Projector, make_projector
from latentct.recon import fbp
from latentct.simulate import Scanner
from latentct.tasks import Task, first_reconstruction
from latentct.transforms import body_mask
from latentct.transforms.implants import Implants, SliceCase, SliceMetal
from latentct.units import MU_WATER_70KEV, NETWORK_RANGE, hu_to_mu, hu_to_x, mu_to_hu, x_to_hu

FloatImage = npt.NDArray[np.float32]
BoolImage = npt.NDArray[np.bool_]


class FirstReconstructions:
    """Scan clean slices anew for each batch: what `first_reconstruction` makes of the scan, and of a complete one.

    The first is a U-Net's input. The second is its target, the same reference that methods are compared with: filtered
    back-projection of a complete scan without metal, noise and scatter by the same beam. Were the slice itself the
    target, a network would also learn to undo the back-projection's own blur, which no reference lacks.

    The scan is parallel, as wide as the slice's diagonal and begins at angle 0. How many views half a turn has and how
    long the arc is are drawn from their ranges. Views that a task leaves out need no simulation, so a limited arc or a
    sparse scan is drawn as what is left of it, without a task. All chance is torch's global one.

    Args:
        grid: grid of the slices.
        hu_min: HU at network value 0.
        hu_max: HU at network value 1.
        n_views: smallest and largest number of views over half a turn.
        arc_rad: shortest and longest arc.
        bin_mm: distance of the detector bins.
        task: says which rays of the scan are missing; None: none is.
        scanner: simulates the measurement; None: line integrals of one energy without noise.
        implants: puts metal in every slice that has room for it; needs a scanner. None: no metal.
        mu_water: attenuation of water in 1/mm at the reference energy.
        complete_views: views over half a turn of the complete scan.

    Example:
        >>> scans = FirstReconstructions(Grid((32, 32), (16.0, 16.0)), -1000.0, 3000.0, n_views=(8, 16))
        >>> first, complete = scans(torch.rand(2, 1, 32, 32))
        >>> first.shape, complete.shape
        (torch.Size([2, 1, 32, 32]), torch.Size([2, 1, 32, 32]))
    """

    def __init__(
        self,
        grid: Grid,
        hu_min: float,
        hu_max: float,
        n_views: Sequence[int] = (180, 180),
        arc_rad: Sequence[float] = (math.pi, math.pi),
        bin_mm: float = 2.0,
        task: Task | None = None,
        scanner: Scanner | None = None,
        implants: Implants | None = None,
        mu_water: float = MU_WATER_70KEV,
        complete_views: int = 180,
    ) -> None:
        self.grid = grid
        self.hu_min, self.hu_max = hu_min, hu_max
        self.n_views, self.arc_rad, self.bin_mm = n_views, arc_rad, bin_mm
        self.task, self.scanner, self.implants = task, scanner, implants
        self.mu_water = mu_water
        self.n_bins = 2 * math.ceil(math.hypot(*grid.extent_mm) / bin_mm / 2)
        self.complete = self._scan(complete_views, math.pi)

    def __call__(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return first and complete reconstructions of clean slices, all (B, 1, H, W) in the network range.

        The first ones are clipped as a network will see them; both are on the device of `x`.
        """
        with torch.no_grad():
            plain = x.cpu().as_subclass(Tensor)  # MONAI's tensors are not for the projector
            x_mu = hu_to_mu(x_to_hu(plain, self.hu_min, self.hu_max), self.mu_water).clamp_min(0.0)
            first = self._to_x(self._first(x_mu, self._draw_scan())).clamp(*NETWORK_RANGE)
            complete = self._to_x(self._reference(x_mu))
        return first.to(x.device), complete.to(x.device)

    def _scan(self, n_views: int, arc_rad: float) -> ParallelBeam:
        return ParallelBeam.equally_spaced(n_views, arc_rad, self.n_bins, self.bin_mm)

    def _draw_scan(self) -> ParallelBeam:
        arc_rad = between(self.arc_rad)
        return self._scan(round(between(self.n_views) * arc_rad / math.pi), arc_rad)

    def _to_x(self, x_mu: Tensor) -> Tensor:
        return hu_to_x(mu_to_hu(x_mu, self.mu_water), self.hu_min, self.hu_max)

    def _first(self, x_mu: Tensor, scan: ParallelBeam) -> Tensor:
        projector = make_projector(self.grid, scan)
        y = self._measured(x_mu, projector)
        ray_mask = torch.ones(scan.sinogram_shape, dtype=torch.bool)
        if self.task is not None:
            ray_mask = self.task.ray_mask(y, projector)
        return first_reconstruction(y, ray_mask, self.grid, scan, self.mu_water)

    def _reference(self, x_mu: Tensor) -> Tensor:
        projector = make_projector(self.grid, self.complete)
        y = projector(x_mu) if self.scanner is None else self.scanner.noiseless().scan(x_mu, projector)
        return fbp(y, self.grid, self.complete)

    def _measured(self, x_mu: Tensor, projector: Projector) -> Tensor:
        """Return the line integrals (B, 1, A, U) that the machine measures, all of them."""
        if self.scanner is None:
            return projector(x_mu)
        y = torch.empty(len(x_mu), 1, *projector.scan.sinogram_shape)
        for metal, which in self._metal(x_mu):
            y[which] = self.scanner.scan(x_mu[which], projector, metal)
        return y

    def _metal(self, x_mu: Tensor) -> list[tuple[dict[str, Tensor], list[int]]]:
        """Return the metal of the slices by material, each with the slices it is in, which are scanned together."""
        if self.implants is None:
            return [({}, list(range(len(x_mu))))]
        slices_hu = mu_to_hu(x_mu, self.mu_water)[:, 0].numpy()
        bodies = body_mask(slices_hu, self.grid.spacing_mm)
        drawn = [self._implant(x_hu, body) for x_hu, body in zip(slices_hu, bodies, strict=True)]
        groups: list[tuple[dict[str, Tensor], list[int]]] = []
        for material in {metal.material if metal else "" for metal in drawn}:
            which = [i for i, metal in enumerate(drawn) if (metal.material if metal else "") == material]
            fractions = [metal.fraction for metal in drawn if metal and metal.material == material]
            groups.append(({material: torch.stack(fractions)[:, None]} if fractions else {}, which))
        return groups

    def _implant(self, x_hu: FloatImage, body: BoolImage) -> SliceMetal | None:
        """Return the metal of a slice; None where the body has no room for what was drawn."""
        assert self.implants is not None
        try:
            return self.implants(x_hu, body, self.grid, SliceCase(int(torch.randint(2**31, ())), "training", 0, 1))
        except InputError:
            return None


class ScannedPrepareBatch(PrepareBatch):
    """Give a U-Net the first reconstructions of scanned slices as input and the complete ones as target.

    Args:
        scans: from clean slices (B, 1, H, W) in the network range to both.
        key: key of the slices in the batch.
    """

    def __init__(self, scans: Callable[[Tensor], tuple[Tensor, Tensor]], key: str = keys.IMAGE) -> None:
        self.scans = scans
        self.key = key

    def __call__(
        self,
        batchdata: Mapping[str, Any],
        device: str | torch.device | None = None,
        non_blocking: bool = False,
        **kwargs: Any,
    ) -> tuple[Tensor, Tensor]:
        """Return input and target, both (B, 1, H, W) on `device`."""
        first, complete = self.scans(torch.as_tensor(batchdata[self.key]))
        to = {"device": device, "non_blocking": non_blocking, **kwargs}
        return first.to(**to), complete.to(**to)


class FirstReconstructionError(BodyError):
    """`BodyError` of the first reconstruction, which is the network's input: what a U-Net starts from."""

    def __call__(self, output: Mapping[str, Tensor]) -> float:
        """Return the mean over the batch, from the entries `label` and `image` (B, 1, H, W) in the network range."""
        return super().__call__({keys.LABEL: output[keys.LABEL], keys.PRED: output[keys.IMAGE]})


class SameDraws:
    """Give every run of an evaluator the same random scans, and leave torch's chance as it found it.

    Args:
        seed: where torch's global generator starts in each run.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self._state = torch.get_rng_state()

    def attach(self, engine: Engine) -> None:
        """Follow an evaluator."""
        engine.add_event_handler(Events.STARTED, self._begin)
        engine.add_event_handler(Events.COMPLETED, self._end)

    def _begin(self) -> None:
        self._state = torch.get_rng_state()
        torch.manual_seed(self.seed)

    def _end(self) -> None:
        torch.set_rng_state(self._state)
