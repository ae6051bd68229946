"""NIfTI files that are damaged, or lie."""

import gzip
import random
import struct
from functools import cache
from pathlib import Path

import nibabel as nib
import numpy as np

from .case import Case, Make, damaged, one_file, scattered, swapped, truncated

N_EACH = 10
HEADER_BYTES = 352
SHAPE = (32, 28, 3)
DIM, PIXDIM, DATATYPE, VOX_OFFSET, SLOPE, FORMS, SFORM, MAGIC = 40, 76, 70, 108, 112, 252, 280, 344


def body_hu() -> np.ndarray:
    """A body of 320 x 240 mm that is cut on one side, (x, y, z) in pixels of 10 mm."""
    x, y = np.meshgrid(np.arange(32) - 11.5, np.arange(28) - 13.5, indexing="ij")
    return np.repeat(np.where((x / 16) ** 2 + (y / 12) ** 2 < 1, 40.0, -1000.0)[..., None], SHAPE[2], axis=2)


def nifti(array: np.ndarray) -> bytes:
    affine = np.diag([-10.0, -10.0, 5.0, 1.0])
    return nib.Nifti1Image(array, affine, dtype=array.dtype).to_bytes()


@cache
def whole() -> bytes:
    return nifti(body_hu().astype(np.int16))


@cache
def packed() -> bytes:
    return gzip.compress(whole(), mtime=0)


@cache
def zeros() -> bytes:
    """16 MB of nothing, of which a file may hold any number in a row."""
    return gzip.compress(bytes(1 << 24), mtime=0)


def header_bytes(data: bytes, chance: random.Random) -> bytes:
    return scattered(data, chance, HEADER_BYTES)


def header_numbers(data: bytes, chance: random.Random) -> bytes:
    """Numbers that no header should have, at the places of its fields."""
    spoilt = bytearray(data)
    for _ in range(chance.choice([1, 2, 4])):
        if chance.random() < 0.4:
            place, number = DIM + 2 * chance.randrange(8), chance.choice([-32768, -1, 0, 1, 2, 3, 7, 8, 1000, 32767])
            struct.pack_into("<h", spoilt, place, number)
        else:
            place = chance.choice([PIXDIM, VOX_OFFSET, SLOPE, SFORM]) + 4 * chance.randrange(8)
            numbers = [np.nan, np.inf, -np.inf, 0.0, -1.0, 1e-38, 1e38, -1e38, 1e6]
            struct.pack_into("<f", spoilt, place, chance.choice(numbers))
    return bytes(spoilt)


def then_packed(damage):
    return lambda data, chance: gzip.compress(damage(data, chance), mtime=0)


def patched(place: int, form: str, *numbers: float) -> bytes:
    spoilt = bytearray(whole())
    struct.pack_into(form, spoilt, place, *numbers)
    return bytes(spoilt)


def claims(*shape: int, datatype: int = 4) -> bytes:
    """A header that claims a shape, with the pixels of a small one."""
    data = bytearray(patched(DIM, f"<{len(shape) + 1}h", len(shape), *shape))
    struct.pack_into("<hh", data, DATATYPE, datatype, {2: 8, 4: 16, 16: 32, 64: 64}[datatype])
    return bytes(data)


def inflates_to(n_bytes: int, shape: tuple[int, ...]) -> Make:
    """The maker of a file of zeros that is some thousand times larger when unpacked."""

    def make(folder: Path, chance: random.Random) -> Path:
        path = folder / "scan.nii.gz"
        path.write_bytes(gzip.compress(claims(*shape)[:HEADER_BYTES]) + zeros() * (n_bytes >> 24))
        return path

    return make


def values(x: np.ndarray) -> Make:
    return one_file("scan.nii.gz", gzip.compress(nifti(x), mtime=0))


def placed(affine: list[list[float]] | np.ndarray) -> Make:
    return one_file("scan.nii", patched(SFORM, "<12f", *np.array(affine, float)[:3].ravel()))


def named(name: str, data: bytes | None = None) -> Make:
    return one_file(name, packed() if data is None else data)


def packing(data: bytes) -> Make:
    return named("scan.nii.gz", gzip.compress(data))


def _spoilt(value: float, where: slice = slice(5, 6)) -> Make:
    x = body_hu().astype(np.float32)
    x[where] = value
    return values(x)


