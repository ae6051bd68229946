"""What all waves of a search share: a prior, and what it has to explain."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from latentct.correction.view_seam import complete_rays
from latentct.inferers.forward import ForwardModel
from latentct.inferers.measured import measured_part
from latentct.projectors import Projector, make_projector
from latentct.recon import fbp, plane_scan
from latentct.tasks import first_reconstruction
from latentct.units import NETWORK_RANGE, hu_to_mu, hu_to_x, mu_to_hu, x_to_hu

if TYPE_CHECKING:
    from latentct.inferers.lsr import LatentReconstructionInferer


class Prior:
    """The prior by itself: from latents to slices and back.

    Args:
        settings: the inferer.
        network: a Module with `encode`, `decode` and `latent_shape` as `VariationalAutoencoder`, in eval mode.
    """

    def __init__(self, settings: LatentReconstructionInferer, network: nn.Module) -> None:
        self.settings = settings
        self.network: Any = network
        self.device = next(network.parameters()).device
        self.generator = torch.Generator().manual_seed(settings.seed)

    def latent_shape(self) -> tuple[int, ...]:
        """Return (C, h, w) of a latent of the prior's grid."""
        return tuple(self.network.latent_shape(self.settings.prior_grid.shape))

    def random_latents(self, n: int) -> Tensor:
        """Draw n latents from the prior's N(0, I)."""
        return torch.randn((n, *self.latent_shape()), generator=self.generator).to(self.device)

    def decode(self, z: Tensor) -> Tensor:
        """Return G(z), (B, 1, H', W') in 1/mm."""
        s = self.settings
        return hu_to_mu(x_to_hu(self.network.decode(z), s.hu_min, s.hu_max), s.mu_water)

    def encode(self, x_mu: Tensor) -> Tensor:
        """Return the posterior's mean of slices (B, 1, H', W') in 1/mm on the prior's grid."""
        s = self.settings
        x = hu_to_x(mu_to_hu(x_mu, s.mu_water), s.hu_min, s.hu_max).clamp(*NETWORK_RANGE)
        with torch.no_grad():
            z_mean, _ = self.network.encode(x)
        return z_mean


class ScannedPrior(Prior):
    """The prior as the scan sees it: from latents to line integrals, and back through the encoder.

    Args:
        settings: the inferer.
        network: the prior.
        projector: of the scan and of the grid of the result.
        ray_mask: bool (A, U) or (S, 1, A, U), True = measured.

    Raises:
        TypeError: the scan is no parallel or fan beam.
        InputError: a slice has no measured ray.
    """

    def __init__(
        self, settings: LatentReconstructionInferer, network: nn.Module, projector: Projector, ray_mask: Tensor
    ) -> None:
        super().__init__(settings, network)
        scan = plane_scan(projector)
        self.grid, self.scan = projector.grid, scan
        self.part = measured_part(scan, ray_mask, settings.search_views)
        self.model = ForwardModel(settings.mu_water, settings.beam, settings.water_correction)
        any_slice = ray_mask.reshape(-1, *scan.sinogram_shape).any(dim=0)
        searched = make_projector(settings.prior_grid, self.part.scan, "auto", str(self.device))
        self._search_projector = searched.masked(self.part.of(any_slice))
        self._projector = make_projector(settings.prior_grid, scan, "auto", str(self.device))

    def searched_rays(self, x_mu: Tensor) -> Tensor:
        """Return the modelled line integrals of the rays that the search compares."""
        return self.model(x_mu, self._search_projector)

    def complete(self, y: Tensor, x_prior_mu: Tensor, ray_mask: Tensor) -> Tensor:
        """Return p: the measured rays as they are, the others from G(z), joined smoothly along rows and over views."""
        with torch.no_grad():
            y_hat = self.model(x_prior_mu, self._projector)
        return complete_rays(y, y_hat, ray_mask, self.scan)

    def reconstruct(self, y_hat: Tensor) -> Tensor:
        """Return the FBP of complete line integrals on the scan's own grid, 1/mm."""
        return fbp(y_hat, self.grid, self.scan, self.settings.filter_name)

    def first(self, y: Tensor, ray_mask: Tensor) -> Tensor:
        """Return the classical first reconstruction of what was measured, on the prior's grid, 1/mm."""
        s = self.settings
        return first_reconstruction(y, ray_mask, s.prior_grid, self.scan, s.mu_water, s.filter_name)

    def encode_scan(self, y_hat: Tensor) -> Tensor:
        """Return the posterior's mean of the reconstruction of complete line integrals."""
        return self.encode(fbp(y_hat, self.settings.prior_grid, self.scan, self.settings.filter_name))
