"""A simulated CT scanner: from an object to what the machine hands over."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

import torch

from latentct.errors import InputError
from latentct.geometry import Grid, Scan
from latentct.projectors import Projector
from latentct.simulate.beam_hardening import WaterCorrection
from latentct.simulate.detector import bin_sizes_mm, join_bins, split_bins
from latentct.simulate.materials import BONE, WATER
from latentct.simulate.noise import line_integrals_of, measure
from latentct.simulate.polychromatic import Beam
from latentct.simulate.scatter import add_scatter
from latentct.simulate.spectra import monochromatic, tube_spectrum
from latentct.simulate.tissue import split_tissue
from latentct.units import MU_WATER_70KEV


@dataclass(frozen=True)
class Scanner:
    """Tube, detector and the corrections of a CT scanner; `make_scanner` builds one from plain numbers.

    Attributes:
        beam: Spectrum and kind of detector. Objects are given at its ``reference_kev``.
        mu_water: Attenuation of water in 1/mm in the images, i.e. at ``beam.reference_kev``; tells tissue from bone.
        i0_photons: Photons a ray without object; None: no quantum and no electronic noise.
        electronic_photons: Standard deviation of the electronic noise, in photons.
        scatter_to_primary: Ratio of scattered to primary signal behind the object; see `add_scatter`.
        scatter_width_mm: Standard deviation of the scatter's blur on the detector, in mm.
        water_correction: Correction of beam hardening; None: the line integrals stay as measured.
        detector_oversampling: Rays a bin and detector axis whose intensities are averaged: with 1 a bin sees one ray,
            with more the edges of metal show the nonlinear partial-volume effect. Costs that many times the projection.
    """

    beam: Beam
    mu_water: float = MU_WATER_70KEV
    i0_photons: float | None = None
    electronic_photons: float = 0.0
    scatter_to_primary: float = 0.0
    scatter_width_mm: float = 100.0
    water_correction: WaterCorrection | None = None
    detector_oversampling: int = 1

    def scan(
        self,
        x_mu: torch.Tensor,
        projector: Projector,
        metal: Mapping[str, torch.Tensor] | None = None,
        generator: torch.Generator | None = None,
    ) -> torch.Tensor:
        """Measure an object.

        Args:
            x_mu: Attenuation of the object without metal, (B, 1, H, W) or (B, 1, D, H, W) on ``projector.grid``, in
                1/mm at ``beam.reference_kev``.
            projector: The projection of all rays, of any scan.
            metal: For each metal by its name, the share of each pixel that it fills, in [0, 1], of the shape of
                ``x_mu``; it displaces the tissue.
            generator: Source of the noise, on the device of ``x_mu``; None takes torch's global one.

        Returns:
            Line integrals (B, 1, A, U) or (B, 1, A, V, U), for a beam of one energy, the reference, without noise and
            scatter ``A x``. Differentiable in ``x_mu`` and ``metal`` as long as there is no noise.
        """
        y = self._primary(x_mu, projector, metal)
        y = add_scatter(y, self.scatter_to_primary, self._blur_bins(projector.scan))
        if self.i0_photons is not None:
            counts = measure(torch.exp(-y), self.i0_photons, self.electronic_photons, generator)
            y = line_integrals_of(counts, self.i0_photons)
        return y if self.water_correction is None else self.water_correction(y)

    def noiseless(self) -> Scanner:
        """Return the scanner with the same beam, detector and correction, but without noise and scatter."""
        return dataclasses.replace(self, i0_photons=None, scatter_to_primary=0.0)

    def materials_mu(
        self, x_mu: torch.Tensor, metal: Mapping[str, torch.Tensor] | None = None
    ) -> dict[str, torch.Tensor]:
        """Return the attenuation due to each material at ``beam.reference_kev`` in 1/mm, tissue displaced by metal.

        Args:
            x_mu: As for `scan`.
            metal: As for `scan`.
        """
        parts = dict(zip((WATER, BONE), split_tissue(x_mu, self.mu_water), strict=True))
        if metal:
            room = 1 - torch.stack(list(metal.values())).sum(dim=0)
            parts = {name: room * part for name, part in parts.items()}
        for name, fraction in (metal or {}).items():
            parts[name] = parts.get(name, 0) + self.beam.reference_mu(name) * fraction
        return parts

    def _primary(
        self, x_mu: torch.Tensor, projector: Projector, metal: Mapping[str, torch.Tensor] | None
    ) -> torch.Tensor:
        """Return the line integrals of the radiation that was not scattered."""
        parts, n_parts = self.materials_mu(x_mu, metal), self.detector_oversampling
        fine = projector if n_parts == 1 else _finer(type(projector), projector.grid, projector.scan, n_parts)
        paths = fine.forward(torch.cat(list(parts.values()), dim=1))
        y = self.beam.line_integrals({name: paths[:, i : i + 1] for i, name in enumerate(parts)})
        return y if n_parts == 1 else join_bins(y, n_parts, len(bin_sizes_mm(projector.scan)))

    def _blur_bins(self, scan: Scan) -> tuple[float, ...]:
        return tuple(self.scatter_width_mm / size_mm for size_mm in bin_sizes_mm(scan))


@lru_cache(maxsize=4)
def _finer(backend: type[Projector], grid: Grid, scan: Scan, n_parts: int) -> Projector:
    """Return the projector to a detector with smaller bins."""
    return backend(grid, split_bins(scan, n_parts))


def make_scanner(
    kvp: float | None = 120.0,
    *,
    al_mm: float = 7.0,
    cu_mm: float = 0.0,
    energy_kev: float = 70.0,
    reference_kev: float = 70.0,
    n_energies: int = 36,
    energy_integrating: bool = True,
    mu_water: float = MU_WATER_70KEV,
    i0_photons: float | None = 2e6,
    electronic_photons: float = 5.0,
    scatter_to_primary: float = 0.01,
    scatter_width_mm: float = 100.0,
    water_degree: int | None = 4,
    water_path_mm: float = 500.0,
    detector_oversampling: int = 1,
) -> Scanner:
    """Build a scanner from plain numbers, as a configuration file has them.

    The defaults are those of a clinical scanner at 120 kV. ``make_scanner(kvp=None, i0_photons=None,
    scatter_to_primary=0.0, water_degree=None)`` is the ideal one, which measures ``A x``.

    Args:
        kvp: Tube voltage in kV, one of 70, 80, ... 150; None: photons of one energy.
        al_mm: Aluminium filter in mm, that of the tube included; see `tube_spectrum`.
        cu_mm: Copper filter in mm.
        energy_kev: Energy in keV when ``kvp`` is None.
        reference_kev: Energy in keV at which images are given and the water correction aims.
        n_energies: Bins of the spectrum.
        energy_integrating: Whether the detector sums energies (scintillators) or counts photons.
        mu_water: Attenuation of water in 1/mm in the images; the default is at 70 keV (NIST XCOM).
        i0_photons: Photons a ray without object; None: no noise. The default is about what 200 mAs send to each
            bin of 2 by 1 mm at a distance of 1.09 m in one of 360 views; with more views it is less.
        electronic_photons: Standard deviation of the electronic noise, in photons.
        scatter_to_primary: Ratio of scattered to primary signal behind the object. The default is what an anti-scatter
            grid and the scanner's own correction leave; a flat panel without either has 0.5 and more.
        scatter_width_mm: Standard deviation of the scatter's blur on the detector, in mm.
        water_degree: Degree of the water correction's polynomial; None: no correction.
        water_path_mm: Longest path in mm that the water correction is fitted on.
        detector_oversampling: Rays a bin and detector axis.

    Raises:
        InputError: A number is out of range, or the voltage is not tabulated.
    """
    _refuse_if_not_positive(
        energy_kev=energy_kev,
        reference_kev=reference_kev,
        mu_water=mu_water,
        i0_photons=1.0 if i0_photons is None else i0_photons,
        scatter_width_mm=scatter_width_mm,
        water_degree=1 if water_degree is None else water_degree,
        water_path_mm=water_path_mm,
        detector_oversampling=detector_oversampling,
    )
    if electronic_photons < 0 or scatter_to_primary < 0:
        raise InputError(
            f"electronic_photons={electronic_photons} and scatter_to_primary={scatter_to_primary} must be 0 or more."
        )
    spectrum = monochromatic(energy_kev) if kvp is None else tube_spectrum(kvp, al_mm, cu_mm, n_energies)
    beam = Beam(spectrum, reference_kev, energy_integrating)
    return Scanner(
        beam,
        mu_water=mu_water,
        i0_photons=i0_photons,
        electronic_photons=electronic_photons,
        scatter_to_primary=scatter_to_primary,
        scatter_width_mm=scatter_width_mm,
        water_correction=None if water_degree is None else WaterCorrection.fit(beam, water_degree, water_path_mm),
        detector_oversampling=detector_oversampling,
    )


def _refuse_if_not_positive(**numbers: float) -> None:
    for name, number in numbers.items():
        if not number > 0:
            raise InputError(f"{name}={number} makes no scanner; it must be positive.")
