"""MetaImage files (`.mha`, `.mhd`) of a stack of projections: the header first, and its numbers when asked for."""

from __future__ import annotations

import math
import sys
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from latentct.errors import InputError
from latentct.io.scan_geometry import PIXELS_MM

SUFFIXES = (".mha", ".mhd")
LONGEST_HEADER = 1 << 16
"""Bytes within which a header must end."""
LARGEST_OFFSET_MM = 1e5
_TYPES = {"MET_FLOAT": "f4", "MET_DOUBLE": "f8", "MET_SHORT": "i2", "MET_USHORT": "u2"}
_POSITIONS = ("Offset", "Origin", "Position")
_NOT_ALIGNED = "turned axes, where the axes of the panel are expected; write the projections with an identity matrix"


@dataclass(frozen=True)
class MetaImage:
    """What a header says of a stack of projections.

    Attributes:
        path: of the header.
        shape: number of views, rows and columns (A, V, U).
        pixel_mm: distance of rows and of columns.
        origin_mm: position (v, u) of the first row and column.
        dtype: of the numbers, in the byte order of the file.
        data: file that holds them, beside the header or the header's own.
        start: byte of `data` at which they begin.
        compressed: whether they are deflated.
    """

    path: Path
    shape: tuple[int, int, int]
    pixel_mm: tuple[float, float]
    origin_mm: tuple[float, float]
    dtype: np.dtype[Any]
    data: Path
    start: int
    compressed: bool


def read_header(path: Path) -> MetaImage:
    """Read what a file says of its numbers.

    Raises:
        InputError: it is no MetaImage of three dimensions, with one number a pixel in one file of its own folder.
    """
    entries, end = _entries(path)
    columns, rows, views = (int(n) for n in _numbers(entries, ("DimSize",), path))
    du_mm, dv_mm, _ = _numbers(entries, ("ElementSpacing", "ElementSize"), path)
    u_mm, v_mm, _ = _numbers(entries, _POSITIONS, path) if set(_POSITIONS) & set(entries) else (0.0, 0.0, 0.0)
    if min(columns, rows, views) < 1 or min(du_mm, dv_mm) <= 0:
        raise InputError(f"{path} has a DimSize or ElementSpacing that is not positive; correct its header.")
    if min(du_mm, dv_mm) < PIXELS_MM[0] or max(du_mm, dv_mm) > PIXELS_MM[1]:
        raise InputError(
            f"{path} has an ElementSpacing outside {PIXELS_MM[0]:g} to {PIXELS_MM[1]:g} mm; correct its header."
        )
    if max(abs(u_mm), abs(v_mm)) > LARGEST_OFFSET_MM:
        raise InputError(f"{path} has an Offset beyond {LARGEST_OFFSET_MM:g} mm; correct its header.")
    matrix = next(
        (entries[key].split() for key in ("TransformMatrix", "Rotation", "Orientation") if key in entries), None
    )
    if matrix is not None and (len(matrix) != 9 or not np.allclose(_floats(matrix, path), np.eye(3).ravel())):
        raise InputError(f"{path} has {_NOT_ALIGNED}.")
    kind = _TYPES.get(entries.get("ElementType", ""))
    if (
        kind is None
        or entries.get("ElementNumberOfChannels", "1") != "1"
        or entries.get("BinaryData", "True") != "True"
    ):
        raise InputError(
            f"{path} holds no plain binary numbers of type {', '.join(_TYPES)}; convert it to one of them."
        )
    swapped = "True" in (entries.get("BinaryDataByteOrderMSB"), entries.get("ElementByteOrderMSB"))
    data, start = _place(entries, path, end)
    return MetaImage(
        path,
        (views, rows, columns),
        (dv_mm, du_mm),
        (v_mm, u_mm),
        np.dtype(kind).newbyteorder(">" if swapped else "<"),
        data,
        start,
        entries.get("CompressedData") == "True",
    )


def read_pixels(image: MetaImage) -> NDArray[Any]:
    """Return the numbers (A, V, U), in the byte order of this machine.

    Raises:
        InputError: there are fewer or more than the header says.
    """
    expected = math.prod(image.shape) * image.dtype.itemsize
    if not image.data.is_file():
        raise InputError(f"the pixels of {image.path} are missing; put the file that its header names beside it.")
    try:
        with image.data.open("rb") as file:
            file.seek(image.start)
            stored = file.read() if image.compressed else file.read(expected + 1)
        content = zlib.decompressobj().decompress(stored, expected + 1) if image.compressed else stored
    except (OSError, zlib.error) as error:
        raise InputError(f"the pixels of {image.path} cannot be read ({error}); write the file anew.") from error
    if len(content) != expected:
        found = "more" if len(content) > expected else f"{len(content)}"
        raise InputError(
            f"{image.path} announces {expected} bytes of pixels, but {found} were found; write the file anew."
        )
    array = np.frombuffer(content, image.dtype).reshape(image.shape)
    return array.astype(array.dtype.newbyteorder("="), copy=False)


def _entries(path: Path) -> tuple[dict[str, str], int]:
    """Return the entries of a header up to the one that names the data, and where it ends."""
    try:
        with path.open("rb") as file:
            lines = file.read(LONGEST_HEADER).splitlines(keepends=True)
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}); give a MetaImage file.") from error
    entries: dict[str, str] = {}
    end = 0
    for line in lines:
        key, separator, value = line.decode("latin-1").partition("=")
        if not separator:
            break
        entries[key.strip()] = value.strip()
        end += len(line)
        if key.strip() == "ElementDataFile":
            return entries, end
    raise InputError(
        f"{path} is no MetaImage file, whose header ends with 'ElementDataFile'; give a .mha or .mhd file."
    )


def _place(entries: Mapping[str, str], path: Path, end: int) -> tuple[Path, int]:
    name = entries["ElementDataFile"]
    if name == "LOCAL":
        return path, end
    if Path(name).name != name or name in ("", "LIST") or "%" in name or entries.get("HeaderSize", "0") != "0":
        raise InputError(
            f"{path} names as ElementDataFile neither LOCAL nor one plain file beside it; put all pixels in one."
        )
    return path.with_name(name), 0


def _numbers(entries: Mapping[str, str], keys: tuple[str, ...], path: Path) -> list[float]:
    """Return the three numbers of the first of these keys that is there."""
    values = next((entries[key].split() for key in keys if key in entries), [])
    if len(values) != 3:
        raise InputError(f"{path} has {len(values)} numbers as {keys[0]}, but 3 are expected; correct its header.")
    return _floats(values, path)


def _floats(values: list[str], path: Path) -> list[float]:
    try:
        numbers = [float(value) for value in values]
    except ValueError:
        numbers = [math.nan]
    if not all(abs(number) < sys.maxsize for number in numbers):
        raise InputError(f"{path} has an entry that is no finite number where one is expected; correct its header.")
    return numbers
