"""The search for the latents of slices that are solved together."""

from __future__ import annotations

import torch
from torch import Tensor
from tqdm import tqdm

from latentct.inferers.measured import misfit_weights
from latentct.inferers.problem import ScannedPrior
from latentct.inferers.result import LatentReconstruction
from latentct.inferers.search import Objective, SearchResult, adam_search, lbfgs_search
from latentct.tasks import first_reconstruction


class Wave:
    """Slices of one scan that are searched together.

    Args:
        problem: the scan and the prior.
        y: line integrals (S, 1, A, U); what is not measured is not read.
        ray_mask: bool (A, U) or (S, 1, A, U), True = measured.
    """

    def __init__(self, problem: ScannedPrior, y: Tensor, ray_mask: Tensor) -> None:
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
        found, trace = self._search(self._start(solved), bar)
        y_hat = problem.complete(self.y, found.z, self.ray_mask)
        x_prior_mu = self._generate(found.z)
        x_std_mu, y_std = self._spread(bar) if s.n_samples else (None, None)
        return LatentReconstruction(
            x_mu=problem.reconstruct(y_hat),
            y_hat=y_hat,
            x_prior_mu=x_prior_mu,
            z=found.z,
            misfit=self._mean_square(x_prior_mu, torch.arange(len(self.y), device=self.y.device)).sqrt(),
            trace=trace.sqrt(),
            x_std_mu=x_std_mu,
            y_std=y_std,
        )

    def _search(self, z: Tensor, bar: tqdm) -> tuple[SearchResult, Tensor]:
        """Run the rounds of Adam, each but the first after a new encoding, then L-BFGS."""
        s, problem = self.settings, self.problem
        traces: list[Tensor] = []
        for i, steps in enumerate(s.rounds):
            if i:
                z = self._better(z, problem.encode_scan(problem.complete(self.y, z, self.ray_mask)))
            found = adam_search(self._objective(s.autocast), z, steps, s.learning_rate, s.tolerance, on_step=bar.update)
            z = found.z
            traces.append(found.trace)
        found = self._finish(z, bar)
        return found, torch.cat([*traces, found.trace])

    def _start(self, solved: Tensor | None) -> Tensor:
        """Return the best of the starts asked for, after a few steps of each."""
        s, n = self.settings, len(self.y)
        candidates: list[Tensor] = []
        if "encoder" in s.starts:
            candidates.append(self._encoded_start())
        if "neighbour" in s.starts and solved is not None:
            candidates.append(solved[:n])
        if "random" in s.starts or not candidates:
            candidates.append(self.problem.random_latents(n))
        best = candidates[0]
        if len(candidates) > 1:
            objective = self._objective(s.autocast)
            tried = [adam_search(objective, z, s.probe_steps, s.learning_rate) for z in candidates]
            values = torch.stack([t.value for t in tried])
            best = torch.stack([t.z for t in tried])[values.argmin(dim=0), torch.arange(n)]
        return best

    def _encoded_start(self) -> Tensor:
        s, scan = self.settings, self.problem.scan
        first = first_reconstruction(self.y, self.ray_mask, s.prior_grid, scan, s.mu_water, s.filter_name)
        return self.problem.encode(first)

    def _better(self, z: Tensor, other: Tensor) -> Tensor:
        """Keep the encoded latent unless a short search from it ends worse than where the slice stood."""
        s = self.settings
        objective = self._objective(s.autocast)
        everything = torch.arange(len(z), device=z.device)
        tried = adam_search(objective, other, s.probe_steps, s.learning_rate)
        with torch.no_grad():
            worse = tried.value > objective(z, everything)
        return torch.where(worse[:, None, None, None], z, tried.z)

    def _finish(self, z: Tensor, bar: tqdm, centre: Tensor | None = None) -> SearchResult:
        s = self.settings
        objective = self._objective(autocast=False, centre=centre)
        return lbfgs_search(objective, z, s.lbfgs_steps, s.tolerance / 20, on_step=bar.update)

    def _spread(self, bar: tqdm) -> tuple[Tensor, Tensor]:
        """Return the standard deviations over samples of the completed slices and line integrals.

        A sample is drawn from the prior, becomes the centre of the prior's term and the start of its search: what the
        measured rays do not say stays as it was drawn (Bardsley, Solonen, Haario and Laine 2014, randomize then
        optimize, doi 10.1137/140964023, with the prior's perturbation alone).
        """
        s, problem = self.settings, self.problem
        x_samples, y_samples = [], []
        for _ in range(s.n_samples):
            centre = problem.random_latents(len(self.y))
            objective = self._objective(s.autocast, centre)
            found = adam_search(objective, centre, s.rounds[0], s.learning_rate, s.tolerance, on_step=bar.update)
            found = self._finish(found.z, bar, centre)
            y_samples.append(problem.complete(self.y, found.z, self.ray_mask))
            x_samples.append(problem.reconstruct(y_samples[-1]))
        y_std = torch.where(self.ray_mask, 0.0, torch.stack(y_samples).std(dim=0))
        return torch.stack(x_samples).std(dim=0), y_std

    def _objective(self, autocast: bool, centre: Tensor | None = None) -> Objective:
        """Return J(z) = mean over measured rays of weight (A G(z) - q)^2, plus the prior's term about its centre."""
        prior_weight = self.settings.prior_weight

        def objective(z: Tensor, which: Tensor) -> Tensor:
            away = z if centre is None else z - centre[which]
            misfit = self._mean_square(self.problem.decode(z, autocast), which)
            return misfit + prior_weight * away.square().flatten(1).mean(dim=1)

        return objective

    def _mean_square(self, x_mu: Tensor, which: Tensor) -> Tensor:
        """Return the weighted mean over measured rays of (A x - q)^2 for the slices `which`."""
        residual = self.problem.searched_rays(x_mu) - self.q[which]
        return (self.weights[which] * residual.square()).sum(dim=(1, 2, 3)) / self.n_rays[which]

    def _generate(self, z: Tensor) -> Tensor:
        with torch.no_grad():
            return self.problem.decode(z)
