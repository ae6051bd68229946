"""A latent reconstruction as the prior of a total variation that has the last word on the missing rays."""

from __future__ import annotations

from torch import Tensor

from latentct.correction.view_seam import complete_rays
from latentct.projectors import Projector
from latentct.recon import Reconstructor, fbp, plane_scan
from latentct.recon.tv import tv
from latentct.units import MU_WATER_70KEV


class LatentPriorTV:
    """The reconstructor `lsr_tv`: total variation started from a learned image, then the scan completed from it.

        x_tv = argmin_x |M (A x - y)|^2 / 2 + w [(1 - a) TV(x) + a TV(x - x_prior)],    x = FBP(M y + (1 - M) A x_tv)

    As in prior image constrained compressed sensing (Chen, Tang and Leng 2008, doi 10.1118/1.2836423) with the latent
    reconstruction in the place of the earlier scan: edges that either the measured rays or the prior image have are
    free. The steps begin at the prior image and are few, so that what no measured ray sees stays near it. The image
    explains the measured rays better than the prior alone can; the missing rays are synthesised from it, and the result
    is the filtered back-projection of the completed scan, as that of the latent search is.

    Args:
        prior: any reconstructor, `(y, projector, ray_mask) -> x_mu`; the latent search with a network bound to it.
        weight: w, see `latentct.recon.tv.tv`.
        n_iterations: steps of the total variation.
        prior_share: a, share of the difference's variation, 0 to 1; the rest is that of the image itself.
        mu_water: attenuation of water in 1/mm at the energy of the scan, the unit of `weight`.
        filter_name: ramp filter of the reconstruction.
    """

    def __init__(
        self,
        prior: Reconstructor,
        weight: float = 0.003,
        n_iterations: int = 50,
        prior_share: float = 0.5,
        mu_water: float = MU_WATER_70KEV,
        filter_name: str = "ram-lak",
    ) -> None:
        self.prior = prior
        self.weight = weight
        self.n_iterations = n_iterations
        self.prior_share = prior_share
        self.mu_water = mu_water
        self.filter_name = filter_name

    def __call__(self, y: Tensor, projector: Projector, ray_mask: Tensor) -> Tensor:
        """Return slices (B, 1, H, W) in 1/mm of line integrals (B, 1, A, U); what is not measured is not read."""
        return self.refine(self.prior(y, projector, ray_mask), y, projector, ray_mask)

    def refine(self, x_prior_mu: Tensor, y: Tensor, projector: Projector, ray_mask: Tensor) -> Tensor:
        """Return the refinement of a prior image that is there already, (B, 1, H, W) in 1/mm on the same grid.

        Raises:
            TypeError: the scan is no parallel or fan beam.
        """
        y_hat = self.completed(x_prior_mu, y, projector, ray_mask)
        return fbp(y_hat, projector.grid, plane_scan(projector), self.filter_name)

    def completed(self, x_prior_mu: Tensor, y: Tensor, projector: Projector, ray_mask: Tensor) -> Tensor:
        """Return the line integrals (B, 1, A, U) that the refinement of a prior image is reconstructed from.

        Raises:
            TypeError: the scan is no parallel or fan beam.
        """
        scan = plane_scan(projector)
        x_mu = tv(
            y,
            projector,
            ray_mask,
            weight=self.weight,
            n_iterations=self.n_iterations,
            mu_water=self.mu_water,
            x_start=x_prior_mu,
            x_prior=x_prior_mu,
            prior_share=self.prior_share,
        )
        return complete_rays(y, projector(x_mu), ray_mask, scan)
