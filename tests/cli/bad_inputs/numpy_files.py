"""Projections in numpy files that are damaged, or lie."""

import io
import os
import random
import struct
import zipfile
import zlib
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from .case import Case, Make, damaged, one_file, scattered, swapped, truncated
from .geometries import FAN, N_VIEWS, SHAPE

N_EACH = 8
Y = np.linspace(0, 3, int(np.prod(SHAPE)), dtype=np.float32).reshape(SHAPE)


def npz(geometry: Any = FAN, y: Any = Y) -> bytes:
    file = io.BytesIO()
    np.savez_compressed(file, projections=y, geometry=np.array(geometry))
    return file.getvalue()


def npy(y: Any = Y) -> bytes:
    file = io.BytesIO()
    np.save(file, y, allow_pickle=True)
    return file.getvalue()


def claims(*shape: int, form: str = "<f4") -> bytes:
    """An NPY header that claims a shape, with the numbers of a small one."""
    text = f"{{'descr': {form!r}, 'fortran_order': False, 'shape': {shape!r}, }}".encode().ljust(117) + b"\n"
    return b"\x93NUMPY\1\0" + struct.pack("<H", len(text)) + text + Y.tobytes()


def of(y: Any) -> Make:
    """The maker of an NPZ file of some values."""
    return one_file("scan.npz", npz(y=y))


def described(geometry: Any) -> Make:
    """The maker of an NPZ file with some description."""
    return one_file("scan.npz", npz(geometry))


