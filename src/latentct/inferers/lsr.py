"""Latent space reconstruction: search the prior for the image that explains the measured rays, then fill the others.

    z* = argmin_z |M (A G(z) - q)|^2 + w |z|^2,     p = M q + (1 - M) A G(z*),     x = FBP(p)

(Kabelac et al., Medical Physics 2025, doi 10.1002/mp.17910.) M is the ray mask, q the measured line integrals, A the
projector and G the decoder. Steps marked with the paper's symbols follow it; the encoder's start, the repeated
encoding, the L-BFGS of each slice's own and the smooth seam are ours.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from monai.inferers import Inferer
from torch import Tensor, nn
from tqdm import tqdm

from latentct.correction import adaptive_detruncation
from latentct.correction.seam import smooth_seam
from latentct.errors import InputError
from latentct.geometry import Grid, Scan2D
from latentct.inferers.search import Objective, SearchResult, adam_search, lbfgs_search
from latentct.projectors import Projector, make_projector
from latentct.recon import fbp
from latentct.units import MU_WATER_70KEV, hu_to_mu, hu_to_x, mu_to_hu, x_to_hu

STARTS = ("encoder", "neighbour", "random")


@dataclass(frozen=True)
class LatentReconstruction:
    """What the search returns, for S slices.

    Attributes:
        x_mu: corrected slices (S, 1, H, W) on the scan's grid, 1/mm.
        y_hat: corrected line integrals (S, 1, A, U); the measured ones bit for bit as they came in.
        x_prior_mu: G(z*), the prior's slices (S, 1, H', W') on its own grid, 1/mm.
        z: the latents z* (S, C, h, w).
        misfit: root mean squared misfit of the measured line integrals of G(z*), (S,).
        trace: square root of the objective, prior's term included, after each step of the search, (steps, S); where a
            wave stopped early its last row is repeated.
    """

    x_mu: Tensor
    y_hat: Tensor
    x_prior_mu: Tensor
    z: Tensor
    misfit: Tensor
    trace: Tensor


class LatentReconstructionInferer(Inferer):
    """Correct scans with missing rays by latent space reconstruction.

    The prior's grid and the scan's are independent: G(z*) is projected from the prior's grid onto the scan's detector,
    and the result is reconstructed on the scan's own grid. Slices are searched in waves of `batch_size`, interleaved
    along z, so that from the second wave on every slice has a solved neighbour.

    Args:
        prior_grid: the 2-D grid the network was trained on.
        hu_min: HU at network value 0.
        hu_max: HU at network value 1.
        starts: where the search starts, of `STARTS`; of several, each slice keeps the one with the lowest objective
            after `probe_steps` steps.
        rounds: Adam steps of each round; before a round that follows another, the corrected image is encoded anew.
        learning_rate: first step size of Adam, in units of z.
        lbfgs_steps: largest number of L-BFGS steps after the last round.
        tolerance: a slice leaves a round when its objective falls by less than this fraction over 20 steps.
        prior_weight: w, in squared line integrals per squared unit of z, both as means.
        search_views: about how many views the search uses; the result always uses all.
        batch_size: slices searched together.
        probe_steps: Adam steps each of several starts gets.
        mu_water: attenuation of water in 1/mm at the energy of the scan.
        filter_name: ramp filter of the reconstruction.
        autocast: run the decoder in bfloat16 during Adam; L-BFGS always runs in float32.
        seed: of the random starts.
        progress: show a progress bar.

    Raises:
        ValueError: a start is not known.
    """

    def __init__(
        self,
        prior_grid: Grid,
        hu_min: float,
        hu_max: float,
        starts: Sequence[str] = ("encoder",),
        rounds: Sequence[int] = (100, 100),
        learning_rate: float = 0.05,
        lbfgs_steps: int = 20,
        tolerance: float = 0.01,
        prior_weight: float = 1e-5,
        search_views: int = 120,
        batch_size: int = 32,
        probe_steps: int = 20,
        mu_water: float = MU_WATER_70KEV,
        filter_name: str = "ram-lak",
        autocast: bool = True,
        seed: int = 0,
        progress: bool = True,
    ) -> None:
        super().__init__()
        if not starts or set(starts) - set(STARTS):
            raise ValueError(f"starts are {list(starts)}; choose from {', '.join(STARTS)}")
        self.prior_grid = prior_grid
        self.hu_min, self.hu_max = hu_min, hu_max
        self.starts = tuple(starts)
        self.rounds = tuple(rounds)
        self.learning_rate = learning_rate
        self.lbfgs_steps = lbfgs_steps
        self.tolerance = tolerance
        self.prior_weight = prior_weight
        self.search_views = search_views
        self.batch_size = batch_size
        self.probe_steps = probe_steps
        self.mu_water = mu_water
        self.filter_name = filter_name
        self.autocast = autocast
        self.seed = seed
        self.progress = progress
        self.last: LatentReconstruction | None = None

    def __call__(self, inputs: Tensor, network: nn.Module, *, projector: Projector, ray_mask: Tensor) -> Tensor:
        """Correct batches of slices or volumes, as MONAI's engines call it; `last` then holds the whole result.

        With a network bound to it this is a reconstructor like any other, `(y, projector, ray_mask) -> x_mu`.

        Args:
            inputs: line integrals (B, 1, A, U), or (B, 1, D, A, U) for volumes of D slices.
            network: see `reconstruct`.
            projector: see `reconstruct`.
            ray_mask: see `reconstruct`.

        Returns:
            Corrected slices (B, 1, H, W) or volumes (B, 1, D, H, W) in 1/mm.
        """
        slices = inputs.reshape(-1, 1, *inputs.shape[-2:])
        self.last = self.reconstruct(slices, network, projector=projector, ray_mask=ray_mask)
        return self.last.x_mu.reshape(*inputs.shape[:-2], *projector.grid.shape)

    def reconstruct(
        self, y: Tensor, network: nn.Module, *, projector: Projector, ray_mask: Tensor
    ) -> LatentReconstruction:
        """Correct the slices of one scan.

        Args:
            y: line integrals (S, 1, A, U); what is not measured is not read.
            network: the prior, with `encode`, `decode` and `latent_shape` as `VariationalAutoencoder`, in eval mode.
            projector: of a parallel or fan beam; its grid is that of the result, its scan the geometry of the rays.
            ray_mask: bool (A, U), True = measured.
        """
        n_waves = -(-len(y) // self.batch_size)
        problem = _Scan(self, network, projector, ray_mask)
        parts: list[LatentReconstruction] = []
        solved: Tensor | None = None
        steps = sum(self.rounds) + self.lbfgs_steps
        with tqdm(total=n_waves * steps, desc="latent search", unit="step", disable=not self.progress) as bar:
            for wave in range(n_waves):
                parts.append(problem.solve(y[wave::n_waves], solved, bar))
                solved = parts[-1].z
                bar.update((wave + 1) * steps - bar.n)  # slices that converged early left steps over
        return _interleave(parts, len(y))


class _Scan:
    """One scan and one prior: everything that the waves of a search share."""

    def __init__(
        self, settings: LatentReconstructionInferer, network: nn.Module, projector: Projector, ray_mask: Tensor
    ) -> None:
        self.settings = settings
        self.network: Any = network  # a Module with encode, decode and latent_shape
        scan = projector.scan
        if not isinstance(scan, Scan2D):
            raise TypeError(f"latent search is for parallel and fan beams, not {type(scan).__name__}")
        self.grid, self.scan, self.ray_mask = projector.grid, scan, ray_mask
        self.device = next(network.parameters()).device
        self.views, self.columns, seen = _measured_part(scan, ray_mask, settings.search_views)
        self.mask = ray_mask[self.views, self.columns]
        self.n_rays = self.mask.sum()
        self.search_projector = make_projector(settings.prior_grid, seen, "auto", str(self.device)).masked(self.mask)
        self.projector = make_projector(settings.prior_grid, scan, "auto", str(self.device))
        self.generator = torch.Generator().manual_seed(settings.seed)

    def solve(self, y: Tensor, solved: Tensor | None, bar: tqdm) -> LatentReconstruction:
        """Search the slices y (S, 1, A, U) of one wave; `solved` are the latents of the wave before."""
        s = self.settings
        q = torch.where(self.mask, y[..., self.views, self.columns], 0.0)
        z = self._start(y, q, solved)
        traces: list[Tensor] = []
        for i, steps in enumerate(s.rounds):
            if i:
                z = self._better(q, z, self._encode(self._fill(y, z)))
            found = adam_search(
                self._objective(q, s.autocast), z, steps, s.learning_rate, s.tolerance, on_step=bar.update
            )
            z = found.z
            traces.append(found.trace)
        found = self._finish(q, z, bar)
        traces.append(found.trace)
        y_hat = self._fill(y, found.z)
        x_mu = fbp(y_hat, self.grid, self.scan, s.filter_name)
        misfit = self._misfit(q, found.z)
        return LatentReconstruction(x_mu, y_hat, self._generate(found.z), found.z, misfit, torch.cat(traces).sqrt())

    def _start(self, y: Tensor, q: Tensor, solved: Tensor | None) -> Tensor:
        """Return the best of the starts asked for, after a few steps of each."""
        s = self.settings
        candidates: list[Tensor] = []
        if "encoder" in s.starts:
            candidates.append(self._encode(adaptive_detruncation(y, self.ray_mask, self.scan)))
        if "neighbour" in s.starts and solved is not None:
            candidates.append(solved[: len(y)])
        if "random" in s.starts or not candidates:
            shape = self.network.latent_shape(s.prior_grid.shape)
            candidates.append(torch.randn((len(y), *shape), generator=self.generator).to(self.device))
        best = candidates[0]
        if len(candidates) > 1:
            objective = self._objective(q, s.autocast)
            tried = [adam_search(objective, z, s.probe_steps, s.learning_rate) for z in candidates]
            values = torch.stack([t.value for t in tried])
            best = torch.stack([t.z for t in tried])[values.argmin(dim=0), torch.arange(len(y))]
        return best

    def _finish(self, q: Tensor, z: Tensor, bar: tqdm) -> SearchResult:
        s = self.settings
        return lbfgs_search(self._objective(q, autocast=False), z, s.lbfgs_steps, s.tolerance / 20, on_step=bar.update)

    def _better(self, q: Tensor, z: Tensor, other: Tensor) -> Tensor:
        """Keep the encoded latent unless a short search from it ends worse than where the slice stood."""
        s = self.settings
        objective = self._objective(q, s.autocast)
        everything = torch.arange(len(z), device=self.device)
        tried = adam_search(objective, other, s.probe_steps, s.learning_rate)
        with torch.no_grad():
            worse = tried.value > objective(z, everything)
        return torch.where(worse[:, None, None, None], z, tried.z)

    def _objective(self, q: Tensor, autocast: bool) -> Objective:
        """Return J(z) = mean over measured rays of (A G(z) - q)^2, plus the prior's term."""
        weight = self.settings.prior_weight

        def objective(z: Tensor, which: Tensor) -> Tensor:
            with torch.autocast(self.device.type, torch.bfloat16, enabled=autocast):
                x = self.network.decode(z)
            return self._mean_square(self._to_mu(x.float()), q[which]) + weight * z.square().flatten(1).mean(dim=1)

        return objective

    def _misfit(self, q: Tensor, z: Tensor) -> Tensor:
        return self._mean_square(self._generate(z), q).sqrt()

    def _mean_square(self, x_mu: Tensor, q: Tensor) -> Tensor:
        """Return the mean over measured rays of (A x - q)^2 for each slice."""
        residual = self.search_projector(x_mu) - q
        return residual.square().sum(dim=(1, 2, 3)) / self.n_rays

    def _generate(self, z: Tensor) -> Tensor:
        with torch.no_grad():
            return self._to_mu(self.network.decode(z))

    def _fill(self, y: Tensor, z: Tensor) -> Tensor:
        """Return p: the measured rays as they are, the others from G(z), joined smoothly."""
        return smooth_seam(y, self.projector(self._generate(z)), self.ray_mask, self.scan.bin_mm)

    def _encode(self, y: Tensor) -> Tensor:
        """Return the posterior's mean of the reconstruction of complete line integrals y."""
        s = self.settings
        x_hu = mu_to_hu(fbp(y, s.prior_grid, self.scan, s.filter_name), s.mu_water)
        x = hu_to_x(x_hu, s.hu_min, s.hu_max).clamp(-0.25, 1.25)
        with torch.no_grad():
            z_mean, _ = self.network.encode(x)
        return z_mean

    def _to_mu(self, x: Tensor) -> Tensor:
        s = self.settings
        return hu_to_mu(x_to_hu(x, s.hu_min, s.hu_max), s.mu_water)


