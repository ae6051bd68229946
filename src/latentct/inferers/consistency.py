"""Make sampled volumes agree with the measured views: first within what the decoder can express, then beyond it."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from latentct.inferers.search import Objective, adam_search
from latentct.projectors import Projector
from latentct.recon import tv
from latentct.units import MU_WATER_70KEV

Decoder = Callable[[Tensor], Tensor]
"""`decode(z)` gives volumes (B, 1, D, H, W) in 1/mm of standardised latents (B, C, d, h, w)."""


class ProjectionConsistency:
    """Search latents whose volumes explain the measured rays, then let the rays have the last word on the voxels.

    1. z* = argmin_z mean |M (A G(z) - y)|^2 + w mean |z - z_sampled|^2, as in latent space
       reconstruction (Kabelac et al. 2025, doi 10.1002/mp.17910), but near the sample: the diffusion is the prior.
       One search begins at the mean of the samples' latents, or each sample has its own.
    2. The decoded volume, of several their mean, is both start and prior image of a total variation,
       x = argmin_{x >= 0} |M (A x - y)|^2 / (2 s) + w' [(1 - a) TV(x) + a TV(x - x_sampled)],
       see `latentct.recon.tv`: edges that the sample has are free, what no ray sees stays near it, and what the decoder
       cannot express comes from the rays. Its few steps stop before noise is fitted.

    Args:
        search_steps: steps of Adam on the latents; 0 leaves them as they are.
        learning_rate: first step size of Adam, in standard deviations of z.
        latent_weight: w, in squared line integrals per squared standard deviation of z.
        search_samples: search from each sample, whose spread then is that of volumes that explain the rays; as many
            times as long.
        search_while_sampling: steps of Adam on the estimate of the clean latents in every second half of the sampling's
            steps; 0 searches after the sampling only.
        tv_iterations: steps of the total variation; 0 leaves the decoded volume as it is.
        tv_weight: w' of 8 views relative to the attenuation of water; it is in inverse proportion to their number.
        prior_share: a, in [0, 1].
        mu_water: attenuation of water in 1/mm at the energy of the scan.
    """

    def __init__(
        self,
        search_steps: int = 20,
        learning_rate: float = 0.05,
        latent_weight: float = 1e-2,
        search_samples: bool = False,
        search_while_sampling: int = 0,
        tv_iterations: int = 150,
        tv_weight: float = 0.01,
        prior_share: float = 0.3,
        mu_water: float = MU_WATER_70KEV,
    ) -> None:
        self.search_steps = search_steps
        self.learning_rate = learning_rate
        self.latent_weight = latent_weight
        self.search_samples = search_samples
        self.search_while_sampling = search_while_sampling
        self.tv_iterations = tv_iterations
        self.tv_weight = tv_weight
        self.prior_share = prior_share
        self.mu_water = mu_water

    def search(
        self,
        z: Tensor,
        decode: Decoder,
        y: Tensor,
        projector: Projector,
        ray_mask: Tensor | None = None,
        steps: int | None = None,
    ) -> Tensor:
        """Return latents (B, C, d, h, w) near those given whose volumes explain the measured rays better.

        Args:
            z: standardised latents (B, C, d, h, w).
            decode: from latents to volumes in 1/mm; gradients flow through it.
            y: line integrals (B, 1, A, V, U), one scan an item of z; what is not measured is not read.
            projector: of the scan, on the grid of the decoded volumes.
            ray_mask: bool, broadcastable to y, True = measured. None: all are.
            steps: steps of Adam; None takes `search_steps`.
        """
        steps = self.search_steps if steps is None else steps
        if steps == 0:
            return z
        objective = self._objective(z, decode, y, projector, ray_mask)
        return adam_search(objective, z, steps, self.learning_rate).z

    def finish(self, x_mu: Tensor, y: Tensor, projector: Projector, ray_mask: Tensor | None = None) -> Tensor:
        """Return the total variation's volume (B, 1, D, H, W) in 1/mm with `x_mu` as start and prior image."""
        if self.tv_iterations == 0:
            return x_mu
        return tv(
            y,
            projector,
            ray_mask,
            weight=self.tv_weight * 8 / projector.scan.n_views,
            n_iterations=self.tv_iterations,
            mu_water=self.mu_water,
            step_ratio=1.0,
            x_start=x_mu,
            x_prior=x_mu,
            prior_share=self.prior_share,
        )

    def _objective(
        self, start: Tensor, decode: Decoder, y: Tensor, projector: Projector, ray_mask: Tensor | None
    ) -> Objective:
        mask = torch.ones_like(y, dtype=torch.bool) if ray_mask is None else ray_mask.expand_as(y)
        n_rays = mask.flatten(1).sum(dim=1).clamp_min(1)

        def objective(z: Tensor, which: Tensor) -> Tensor:
            residual = torch.where(mask[which], projector(decode(z)) - y[which], 0.0)
            misfit = residual.square().flatten(1).sum(dim=1) / n_rays[which]
            return misfit + self.latent_weight * (z - start[which]).square().flatten(1).mean(dim=1)

        return objective
