"""Paths that are no plain file or folder, and names that are hard to write."""

import gzip
import os
import random
import socket
from collections.abc import Callable
from pathlib import Path

from . import dicom, metaimage, nifti, numpy_files
from .case import Case, Make

GOOD = {"nii.gz": nifti.packed, "npz": numpy_files.npz, "mha": metaimage.mha}
LONGEST_NAME = 255


def series(folder: Path) -> Path:
    return dicom.fill(folder, dicom.bases()["plain"])


def link(name: str, target: str | Path, inside: bool = False) -> Make:
    """The maker of a link, alone or in a folder with a whole series."""

    def make(folder: Path, chance: random.Random) -> Path:
        path = folder / name
        path.symlink_to(target)
        return series(folder) if inside else path

    return make


def pipe(name: str, beside: Callable[[Path], Path] | None = None) -> Make:
    """The maker of a pipe that nobody writes to, alone or beside something else."""

    def make(folder: Path, chance: random.Random) -> Path:
        os.mkfifo(folder / name)
        return beside(folder) if beside else folder / name

    return make


def called(name: bytes | str, data: Callable[[], bytes]) -> Make:
    """The maker of a good file with a hard name."""

    def make(folder: Path, chance: random.Random) -> Path:
        path = folder / os.fsdecode(name)
        path.write_bytes(data())
        return path

    return make


def below(name: bytes | str, spoil: bool = False) -> Make:
    """The maker of a series, whole or not, in a folder with a hard name."""

    def make(folder: Path, chance: random.Random) -> Path:
        path = folder / os.fsdecode(name)
        path.mkdir()
        series(path)
        if spoil:
            (path / "001").write_bytes((path / "001").read_bytes()[:200])
        return path

    return make


def given(path: str) -> Make:
    """The maker of nothing: a path that every machine has, or none."""
    return lambda folder, chance: Path(path)


def _socket(folder: Path, chance: random.Random) -> Path:
    here = Path.cwd()
    os.chdir(folder)  # the address of a socket is short
    try:
        with socket.socket(socket.AF_UNIX) as server:
            server.bind("scan")
    finally:
        os.chdir(here)
    return folder / "scan"


def _deep(folder: Path, chance: random.Random) -> Path:
    inner = folder
    for _ in range(120):
        inner = inner / "deep"
        inner.mkdir()
    series(inner)
    return folder


def _many(folder: Path, chance: random.Random) -> Path:
    for number in range(2000):
        (folder / f"{number}.dcm").touch()
    return folder


def _up(folder: Path, chance: random.Random) -> Path:
    (folder / "up").symlink_to("..")
    (folder / "self").symlink_to(".")
    return series(folder)


def _as_folder(name: str) -> Make:
    def make(folder: Path, chance: random.Random) -> Path:
        (folder / name).mkdir()
        return series(folder / name)

    return make


def _text(folder: Path, chance: random.Random) -> Path:
    (folder / "notes.txt").write_text("no scan")
    return folder


NAMES = ("a", "a.nii", "a.nii.gz", "a.npz", "a.npy", "a.h5", "a.mha")
HARD_NAMES = (
    ("not utf-8", b"sc\xff\xfean"), ("of two lines", "sc\nan"), ("that paints", "sc\x1b[31man\r"), ("of a bell", "\a"),
    ("with a mark of right to left", "sc\u202ean"), ("of a dash", "--series"), ("with blanks", " s c "),
    ("of quotes", "'\"`$(x)"), ("of percent", "%s%n{0}"), ("of stars", "*?[a]"),
)  # fmt: skip

CASES = (
    *(Case(f"folder {name}", below(path)) for name, path in HARD_NAMES),
    *(Case(f"damaged folder {name}", below(path, spoil=True), True) for name, path in HARD_NAMES),
    *(
        Case(f"{suffix} {name}", called(os.fsencode(path) + b"." + suffix.encode(), data))
        for suffix, data in GOOD.items()
        for name, path in HARD_NAMES
    ),
    *(
        Case(f"damaged {suffix} {name}", called(os.fsencode(path) + b"." + suffix.encode(), lambda: b"damaged"), True)
        for suffix in ("nii", "nii.gz", "npz", "npy", "h5", "mha", "dcm")
        for name, path in HARD_NAMES[:2]
    ),
    *(Case(f"pipe called {name}", pipe(name), True) for name in NAMES),
    *(Case(f"zeros called {name}", link(name, "/dev/zero"), True) for name in NAMES),
    *(Case(f"link to nowhere called {name}", link(name, "nowhere"), True) for name in ("a", "a.nii.gz", "a.npz")),
    *(Case(f"link to itself called {name}", link(name, name), True) for name in ("a", "a.nii.gz", "a.npz")),
    *(Case(f"folder called {name}", _as_folder(name)) for name in ("a.nii.gz", "a.npz", "a.h5", "a.mha", "a.dcm")),
    Case("pipe in a series", pipe("pipe", series), False),
    Case("zeros in a series", link("zero", "/dev/zero", inside=True), False),
    Case("link to nowhere in a series", link("gone", "nowhere", inside=True), False),
    Case("link to itself in a series", link("self", "self", inside=True), False),
    Case("link to memory in a series", link("memory", "/proc/self/mem", inside=True)),
    Case("folders in a ring", _up, False),
    Case("folders in folders", _deep, False),
    Case("2000 empty files", _many, True),
    Case("empty folder", lambda folder, chance: folder, True),
    Case("folder of text", _text, True),
    Case("socket", _socket, True),
    Case("nothing there", lambda folder, chance: folder / "none", True),
    Case("below a file", lambda folder, chance: nifti.named("a.nii.gz")(folder, chance) / "b.nii.gz", True),
    Case("name too long", lambda folder, chance: folder / ("a" * (LONGEST_NAME + 1)), True),
    Case("path too long", lambda folder, chance: folder / "/".join(["a" * 200] * 30), True),
    Case("empty path", given(""), None),
    Case("device of nothing", given("/dev/null"), True),
    Case("device of noise", given("/dev/urandom"), True),
    Case("memory of the process", given("/proc/self/mem"), True),
    Case("a page of the kernel", given("/proc/self/pagemap"), True),
    Case("dicom called nii.gz", called("scan.nii.gz", lambda: dicom.bases()["plain"]["001"]), True),
    Case("dicom called npz", called("scan.npz", lambda: dicom.bases()["plain"]["001"]), True),
    Case("nifti called dcm", called("scan.dcm", nifti.packed), True),
    Case("nifti called h5", called("scan.h5", nifti.packed), True),
    Case("npz called nii", called("scan.nii", numpy_files.npz), True),
    Case("npz called mha", called("scan.mha", numpy_files.npz), True),
    Case("packed text called nii.gz", called("scan.nii.gz", lambda: gzip.compress(b"no scan" * 999)), True),
)  # fmt: skip