def packed(**members: bytes) -> Make:
    """The maker of an NPZ file of members that numpy would not write."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as content:
        for name, data in members.items():
            content.writestr(f"{name}.npy", data)
    return one_file("scan.npz", file.getvalue())


class _Zeros:
    """In place of a compressor: a header, then 16 MB of zeros whenever there are 16 MB, packed once for all."""

    def __init__(self, header: bytes) -> None:
        packer = zlib.compressobj(wbits=-15)
        self.header = packer.compress(header) + packer.flush(zlib.Z_FULL_FLUSH)

    def compress(self, block: bytes) -> bytes:
        return self.header if len(block) == 128 else _zeros()

    def flush(self) -> bytes:
        return zlib.compressobj(wbits=-15).flush()


@cache
def _zeros() -> bytes:
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(bytes(1 << 24)) + packer.flush(zlib.Z_FULL_FLUSH)


def bomb(member: str, n_bytes: int = 3 << 30, form: str = "<f4") -> Make:
    """The maker of an NPZ file in which one member unpacks to gigabytes of zeros, and claims to be more."""

    def make(folder: Path, chance: random.Random) -> Path:
        path = folder / "scan.npz"
        good = {"projections": npy(), "geometry": npy(np.array(FAN))}
        n_values = 100 * n_bytes // np.dtype(form).itemsize
        shape = (n_values // (N_VIEWS * 40), N_VIEWS, 40) if member == "projections" else (n_values,)
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as content:
            for name, data in good.items():
                if name != member:
                    content.writestr(f"{name}.npy", data)
            with content.open(f"{member}.npy", "w", force_zip64=True) as file:
                file._compressor = _Zeros(claims(*shape, form=form)[:128])
                file.write(bytes(128))
                for _ in range(n_bytes >> 24):
                    file.write(bytes(1 << 24))
        return path

    return make


def array(data: bytes) -> Make:
    """The maker of an NPY file and the geometry beside it."""

    def make(folder: Path, chance: random.Random) -> Path:
        (folder / "scan.yaml").write_text(FAN)
        return one_file("scan.npy", data)(folder, chance)

    return make


def damaged_array(folder: Path, chance: random.Random) -> Path:
    (folder / "scan.yaml").write_text(FAN)
    return damaged("scan.npy", npy, [truncated, swapped, lambda data, c: scattered(data, c, 128)])(folder, chance)


def in_folder(**files: bytes | None) -> Make:
    """The maker of a folder with a geometry; a file without content is a pipe."""

    def make(folder: Path, chance: random.Random) -> Path:
        (folder / "geometry.yaml").write_text(FAN)
        for name, data in files.items():
            path = folder / f"{name}.npy"
            os.mkfifo(path) if data is None else path.write_bytes(data)
        return folder

    return make


WHOLE = Case("npz whole", of(Y), refused=False)
_RECORD = np.dtype([("a", "f4"), ("b", "i4")])
_GEOMETRY = npy(np.array(FAN))
_NEGATIVE, _TEXT = claims(-5, N_VIEWS, 40), claims(4).replace(b"(4,)", b"'a' ")
_BRACKETS = b"\x93NUMPY\1\0" + struct.pack("<H", 9000) + b"(" * 9000

CASES = (
    *(Case(f"npz damaged {n}", damaged("scan.npz", npz, [truncated, scattered, swapped])) for n in range(2 * N_EACH)),
    *(Case(f"npy damaged {n}", damaged_array) for n in range(N_EACH)),
    WHOLE,
    Case("npy whole", array(npy()), refused=False),
    Case("folder of npy whole", in_folder(a=npy(), b=npy()), refused=False),
    Case("npz pickles", of(np.array([{"a": 1}, print], dtype=object)), True),
    Case("npz pickled geometry", described({"mu_water": 0.02}), True),
    Case("npz complex", of(Y.astype(complex)), True),
    Case("npz text", of(Y.astype(str)), True),
    Case("npz yes and no", of(Y > 1), True),
    Case("npz dates", of(np.zeros(SHAPE, "M8[s]")), True),
    Case("npz records", of(np.zeros(SHAPE, _RECORD)), True),
    Case("npz half precision", of(Y.astype(np.float16)), False),
    Case("npz quad precision", of(Y.astype(np.longdouble))),
    Case("npz nan", of(np.where(Y > 1, np.nan, Y)), True),
    Case("npz infinite", of(np.where(Y > 1, -np.inf, Y)), True),
    Case("npz huge", of(Y * 1e30), True),
    Case("npz intensities without i0", of(Y * 10000), True),
    Case("npz negative", of(-Y - 2), True),
    Case("npz all zero", of(Y * 0)),
    Case("npz all of one value", of(Y * 0 + 5)),
    Case("npz no slice", of(Y[:0]), True),
    Case("npz of one number", of(np.float32(1)), True),
    Case("npz of seven axes", of(Y[None, None, None, None]), True),
    Case("npz in fortran order", of(np.asfortranarray(Y)), False),
    Case("npz big endian", of(Y.astype(">f8")), False),
    Case("npz without geometry", packed(projections=npy()), True),
    Case("npz without projections", packed(geometry=_GEOMETRY), True),
    Case("npz geometry of bytes", described(FAN.encode())),
    Case("npz geometry of numbers", described([1.0, 2.0]), True),
    Case("npz geometry of many texts", described([FAN] * 3), True),
    Case("npz no zip", one_file("scan.npz", npy()), True),
    Case("npz of no member", packed(), True),
    Case("npz of raw text", packed(projections=b"text", geometry=b"text"), True),
    Case("npz claims 10^12 numbers", packed(projections=claims(10**12), geometry=_GEOMETRY), True),
    Case("npz claims minus 5 slices", packed(projections=_NEGATIVE, geometry=_GEOMETRY), True),
    Case("npz claims a shape of text", packed(projections=_TEXT, geometry=_GEOMETRY), True),
    Case("npz bomb of projections", bomb("projections"), True),
    Case("npz bomb of geometry", bomb("geometry", form="<U16777216"), True),
    Case("npz bomb of another member", bomb("notes")),
    Case("npy pickle", array(npy(np.array([print], dtype=object))), True),
    Case("npy claims 10^12 numbers", array(claims(10**6, 10**6)), True),
    Case("npy claims 10^30 numbers", array(claims(10**15, 10**15)), True),
    Case("npy claims slices that are not there", array(claims(10**9, N_VIEWS, 40)), True),
    Case("npy header of brackets", array(_BRACKETS), True),
    Case("npy header of 4 GB", array(b"\x93NUMPY\2\0\xff\xff\xff\xff{"), True),
    Case("npy empty", array(b""), True),
    Case("npy without geometry", one_file("scan.npy", npy()), True),
    Case("folder of npy with a pipe", in_folder(a=npy(), b=None), False),
    Case("folder of npy with another shape", in_folder(a=npy(), b=npy(Y[:, :2])), True),
    Case("folder of npy with rubbish", in_folder(a=npy(), b=b"rubbish"), True),
    Case("folder of npy with another type", in_folder(a=npy(), b=npy(Y.astype("M8[s]"))), True),
    Case("folder of npy with a number", in_folder(a=npy(np.float32(1))), True),
    Case("folder of npy without any", in_folder(), True),
)
