"""The slices of a CT file: one of a plain CT image, one a frame of an enhanced one, with their checked values."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset

from latentct.errors import InputError
from latentct.io.dicom.headers import HU_TYPES, damaged, floats, has_value, integer, shown, text

MAX_FRAMES = 100_000
MAX_POSITION_MM = 1e5
MIN_SPACING_MM = 1e-3
MAX_SLOPE, MAX_INTERCEPT_HU = 100.0, 1e6


@dataclass(frozen=True, eq=False)
class Slice:
    """Where a slice lies and how its stored values become HU.

    Attributes:
        path: File.
        frame: Index of the frame in its file.
        header: Header of the file without pixels and private elements.
        values: The elements that hold for this frame alone; the header itself where the file is one slice.
        shape: (rows, columns).
        position_mm: Centre of the first pixel, LPS.
        directions: (2, 3), unit vectors along a row and along a column, LPS.
        spacing_mm: Distances (between rows, between columns).
        slope: HU per stored unit.
        intercept: HU of the stored value 0.
        padding: First and last stored value that mark padding, or None.
    """

    path: Path
    frame: int
    header: Dataset = field(repr=False)
    values: Dataset = field(repr=False)
    shape: tuple[int, int]
    position_mm: NDArray[np.float64]
    directions: NDArray[np.float64]
    spacing_mm: tuple[float, float]
    slope: float
    intercept: float
    padding: tuple[int, int] | None


def slices_of(path: Path, header: Dataset) -> list[Slice]:
    """Check a CT file's header and return its slices, in the order of its frames.

    Raises:
        InputError: If a value that geometry or HU need is missing or makes no sense.
    """
    _check_pixels(path, header)
    if not has_value(header, "NumberOfFrames"):
        return [_slice(path, 0, header, header)]
    n_frames = integer(header, "NumberOfFrames", path)
    if not 1 <= n_frames <= MAX_FRAMES:
        raise InputError(f"{shown(path)} has {n_frames} frames; from 1 to {MAX_FRAMES} are expected.")
    try:
        frames = [_frame_values(header, frame) for frame in range(n_frames)]
    except Exception as error:
        raise damaged(path, "its functional groups do not describe each frame") from error
    return [_slice(path, frame, header, values) for frame, values in enumerate(frames)]


def _slice(path: Path, frame: int, header: Dataset, values: Dataset) -> Slice:
    row_mm, column_mm = floats(values, "PixelSpacing", 2, path)
    if not (min(row_mm, column_mm) >= MIN_SPACING_MM and max(row_mm, column_mm) < 1000):
        raise InputError(
            f"{shown(path)} has a PixelSpacing of {row_mm:g} x {column_mm:g} mm; it must be above {MIN_SPACING_MM:g}."
        )
    directions = np.array(floats(values, "ImageOrientationPatient", 6, path)).reshape(2, 3)
    lengths = np.linalg.norm(directions, axis=1)
    if np.abs(lengths - 1).max() > 1e-2 or abs(directions[0] @ directions[1]) > 1e-2:
        raise InputError(
            f"{shown(path)} has an ImageOrientationPatient that is not two unit vectors at right angles; "
            "export it again."
        )
    position_mm = np.array(floats(values, "ImagePositionPatient", 3, path))
    if np.abs(position_mm).max() > MAX_POSITION_MM:
        raise InputError(f"{shown(path)} has an ImagePositionPatient beyond any scanner; export it again.")
    slope, intercept = (floats(values, key, 1, path)[0] for key in ("RescaleSlope", "RescaleIntercept"))
    if slope == 0:
        raise InputError(f"{shown(path)} has a RescaleSlope of 0; HU cannot be told from its pixels: export it again.")
    if abs(slope) > MAX_SLOPE or abs(intercept) > MAX_INTERCEPT_HU:
        raise InputError(f"{shown(path)} has a rescale of {slope:g} and {intercept:g}, beyond any HU; export it again.")
    return Slice(
        path, frame, header, values,
        shape=(integer(header, "Rows", path), integer(header, "Columns", path)),
        position_mm=position_mm,
        directions=directions / lengths[:, None],
        spacing_mm=(row_mm, column_mm),
        slope=slope, intercept=intercept, padding=_padding(path, header),
    )  # fmt: skip


def _check_pixels(path: Path, header: Dataset) -> None:
    """Refuse what no CT image has: colour, inverted grey, empty slices, bits that lie anywhere in a word."""
    found = {key: integer(header, key, path) for key in ("Rows", "Columns", "BitsAllocated", "BitsStored")}
    if not (1 <= found["Rows"] <= 0xFFFF and 1 <= found["Columns"] <= 0xFFFF):
        raise InputError(f"{shown(path)} has {found['Rows']} x {found['Columns']} pixels; a slice needs at least one.")
    photometric = text(header, "PhotometricInterpretation")
    if photometric != "MONOCHROME2" or integer(header, "SamplesPerPixel", path, 1) != 1:
        raise InputError(
            f"{shown(path)} has pixels that are not MONOCHROME2, grey with bright for high HU; export the CT images."
        )
    stored, allocated = found["BitsStored"], found["BitsAllocated"]
    high = integer(header, "HighBit", path, stored - 1)
    if allocated not in (8, 16) or not 1 <= stored <= allocated or high != stored - 1:
        raise InputError(
            f"{shown(path)} stores {stored} of {allocated} bits up to bit {high}; 8 or 16 bits with the stored ones "
            "lowest are expected: export it again."
        )
    if integer(header, "PixelRepresentation", path, 0) not in (0, 1):
        raise InputError(f"{shown(path)} has a PixelRepresentation other than 0 and 1; export it again.")
    kind = text(header, "RescaleType").upper()
    if kind not in HU_TYPES:
        raise InputError(f"{shown(path)} holds values that are not HU; give the series of the CT images.")


def _padding(path: Path, header: Dataset) -> tuple[int, int] | None:
    if not has_value(header, "PixelPaddingValue"):
        return None
    first = integer(header, "PixelPaddingValue", path)
    last = integer(header, "PixelPaddingRangeLimit", path, first)
    bits = integer(header, "BitsStored", path)  # pydicom takes away what stands above them
    signed = integer(header, "PixelRepresentation", path, 0) == 1
    low, high = sorted(_as_stored(value, bits, signed) for value in (first, last))
    return low, high


def _as_stored(value: int, bits: int, signed: bool) -> int:
    """A padding value as its pixels hold it: writers mix up signed and unsigned ones."""
    value %= 1 << bits
    return value - (1 << bits) if signed and value >= 1 << (bits - 1) else value


def _frame_values(header: Dataset, frame: int) -> Dataset:
    """The values of one frame, from its own functional groups or the shared ones."""
    values = Dataset()
    own = header.PerFrameFunctionalGroupsSequence[frame]
    shared = header.SharedFunctionalGroupsSequence[0]
    for macro in (
        "PlanePositionSequence", "PlaneOrientationSequence", "PixelMeasuresSequence",
        "PixelValueTransformationSequence", "CTXRayDetailsSequence", "CTExposureSequence",
    ):  # fmt: skip
        holder = own if macro in own else shared
        if macro in holder and holder[macro].value:
            values.update(holder[macro].value[0])
    return values
