"""Line integrals that a beam of many energies measures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, cast

import numpy as np
import torch
from torch.autograd.function import once_differentiable

from latentct.simulate.materials import Material, attenuation_mu
from latentct.simulate.spectra import Spectrum

RAYS_AT_ONCE = 8192
"""Rays whose exponentials are held at once: with 32 energies 1 MiB, which stays in the cache of a CPU core."""

_RAYS_AT_ONCE_ON_GPU = 1 << 20


@dataclass(frozen=True)
class Beam:
    """Photons of several energies and a detector that counts them or sums their energy.

    The detector absorbs every photon.

    Attributes:
        spectrum: Photons before the object.
        reference_kev: Energy in keV at which objects are described: ``x_mu`` is the attenuation there.
        energy_integrating: Whether a photon counts by its energy, as in clinical scanners, or as one.
    """

    spectrum: Spectrum
    reference_kev: float = 70.0
    energy_integrating: bool = True

    def line_integrals(self, paths: Mapping[str | Material, torch.Tensor]) -> torch.Tensor:
        """Return ``y = -ln(sum_E w(E) exp(-sum_m paths[m] mu_m(E) / mu_m(reference_kev)))``.

        ``w`` are the shares of the signal without object and sum to 1. A beam of one energy, the reference, gives the
        sum of the paths.

        Args:
            paths: For each material, the line integral of the attenuation due to it at ``reference_kev``: ``A x_m``,
                dimensionless, of any shape, all of the same.

        Returns:
            Line integrals of the shape of the paths; differentiable once.

        Raises:
            ValueError: There is no path.
            InputError: A material is not known.
        """
        if not paths:
            raise ValueError("line integrals need the path of one material at least")
        stacked = torch.stack([path.flatten() for path in paths.values()])
        shares, ratios = (torch.from_numpy(array).to(stacked) for array in _signal(self, tuple(paths)))
        y = cast("torch.Tensor", _LineIntegrals.apply(stacked, shares, ratios))  # type: ignore[no-untyped-call]
        return y.reshape(next(iter(paths.values())).shape)

    def transmission(self, paths: Mapping[str | Material, torch.Tensor]) -> torch.Tensor:
        """Return the share of the signal that passes, ``exp(-line_integrals(paths))``, from 0 to 1."""
        return torch.exp(-self.line_integrals(paths))

    def reference_mu(self, material: str | Material) -> float:
        """Return the attenuation of a material at ``reference_kev`` in 1/mm."""
        return float(attenuation_mu(material, self.reference_kev))


@cache
def _signal(beam: Beam, materials: tuple[str | Material, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Return the share of the signal at each energy (E,), and ``mu(E) / mu(reference)`` of each material (E, M)."""
    energies_kev = np.asarray(beam.spectrum.energies_kev)
    signal = np.asarray(beam.spectrum.weights) * (energies_kev if beam.energy_integrating else 1.0)
    ratios = [attenuation_mu(name, energies_kev) / attenuation_mu(name, beam.reference_kev) for name in materials]
    return signal / signal.sum(), np.stack(ratios, axis=1)


class _LineIntegrals(torch.autograd.Function):
    """The logarithm of a sum of exponentials, a few rays at a time; its gradient is found on the way.

    ``dy / dpath_m`` is the mean of ``mu_m(E) / mu_m(reference)`` over the signal that arrives. Exponents are taken
    relative to a lower bound, the least ratio of each material, so that thick metal does not underflow.
    """

    @staticmethod
    def forward(ctx: Any, paths: torch.Tensor, shares: torch.Tensor, ratios: torch.Tensor) -> torch.Tensor:
        least = ratios.amin(dim=0)
        excess, weighted = ratios - least, shares[:, None] * ratios
        y, slopes = paths.new_empty(paths.shape[1]), paths.new_empty(paths.shape if ctx.needs_input_grad[0] else (0,))
        step = RAYS_AT_ONCE if paths.device.type == "cpu" else _RAYS_AT_ONCE_ON_GPU
        for start in range(0, paths.shape[1], step):
            rays = slice(start, start + step)
            passed = torch.matmul(excess, paths[:, rays]).neg_().exp_()
            signal = torch.matmul(shares, passed)
            y[rays] = torch.matmul(least, paths[:, rays]) - signal.log()
            if ctx.needs_input_grad[0]:
                slopes[:, rays] = torch.matmul(weighted.T, passed) / signal
        ctx.save_for_backward(slopes)
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, None, None]:
        (slopes,) = ctx.saved_tensors
        return slopes * gradient, None, None