def _measured_part(scan: Scan2D, ray_mask: Tensor, search_views: int) -> tuple[Tensor, slice, Scan2D]:
    """Return the views and columns the search needs, as indices, as a slice and as a scan of their own."""
    if not ray_mask.any():
        raise InputError(
            f"none of the {ray_mask.numel()} rays of the scan was measured; check the ray mask, True = measured."
        )
    views = torch.nonzero(ray_mask.any(dim=1)).flatten()
    views = views[:: max(1, len(views) // search_views)]
    columns = torch.nonzero(ray_mask[views].any(dim=0)).flatten().tolist()
    first, last = columns[0], columns[-1] + 1
    u_mm = scan.u_mm()
    seen = replace(
        scan,
        angles_rad=tuple(scan.angles_rad[i] for i in views.tolist()),
        n_bins=last - first,
        offset_mm=float(u_mm[first] + u_mm[last - 1]) / 2,
    )
    return views, slice(first, last), seen


def _interleave(parts: list[LatentReconstruction], n: int) -> LatentReconstruction:
    """Put the slices of the waves back in order; a trace that ended early keeps its last row."""
    order = torch.cat([torch.arange(wave, n, len(parts)) for wave in range(len(parts))]).argsort()
    longest = max(len(part.trace) for part in parts)
    traces = [torch.cat([p.trace, p.trace[-1:].expand(longest - len(p.trace), -1)]) for p in parts]

    def joined(name: str) -> Tensor:
        return torch.cat([getattr(part, name) for part in parts])[order]

    names = ("x_mu", "y_hat", "x_prior_mu", "z", "misfit")
    return LatentReconstruction(**{name: joined(name) for name in names}, trace=torch.cat(traces, dim=1)[:, order])
