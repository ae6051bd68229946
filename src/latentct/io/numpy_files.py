"""Projections in numpy files: a folder, one NPZ file, or one NPY file with its geometry beside it."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import numpy as np
from numpy.lib.format import read_array, read_array_header_1_0, read_array_header_2_0, read_magic
from numpy.typing import NDArray

from latentct.errors import InputError
from latentct.io.plain_yaml import LONGEST_TEXT
from latentct.io.quiet import refusing
from latentct.io.scan_geometry import ScanGeometry, read_geometry, read_geometry_file
from latentct.io.sizes import check_memory, check_shape

GEOMETRY = "geometry.yaml"


def read_folder(folder: Path) -> tuple[ScanGeometry, NDArray[Any]]:
    """Read the geometry of a folder and its `.npy` files, joined in the order of their names.

    Raises:
        InputError: a part is missing or bad, or the files differ in shape.
    """
    file = folder / GEOMETRY
    if not file.is_file():
        raise InputError(f"{file} does not exist; give a folder with projections and {GEOMETRY}, or an NPZ file.")
    geometry = read_geometry_file(file)
    files = sorted(file for file in folder.glob("*.npy") if file.is_file())
    if not files:
        raise InputError(f"folder {folder} holds no .npy file; put the projections (views, rows, columns) there.")
    arrays = [_mapped(file) for file in files]
    views = [
        array[None] if array.ndim == 2 else np.atleast_1d(array) for array in arrays
    ]  # or slices of a parallel or fan beam
    if len({array.shape[1:] for array in views}) > 1:
        shapes = ", ".join(f"{file.name} {array.shape}" for file, array in zip(files, arrays, strict=True))
        raise InputError(f"the projections in {folder} differ in shape ({shapes}); give views of one panel.")
    shape = (sum(len(array) for array in views), *views[0].shape[1:])
    _check(shape, geometry, folder)
    return geometry, np.concatenate(views)


def read_npy(path: Path) -> tuple[ScanGeometry, NDArray[Any]]:
    """Read an array, and its geometry in the file of its name that ends in `.yaml`.

    Raises:
        InputError: the geometry is missing, or one of them is bad.
    """
    geometry = read_geometry_file(geometry_beside(path))
    array = _mapped(path)
    _check(array.shape, geometry, path)
    return geometry, array


def read_npz(path: Path) -> tuple[ScanGeometry, NDArray[Any]]:
    """Read the array `projections` and the text `geometry` of one file.

    Raises:
        InputError: one of them is missing or bad.
    """
    with _parsing(path), ZipFile(path) as archive:
        if not {"projections.npy", "geometry.npy"} <= set(archive.namelist()):
            raise InputError(
                f"{path} is no NPZ file with 'projections' and 'geometry'; give one, or a folder with projections and "
                f"{GEOMETRY}."
            )
        shape, dtype = _header(archive, "geometry.npy")
        if shape or dtype.kind not in "US" or dtype.itemsize > LONGEST_TEXT:
            raise InputError(f"{path} holds a 'geometry' that is no text; write there what a geometry file says.")
        text = _array(archive, "geometry.npy").item()
        geometry = read_geometry(text.decode("utf-8") if isinstance(text, bytes) else text, f"in {path}")
        shape, dtype = _header(archive, "projections.npy")
        refuse_no_numbers(dtype, path)
        _check(shape, geometry, path)
        return geometry, _array(archive, "projections.npy")


def geometry_beside(path: Path) -> Path:
    """Return the geometry file that belongs to a file of projections, of its name with the ending `.yaml`.

    Raises:
        InputError: there is none.
    """
    beside = path.with_suffix(".yaml")
    if not beside.is_file():
        raise InputError(f"{beside} does not exist; describe the geometry of {path} there.")
    return beside


def _check(shape: tuple[int, ...], geometry: ScanGeometry, path: Path) -> None:
    check_shape(shape, geometry, f"projections {path}")
    check_memory(shape, f"projections {path}")


def refuse_no_numbers(dtype: np.dtype[Any], path: Path) -> None:
    """Raise an InputError for an array of anything but real numbers."""
    if dtype.kind not in "iuf":
        raise InputError(f"projections {path} hold values that are not finite numbers; write them as float32.")


def _mapped(path: Path) -> NDArray[Any]:
    """Return the array of an NPY file without reading it yet."""
    with _parsing(path):
        array: NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
        if not isinstance(array, np.ndarray):
            raise InputError(f"{path} is an NPZ file; name it so.")
    refuse_no_numbers(array.dtype, path)
    return array


def _header(archive: ZipFile, name: str) -> tuple[tuple[int, ...], np.dtype[Any]]:
    """Return shape and type of an array in an archive, which may be larger than any memory."""
    with archive.open(name) as file:
        read = {(1, 0): read_array_header_1_0, (2, 0): read_array_header_2_0}[read_magic(file)]
        shape, _, dtype = read(file)
    return shape, dtype


def _array(archive: ZipFile, name: str) -> NDArray[Any]:
    with archive.open(name) as file:
        return read_array(file, allow_pickle=False)


def _parsing(path: Path) -> AbstractContextManager[None]:
    return refusing(f"{path} cannot be read as a numpy file", "write it anew")
