"""Projections in HDF5: the dataset `projections`, and the text `geometry` as an attribute, a dataset or a file beside.

The text is that of `latentct.io.scan_geometry`; the file beside `scan.h5` is `scan.yaml`.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from latentct.errors import InputError
from latentct.io.files import whole_file
from latentct.io.numpy_files import geometry_beside, refuse_no_numbers
from latentct.io.plain_yaml import LONGEST_TEXT
from latentct.io.quiet import refusing
from latentct.io.scan_geometry import ScanGeometry, read_geometry, read_geometry_file
from latentct.io.sizes import check_memory, check_shape

SUFFIXES = (".h5", ".hdf5")
_PROBE = Path(__file__).with_name("hdf5_probe.py")
LONGEST_S = 10.0
"""Within which a text and a view are read."""
MOST_PACKED = 2000
"""How much smaller than its numbers a dataset may be: gzip reaches 1030."""
LONGEST_ATTRIBUTE = 1 << 15
"""Bytes of the longest text that is written as an attribute, which HDF5 limits to 64 kB."""


def read_hdf5(path: Path) -> tuple[ScanGeometry, NDArray[Any]]:
    """Read line integrals or intensities and their geometry from one file.

    Raises:
        InputError: it is no HDF5 file, a part is missing or bad, or projections and geometry differ in shape.
    """
    import h5py  # type: ignore[import-untyped]

    with refusing(f"{path} cannot be read as an HDF5 file", "write it anew"):
        _refuse_deadly(path)
        with h5py.File(path, "r") as file:
            return _content(file, path)


def write_hdf5(path: Path, y: NDArray[np.float32], geometry: str) -> None:
    """Write line integrals, compressed view by view, and the text of their geometry as an attribute.

    The file is made in memory: where the disk is full, HDF5 ends the process when it closes a file of its own.
    """
    import h5py

    with h5py.File("projections.h5", "w", driver="core", backing_store=False) as file:
        chunks = (1, *y.shape[1:])
        dataset = file.create_dataset("projections", data=y, chunks=chunks, compression="gzip", shuffle=True)
        if len(geometry.encode()) <= LONGEST_ATTRIBUTE:
            dataset.attrs["geometry"] = geometry
        else:
            file.create_dataset("geometry", data=geometry)
        file.flush()
        content = file.id.get_file_image()
    with whole_file(path) as partial:
        partial.write_bytes(content)


def _refuse_deadly(path: Path) -> None:
    """Refuse a file that HDF5 dies of, or reads for ever; another process tries.

    Raises:
        InputError: it does.
    """
    try:
        probe = subprocess.run([sys.executable, str(_PROBE), str(path)], timeout=LONGEST_S, capture_output=True)
        code = probe.returncode
    except subprocess.TimeoutExpired:
        code = -1
    if code:
        raise InputError(f"{path} is damaged, so that HDF5 stops at it; write it anew.")


def _content(file: Any, path: Path) -> tuple[ScanGeometry, NDArray[Any]]:
    import h5py

    dataset = file.get("projections") if _is_own(file, "projections") else None
    if not isinstance(dataset, h5py.Dataset) or dataset.external or dataset.is_virtual:
        raise InputError(f"{path} holds no dataset 'projections'; put the array (views, rows, columns) there.")
    geometry = _geometry(file, dataset, path)
    name = f"projections {path}"
    check_shape(dataset.shape or (), geometry, name)
    refuse_no_numbers(dataset.dtype, path)
    check_memory(dataset.shape, name)
    if dataset.id.get_storage_size() * MOST_PACKED < dataset.nbytes:
        raise InputError(f"{name} announce {dataset.nbytes} bytes, of which the file holds hardly any; write it anew.")
    return geometry, dataset[()]


def _geometry(file: Any, dataset: Any, path: Path) -> ScanGeometry:
    for holder in (dataset.attrs, file.attrs):
        if "geometry" in holder:
            return read_geometry(_text(holder["geometry"], path), f"in {path}")
    if _is_own(file, "geometry"):
        return read_geometry(_text(file["geometry"], path), f"in {path}")
    return read_geometry_file(geometry_beside(path))


def _is_own(file: Any, name: str) -> bool:
    """Whether a file has an object of its own by a name: links may lead to other files, to pipes or in a ring."""
    import h5py

    return isinstance(file.get(name, getlink=True), h5py.HardLink)


def _text(stored: Any, path: Path) -> str:
    import h5py

    if isinstance(stored, h5py.Dataset):
        is_text = stored.shape == () and stored.dtype.kind in "OS" and not stored.external and not stored.is_virtual
        stored = stored[()] if is_text and stored.id.get_storage_size() <= LONGEST_TEXT else None
    text = stored.decode("utf-8") if isinstance(stored, bytes) else stored
    if not isinstance(text, str):
        raise InputError(f"{path} holds a 'geometry' that is no text; write there what a geometry file says.")
    return text
