"""Published protocols of metal artefact simulation."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import torch

from latentct.geometry import FanBeam, Grid
from latentct.projectors import Projector
from latentct.simulate.beam_hardening import WaterCorrection
from latentct.simulate.polychromatic import Beam
from latentct.simulate.scanner import Scanner
from latentct.simulate.spectra import Spectrum, tube_spectrum


class Protocol(NamedTuple):
    """What a data set of simulated scans was made with.

    Attributes:
        grid: pixels of the images.
        scan: rays.
        scanner: physics.
    """

    grid: Grid
    scan: FanBeam
    scanner: Scanner


@dataclass(frozen=True)
class ConstantScatterScanner(Scanner):
    """A scanner whose scatter is the same number of photons in every ray.

    Attributes:
        scatter_photons: mean number of scattered photons a ray, of `i0_photons`; without noise there are none.
    """

    scatter_photons: float = 0.0

    def _primary(
        self, x_mu: torch.Tensor, projector: Projector, metal: Mapping[str, torch.Tensor] | None
    ) -> torch.Tensor:
        """Return ``-ln(exp(-y) + scatter_photons / i0_photons)`` of the line integrals y without scatter."""
        y = super()._primary(x_mu, projector, metal)
        if self.i0_photons is None or self.scatter_photons == 0:
            return y
        return -torch.logaddexp(-y, torch.full_like(y, math.log(self.scatter_photons / self.i0_photons)))


def syn_deep_lesion() -> Protocol:
    """Return the protocol of SynDeepLesion, as learned methods of metal artefact reduction report on it.

    The images of DeepLesion are taken as 416 pixels of 512 / 416 * 0.3 mm, whatever their true size. A flat detector of
    641 bins, twice as wide as the diagonal of the image, and the source are 1075 pixels from the rotation axis; 640
    views make the full turn. 120 kVp with 20 to 120 keV, described at 70 keV, 2e7 photons and 20 scattered ones a ray,
    Poisson noise, empty bins set to one photon, water 0.192 / cm, its beam hardening corrected by a cubic fitted on
    up to 50 cm. Zhang and Yu 2018, doi 10.1109/TMI.2018.2823083; Wang et al. 2021, doi 10.48550/arXiv.2109.05298.
    The tube is this package's, since the original's table is not at hand: a photon-counting detector behind 7 mm of
    aluminium.
    """
    pixel_mm = 512 / 416 * 0.3
    grid = Grid((416, 416), (pixel_mm, pixel_mm))
    distance_mm = 1075 * pixel_mm
    scan = FanBeam.equally_spaced(
        640,
        2 * math.pi,
        n_bins=641,
        bin_mm=2 * math.hypot(*grid.extent_mm) / 641,
        sod_mm=distance_mm,
        sdd_mm=2 * distance_mm,
    )
    beam = Beam(_from_20_kev(tube_spectrum(120.0, n_bins=100)), reference_kev=70.0, energy_integrating=False)
    scanner = ConstantScatterScanner(
        beam,
        mu_water=0.0192,
        i0_photons=2e7,
        water_correction=WaterCorrection.fit(beam, degree=3, max_path_mm=500.0),
        scatter_photons=20.0,
    )
    return Protocol(grid, scan, scanner)


def _from_20_kev(spectrum: Spectrum) -> Spectrum:
    """Return a spectrum without its photons below 20 keV."""
    kept = [pair for pair in zip(spectrum.energies_kev, spectrum.weights, strict=True) if pair[0] >= 20.0]
    return Spectrum(*zip(*kept, strict=True))
