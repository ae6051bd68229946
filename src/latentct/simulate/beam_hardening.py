"""Correction of beam hardening in water."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
import torch

from latentct.simulate.materials import WATER
from latentct.simulate.polychromatic import Beam

_SAMPLES = 500


@dataclass(frozen=True)
class WaterCorrection:
    """A polynomial from measured line integrals to those of one energy, right for water.

    ``y_mono = sum_k c_k y^k``, ``k = 1 ... degree``; beyond the longest path it was fitted on, and below zero, it
    continues along its tangent. Herman 1979, doi 10.1088/0031-9155/24/1/008. Bone and metal harden more than water, so
    that their artefacts remain.

    Attributes:
        coefficients: ``c_1, c_2, ...``
        y_max: The line integral of the longest water path of the fit.
    """

    coefficients: tuple[float, ...]
    y_max: float

    @classmethod
    def fit(cls, beam: Beam, degree: int = 4, max_path_mm: float = 500.0) -> Self:
        """Fit the polynomial to paths through water, with the same relative accuracy for all.

        Args:
            beam: What is measured; the result is at its ``reference_kev``.
            degree: Degree of the polynomial, at least 1.
            max_path_mm: The longest path through water in mm.
        """
        path_mm = torch.linspace(0, max_path_mm, _SAMPLES + 1, dtype=torch.float64)[1:]
        y_mono = path_mm * beam.reference_mu(WATER)
        y = beam.line_integrals({WATER: y_mono}).numpy()
        powers = np.stack([y**k for k in range(1, degree + 1)], axis=1) / y_mono.numpy()[:, None]
        coefficients = np.linalg.lstsq(powers, np.ones(_SAMPLES), rcond=None)[0]
        return cls(tuple(coefficients.tolist()), float(y[-1]))

    def __call__(self, y: torch.Tensor) -> torch.Tensor:
        """Return the line integrals at the reference energy; differentiable.

        Args:
            y: Measured line integrals of any shape.
        """
        inside = y.clamp(0.0, self.y_max)
        value, slope = torch.zeros_like(y), torch.zeros_like(y)
        for k, coefficient in reversed(list(enumerate(self.coefficients, start=1))):
            value, slope = (value + coefficient) * inside, slope * inside + k * coefficient
        return value + slope.detach() * (y - inside)
