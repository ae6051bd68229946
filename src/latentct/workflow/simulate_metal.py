"""An implant in a volume, and the scanner that sees it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from latentct.correction.body import body_mask
from latentct.errors import InputError
from latentct.geometry import Grid
from latentct.simulate import Scanner, make_scanner
from latentct.simulate.implants import IMPLANT_MATERIALS, SIZES_MM2, draw_implant, kinds_of_size
from latentct.simulate.placement import find_site, place

Choice = TypeVar("Choice")

METAL_PHOTONS = 5e5
FILLING = "amalgam"
METALS = tuple(name for name in IMPLANT_MATERIALS if name != FILLING)
"""What all but fillings is made of."""
N_TRIES = 24


@dataclass(frozen=True, eq=False)
class Implant:
    """A piece of metal in a volume.

    Attributes:
        fraction: Share of each voxel that is metal, (D, H, W) in [0, 1].
        material: Name in `latentct.simulate.materials`.
        sentence: What it is, for people.
    """

    fraction: torch.Tensor
    material: str
    sentence: str


def metal_scanner(photons: float = METAL_PHOTONS) -> Scanner:
    """Return the scanner of the bundle `lsr_metal`: 120 kV, noise, scatter and water correction.

    Args:
        photons: Photons a ray without object.
    """
    return make_scanner(
        kvp=120.0,
        al_mm=7.0,
        i0_photons=photons,
        electronic_photons=5.0,
        scatter_to_primary=0.02,
        scatter_width_mm=100.0,
        water_degree=4,
        water_path_mm=500.0,
    )


def put_implant(x_hu: NDArray[np.float32], grid: Grid, seed: int) -> Implant:
    """Draw an implant and put it into bone or teeth, or into soft tissue where there is neither.

    It is a prism along z, as high as it is wide, about a slice of the middle half of the volume, and never reaches out
    of the body.

    Args:
        x_hu: Volume (D, H, W) in HU.
        grid: Its grid, 3-D.
        seed: Of the draw.

    Raises:
        InputError: No slice that was tried has room for it.
    """
    generator = torch.Generator().manual_seed(seed)
    plane = Grid(grid.shape[1:], grid.spacing_mm[1:])
    for _ in range(N_TRIES):
        area_mm2 = _one_of(SIZES_MM2, generator)
        kind = _one_of(kinds_of_size(area_mm2), generator)
        material = FILLING if kind == "dental_filling" else _one_of(METALS, generator)
        implant = draw_implant(kind, area_mm2, generator=generator)
        middle = _one_of(range(len(x_hu) // 4, len(x_hu) - len(x_hu) // 4), generator)
        body = body_mask(x_hu[middle : middle + 1], plane.spacing_mm)[0]
        site = find_site(x_hu[middle], body, plane, in_teeth=kind == "dental_filling")
        outline = None if site is None else place(implant, site, generator=generator)
        if outline is not None:
            fraction = _prism(outline, middle, round(implant.radius_mm / grid.spacing_mm[0]), x_hu, plane)
            n_slices = int(fraction.flatten(1).any(dim=1).sum())
            name = f"{kind} of {material}".replace("_", " ")
            words = (
                f"An implant, a {name} with {area_mm2:g} mm2 in a slice, was put into {n_slices} of {len(x_hu)} slices."
            )
            return Implant(fraction, material, words)
    raise InputError(
        "the image has no room for an implant in any slice that was tried; give another --seed or a larger body."
    )


def _prism(
    outline: torch.Tensor, middle: int, half_height: int, x_hu: NDArray[np.float32], plane: Grid
) -> torch.Tensor:
    """Repeat an outline in the slices around its own, where the body is."""
    fraction = torch.zeros(x_hu.shape)
    slices = range(max(0, middle - half_height), min(len(x_hu), middle + half_height + 1))
    for index in slices:
        body = body_mask(x_hu[index : index + 1], plane.spacing_mm)[0]
        site = find_site(x_hu[index], body, plane, in_teeth=False)
        assert site is not None  # only teeth may be absent
        fraction[index] = outline * torch.from_numpy(site.allowed)
    return fraction


def _one_of(choices: Sequence[Choice], generator: torch.Generator) -> Choice:
    return choices[int(torch.randint(len(choices), (1,), generator=generator))]
