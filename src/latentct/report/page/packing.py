"""Volumes as text: made smaller until they fit, rounded to 1 HU, coded as differences of neighbours, deflated."""

import base64
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from latentct.report.page.content import Volumes

CLIP_HU = (-4096, 20479)  # a difference of two such numbers fits into 16 bits
THICKEST_MM = 5.0  # slices are joined up to this thickness; beyond it pixels are joined
MOST_VOXELS = 12_000_000  # what a browser of a phone holds and draws without a pause


@dataclass(frozen=True)
class PackedVolumes:
    """Volumes as base64 by name, on a grid whose voxels are blocks of `block` (z, y, x) voxels of the result."""

    data: dict[str, str]
    shape: tuple[int, ...]
    affine_lps_mm: NDArray[np.float64]
    block: tuple[int, int, int]
    first_slice: int

    @property
    def spacing_mm(self) -> tuple[float, ...]:
        """Size of a voxel of the page, (dz, dy, dx) in mm."""
        return tuple(float(size) for size in np.linalg.norm(self.affine_lps_mm[:3, :3], axis=0))

    @property
    def meta(self) -> dict[str, Any]:
        """Return what the viewer needs to know beside the data."""
        return {
            "shape": self.shape,
            "spacingMm": self.spacing_mm,
            "affineLpsMm": self.affine_lps_mm.tolist(),
            "firstSlice": self.first_slice,
        }

    @property
    def size_sentence(self) -> str:
        """Say at what size the volume is shown, and how exact its HU are."""
        z, y, x = self.block
        size = {(1, 1, 1): "full size", (1, 2, 2): "half size", (2, 2, 2): "half size"}.get(self.block, "reduced size")
        mean = (
            ""
            if self.block == (1, 1, 1)
            else f": a voxel is the mean of {z} by {y} by {x} voxels (slices, rows, columns)"
        )
        return f"Shown at {size}{mean}, rounded to 1 HU and clipped to {CLIP_HU[0]} to {CLIP_HU[1]} HU."


def pack_volumes(volumes: Volumes, limit_bytes: int) -> PackedVolumes:
    """Pack volumes at the largest size at which all of them together take at most `limit_bytes` of base64."""
    for block in _blocks(volumes):
        if volumes.before_hu.size > MOST_VOXELS * np.prod(block):
            continue
        packed = _pack(volumes, block)
        if sum(map(len, packed.data.values())) <= limit_bytes:
            break
    return packed


def encode(values: NDArray[np.int16]) -> str:
    """Return the base64 of the deflated low bytes and high bytes of the differences of neighbours, modulo 2^16."""
    steps = np.diff(values.ravel(), prepend=np.int16(0)).astype("<i2")
    planes = steps.view(np.uint8).reshape(-1, 2).T
    return base64.b64encode(zlib.compress(planes.tobytes(), 6)).decode("ascii")


def _blocks(volumes: Volumes) -> Iterator[tuple[int, int, int]]:
    """Yield blocks from one voxel upwards until one block holds the volume."""
    thickness_mm = float(np.linalg.norm(volumes.affine_lps_mm[:3, 0]))
    slices = pixels = 1
    yield 1, 1, 1
    while max(slices, pixels) < max(volumes.before_hu.shape):
        if pixels > 1 and thickness_mm * (slices + 1) <= THICKEST_MM:
            slices += 1
        else:
            pixels += 1
        yield slices, pixels, pixels


def _pack(volumes: Volumes, block: tuple[int, int, int]) -> PackedVolumes:
    before = _rounded_hu(volumes.before_hu, block)
    fields = {"before": before, "difference": _rounded_hu(volumes.after_hu, block) - before}
    if volumes.uncertainty_hu is not None:
        fields["uncertainty"] = _rounded_hu(volumes.uncertainty_hu, block)
    first_slice = before.shape[0] // 2
    if volumes.synthesised is not None:
        synthesised = np.asarray(_in_blocks(volumes.synthesised, block).any(axis=(1, 3, 5)))
        fields["synthesised"] = synthesised.astype(np.int16)
        areas = synthesised.sum(axis=(1, 2))
        first_slice = first_slice if areas[first_slice] else int(areas.argmax())
    if volumes.first_slice is not None:
        first_slice = volumes.first_slice // block[0]
    data = {name: encode(values) for name, values in fields.items()}
    return PackedVolumes(data, before.shape, _block_affine(volumes.affine_lps_mm, block), block, first_slice)


def _rounded_hu(values_hu: NDArray[np.float32], block: tuple[int, int, int]) -> NDArray[np.int16]:
    means = values_hu if block == (1, 1, 1) else _in_blocks(values_hu, block).mean(axis=(1, 3, 5))
    rounded: NDArray[np.int16] = np.rint(means.clip(*CLIP_HU)).astype(np.int16)
    return rounded


def _in_blocks(values: NDArray[Any], block: tuple[int, int, int]) -> NDArray[Any]:
    """Return (D', z, H', y, W', x); a last block that is not full is filled with its last voxel."""
    padded = np.pad(values, [(0, -n % size) for n, size in zip(values.shape, block, strict=True)], mode="edge")
    return padded.reshape([m for n, size in zip(padded.shape, block, strict=True) for m in (n // size, size)])


def _block_affine(affine_lps_mm: NDArray[np.float64], block: tuple[int, int, int]) -> NDArray[np.float64]:
    """Return the affine from indices of blocks to LPS mm of their centres."""
    sizes = np.array(block, float)
    to_voxels = np.diag([*sizes, 1.0])
    to_voxels[:3, 3] = (sizes - 1) / 2
    return affine_lps_mm @ to_voxels
