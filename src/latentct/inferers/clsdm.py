"""CLS-DM: sample volumes from a latent diffusion conditioned on few views, and make them agree with the views.

    cond = E(y),    z_k ~ p(z | cond) by DDIM,    x = mean_k G(z_k)

(arXiv 2507.11152, reimplemented from its description.) The consistency with the measured rays, the mean and standard
deviation over samples and views at any angles are ours.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from monai.inferers import Inferer
from torch import Tensor, nn

from latentct.inferers.consistency import ProjectionConsistency
from latentct.metrics import projection_residual
from latentct.networks import FewViewModel
from latentct.networks.diffusion import Refinement
from latentct.projectors import Projector
from latentct.units import MU_WATER_70KEV, hu_to_mu, x_to_hu


@dataclass(frozen=True)
class FewViewReconstruction:
    """What sampling returns, for B volumes and K samples of each.

    Attributes:
        x_mu: reconstruction (B, 1, D, H, W), 1/mm: the mean of the samples, after the consistency's last step if any.
        x_std_mu: standard deviation over the samples (B, 1, D, H, W), 1/mm; None of one sample.
        z: standardised latents (B, K, C, d, h, w) whose volumes' mean is `x_mu` before its last step: those of the
            samples, or after a search from their mean its only result, (B, 1, C, d, h, w).
        residual: projection residual of `x_mu` on the measured rays, relative, (B,).
        residual_sampled: the same of the mean of the samples as the diffusion alone gives them, (B,).
    """

    x_mu: Tensor
    x_std_mu: Tensor | None
    z: Tensor
    residual: Tensor
    residual_sampled: Tensor


class FewViewInferer(Inferer):
    """Reconstruct volumes from few cone-beam views by a `FewViewModel`.

    The noise of the K samples follows from the seed and is the same for every volume, so that a volume's result does
    not depend on those that are reconstructed with it.

    Args:
        hu_min: HU at network value 0.
        hu_max: HU at network value 1.
        steps: steps of DDIM.
        n_samples: K, samples of each volume.
        consistency: makes samples agree with the measured rays; None leaves them as they are.
        mu_water: attenuation of water in 1/mm at the energy of the scan.
        seed: of the noise.
        batch_size: samples that the decoder works on together.
        autocast: run the networks in bfloat16 where that is safe.
    """

    def __init__(
        self,
        hu_min: float,
        hu_max: float,
        steps: int = 25,
        n_samples: int = 4,
        consistency: ProjectionConsistency | None = None,
        mu_water: float = MU_WATER_70KEV,
        seed: int = 0,
        batch_size: int = 8,
        autocast: bool = True,
    ) -> None:
        super().__init__()
        self.hu_min, self.hu_max, self.mu_water = hu_min, hu_max, mu_water
        self.steps = steps
        self.n_samples = n_samples
        self.consistency = consistency
        self.seed = seed
        self.batch_size = batch_size
        self.autocast = autocast

    def __call__(
        self, inputs: Tensor, network: FewViewModel, *, projector: Projector, ray_mask: Tensor | None = None
    ) -> Tensor:
        """Return volumes (B, 1, D, H, W) in 1/mm; see `reconstruct`.

        With a network bound to it this is a reconstructor like any other, `(y, projector, ray_mask) -> x_mu`.
        """
        return self.reconstruct(inputs, network, projector=projector, ray_mask=ray_mask).x_mu

    @torch.no_grad()
    def reconstruct(
        self, y: Tensor, network: FewViewModel, *, projector: Projector, ray_mask: Tensor | None = None
    ) -> FewViewReconstruction:
        """Reconstruct the volumes of one scan.

        Args:
            y: line integrals (B, 1, A, V, U); what is not measured is not read.
            network: in eval mode.
            projector: of a cone beam, on the grid the network was trained on.
            ray_mask: bool, broadcastable to y, True = measured. None: all are.

        Raises:
            ValueError: the projector's grid is not the network's.
        """
        _check_grid(projector, network.conditioner)
        mask = torch.ones_like(y, dtype=torch.bool) if ray_mask is None else ray_mask.expand_as(y)
        y = torch.where(mask, y, 0.0)
        problem = _Problem(self, network, y, projector, mask)
        z = problem.sample()
        sampled = volumes = problem.decode(z)
        if self.consistency is not None:
            z = problem.searched(z if self.consistency.search_samples else z.mean(dim=1, keepdim=True))
            volumes = problem.decode(z)
        spread = volumes if z.shape[1] > 1 else sampled
        x_mu = volumes.mean(dim=1)
        if self.consistency is not None:
            x_mu = self.consistency.finish(x_mu, y, projector, mask)
        residual, residual_sampled = (projection_residual(projector(x), y, mask) for x in (x_mu, sampled.mean(dim=1)))
        x_std_mu = spread.std(dim=1) if self.n_samples > 1 else None
        return FewViewReconstruction(x_mu, x_std_mu, z, residual, residual_sampled)


class RegressionReconstructor:
    """The conditioner's own estimate of the volume as a reconstruction: no diffusion, no samples.

    Args:
        conditioner: `conditioner(y, scan)` has the volume as `x_hat`, as `ViewConditioner`; in eval mode.
        hu_min: HU at network value 0.
        hu_max: HU at network value 1.
        mu_water: attenuation of water in 1/mm at the energy of the scan.
        autocast: run the network in bfloat16 where that is safe.
    """

    def __init__(
        self,
        conditioner: nn.Module,
        hu_min: float,
        hu_max: float,
        mu_water: float = MU_WATER_70KEV,
        autocast: bool = True,
    ) -> None:
        self.conditioner = conditioner
        self.hu_min, self.hu_max, self.mu_water = hu_min, hu_max, mu_water
        self.autocast = autocast

    @torch.no_grad()
    def __call__(self, y: Tensor, projector: Projector, ray_mask: Tensor | None = None) -> Tensor:
        """Return volumes (B, 1, D, H, W) in 1/mm, not negative; arguments and errors as of `FewViewInferer`."""
        _check_grid(projector, self.conditioner)
        y = y if ray_mask is None else torch.where(ray_mask, y, 0.0)
        with torch.autocast(y.device.type, torch.bfloat16, enabled=self.autocast):
            x = self.conditioner(y, projector.scan).x_hat
        return hu_to_mu(x_to_hu(x.float(), self.hu_min, self.hu_max), self.mu_water).clamp_min(0.0)


class _Problem:
    """One scan of some volumes: what all steps of a reconstruction share.

    Samples of one volume stand in a row, (B * K, ...), where networks work on them.
    """

    def __init__(
        self, settings: FewViewInferer, network: FewViewModel, y: Tensor, projector: Projector, mask: Tensor
    ) -> None:
        self.settings, self.network, self.projector = settings, network, projector
        self.y, self.mask = y, mask
        with self._autocast():
            self.cond = network.condition(y, projector.scan).float()

    def sample(self) -> Tensor:
        """Return K latents (B, K, ...) of each volume that the diffusion gives."""
        s = self.settings
        shape = (s.n_samples, *self.network.latent_shape(self.projector.grid.shape))
        eps = torch.randn(shape, generator=torch.Generator().manual_seed(s.seed)).to(self.cond)
        with self._autocast():
            z = self.network.sample(self.cond, eps.repeat(len(self.cond), 1, 1, 1, 1), s.steps, self._refinement())
        return z.float().unflatten(0, (-1, s.n_samples))

    def searched(self, z: Tensor) -> Tensor:
        """Return latents (B, K', ...) that explain the measured rays better than those given."""
        return self._search(z.flatten(0, 1), None).unflatten(0, z.shape[:2])

    def decode(self, z: Tensor) -> Tensor:
        """Return volumes (B, K, 1, D, H, W) in 1/mm, not negative, of latents (B, K, ...)."""
        parts = z.flatten(0, 1).split(self.settings.batch_size)
        return torch.cat([self._volumes(part) for part in parts]).unflatten(0, z.shape[:2])

    def _search(self, z: Tensor, steps: int | None) -> Tensor:
        consistency = self.settings.consistency
        assert consistency is not None
        y, mask = (part.repeat_interleave(len(z) // len(part), dim=0) for part in (self.y, self.mask))
        parts = zip(*(t.split(self.settings.batch_size) for t in (z, y, mask)), strict=True)
        found = [consistency.search(z_, self._volumes, y, self.projector, m, steps) for z_, y, m in parts]
        return torch.cat(found)

    def _refinement(self) -> Refinement | None:
        consistency = self.settings.consistency
        if consistency is None or consistency.search_while_sampling == 0:
            return None
        steps = consistency.search_while_sampling
        return lambda z, t: self._search(z.float(), steps) if t <= 0.5 else z

    def _volumes(self, z: Tensor) -> Tensor:
        s = self.settings
        with self._autocast():
            x = self.network.decode(z)
        return hu_to_mu(x_to_hu(x.float(), s.hu_min, s.hu_max), s.mu_water).clamp_min(0.0)

    def _autocast(self) -> Any:
        return torch.autocast(self.y.device.type, torch.bfloat16, enabled=self.settings.autocast)


def _check_grid(projector: Projector, conditioner: Any) -> None:
    if projector.grid != conditioner.grid:
        raise ValueError(
            f"the views are to be reconstructed on {projector.grid}, but the network was trained on {conditioner.grid}"
        )
