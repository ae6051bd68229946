"""Complete slices of which a part is known, when their rays are gone: search the prior for what explains the pixels.

    z* = argmin_z |F (G(z) - x)|^2 + w |z|^2,     x_hat = F x + (1 - F) G(z*)

It is the latent search with the pixels of the known part F in the place of the rays. An image of a scanner holds
nothing of what lay outside its field of view, while rays through the field went through it too: a completion from
pixels is a guess of the model alone, and much further from the truth than one from rays.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from scipy import ndimage
from torch import Tensor, nn
from tqdm import tqdm

from latentct.inferers.problem import Prior
from latentct.inferers.result import LatentReconstruction
from latentct.inferers.wave import Wave

if TYPE_CHECKING:
    from latentct.inferers.lsr import LatentReconstructionInferer

First = Callable[[Tensor, Tensor], Tensor]
"""`first(x_mu, known)`: a first guess of the whole slices (B, 1, H, W) in 1/mm, of which `known` (H, W) is known."""

PATH_MM = 100.0
"""A pixel counts as the line integral over this length through its material, so that weights mean what they mean for
rays."""
PRIOR_WEIGHT = 0.1
"""w, chosen on validation slices that were cut to 220 mm; rays, which say more, are searched with less."""
BLUR_MM, FEATHER_MM = 8.0, 20.0
EDGE_MM = 100.0


def complete_slices(
    inferer: LatentReconstructionInferer,
    network: nn.Module,
    x_mu: Tensor,
    known: Tensor,
    first: First | None = None,
    prior_weight: float = PRIOR_WEIGHT,
) -> LatentReconstruction:
    """Complete slices that are searched together.

    Args:
        inferer: settings of the search.
        network: the prior, see `LatentReconstructionInferer.reconstruct`.
        x_mu: slices on the prior's grid, (B, 1, H, W) in 1/mm; what is not known is not read.
        known: bool (H, W), True = known.
        first: where the search starts; None: `edge_fill`.
        prior_weight: w.

    Returns:
        `x_mu` is known pixels as they are, and the prior's joined to them; `y_hat` that times `PATH_MM`; the spread
        over further searches where `inferer` has samples.
    """
    settings = copy.copy(inferer)
    settings.prior_weight, settings.starts = prior_weight, ("encoder",)
    problem = KnownPixels(settings, network, known, first)
    with tqdm(disable=True) as bar:
        return Wave(problem, x_mu.to(problem.device) * PATH_MM, known.to(problem.device)).solve(None, bar)


@dataclass(frozen=True)
class _All:
    """All pixels, where a scan has the part that its search compares."""

    def of(self, pixels: Tensor) -> Tensor:
        return pixels


class KnownPixels(Prior):
    """The prior and the pixels that it has to explain, as `ScannedPrior` has the prior and the rays.

    Args:
        settings: the inferer.
        network: the prior.
        known: bool (H, W) on the prior's grid, True = known.
        first: see `complete_slices`.
    """

    part = _All()

    def __init__(
        self, settings: LatentReconstructionInferer, network: nn.Module, known: Tensor, first: First | None = None
    ) -> None:
        super().__init__(settings, network)
        self._first = first or (lambda x_mu, known: edge_fill(x_mu, known, settings.prior_grid.spacing_mm))
        spacing_mm = settings.prior_grid.spacing_mm
        distance_mm = torch.from_numpy(ndimage.distance_transform_edt(~known.cpu().numpy(), sampling=spacing_mm))
        fade = 0.5 * (1 + torch.cos(math.pi * (distance_mm / FEATHER_MM).clamp(max=1)))
        self._fade = fade.to(self.device, torch.float32)
        self._sigma_px = [BLUR_MM / step for step in spacing_mm]

    def searched_rays(self, x_mu: Tensor) -> Tensor:
        """Return the pixels as the search compares them."""
        return x_mu * PATH_MM

    def complete(self, y: Tensor, x_prior_mu: Tensor, known: Tensor) -> Tensor:
        """Return the known pixels as they are, the others from G(z), shifted to meet them and fading to G(z) beyond."""
        y_prior = self.searched_rays(x_prior_mu)
        difference, weight = (self._blurred(part) for part in (torch.where(known, y - y_prior, 0.0), known.to(y)))
        shift = difference / weight.clamp_min(1e-3)
        return torch.where(known, y, y_prior + self._fade * shift)

    def reconstruct(self, y_hat: Tensor) -> Tensor:
        """Return completed slices in 1/mm."""
        return y_hat / PATH_MM

    def first(self, y: Tensor, known: Tensor) -> Tensor:
        """Return the first guess of the whole slices in 1/mm."""
        return self._first(self.reconstruct(y), known)

    def encode_scan(self, y_hat: Tensor) -> Tensor:
        """Return the posterior's mean of completed slices."""
        return self.encode(self.reconstruct(y_hat))

    def _blurred(self, pixels: Tensor) -> Tensor:
        sigma = [0.0] * (pixels.ndim - 2) + self._sigma_px
        return torch.from_numpy(ndimage.gaussian_filter(pixels.cpu().numpy(), sigma)).to(pixels)


def edge_fill(x_mu: Tensor, known: Tensor, spacing_mm: tuple[float, ...]) -> Tensor:
    """Return slices (B, 1, H, W) whose unknown pixels are the nearest known one within `EDGE_MM`, and air beyond."""
    distance_mm, (rows, columns) = ndimage.distance_transform_edt(
        ~known.cpu().numpy(), sampling=spacing_mm, return_indices=True
    )
    near = torch.from_numpy(distance_mm < EDGE_MM).to(x_mu.device)
    return torch.where(near, x_mu[..., torch.from_numpy(rows), torch.from_numpy(columns)], 0.0)
