"""Spectra of X-ray tubes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

import numpy as np
import numpy.typing as npt

from latentct.errors import InputError
from latentct.simulate.materials import attenuation_mu

FloatArray = npt.NDArray[np.float64]

_LEAST_AL_MM = 1.0
_NEGLIGIBLE_SHARE = 1e-6
_K_EDGES_KEV = (81.0, 83.0)
"""Ends of the 1 keV bins below which gold and mercury become opaque."""


@dataclass(frozen=True)
class Spectrum:
    """How many photons there are of which energy.

    Attributes:
        energies_kev: Photon energies in keV, positive.
        weights: Share of the photons at each energy; normalised to sum 1 when the spectrum is made.

    Raises:
        ValueError: The two differ in length or are empty, or a weight is negative, or all are zero.

    >>> Spectrum((40.0, 60.0), (1.0, 3.0)).mean_kev
    55.0
    """

    energies_kev: Sequence[float]
    weights: Sequence[float]

    def __post_init__(self) -> None:
        energies, weights = tuple(map(float, self.energies_kev)), tuple(map(float, self.weights))
        if len(energies) != len(weights) or not sum(weights) > 0 or min(weights) < 0 or min(energies) <= 0:
            raise ValueError("a spectrum has as many positive energies as weights >= 0, of which not all are zero")
        total = sum(weights)
        object.__setattr__(self, "energies_kev", energies)
        object.__setattr__(self, "weights", tuple(weight / total for weight in weights))

    @property
    def mean_kev(self) -> float:
        """Mean energy of the photons in keV."""
        return sum(energy * weight for energy, weight in zip(self.energies_kev, self.weights, strict=True))


def monochromatic(energy_kev: float) -> Spectrum:
    """Return the spectrum of photons of one energy in keV."""
    return Spectrum((energy_kev,), (1.0,))


def tube_spectrum(kvp: float, al_mm: float = 7.0, cu_mm: float = 0.0, n_bins: int = 36) -> Spectrum:
    """Return the photons that leave a tungsten tube and its filters.

    The unfiltered spectrum is tabulated in steps of 1 keV: Poludniowski, Omar, Bujila and Andreo 2021,
    doi 10.1002/mp.14945. Filters weaken it by ``exp(-mu(E) d)``. It is then gathered into bins of equal width,
    cut once more at the K edges of gold and mercury, each at the mean energy of its photons: every bin costs an
    exponential a ray.

    Args:
        kvp: Tube voltage in kV: 70, 80, ... 150.
        al_mm: Thickness of all aluminium filters in mm, that of the tube itself included; at least 1. The default gives
            a half-value layer of 7.0 mm aluminium at 120 kV, that of a clinical scanner.
        cu_mm: Thickness of a copper filter in mm.
        n_bins: Number of bins before the cuts, at least 1; the default changes line integrals by less than 0.1 %, those
            of opaque gold and amalgam by less than 0.5 %.

    Raises:
        InputError: There is no table for the voltage, or the filter or the number of bins is too small.
    """
    if al_mm < _LEAST_AL_MM or cu_mm < 0 or n_bins < 1:
        raise InputError(
            f"al_mm={al_mm}, cu_mm={cu_mm}, n_bins={n_bins} make no tube spectrum; choose al_mm of at least "
            f"{_LEAST_AL_MM}, cu_mm of at least 0 and n_bins of at least 1."
        )
    energies_kev, photons = _unfiltered(kvp)
    depth = attenuation_mu("aluminium", energies_kev) * al_mm + attenuation_mu("copper", energies_kev) * cu_mm
    return _gathered(energies_kev, photons * np.exp(-depth), n_bins)


def _gathered(energies_kev: FloatArray, photons: FloatArray, n_bins: int) -> Spectrum:
    """Join the energies that carry photons into bins."""
    kept = photons > _NEGLIGIBLE_SHARE * photons.sum()
    energies_kev, photons = energies_kev[kept], photons[kept]
    inner_kev = np.linspace(energies_kev[0] - 0.5, energies_kev[-1] + 0.5, n_bins + 1)[1:-1]
    index = np.searchsorted(np.union1d(inner_kev, _K_EDGES_KEV), energies_kev, side="right")
    weights, energy_sums = np.bincount(index, photons), np.bincount(index, photons * energies_kev)
    filled = weights > 0
    return Spectrum(tuple(energy_sums[filled] / weights[filled]), tuple(weights[filled]))


def _unfiltered(kvp: float) -> tuple[FloatArray, FloatArray]:
    """Return the middle of each bin in keV and the photons in it."""
    voltages, table = _table()
    if kvp not in voltages:
        raise InputError(f"kvp={kvp} is not tabulated; choose one of {', '.join(f'{kv:g}' for kv in voltages)}.")
    return table[:, 0], table[:, 1 + voltages.index(kvp)]


@cache
def _table() -> tuple[tuple[float, ...], FloatArray]:
    """Return the tube voltages and the rows (energy, photons at each voltage)."""
    text = files("latentct.simulate").joinpath("tables/tungsten.csv").read_text(encoding="utf-8")
    header, *rows = (line for line in text.splitlines() if not line.startswith("#"))
    voltages = tuple(float(name) for name in header.split(",")[1:])
    return voltages, np.asarray([[float(value) for value in row.split(",")] for row in rows])
