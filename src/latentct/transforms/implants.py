"""Metal for simulated scans: random implants in the bone and teeth of real slices, or masks from a file."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch
from monai.transforms import LoadImage, Orientation
from torch import Tensor

from latentct.errors import InputError
from latentct.geometry import Grid
from latentct.simulate.implants import IMPLANT_MATERIALS, SIZES_MM2, draw_implant, kinds_of_size, size_class
from latentct.simulate.materials import METALS
from latentct.simulate.outlines import KINDS
from latentct.simulate.placement import find_site, place
from latentct.transforms.grid import resample_slices, slice_grid


@dataclass(frozen=True)
class SliceMetal:
    """The metal of one slice.

    Attributes:
        fraction: volume fraction of metal (H, W) in [0, 1].
        material: name in `latentct.simulate.materials`.
        size: number of the size class from 1; 0 without metal.
        kind: kind of implant.
    """

    fraction: Tensor
    material: str
    size: int
    kind: str


class Implants(Protocol):
    """What gives every slice its metal, the same at each call."""

    def __call__(
        self, x_hu: npt.NDArray[np.float32], body: npt.NDArray[np.bool_], grid: Grid, case: SliceCase
    ) -> SliceMetal:
        """Return the metal of a slice (H, W) in HU whose body mask is (H, W)."""


@dataclass(frozen=True)
class SliceCase:
    """A slice of a benchmark, from which all its random numbers follow.

    Attributes:
        seed: seed of the benchmark.
        volume: name or hash of the volume.
        index: position of the slice in the volume that is scanned.
        n_slices: number of slices of that volume.
    """

    seed: int
    volume: str
    index: int
    n_slices: int

    def generator(self, purpose: str) -> torch.Generator:
        """Return fresh chance for one purpose, the same on every machine."""
        return torch.Generator().manual_seed(_hash(self.seed, self.volume, self.index, purpose))

    def number(self, n: int) -> int:
        """Return which of `n` cases it is: the slices of a volume take turns, from a start that the volume decides."""
        return (_hash(self.seed, self.volume) + self.index) % n


class RandImplants:
    """Random implants, one a slice, spread evenly over sizes and materials.

    The slices of a volume take sizes and materials in turn, starting anywhere: any five neighbours have the five sizes,
    any four the four materials and any twenty all their pairs (as long as the two numbers have no common divisor). The
    kind is drawn among those that come in that size. Fillings go into teeth, and into no slice without; all else goes
    into bone, or into soft tissue where there is none.

    Args:
        sizes_mm2: areas in the slice, one a size class.
        materials: names in `latentct.simulate.materials`.
        kinds: kinds of implants that may be drawn.
        bone_hu: least value of bone.
        teeth_hu: least value of teeth.
        margin_mm: least distance from the outside of the body.

    Raises:
        InputError: a kind or a material is not known, or no kind comes in one of the sizes.
    """

    def __init__(
        self,
        sizes_mm2: Sequence[float] = SIZES_MM2,
        materials: Sequence[str] = IMPLANT_MATERIALS,
        kinds: Sequence[str] = tuple(KINDS),
        bone_hu: float = 300.0,
        teeth_hu: float = 1200.0,
        margin_mm: float = 4.0,
    ) -> None:
        self.sizes_mm2, self.materials, self.kinds = tuple(sizes_mm2), tuple(materials), tuple(kinds)
        self.bone_hu, self.teeth_hu, self.margin_mm = bone_hu, teeth_hu, margin_mm
        _refuse_unknown("implants", self.kinds, KINDS)
        _refuse_unknown("metals", self.materials, METALS)
        for area_mm2 in self.sizes_mm2:
            if not kinds_of_size(area_mm2, self.kinds):
                raise InputError(f"none of the implants {', '.join(self.kinds)} comes in {area_mm2} mm2; add a kind.")

    def __call__(
        self, x_hu: npt.NDArray[np.float32], body: npt.NDArray[np.bool_], grid: Grid, case: SliceCase
    ) -> SliceMetal:
        """Draw the implant of a slice and place it.

        Args:
            x_hu: slice (H, W) in HU.
            body: mask (H, W), True in the body.
            grid: grid of both.
            case: which slice it is.

        Raises:
            InputError: the body has no room for an implant of the slice's size.
        """
        number = case.number(len(self.sizes_mm2) * len(self.materials))
        size = number % len(self.sizes_mm2)
        material = self.materials[number % len(self.materials)]
        generator = case.generator("implant")
        kinds = kinds_of_size(self.sizes_mm2[size], self.kinds)
        for _ in range(12):
            kind = kinds[int(torch.randint(len(kinds), (1,), generator=generator))]
            site = find_site(
                x_hu,
                body,
                grid,
                in_teeth=kind == "dental_filling",
                bone_hu=self.bone_hu,
                teeth_hu=self.teeth_hu,
                margin_mm=self.margin_mm,
            )
            implant = draw_implant(kind, self.sizes_mm2[size], generator=generator)
            fraction = None if site is None else place(implant, site, generator=generator)
            if fraction is not None:
                return SliceMetal(fraction, material, size + 1, kind)
        raise InputError(
            f"slice {case.index} of {case.volume[:12]} has no room for an implant of {self.sizes_mm2[size]} mm2; "
            "choose smaller sizes, or keep slices with more body."
        )


class MetalFromFile:
    """Metal from a mask in a NIfTI file, drawn on the slices of each volume centre on centre.

    Args:
        path: fractions or mask, values in [0, 1]; one slice, used for all, or as many as the volumes have.
        material: name in `latentct.simulate.materials`.
        sizes_mm2: areas of the size classes, which the metal of a slice is sorted into.

    Raises:
        InputError: the metal is not known, the file is missing or its values are not in [0, 1].
    """

    def __init__(self, path: str | os.PathLike[str], material: str, sizes_mm2: Sequence[float] = SIZES_MM2) -> None:
        self.path, self.material, self.sizes_mm2 = os.fspath(path), material, tuple(sizes_mm2)
        _refuse_unknown("metals", [material], METALS)
        if not Path(self.path).is_file():
            raise InputError(f"{self.path} does not exist; give the path of a NIfTI file.")
        loaded = LoadImage(image_only=True, ensure_channel_first=True)(self.path)
        volume = Orientation(axcodes="SPL", labels=None)(loaded)
        self.fractions = torch.as_tensor(volume.array)[0].float()
        self.grid = slice_grid(volume)
        low, high = float(self.fractions.min()), float(self.fractions.max())
        if low < 0 or high > 1:
            raise InputError(f"{self.path} holds values from {low:g} to {high:g}; a mask of metal is within 0 and 1.")

    def __call__(
        self, x_hu: npt.NDArray[np.float32], body: npt.NDArray[np.bool_], grid: Grid, case: SliceCase
    ) -> SliceMetal:
        """Return the metal of a slice on `grid`.

        Raises:
            InputError: the file has neither one slice nor as many as the volume.
        """
        depth = len(self.fractions)
        if depth not in (1, case.n_slices):
            raise InputError(
                f"{self.path} has {depth} slices and the volume {case.n_slices}; give one slice, or as many as it has."
            )
        source = self.fractions[case.index % depth]
        fraction = resample_slices(source, self.grid, grid, outside=0.0).float().clamp(0.0, 1.0)
        area_mm2 = float(fraction.sum()) * grid.spacing_mm[0] * grid.spacing_mm[1]
        return SliceMetal(fraction, self.material, size_class(area_mm2, self.sizes_mm2), "file")


def _refuse_unknown(what: str, names: Sequence[str], known: Collection[str]) -> None:
    unknown = [name for name in names if name not in known]
    if unknown:
        raise InputError(f"{what} {', '.join(unknown)} are not known; choose among {', '.join(known)}.")


def _hash(*parts: object) -> int:
    """Return 63 bits that depend on every part."""
    return int.from_bytes(hashlib.sha256("/".join(map(str, parts)).encode()).digest()[:8], "big") >> 1