def _pair(folder: Path, chance: random.Random) -> Path:
    """A header whose pixels lie in a file of their own."""
    nib.save(nib.Nifti1Pair(body_hu().astype(np.int16), np.eye(4)), folder / "scan.img")
    path = folder / "scan.nii"
    (folder / "scan.hdr").rename(path)
    return path


def _version_2(folder: Path, chance: random.Random) -> Path:
    nib.save(nib.Nifti2Image(body_hu().astype(np.int16), np.diag([-10.0, -10.0, 5.0, 1.0])), folder / "scan.nii")
    return folder / "scan.nii"


def _colour() -> np.ndarray:
    return np.zeros(SHAPE, dtype=[("R", "u1"), ("G", "u1"), ("B", "u1")])


_RANDOM = (
    ("header bytes", "scan.nii", whole, [header_bytes]),
    ("header numbers", "scan.nii", whole, [header_numbers]),
    ("packed header", "scan.nii.gz", whole, [then_packed(header_bytes), then_packed(header_numbers)]),
    ("packed bytes", "scan.nii.gz", packed, [truncated, scattered, swapped]),
    ("cut", "scan.nii", whole, [truncated]),
)
_X = np.zeros(SHAPE, np.float32)

_ENDLESS = b"\1\0\0\0" + struct.pack("<2i", 0x7FFFFFF0, 6)
_MEMBERS = gzip.compress(whole()[:500]) + gzip.compress(whole()[500:])

WHOLE = Case("nifti whole", named("scan.nii.gz"), refused=False)

