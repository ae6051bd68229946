"""Projections in HDF5 files that are damaged, or lie."""

import io
import os
import random
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from .case import Case, Make, damaged, one_file, scattered, swapped, truncated
from .geometries import FAN, N_VIEWS, SHAPE
from .numpy_files import Y

N_EACH = 12
NAME = "projections"


@cache
def hdf5() -> bytes:
    file = io.BytesIO()
    with h5py.File(file, "w") as content:
        dataset = content.create_dataset(NAME, data=Y, chunks=(1, *SHAPE[1:]), compression="gzip")
        dataset.attrs["geometry"] = FAN
    return file.getvalue()


def written(write: Callable[[h5py.File], object]) -> Make:
    """The maker of a file that holds a geometry, beside one that is whole."""

    def make(folder: Path, chance: random.Random) -> Path:
        (folder / "other.h5").write_bytes(hdf5())
        with h5py.File(folder / "scan.h5", "w") as file:
            file.attrs["geometry"] = FAN
            write(file)
        return folder / "scan.h5"

    return make


def of(*arguments: Any, **options: Any) -> Make:
    """The maker of a dataset as h5py makes it."""
    return written(lambda file: file.create_dataset(NAME, *arguments, **options))


def link(target: h5py.SoftLink | h5py.ExternalLink) -> Make:
    return written(lambda file: file.__setitem__(NAME, target))


def described(geometry: Any) -> Make:
    def write(file: h5py.File) -> None:
        file.create_dataset(NAME, data=Y)
        file.attrs["geometry"] = geometry

    return written(write)


def _pipe(folder: Path, chance: random.Random) -> Path:
    os.mkfifo(folder / "pipe")
    return link(h5py.ExternalLink("pipe", NAME))(folder, chance)


def _virtual(file: h5py.File) -> None:
    layout = h5py.VirtualLayout(SHAPE, "f4")
    layout[:] = h5py.VirtualSource("other.h5", NAME, SHAPE)
    file.create_virtual_dataset(NAME, layout)


_RECORD = np.dtype([("a", "f4"), ("b", "i4")])
_EXTERNAL = [("/dev/zero", 0, h5py.h5f.UNLIMITED)]
_SLICE = (1, *SHAPE[1:])

CASES = (
    *(Case(f"hdf5 damaged {n}", damaged("scan.h5", hdf5, [truncated, scattered, swapped])) for n in range(N_EACH)),
    Case("hdf5 whole", one_file("scan.h5", hdf5()), False),
    Case("hdf5 of nothing", written(lambda file: None), True),
    Case("hdf5 group", written(lambda file: file.create_group(NAME)), True),
    Case("hdf5 one number", of(data=1.0), True),
    Case("hdf5 no number", of(data=h5py.Empty("f4")), True),
    Case("hdf5 text", of(data="text"), True),
    Case("hdf5 records", of(SHAPE, _RECORD), True),
    Case("hdf5 references", of(SHAPE, h5py.ref_dtype), True),
    Case("hdf5 claims 10^12 numbers", of((10**12, N_VIEWS, 40), "f4", chunks=_SLICE), True),
    Case("hdf5 claims 4 GB of its fill value", of((520_000, N_VIEWS, 40), "f8", chunks=_SLICE, fillvalue=1.0), True),
    Case("hdf5 pixels in another file", of(SHAPE, "f4", external=_EXTERNAL), True),
    Case("hdf5 virtual", written(_virtual), True),
    Case("hdf5 link to another file", link(h5py.ExternalLink("other.h5", NAME)), True),
    Case("hdf5 link to a pipe", _pipe, True),
    Case("hdf5 link to a device", link(h5py.ExternalLink("/dev/zero", "a")), True),
    Case("hdf5 link to itself", link(h5py.SoftLink(f"/{NAME}")), True),
    Case("hdf5 nan", of(data=Y * np.nan), True),
    Case("hdf5 geometry of numbers", described([1, 2]), True),
    Case("hdf5 geometry not utf-8", described(np.bytes_(b"\xff\xfe")), True),
    Case("hdf5 empty", one_file("scan.h5", b""), True),
    Case("hdf5 cut behind its magic", one_file("scan.h5", b"\x89HDF\r\n\x1a\n"), True),
)
