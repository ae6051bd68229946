"""A U-Net as a reconstructor, its image as a prior for rays that were not measured, and its guess of unknown pixels."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from latentct.correction.view_seam import complete_rays
from latentct.geometry import Grid
from latentct.networks import with_known
from latentct.projectors import Projector
from latentct.recon import fbp, plane_scan
from latentct.tasks import first_reconstruction
from latentct.transforms import resample_slices
from latentct.units import MU_WATER_70KEV, NETWORK_RANGE, hu_to_mu, hu_to_x, mu_to_hu, x_to_hu


class UNetReconstructor:
    """Let a network mend the classical first reconstruction of a scan, image in, image out.

    The network works on its own grid. What it changes there is interpolated bilinearly onto the scan's grid and added
    to the first reconstruction, whose finer detail stays.

    Args:
        network: from slices (B, 1, H, W) in the network range to mended ones, in eval mode, e.g. `ResidualUNet`.
        prior_grid: the 2-D grid the network was trained on.
        hu_min: HU at network value 0.
        hu_max: HU at network value 1.
        mu_water: attenuation of water in 1/mm at the energy of the scan.
        filter_name: ramp filter of the first reconstruction.
        batch_size: slices mended together.
    """

    def __init__(
        self,
        network: nn.Module,
        prior_grid: Grid,
        hu_min: float,
        hu_max: float,
        mu_water: float = MU_WATER_70KEV,
        filter_name: str = "ram-lak",
        batch_size: int = 32,
    ) -> None:
        self.network = network
        self.prior_grid = prior_grid
        self.hu_min, self.hu_max = hu_min, hu_max
        self.mu_water = mu_water
        self.filter_name = filter_name
        self.batch_size = batch_size

    def __call__(self, y: Tensor, projector: Projector, ray_mask: Tensor) -> Tensor:
        """Reconstruct.

        Args:
            y: line integrals (B, 1, A, U); what is not measured is not read.
            projector: of a parallel or fan beam; its grid is that of the result.
            ray_mask: bool (A, U) or (B, 1, A, U), True = measured.

        Returns:
            Slices (B, 1, H, W) in 1/mm on `projector.grid`.

        Raises:
            TypeError: the scan is neither a parallel nor a fan beam.
        """
        scan = plane_scan(projector)
        first_mu, coarse_mu = (
            first_reconstruction(y, ray_mask, grid, scan, self.mu_water, self.filter_name)
            for grid in (projector.grid, self.prior_grid)
        )
        change_mu = torch.cat([self._change(part) for part in coarse_mu.split(self.batch_size)])
        return first_mu + resample_slices(change_mu, self.prior_grid, projector.grid, outside=0.0)

    def _change(self, coarse_mu: Tensor) -> Tensor:
        """Return what the network adds to slices (B, 1, H', W') on its grid, in 1/mm."""
        x = hu_to_x(mu_to_hu(coarse_mu, self.mu_water), self.hu_min, self.hu_max)
        with torch.no_grad():
            change = self.network(x.clamp(*NETWORK_RANGE)).float() - x
        return change * (self.hu_max - self.hu_min) / 1000.0 * self.mu_water


class UNetExtrapolation:
    """Fill the rays that were not measured from a U-Net's image, and back-project measured and filled rays together.

    The network's image only serves as a prior: what was measured stays as it is (Huang, Preuhs, Lauritsch, Manhart,
    Huang and Maier 2019, arXiv 1911.01178).

    Args:
        reconstructor: makes the prior image.
        filter_name: ramp filter of the result.
    """

    def __init__(self, reconstructor: UNetReconstructor, filter_name: str = "ram-lak") -> None:
        self.reconstructor = reconstructor
        self.filter_name = filter_name

    def __call__(self, y: Tensor, projector: Projector, ray_mask: Tensor) -> Tensor:
        """Reconstruct slices (B, 1, H, W) in 1/mm; arguments and errors as of `UNetReconstructor`."""
        return fbp(self.fill(y, projector, ray_mask), projector.grid, plane_scan(projector), self.filter_name)

    def fill(self, y: Tensor, projector: Projector, ray_mask: Tensor) -> Tensor:
        """Return the line integrals (B, 1, A, U): bit for bit where measured, of the prior image elsewhere."""
        y_hat = projector(self.reconstructor(y, projector, ray_mask).clamp_min(0.0))
        return complete_rays(y, y_hat, ray_mask, plane_scan(projector))


class UNetCompletion:
    """Let a network guess the unknown pixels of slices: where the search that completes them starts.

    Args:
        network: in eval mode, see `latentct.networks.CompletionUNet`.
        hu_min: HU at network value 0, air.
        hu_max: HU at network value 1.
        mu_water: attenuation of water in 1/mm.
        batch_size: slices completed together.
    """

    def __init__(
        self,
        network: nn.Module,
        hu_min: float,
        hu_max: float,
        mu_water: float = MU_WATER_70KEV,
        batch_size: int = 32,
    ) -> None:
        self.network = network
        self.hu_min, self.hu_max = hu_min, hu_max
        self.mu_water = mu_water
        self.batch_size = batch_size

    def __call__(self, x_mu: Tensor, known: Tensor) -> Tensor:
        """Complete.

        Args:
            x_mu: slices (B, 1, H, W) in 1/mm on the grid that the network was trained on; what is not known is not
                read.
            known: bool (H, W), True = known.

        Returns:
            Slices (B, 1, H, W) in 1/mm, none below 0; known pixels as they are.
        """
        x = hu_to_x(mu_to_hu(x_mu, self.mu_water), self.hu_min, self.hu_max).clamp(0.0, 1.0)
        with torch.no_grad():
            parts = [self.network(part).float() for part in with_known(x, known).split(self.batch_size)]
        guess_mu = hu_to_mu(x_to_hu(torch.cat(parts), self.hu_min, self.hu_max), self.mu_water).clamp_min(0.0)
        return torch.where(known, x_mu, guess_mu)
