"""Files that are damaged at random: each is read or refused in one sentence, and nothing else happens."""

import random
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.uid import JPEG2000Lossless, RLELossless
from tests.io.dicom.phantom import NAME, set_pixels, write_ct, write_enhanced

from latentct.errors import InputError
from latentct.io.dicom import find_series, read_series

N_EACH = 20
HEADER_BYTES = 1400
Mutation = Callable[[bytes, random.Random], bytes]


def truncated(data: bytes, chance: random.Random) -> bytes:
    return data[: chance.randrange(len(data))]


def random_header_bytes(data: bytes, chance: random.Random) -> bytes:
    return scattered(data, chance, 132, min(HEADER_BYTES, len(data)))


def random_bytes(data: bytes, chance: random.Random) -> bytes:
    return scattered(data, chance, 132, len(data))


def scattered(data: bytes, chance: random.Random, start: int, stop: int) -> bytes:
    spoilt = bytearray(data)
    for _ in range(chance.choice([1, 3, 30])):
        spoilt[chance.randrange(start, stop)] = chance.randrange(256)
    return bytes(spoilt)


def wrong_vr(data: bytes, chance: random.Random) -> bytes:
    old = chance.choice([b"DS", b"US", b"CS", b"UI", b"IS", b"LO", b"OW", b"PN"])
    new = chance.choice([b"SQ", b"UN", b"OB", b"US", b"FD", b"DS", b"AT", b"??", b"SV"])
    return data.replace(old, new, chance.choice([1, 100]))


def huge_lengths(data: bytes, chance: random.Random) -> bytes:
    place = chance.randrange(132, HEADER_BYTES)
    return data[:place] + struct.pack("<I", chance.choice([0xFFFFFFFF, 0xFFFFFFFE, 0x7FFFFFF0, 0])) + data[place + 4 :]


def absurd_numbers(data: bytes, chance: random.Random) -> bytes:
    """Numbers of the same length, so that only the value is wrong."""
    old, news = chance.choice(
        [
            (b"0.8\\0.7 ", [b"nan\\nan ", b"inf\\inf ", b"-.8\\-.7 ", b"1e9\\1e9 ", b"0.0\\0.0 ", b"\\\\\\\\\\\\\\ "]),
            (
                b"1\\0\\0\\0\\1\\0 ",
                [b"0\\0\\0\\0\\0\\0 ", b"1\\1\\0\\0\\1\\0 ", b"a\\b\\c\\d\\e\\f "],
            ),
            (b"-1024 ", [b"nan   ", b"1e999 ", b"-1e38 ", b"      "]),
            (b"-10.0\\-20.0\\", [b"1e308\\1e308\\", b"  nan\\  inf\\"]),
            (b"\x28\0\x10\0US\2\0", [b"\x28\0\x10\0US\0\0"]),
        ]
    )
    return data.replace(old, chance.choice(news))


def absurd_sizes(data: bytes, chance: random.Random) -> bytes:
    for tag in (b"\x28\0\x10\0US\2\0", b"\x28\0\x11\0US\2\0", b"\x28\0\x00\x01US\2\0", b"\x28\0\x01\x01US\2\0"):
        place = data.index(tag) + 8
        if chance.random() < 0.6:
            value = struct.pack("<H", chance.choice([0, 1, 7, 8, 16, 4096, 65535]))
            data = data[:place] + value + data[place + 2 :]
    return data


def emptied(data: bytes, chance: random.Random) -> bytes:
    return data[: chance.choice([0, 1, 128, 132, 140, 300, HEADER_BYTES])]


MUTATIONS = (
    truncated, random_header_bytes, random_bytes, wrong_vr, huge_lengths, absurd_numbers, absurd_sizes, emptied,
)  # fmt: skip


def compressed(syntax: str):
    def change(ds, index):
        set_pixels(ds, np.arange(64 * 64).reshape(64, 64).astype(np.int16) + np.int16(index))
        ds.compress(syntax, generate_instance_uid=False)

    return change