CASES = (
    *(
        Case(f"nifti {kind} {number}", damaged(name, data, damages))
        for kind, name, data, damages in _RANDOM
        for number in range(N_EACH)
    ),
    WHOLE,
    Case("nifti claims 30000^3", one_file("scan.nii", claims(30000, 30000, 30000)), True),
    Case("nifti claims 30000^3 packed", packing(claims(30000, 30000, 30000)), True),
    Case("nifti claims 32767^3 of double", packing(claims(32767, 32767, 32767, datatype=64)), True),
    Case("nifti claims 2000 slices of 4000", packing(claims(4000, 4000, 2000)), True),
    Case("nifti inflates to 3 GB", inflates_to(3 << 30, (32000, 32000, 300)), True),
    Case("nifti inflates behind its pixels", inflates_to(1 << 31, (32, 28, 3))),
    Case("nifti inflates before its pixels", packing(patched(VOX_OFFSET, "<f", 2e9))),
    Case("nifti claims a negative shape", one_file("scan.nii", claims(-32, 28, 3)), True),
    Case("nifti claims no slice", one_file("scan.nii", claims(32, 28, 0)), True),
    Case("nifti of two axes", values(_X[:, :, 0]), True),
    Case("nifti of four axes", values(np.zeros((8, 8, 3, 5), np.int16)), True),
    Case("nifti of five axes", values(np.zeros((8, 8, 3, 1, 5), np.int16)), True),
    Case("nifti of four axes, one slice each", values(_X[..., None])),
    Case("nifti of one voxel", values(_X[:1, :1, :1])),
    Case("nifti of one row", values(_X[:, :1])),
    Case("nifti of one column", values(_X[:1])),
    Case("nifti of one slice", values(_X[..., :1])),
    Case("nifti of 1500 slices of a pixel", values(np.zeros((1, 1, 1500), np.int16))),
    Case("nifti of no voxel", values(np.zeros((0, 4, 3), np.int16)), True),
    Case("nifti nan", _spoilt(np.nan), True),
    Case("nifti infinite", _spoilt(np.inf), True),
    Case("nifti all nan", _spoilt(np.nan, slice(None)), True),
    Case("nifti huge", _spoilt(3e38), True),
    Case("nifti all huge", _spoilt(-3e38, slice(None)), True),
    Case("nifti huge as double", values(np.full(SHAPE, 1e300)), True),
    Case("nifti of one value", values(_X)),
    Case("nifti not in hu", values((body_hu() / 1000).astype(np.float32))),
    Case("nifti all metal", values(_X + 20000)),
    Case("nifti noise", values(np.random.default_rng(1).normal(0, 1e4, SHAPE).astype(np.float32))),
    Case("nifti complex", values(_X.astype(np.complex64)), True),
    Case("nifti colour", values(_colour()), True),
    Case("nifti unsigned of 64 bit", values(np.full(SHAPE, 2**63, np.uint64))),
    Case("nifti spacing zero", one_file("scan.nii", patched(PIXDIM, "<4f", 1, 0, 0, 0))),
    Case("nifti affine zero", placed(np.zeros((4, 4))), True),
    Case("nifti affine of rank two", placed(np.diag([10, 10, 0, 1])), True),
    Case("nifti affine nan", one_file("scan.nii", patched(SFORM, "<12f", *[np.nan] * 12)), True),
    Case("nifti affine infinite", one_file("scan.nii", patched(SFORM, "<12f", *[np.inf] * 12)), True),
    Case("nifti affine huge", placed(np.diag([1e30, 1e30, 1e30, 1])), True),
    Case("nifti affine tiny", placed(np.diag([1e-30, 1e-30, 1e-30, 1])), True),
    Case("nifti affine oblique", placed([[7, 7, 0, 0], [-7, 7, 0, 0], [0, 0, 5, 0], [0, 0, 0, 1]])),
    Case("nifti affine sheared", placed([[10, 10, 10, 0], [0, 10, 10, 0], [0, 0, 10, 0], [0, 0, 0, 1]])),
    Case("nifti far away", placed([[10, 0, 0, 1e12], [0, 10, 0, 1e12], [0, 0, 5, 1e12], [0, 0, 0, 1]]), True),
    Case("nifti coronal", placed([[10, 0, 0, 0], [0, 0, 10, 0], [0, 10, 0, 0], [0, 0, 0, 1]])),
    Case("nifti without forms", one_file("scan.nii", patched(FORMS, "<2h", 0, 0))),
    Case("nifti forms of no kind", one_file("scan.nii", patched(FORMS, "<2h", -7, 30000))),
    Case("nifti slope nan", one_file("scan.nii", patched(SLOPE, "<2f", np.nan, np.nan))),
    Case("nifti slope infinite", one_file("scan.nii", patched(SLOPE, "<2f", np.inf, 0))),
    Case("nifti slope huge", one_file("scan.nii", patched(SLOPE, "<2f", 1e38, 0))),
    Case("nifti slope zero", one_file("scan.nii", patched(SLOPE, "<2f", 0, 5))),
    Case("nifti pixels at nan", one_file("scan.nii", patched(VOX_OFFSET, "<f", np.nan))),
    Case("nifti pixels before the file", one_file("scan.nii", patched(VOX_OFFSET, "<f", -1e6))),
    Case("nifti pixels in the header", one_file("scan.nii", patched(VOX_OFFSET, "<f", 16))),
    Case("nifti pixels far behind", one_file("scan.nii", patched(VOX_OFFSET, "<f", 1e18)), True),
    Case("nifti type of no kind", one_file("scan.nii", patched(DATATYPE, "<2h", 9999, 16)), True),
    Case("nifti type of bits", one_file("scan.nii", patched(DATATYPE, "<2h", 1, 1)), True),
    Case("nifti other magic", one_file("scan.nii", patched(MAGIC, "4s", b"nope"))),
    Case("nifti endless extension", one_file("scan.nii", whole()[:348] + _ENDLESS + whole()[352:])),
    Case("nifti header of version 2 in 352 bytes", one_file("scan.nii", b"\x1c\2\0\0" + whole()[4:])),
    Case("nifti version 2", _version_2, False),
    Case("nifti pair", _pair),
    Case("nifti packed twice", named("scan.nii.gz", gzip.compress(packed())), True),
    Case("nifti in two members", named("scan.nii.gz", _MEMBERS), False),
    Case("nifti with rubbish behind", named("scan.nii.gz", packed() + b"rubbish" * 99)),
    Case("nifti not packed but says so", named("scan.nii.gz", whole())),
    Case("nifti packed but does not say so", named("scan.nii", packed()), True),
    Case("nifti empty", named("scan.nii", b""), True),
    Case("nifti empty packed", named("scan.nii.gz", b""), True),
    Case("nifti nothing packed", named("scan.nii.gz", gzip.compress(b"")), True),
    Case("nifti in capitals", named("SCAN.NII.GZ")),
)  # fmt: skip
