"""What a scan of an image would measure."""

from __future__ import annotations

import torch
from torch import Tensor

from latentct.projectors import Projector
from latentct.simulate import Beam, WaterCorrection, split_tissue


class ForwardModel:
    """The line integrals of an image at one energy, or as a beam of many energies measures them.

    With a beam the image is split into water and bone, y = -ln(sum_E w(E) exp(-sum_m A(x_m) mu_m(E) / mu_m(E_ref))),
    so that a search explains beam hardening instead of fitting it; data that were corrected for water are compared with
    a model that was corrected alike.

    Args:
        mu_water: attenuation of water in 1/mm at the beam's reference energy, or at the one energy of the scan.
        beam: the scan's spectrum; None: one energy, y = A x.
        water_correction: the correction that the measured line integrals went through.

    Raises:
        ValueError: a water correction without a beam.
    """

    def __init__(
        self, mu_water: float, beam: Beam | None = None, water_correction: WaterCorrection | None = None
    ) -> None:
        if beam is None and water_correction is not None:
            raise ValueError("a water correction belongs to a beam; give the beam of the scan as well")
        self.mu_water = mu_water
        self.beam = beam
        self.water_correction = water_correction

    def __call__(self, x_mu: Tensor, projector: Projector) -> Tensor:
        """Return line integrals (B, 1, A, U) of images (B, 1, H, W) in 1/mm on the projector's grid."""
        if self.beam is None:
            return projector(x_mu)
        parts = projector(torch.cat(split_tissue(x_mu, self.mu_water), dim=1))
        y = self.beam.line_integrals({"water": parts[:, :1], "bone": parts[:, 1:]})
        return y if self.water_correction is None else self.water_correction(y)
