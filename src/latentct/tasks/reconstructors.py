"""The classical methods as reconstructors ``(y, projector, ray_mask) -> x_mu``, to be built from a configuration."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import partial

import torch

from latentct.correction import linear_interpolation
from latentct.correction.nmar import nmar
from latentct.projectors import Projector
from latentct.recon import fbp, plane_scan
from latentct.tasks.first import first_reconstruction
from latentct.units import MU_WATER_70KEV


class Reconstructor(ABC):
    """Anything that makes an image of the measured rays: ``(y, projector, ray_mask) -> x_mu``."""

    @abstractmethod
    def __call__(self, y: torch.Tensor, projector: Projector, ray_mask: torch.Tensor) -> torch.Tensor:
        """Reconstruct slices.

        Args:
            y: Line integrals (B, 1, A, U); what is not measured is not read.
            projector: Grid of the result and geometry of the rays, of a parallel or fan beam.
            ray_mask: bool (A, U) or (B, 1, A, U), True = measured.

        Returns:
            Slices (B, 1, H, W) in 1/mm.
        """


class CorrectionFBP(Reconstructor):
    """Filtered back-projection of corrected line integrals.

    Args:
        correction: ``(y, ray_mask) -> y_hat``, e.g. `latentct.correction.linear_interpolation`.
        filter_name: Ramp filter.
    """

    def __init__(
        self, correction: Callable[[torch.Tensor, torch.Tensor], torch.Tensor], filter_name: str = "ram-lak"
    ) -> None:
        self.correction = correction
        self.filter_name = filter_name

    def __call__(self, y: torch.Tensor, projector: Projector, ray_mask: torch.Tensor) -> torch.Tensor:
        """Reconstruct slices; see `Reconstructor`."""
        return fbp(self.correction(y, ray_mask), projector.grid, plane_scan(projector), self.filter_name)


class LinearInterpolation(CorrectionFBP):
    """Filtered back-projection of linearly interpolated line integrals (LI).

    Args:
        filter_name: Ramp filter.
    """

    def __init__(self, filter_name: str = "ram-lak") -> None:
        super().__init__(linear_interpolation, filter_name)


class FirstReconstruction(Reconstructor):
    """The reconstructor made of `first_reconstruction`.

    Args:
        mu_water: Attenuation of water in 1/mm at the energy of the scan.
        filter_name: Ramp filter.
    """

    def __init__(self, mu_water: float = MU_WATER_70KEV, filter_name: str = "ram-lak") -> None:
        self.mu_water = mu_water
        self.filter_name = filter_name

    def __call__(self, y: torch.Tensor, projector: Projector, ray_mask: torch.Tensor) -> torch.Tensor:
        """Reconstruct slices; see `Reconstructor`."""
        scan = plane_scan(projector)
        return first_reconstruction(y, ray_mask, projector.grid, scan, self.mu_water, self.filter_name)


class NMAR(Reconstructor):
    """Filtered back-projection of line integrals that `nmar` has corrected.

    Args:
        mu_water: Attenuation of water in 1/mm at the energy of the scan.
        smoothing_mm: See `nmar`.
        floor: See `nmar`.
        filter_name: Ramp filter, of the prior image as well.
    """

    def __init__(
        self,
        mu_water: float = MU_WATER_70KEV,
        smoothing_mm: float = 1.0,
        floor: float = 0.5,
        filter_name: str = "ram-lak",
    ) -> None:
        self.mu_water = mu_water
        self.smoothing_mm = smoothing_mm
        self.floor = floor
        self.filter_name = filter_name

    def __call__(self, y: torch.Tensor, projector: Projector, ray_mask: torch.Tensor) -> torch.Tensor:
        """Reconstruct slices; see `Reconstructor`."""
        image_of = partial(fbp, grid=projector.grid, scan=plane_scan(projector), filter_name=self.filter_name)
        y_hat = nmar(y, ray_mask, projector, image_of, self.mu_water, smoothing_mm=self.smoothing_mm, floor=self.floor)
        return image_of(y_hat)
