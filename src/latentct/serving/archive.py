"""Scans in NPZ files that nobody vouches for: sizes are read and compared before any array is made."""

from __future__ import annotations

import math
import zipfile
from io import BytesIO
from typing import Any
from zlib import error as ZlibError

import numpy as np
from numpy.typing import NDArray

from latentct.errors import InputError
from latentct.io.scan_geometry import ScanGeometry, read_geometry
from latentct.serving.limits import MAX_TEXT, check_projections_shape, check_scan_size

_HEADERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
_COMPRESSIONS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_BROKEN = (zipfile.BadZipFile, ValueError, OSError, EOFError, RuntimeError, NotImplementedError, ZlibError)


def read_npz(content: bytes, name: str) -> tuple[NDArray[Any], ScanGeometry]:
    """Return the projections of an NPZ file and their geometry, see `latentct.io.projections`.

    Args:
        content: of the file.
        name: what the messages call it.

    Raises:
        InputError: it is no such file, holds objects, is too large, or its parts do not belong together.
    """
    try:
        with zipfile.ZipFile(BytesIO(content)) as archive:
            text_shape, text_type = _header(archive, "geometry", name)
            if text_shape != () or text_type.kind != "U" or text_type.itemsize > 4 * MAX_TEXT:
                raise InputError(f"{name}: geometry is no text of at most {MAX_TEXT} characters; write it as one.")
            geometry = read_geometry(str(_array(archive, "geometry")), f"of {name}")
            check_scan_size(geometry.scan, f"{name}: geometry")
            shape, _ = _header(archive, "projections", name)
            check_projections_shape(shape, geometry.scan, f"{name}: projections")
            return _array(archive, "projections"), geometry
    except InputError:
        raise
    except _BROKEN as error:
        raise InputError(f"{name} cannot be read as an NPZ file ({type(error).__name__}); write it anew.") from error


def _header(archive: zipfile.ZipFile, key: str, name: str) -> tuple[tuple[int, ...], np.dtype[Any]]:
    """Return shape and type of an array without its values."""
    entry = f"{key}.npy"
    if entry not in archive.namelist():
        raise InputError(f"{name}: {key} is missing; write an NPZ file with 'projections' and 'geometry'.")
    if archive.getinfo(entry).compress_type not in _COMPRESSIONS:
        raise InputError(f"{name}: {key} is compressed in an unusual way; write it with numpy.savez_compressed.")
    with archive.open(entry) as file:
        version = np.lib.format.read_magic(file)
        if version not in _HEADERS:
            raise InputError(f"{name}: {key} is of an unusual NPY version; write it with numpy.savez_compressed.")
        shape, _, dtype = _HEADERS[version](file)
    if dtype.hasobject:
        raise InputError(f"{name}: {key} holds Python objects, which are not read; write numbers and text.")
    if min(shape, default=0) < 0 or math.prod(shape) * dtype.itemsize > archive.getinfo(entry).file_size:
        raise InputError(f"{name}: {key} says it is larger than its content; write it anew.")
    return shape, dtype


def _array(archive: zipfile.ZipFile, key: str) -> NDArray[Any]:
    with archive.open(f"{key}.npy") as file:
        return np.asarray(np.lib.format.read_array(file, allow_pickle=False))
