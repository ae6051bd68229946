"""Conversion between Hounsfield units, linear attenuation and the network range.

The functions use arithmetic operators only, so they take floats, numpy arrays and torch tensors alike.
"""

from __future__ import annotations

from typing import Any, Protocol, TypeVar, cast


class Scalable(Protocol):
    """What can be divided by a number: a float, a numpy array, a torch tensor."""

    def __truediv__(self, other: Any, /) -> Any:
        """Divide by a number."""


Values = TypeVar("Values", bound=Scalable)

MU_WATER_70KEV = 0.01929
"""Linear attenuation of water at 70 keV in 1/mm.

Total attenuation with coherent scattering 0.1929 cm2/g at 1 g/cm3: NIST XCOM, doi 10.18434/T48G6X. 70 keV is close to
the mean energy of a 120 kVp beam behind the body.
"""

NETWORK_RANGE = (-0.25, 1.25)
"""What reconstructions are clipped to, in the network range, before a network sees them: streaks may leave [0, 1]."""


def hu_to_mu(x_hu: Values, mu_water: float) -> Values:
    """Convert Hounsfield units to linear attenuation, ``mu = mu_water * (1 + hu / 1000)``.

    Args:
        x_hu: Values in HU; air is -1000, water 0.
        mu_water: Attenuation of water in 1/mm at the energy of the scan, e.g. `MU_WATER_70KEV`.

    Returns:
        Attenuation in 1/mm, of the kind and shape of ``x_hu``. Values below -1000 HU become negative.

    >>> hu_to_mu(0.0, mu_water=0.02)
    0.02
    """
    return cast("Values", (x_hu / 1000.0 + 1.0) * mu_water)


def mu_to_hu(x_mu: Values, mu_water: float) -> Values:
    """Convert linear attenuation to Hounsfield units, ``hu = 1000 * (mu / mu_water - 1)``.

    Args:
        x_mu: Attenuation in 1/mm.
        mu_water: Attenuation of water in 1/mm at the energy of the scan.

    Returns:
        Values in HU, of the kind and shape of ``x_mu``.

    >>> mu_to_hu(0.0, mu_water=0.02)
    -1000.0
    """
    return cast("Values", (x_mu / mu_water - 1.0) * 1000.0)


def hu_to_x(x_hu: Values, hu_min: float, hu_max: float) -> Values:
    """Map HU to the network range, ``hu_min`` to 0 and ``hu_max`` to 1; what lies outside the window is not clipped.

    >>> hu_to_x(0.0, hu_min=-1000.0, hu_max=3000.0)
    0.25
    """
    x: Values = (cast(Any, x_hu) - hu_min) / (hu_max - hu_min)
    return x


def x_to_hu(x: Values, hu_min: float, hu_max: float) -> Values:
    """Map the network range to HU, the inverse of `hu_to_x`.

    >>> x_to_hu(0.25, hu_min=-1000.0, hu_max=3000.0)
    0.0
    """
    x_hu: Values = cast(Any, x) * (hu_max - hu_min) + hu_min
    return x_hu