@pytest.fixture(scope="module")
def bases(tmp_path_factory) -> dict[str, dict[str, bytes]]:
    """File contents of a plain, an enhanced and two compressed series."""
    folder = tmp_path_factory.mktemp("bases")
    write_ct(folder / "plain", 3)
    write_enhanced(folder / "enhanced" / "one", 3)
    write_ct(folder / "rle", 3, compressed(RLELossless))
    pytest.importorskip("openjpeg")
    write_ct(folder / "jpeg2000", 3, compressed(JPEG2000Lossless))
    return {base.name: {path.name: path.read_bytes() for path in base.iterdir()} for base in folder.iterdir()}


def read_or_refuse(folder: Path) -> bool:
    """Return whether the folder was refused; anything but an image or one sentence without a name is a failure."""
    try:
        image = read_series(folder)
    except InputError as error:
        message = str(error)
        assert "\n" not in message and NAME not in message and message.endswith(".")
        message.encode("utf-8")
        return True
    assert np.isfinite(image.x_hu).all() and np.isfinite(image.affine_lps_mm).all()
    return False


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.__name__)
def test_a_damaged_file_is_read_or_refused(tmp_path, bases, mutation, capfd):
    chance = random.Random(f"seed of {mutation.__name__}")
    refused = 0
    for number in range(N_EACH):
        files = dict(bases[chance.choice(["plain", "plain", *bases])])
        spoilt = chance.choice(sorted(files))
        files[spoilt] = mutation(files[spoilt], chance)
        folder = tmp_path / str(number)
        folder.mkdir()
        for name, data in files.items():
            (folder / name).write_bytes(data)
        refused += read_or_refuse(folder)
    assert refused > 0
    shown = capfd.readouterr()
    assert shown.out + shown.err == ""


def test_folders_of_all_sorts_are_read_or_refused(tmp_path, bases):
    def fill(name: str, files: dict[str, bytes]) -> Path:
        folder = tmp_path / name
        folder.mkdir()
        for file, data in files.items():
            (folder / file).write_bytes(data)
        return folder

    plain = bases["plain"]
    assert read_or_refuse(fill("empty", {}))
    assert read_or_refuse(fill("mixed", {**plain, "other": bases["enhanced"]["one"]}))
    assert read_or_refuse(fill("two", {**plain, **{f"rle{name}": data for name, data in bases["rle"].items()}}))
    assert not read_or_refuse(fill("same", {**plain, **{f"b{name}": data for name, data in plain.items()}}))
    assert not read_or_refuse(fill("noise", {**plain, "noise": random.Random(3).randbytes(5000)}))
    links = fill("links", {})
    for name in plain:
        (links / name).symlink_to(tmp_path / "same" / name)
    (links / "self").symlink_to("self")
    assert not read_or_refuse(links)
    closed = fill("closed", plain)
    (closed / "001").chmod(0)
    read_or_refuse(closed)  # the administrator may read it
    assert read_or_refuse(tmp_path / "same" / "nothing")
    assert not read_or_refuse(tmp_path / "same" / "001")


def test_a_code_stream_larger_than_its_header_says_is_refused(tmp_path, bases):
    data = bases["jpeg2000"]["001"]
    place = data.index(b"\xff\x4f\xff\x51") + 8
    assert struct.unpack(">II", data[place : place + 8]) == (64, 64)
    huge = struct.pack(">II", 60000, 60000)
    bomb = data[:place] + huge + data[place + 8 : place + 16] + huge + data[place + 24 :]  # image, and its tile
    (tmp_path / "bomb").write_bytes(bomb)
    with pytest.raises(InputError, match="not as many as its header says"):
        read_series(tmp_path)


def test_deflated_files_are_refused_before_they_are_unpacked(tmp_path):
    path = write_ct(tmp_path, 1) / "001"
    ds = pydicom.dcmread(path)
    ds.file_meta.TransferSyntaxUID = pydicom.uid.DeflatedExplicitVRLittleEndian
    ds.save_as(path)
    with pytest.raises(InputError, match="Deflated"):
        find_series(tmp_path)
