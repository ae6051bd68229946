"""Projections in numpy files: a folder, one NPZ file, or one NPY file with its geometry beside it."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from latentct.errors import InputError
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
    files = sorted(folder.glob("*.npy"))
    if not files:
        raise InputError(f"folder {folder} holds no .npy file; put the projections (views, rows, columns) there.")
    arrays = [_load(file) for file in files]
    views = [array[None] if array.ndim == 2 else array for array in arrays]  # or slices of a parallel or fan beam
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
    array = _load(path)
    _check(array.shape, geometry, path)
    return geometry, array


def read_npz(path: Path) -> tuple[ScanGeometry, NDArray[Any]]:
    """Read the array `projections` and the text `geometry` of one file.

    Raises:
        InputError: one of them is missing or bad.
    """
    content = _load(path)
    if not isinstance(content, dict) or not {"projections", "geometry"} <= set(content):
        raise InputError(
            f"{path} is no NPZ file with 'projections' and 'geometry'; give one, or a folder with projections and "
            f"{GEOMETRY}."
        )
    return read_geometry(str(content["geometry"]), f"in {path}"), content["projections"]


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


def _load(path: Path) -> Any:
    """Return the array of an NPY file without reading it yet, or the arrays of an NPZ file by name."""
    try:
        content = np.load(path, mmap_mode="r", allow_pickle=False)
        return content if isinstance(content, np.ndarray) else dict(content)
    except (OSError, ValueError, EOFError, BadZipFile) as error:
        raise InputError(f"{path} cannot be read as a numpy file ({error}); write it anew.") from error
