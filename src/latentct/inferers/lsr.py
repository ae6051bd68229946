"""Latent space reconstruction: search the prior for the image that explains the measured rays, then fill the others.

    z* = argmin_z |M (A G(z) - q)|^2 + w |z|^2,     p = M q + (1 - M) A G(z*),     x = FBP(p)

(Kabelac et al., Medical Physics 2025, doi 10.1002/mp.17910.) M is the ray mask, q the measured line integrals, A the
projector and G the decoder. Steps marked with the paper's symbols follow it; the encoder's start, the repeated
encoding, L-BFGS of each slice's own in units of equal curvature instead of Adam, the smooth seams, the weights of the
rays, the beam of many energies and the samples are ours.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt
import torch
from monai.inferers import Inferer
from torch import Tensor, nn
from tqdm import tqdm

from latentct.geometry import Grid
from latentct.inferers.measured import WEIGHTINGS
from latentct.inferers.problem import ScannedPrior
from latentct.inferers.result import LatentReconstruction, interleaved
from latentct.inferers.wave import Wave
from latentct.projectors import Projector
from latentct.simulate import Beam, WaterCorrection
from latentct.units import MU_WATER_70KEV

FloatArray = npt.NDArray[np.float32]

STARTS = ("encoder", "neighbour", "random")


class LatentReconstructionInferer(Inferer):
    """Correct scans with missing rays by latent space reconstruction.

    The prior's grid and the scan's are independent: G(z*) is projected from the prior's grid onto the scan's detector,
    and the result is reconstructed on the scan's own grid. Slices are searched in waves of `batch_size`, interleaved
    along z, so that from the second wave on every slice has a solved neighbour.

    Args:
        prior_grid: the 2-D grid the network was trained on.
        hu_min: HU at network value 0.
        hu_max: HU at network value 1.
        starts: where the search starts, of `STARTS`; of several, each slice takes the one with the lowest objective.
        rounds: L-BFGS steps of each round; a round that follows another begins at a new encoding of the corrected
            image.
        tolerance: a slice leaves a round when a step lowers its objective by less than this fraction.
        prior_weight: w, in squared line integrals per squared unit of z, both as means.
        coherence_weight: of the squared difference to the latents of the slice before, in the same units as
            `prior_weight`; it needs a wave that was solved before, and slices that lie close together.
        search_views: about how many views the search uses; the result always uses all.
        batch_size: slices searched together.
        mu_water: attenuation of water in 1/mm at the energy of the scan.
        filter_name: ramp filter of the reconstruction.
        seed: of the random starts and of the samples.
        progress: show a progress bar.
        weighting: how much a ray counts, see `misfit_weights`: "none", or "pwls" for noisy scans.
        beam: spectrum of the scan for a forward model of many energies; None: of one energy.
        water_correction: the water correction that the line integrals went through, with a beam only.
        n_samples: further searches, from latents drawn from the prior, whose spread is the uncertainty of what was
            synthesised; 0 for none, otherwise at least 2. Each takes as long as the search.

    Raises:
        ValueError: a start or a weighting is not known, there is no round, or there is one sample only.
    """

    def __init__(
        self,
        prior_grid: Grid,
        hu_min: float,
        hu_max: float,
        starts: Sequence[str] = ("encoder",),
        rounds: Sequence[int] = (8, 16),
        tolerance: float = 3e-3,
        prior_weight: float = 1e-5,
        coherence_weight: float = 0.0,
        search_views: int = 120,
        batch_size: int = 32,
        mu_water: float = MU_WATER_70KEV,
        filter_name: str = "ram-lak",
        seed: int = 0,
        progress: bool = True,
        weighting: str = "none",
        beam: Beam | None = None,
        water_correction: WaterCorrection | None = None,
        n_samples: int = 0,
    ) -> None:
        super().__init__()
        if not starts or set(starts) - set(STARTS):
            raise ValueError(f"starts are {list(starts)}; choose from {', '.join(STARTS)}")
        if not rounds:
            raise ValueError("the search needs at least one round; give (0,) to stay at the start")
        if weighting not in WEIGHTINGS:
            raise ValueError(f"weighting is {weighting!r}; choose from {', '.join(WEIGHTINGS)}")
        if n_samples == 1 or n_samples < 0:
            raise ValueError(f"n_samples is {n_samples}, but a spread needs at least 2, or 0 for none")
        self.prior_grid = prior_grid
        self.hu_min, self.hu_max = hu_min, hu_max
        self.starts = tuple(starts)
        self.rounds = tuple(rounds)
        self.tolerance = tolerance
        self.prior_weight = prior_weight
        self.coherence_weight = coherence_weight
        self.search_views = search_views
        self.batch_size = batch_size
        self.mu_water = mu_water
        self.filter_name = filter_name
        self.seed = seed
        self.progress = progress
        self.weighting = weighting
        self.beam = beam
        self.water_correction = water_correction
        self.n_samples = n_samples
        self.last: LatentReconstruction | None = None

    def __call__(self, inputs: Tensor, network: nn.Module, *, projector: Projector, ray_mask: Tensor) -> Tensor:
        """Correct batches of slices or volumes, as MONAI's engines call it; `last` then holds the whole result.

        With a network bound to it this is a reconstructor like any other, `(y, projector, ray_mask) -> x_mu`.

        Args:
            inputs: line integrals (B, 1, A, U), or (B, 1, D, A, U) for volumes of D slices.
            network: see `reconstruct`.
            projector: see `reconstruct`.
            ray_mask: (A, U), or one mask for each slice in any shape that ends so, e.g. (B, 1, D, A, U).

        Returns:
            Corrected slices (B, 1, H, W) or volumes (B, 1, D, H, W) in 1/mm.
        """
        slices = inputs.reshape(-1, 1, *inputs.shape[-2:])
        masks = ray_mask if ray_mask.ndim == 2 else ray_mask.reshape(-1, 1, *ray_mask.shape[-2:])
        self.last = self.reconstruct(slices, network, projector=projector, ray_mask=masks)
        return self.last.x_mu.reshape(*inputs.shape[:-2], *projector.grid.shape)

    def n_waves(self, n_slices: int) -> int:
        """Return in how many waves a scan of so many slices is searched."""
        return -(-n_slices // self.batch_size)

    def reconstruct(
        self, y: Tensor, network: nn.Module, *, projector: Projector, ray_mask: Tensor
    ) -> LatentReconstruction:
        """Correct the slices of one scan; see `waves`, which this puts together."""
        return interleaved(list(self.waves(y, network, projector=projector, ray_mask=ray_mask)))

    def waves(
        self, y: Tensor | FloatArray, network: nn.Module, *, projector: Projector, ray_mask: Tensor
    ) -> Iterator[LatentReconstruction]:
        """Correct the slices of one scan wave by wave.

        Wave k of n holds the slices k, k + n, k + 2 n, ... A wave is read and searched when it is asked for, so that
        memory is bounded by one wave, however many slices the scan has.

        Args:
            y: line integrals (S, 1, A, U), e.g. a `numpy.memmap`; what is not measured is not read.
            network: the prior, with `encode`, `decode` and `latent_shape` as `VariationalAutoencoder`, in eval mode.
            projector: of a parallel or fan beam; its grid is that of the result, its scan the geometry of the rays.
            ray_mask: bool (A, U), or (S, 1, A, U) for masks of each slice's own, such as metal traces; True = measured.

        Raises:
            InputError: no ray of the scan, or of a slice, was measured.
        """
        n_waves = self.n_waves(len(y))
        problem = ScannedPrior(self, network, projector, ray_mask)
        solved: Tensor | None = None
        steps = sum(self.rounds) * (1 + self.n_samples)
        with tqdm(total=n_waves * steps, desc="latent search", unit="step", disable=not self.progress) as bar:
            for wave in range(n_waves):
                mask = ray_mask[wave::n_waves] if ray_mask.ndim > 2 and len(ray_mask) > 1 else ray_mask
                part_y = y[wave::n_waves]
                part_y = part_y if isinstance(part_y, Tensor) else torch.from_numpy(np.array(part_y))
                part = Wave(problem, part_y, mask).solve(solved, bar)
                solved = part.z
                bar.update((wave + 1) * steps - bar.n)  # slices that converged early left steps over
                yield part
