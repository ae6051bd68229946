"""Attenuation of the materials of a CT scan."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

import numpy as np
import numpy.typing as npt

from latentct.errors import InputError

FloatArray = npt.NDArray[np.float64]

LOWEST_KEV, HIGHEST_KEV = 10.0, 150.0
"""Range of the attenuation table in keV."""

_PER_CM_IN_PER_MM = 0.1


@dataclass(frozen=True)
class Material:
    """A mixture of elements.

    Attributes:
        name: How the material is called.
        density_g_cm3: Density in g/cm3.
        mass_fractions: Pairs of an element's symbol and its share of the mass; the shares sum to 1.

    Raises:
        ValueError: The density is not positive or the shares do not sum to 1 within 0.001.
    """

    name: str
    density_g_cm3: float
    mass_fractions: tuple[tuple[str, float], ...]

    def __post_init__(self) -> None:
        total = sum(share for _, share in self.mass_fractions)
        if self.density_g_cm3 <= 0 or abs(total - 1) > 1e-3:
            raise ValueError(f"{self.name} needs a positive density and mass fractions that sum to 1, not {total}")


WATER, BONE = "water", "bone"

MATERIALS: dict[str, Material] = {
    material.name: material
    for material in (
        Material(WATER, 1.0, (("H", 0.111898), ("O", 0.888102))),
        # Cortical bone of ICRU report 44.
        Material(
            BONE,
            1.92,
            (
                *(("H", 0.034), ("C", 0.155), ("N", 0.042), ("O", 0.435), ("Na", 0.001), ("Mg", 0.002)),
                *(("P", 0.103), ("S", 0.003), ("Ca", 0.225)),
            ),
        ),
        Material("aluminium", 2.699, (("Al", 1.0),)),
        Material("titanium", 4.54, (("Ti", 1.0),)),
        Material("iron", 7.874, (("Fe", 1.0),)),
        # The cast alloy of ASTM F75.
        Material("cobalt_chrome", 8.3, (("Co", 0.66), ("Cr", 0.28), ("Mo", 0.06))),
        Material("copper", 8.96, (("Cu", 1.0),)),
        # Equal masses of mercury and of a high-copper alloy powder, as dentists mix it (composition by ISO 24234).
        Material("amalgam", 11.6, (("Hg", 0.5), ("Ag", 0.3), ("Sn", 0.135), ("Cu", 0.065))),
        Material("gold", 19.32, (("Au", 1.0),)),
    )
}
"""Materials by name: tissue, filters and metals of implants."""

METALS = ("titanium", "iron", "cobalt_chrome", "amalgam", "gold", "copper")
"""Names of what implants are made of."""


def find_material(material: str | Material) -> Material:
    """Return a material by its name; a `Material` is returned as it is.

    Raises:
        InputError: There is no material of this name.
    """
    if isinstance(material, Material):
        return material
    if material not in MATERIALS:
        raise InputError(f"material {material!r} is not known; choose one of {', '.join(MATERIALS)}.")
    return MATERIALS[material]


def attenuation_mu(material: str | Material, energies_kev: npt.ArrayLike) -> FloatArray:
    """Return the linear attenuation of a material, coherent scattering included.

    ``mu(E) = density * sum_i share_i * (mu / rho)_i(E)`` with the mass attenuation of the elements interpolated on
    logarithmic axes between the rows of a table that agrees with NIST XCOM (doi 10.18434/T48G6X) to 0.1 %.

    Args:
        material: A name of `MATERIALS`, or a `Material` of the elements in the table.
        energies_kev: Photon energies in keV, of any shape, from `LOWEST_KEV` to `HIGHEST_KEV`.

    Returns:
        Attenuation in 1/mm, float64, of the shape of ``energies_kev``.

    Raises:
        InputError: The material, one of its elements, or an energy is not in the table.

    >>> bool(abs(attenuation_mu("water", 70.0) - 0.01929) < 1e-5)
    True
    """
    found, energies = find_material(material), np.asarray(energies_kev, dtype=np.float64)
    if energies.size and not (energies.min() >= LOWEST_KEV and energies.max() <= HIGHEST_KEV):
        raise InputError(
            f"attenuation is known from {LOWEST_KEV} to {HIGHEST_KEV} keV, not from {energies.min()} to "
            f"{energies.max()} keV; choose another tube voltage or energy."
        )
    mass_attenuation = sum(share * _of_element(element, energies) for element, share in found.mass_fractions)
    return np.asarray(found.density_g_cm3 * mass_attenuation * _PER_CM_IN_PER_MM)


def _of_element(element: str, energies_kev: FloatArray) -> FloatArray:
    """Return the mass attenuation of an element in cm2/g."""
    table = _table()
    if element not in table:
        raise InputError(f"the element {element!r} is not in the attenuation table; it has {', '.join(table)}.")
    return np.asarray(np.exp(np.interp(np.log(energies_kev), *table[element])))


@cache
def _table() -> dict[str, tuple[FloatArray, FloatArray]]:
    """Return the logarithms of energy in keV and mass attenuation in cm2/g of each element."""
    text = files("latentct.simulate").joinpath("tables/attenuation.csv").read_text(encoding="utf-8")
    rows: dict[str, list[tuple[float, float]]] = {}
    for row in csv.DictReader(line for line in text.splitlines() if not line.startswith("#")):
        pair = (float(row["energy_kev"]), float(row["mass_attenuation_cm2_g"]))
        rows.setdefault(row["element"], []).append(pair)
    columns = {element: np.log(np.asarray(pairs)).T for element, pairs in rows.items()}
    return {element: (energy, attenuation) for element, (energy, attenuation) in columns.items()}
