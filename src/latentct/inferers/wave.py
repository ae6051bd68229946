"""The search for the latents of slices that are solved together."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor
from tqdm import tqdm

from latentct.inferers.curvature import latent_scale
from latentct.inferers.measured import misfit_weights
from latentct.inferers.result import LatentReconstruction
from latentct.inferers.search import Objective, SearchResult, lbfgs_search

if TYPE_CHECKING:
    from latentct.inferers.known_pixels import KnownPixels
    from latentct.inferers.problem import ScannedPrior


class Wave:
    """Slices of one scan that are searched together.

    Args:
        problem: the scan, or the pixels that stand for it, and the prior.
        y: line integrals (S, 1, A, U); what is not measured is not read.
        ray_mask: bool (A, U) or (S, 1, A, U), True = measured.
    """

    def __init__(self, problem: ScannedPrior | KnownPixels, y: Tensor, ray_mask: Tensor) -> None:
        self.problem = problem
        self.settings = problem.settings
        self.y, self.ray_mask = y, ray_mask
        mask = problem.part.of(ray_mask)
        self.q = torch.where(mask, problem.part.of(y), 0.0)
        self.weights = misfit_weights(self.q, mask, self.settings.weighting)
        self.n_rays = mask.expand_as(self.q).sum(dim=(1, 2, 3)).clamp_min(1)

    def solve(self, solved: Tensor | None, bar: tqdm) -> LatentReconstruction:
        """Search the slices; `solved` are the latents of the wave before, as many or more."""
        s, problem = self.settings, self.problem
        start = self._start(solved)
        scale = self.scale(start)
        found = self._search(start, scale, solved, bar)
        x_prior_mu = self.generate(found.z)
        y_hat = problem.complete(self.y, x_prior_mu, self.ray_mask)
        x_std_mu, y_std = self._spread(scale, bar) if s.n_samples else (None, None)
        return LatentReconstruction(
            x_mu=problem.reconstruct(y_hat),
            y_hat=y_hat,
            x_prior_mu=x_prior_mu,
            z=found.z,
            misfit=self.mean_square(x_prior_mu, torch.arange(len(self.y), device=self.y.device)).sqrt(),
            trace=found.trace.sqrt(),
            x_std_mu=x_std_mu,
            y_std=y_std,
        )

    def _search(self, z: Tensor, scale: Tensor, solved: Tensor | None, bar: tqdm) -> SearchResult:
        """Run the rounds of L-BFGS, each but the first from a new encoding of what the one before completed.

        A slice keeps the best latents of all rounds, so that an encoding that misleads does no harm.
        """
        s, problem = self.settings, self.problem
        neighbour = solved[: len(z)] if solved is not None and s.coherence_weight else None
        objective = self.objective(neighbour=neighbour)
        rounds: list[SearchResult] = []
        for steps in s.rounds:
            if rounds:
                completed = problem.complete(self.y, self.generate(rounds[-1].z), self.ray_mask)
                z = problem.encode_scan(completed)
            found = lbfgs_search(objective, z, steps, s.tolerance, scale=scale, on_step=bar.update)
            rounds.append(rounds[-1].followed_by(found) if rounds else found)
        return rounds[-1]

    def _start(self, solved: Tensor | None) -> Tensor:
        """Return for each slice the start asked for, of several the one with the lowest objective."""
        s, n = self.settings, len(self.y)
        candidates: list[Tensor] = []
        if "encoder" in s.starts:
            candidates.append(self.encoded_start())
        if "neighbour" in s.starts and solved is not None:
            candidates.append(solved[:n])
        if "random" in s.starts or not candidates:
            candidates.append(self.problem.random_latents(n))
        if len(candidates) == 1:
            return candidates[0]
        everything = torch.arange(n, device=self.y.device)
        with torch.no_grad():
            values = torch.stack([self.objective()(z, everything) for z in candidates])
        return torch.stack(candidates)[values.argmin(dim=0), everything]

    def encoded_start(self) -> Tensor:
        """Return the encoder's latents of the first guess."""
        return self.problem.encode(self.problem.first(self.y, self.ray_mask))

    def _spread(self, scale: Tensor, bar: tqdm) -> tuple[Tensor, Tensor]:
        """Return the standard deviations over samples of the completed slices and line integrals.

        A sample is drawn from the prior, becomes the centre of the prior's term and the start of its search: what the
        measured rays do not say stays as it was drawn (Bardsley, Solonen, Haario and Laine 2014, randomize then
        optimize, doi 10.1137/140964023, with the prior's perturbation alone).
        """
        s, problem = self.settings, self.problem
        x_samples, y_samples = [], []
        for _ in range(s.n_samples):
            centre = problem.random_latents(len(self.y))
            objective = self.objective(centre)
            found = lbfgs_search(objective, centre, sum(s.rounds), s.tolerance, scale=scale, on_step=bar.update)
            y_samples.append(problem.complete(self.y, self.generate(found.z), self.ray_mask))
            x_samples.append(problem.reconstruct(y_samples[-1]))
        y_std = torch.where(self.ray_mask, 0.0, torch.stack(y_samples).std(dim=0))
        return torch.stack(x_samples).std(dim=0), y_std

    def scale(self, z: Tensor) -> Tensor:
        """Return the units in which the misfit of these slices is about equally curved around z; see `latent_scale`."""
        weights = self.weights / self.n_rays[:, None, None, None]
        return latent_scale(self.rays, z, weights, self.settings.seed)

    def rays(self, z: Tensor) -> Tensor:
        """Return the modelled line integrals of G(z) that the search compares."""
        return self.problem.searched_rays(self.problem.decode(z))

    def objective(self, centre: Tensor | None = None, neighbour: Tensor | None = None) -> Objective:
        """Return J(z): mean over measured rays of weight (A G(z) - q)^2, and how far z is from where it is expected.

        The prior expects z at `centre`, 0 unless told otherwise; a coherent volume near the latents of its neighbour.
        """
        s = self.settings
        expected = [(s.prior_weight, centre), *([(s.coherence_weight, neighbour)] if neighbour is not None else [])]

        def objective(z: Tensor, which: Tensor) -> Tensor:
            value = self.mean_square(self.problem.decode(z), which)
            for weight, place in expected:
                away = z if place is None else z - place[which]
                value = value + weight * away.square().flatten(1).mean(dim=1)
            return value

        return objective

    def mean_square(self, x_mu: Tensor, which: Tensor) -> Tensor:
        """Return the weighted mean over measured rays of (A x - q)^2 for the slices `which`."""
        residual = self.problem.searched_rays(x_mu) - self.q[which]
        return (self.weights[which] * residual.square()).sum(dim=(1, 2, 3)) / self.n_rays[which]

    def generate(self, z: Tensor) -> Tensor:
        """Return G(z) in 1/mm without a gradient."""
        with torch.no_grad():
            return self.problem.decode(z)
