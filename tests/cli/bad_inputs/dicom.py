"""Folders of DICOM that are damaged, mixed, or lie."""

import random
import struct
from collections.abc import Callable
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from pydicom import Dataset
from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.dataelem import RawDataElement
from pydicom.encaps import encapsulate
from pydicom.tag import Tag
from pydicom.uid import (
    ExplicitVRBigEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    RLELossless,
    SecondaryCaptureImageStorage,
)

from ...io.dicom.phantom import set_pixels, write_ct, write_enhanced
from ...io.dicom.test_damaged import MUTATIONS
from .case import Case, Make

N_EACH = 8
N_SLICES = 3


def body(ds: Dataset, index: int) -> None:
    """A body of 320 x 240 mm that is cut on one side, in pixels of 10 mm."""
    y, x = np.meshgrid(np.arange(32) - 15.5, np.arange(32) - 11.5, indexing="ij")
    set_pixels(ds, np.where((x / 16) ** 2 + (y / 12) ** 2 < 1, 1064, 24).astype(np.int16) + np.int16(index))
    ds.PixelSpacing = [10.0, 10.0]


def compressed(syntax: str) -> Callable[[Dataset, int], None]:
    def change(ds: Dataset, index: int) -> None:
        body(ds, index)
        ds.compress(syntax, generate_instance_uid=False)

    return change


@cache
def bases() -> dict[str, dict[str, bytes]]:
    """File contents of a plain, an enhanced and two compressed series."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        write_ct(folder / "plain", N_SLICES, body)
        write_enhanced(folder / "enhanced" / "one", N_SLICES)
        write_ct(folder / "rle", N_SLICES, compressed(RLELossless))
        write_ct(folder / "jpeg2000", N_SLICES, compressed(JPEG2000Lossless))
        return {base.name: {path.name: path.read_bytes() for path in base.iterdir()} for base in folder.iterdir()}


def fill(folder: Path, files: dict[str, bytes]) -> Path:
    for name, data in files.items():
        (folder / name).write_bytes(data)
    return folder


def at_random(mutation: Callable[[bytes, random.Random], bytes]) -> Make:
    def make(folder: Path, chance: random.Random) -> Path:
        files = dict(bases()[chance.choice(["plain", "plain", *sorted(bases())])])
        spoilt = chance.choice(sorted(files))
        files[spoilt] = mutation(files[spoilt], chance)
        return fill(folder, files)

    return make


def changed(change: Callable[[Dataset, int], None], n_slices: int = N_SLICES) -> Make:
    """The maker of a series of bodies, each slice changed by `change(ds, index)`."""

    def make(folder: Path, chance: random.Random) -> Path:
        return write_ct(folder, n_slices, lambda ds, index: (body(ds, index), change(ds, index)))

    return make


def with_values(**values: object) -> Make:
    """The maker of a series with other values in every slice; bytes are written as they are."""

    def change(ds: Dataset, index: int) -> None:
        for keyword, value in values.items():
            if value is None:
                delattr(ds, keyword)
            elif isinstance(value, bytes):
                tag = Tag(tag_for_keyword(keyword))
                ds._dict[tag] = RawDataElement(tag, dictionary_VR(tag), len(value), value, 0, False, True)
            else:
                setattr(ds, keyword, value)

    return changed(change)


def of_one(change: Callable[[Dataset], None]) -> Make:
    """The maker of a series whose second slice alone is changed."""
    return changed(lambda ds, index: change(ds) if index == 1 else None)


def _positions(*z_mm: float) -> Make:
    return changed(lambda ds, index: setattr(ds, "ImagePositionPatient", [0.0, 0.0, z_mm[index]]), n_slices=len(z_mm))


def _tags(ds: Dataset, **values: object) -> None:
    for keyword, value in values.items():
        setattr(ds, keyword, value)


def _nested(ds: Dataset, levels: int) -> None:
    inner = Dataset()
    inner.CodeValue = "1"
    for _ in range(levels):
        outer = Dataset()
        outer.ReferencedSeriesSequence = [inner]
        inner = outer
    ds.ReferencedSeriesSequence = [inner]


def _nested_by_hand(folder: Path, chance: random.Random) -> Path:
    """More sequences in one another than a parser that calls itself can follow."""
    files = dict(bases()["plain"])
    start = b"\x08\x00\x15\x11SQ\0\0\xff\xff\xff\xff\xfe\xff\x00\xe0\xff\xff\xff\xff"
    data = files["001"]
    place = data.index(b"\x08\x00\x60\x00CS")  # Modality
    files["001"] = data[:place] + start * 5000 + data[place:]
    return fill(folder, files)


def _jpeg_bomb(ds: Dataset, index: int) -> None:
    """A JPEG that claims 65535 x 65535 pixels in a header of the body's size."""
    frame = b"\xff\xd8" + struct.pack(">BBHBHHB", 0xFF, 0xC0, 11, 8, 65535, 65535, 1) + b"\x01\x11\x00\xff\xd9"
    ds.file_meta.TransferSyntaxUID = JPEGBaseline8Bit
    ds.PixelData = encapsulate([frame])
    ds["PixelData"].is_undefined_length = True


def _encapsulated_nothing(ds: Dataset, index: int) -> None:
    ds.file_meta.TransferSyntaxUID = RLELossless
    ds.PixelData = encapsulate([b"\0\0"])
    ds["PixelData"].is_undefined_length = True


def _mixed(folder: Path, chance: random.Random) -> Path:
    write_ct(folder / "a", N_SLICES, body)
    write_ct(folder / "b", N_SLICES + 1, body)
    return folder


def _enhanced(change: Callable[[Dataset], None]) -> Make:
    def make(folder: Path, chance: random.Random) -> Path:
        import pydicom

        path = write_enhanced(folder / "one", N_SLICES)
        ds = pydicom.dcmread(path)
        change(ds)
        ds.save_as(path)
        return folder

    return make


def _in_syntax(syntax: str) -> Make:
    def change(ds: Dataset, index: int) -> None:
        ds.file_meta.TransferSyntaxUID = syntax
        if syntax == ExplicitVRBigEndian:
            ds.PixelData = np.frombuffer(ds.PixelData, "<i2").astype(">i2").tobytes()

    return changed(change)


def _unknown_syntax(folder: Path, chance: random.Random) -> Path:
    files = bases()["plain"]
    return fill(
        folder, {name: data.replace(b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.9.2.1\0") for name, data in files.items()}
    )


def _noise(ds: Dataset, index: int) -> None:
    set_pixels(ds, np.random.default_rng(index).integers(-32768, 32767, (32, 32)).astype(np.int16))


def _no_groups(ds: Dataset) -> None:
    ds.SharedFunctionalGroupsSequence = []


def _rows(ds: Dataset, n: int) -> None:
    ds.Rows = ds.Columns = n


_turned_one = of_one(lambda ds: _tags(ds, ImageOrientationPatient=[0, 1, 0, 1, 0, 0]))

WHOLE = Case("dicom whole", changed(lambda ds, index: None), refused=False)

CASES = (
    *(
        Case(f"dicom {mutation.__name__} {number}", at_random(mutation))
        for mutation in MUTATIONS
        for number in range(N_EACH)
    ),
    WHOLE,
    Case("dicom of one slice", changed(lambda ds, index: None, n_slices=1), refused=False),
    Case("dicom of one slice without thickness", changed(lambda ds, index: delattr(ds, "SliceThickness"), 1), True),
    Case("dicom two series", _mixed, refused=True),
    Case("dicom gap", _positions(0, 2.5, 7.5), True),
    Case("dicom three slices at one place", _positions(0, 0, 0), True),
    Case("dicom slices in a knot", _positions(0, 5, -5, 10)),
    Case("dicom slices 0.0001 mm apart", _positions(0, 1e-4, 2e-4), True),
    Case("dicom slices 40 m apart", _positions(0, 4e4, 8e4)),
    Case("dicom position nan", with_values(ImagePositionPatient=b"nan\\nan\\nan "), True),
    Case("dicom position infinite", with_values(ImagePositionPatient=b"inf\\inf\\inf "), True),
    Case("dicom position of two numbers", with_values(ImagePositionPatient=[0.0, 0.0]), True),
    Case("dicom position missing", with_values(ImagePositionPatient=None), True),
    Case("dicom spacing zero", with_values(PixelSpacing=[0, 0]), True),
    Case("dicom spacing negative", with_values(PixelSpacing=[-1, -1]), True),
    Case("dicom spacing nan", with_values(PixelSpacing=b"nan\\nan "), True),
    Case("dicom spacing huge", with_values(PixelSpacing=[999, 999])),
    Case("dicom spacing tiny", with_values(PixelSpacing=["1e-30", "1e-30"]), True),
    Case("dicom spacing of very different sides", with_values(PixelSpacing=[0.001, 900])),
    Case("dicom spacing missing", with_values(PixelSpacing=None), True),
    Case("dicom spacing of one slice", of_one(lambda ds: _tags(ds, PixelSpacing=[5, 5])), True),
    Case("dicom orientation zero", with_values(ImageOrientationPatient=[0, 0, 0, 0, 0, 0]), True),
    Case("dicom orientation parallel", with_values(ImageOrientationPatient=[1, 0, 0, 1, 0, 0]), True),
    Case("dicom orientation oblique", with_values(ImageOrientationPatient=[0.8, 0.6, 0, -0.6, 0.8, 0]), True),
    Case("dicom orientation coronal", with_values(ImageOrientationPatient=[1, 0, 0, 0, 0, -1]), True),
    Case("dicom orientation of one slice", _turned_one, True),
    Case("dicom slope zero", with_values(RescaleSlope=0), True),
    Case("dicom slope huge", with_values(RescaleSlope="1e38"), True),
    Case("dicom slope infinite", with_values(RescaleSlope=b"inf "), True),
    Case("dicom slope negative", with_values(RescaleSlope=-1)),
    Case("dicom slope of thousands", with_values(RescaleSlope=1000), True),
    Case("dicom intercept huge", with_values(RescaleIntercept="1e30"), True),
    Case("dicom intercept missing", with_values(RescaleIntercept=None), True),
    Case("dicom rescale other", with_values(RescaleType="OD"), True),
    Case("dicom padding is all", with_values(PixelPaddingValue=-32768, PixelPaddingRangeLimit=32767)),
    Case("dicom all of one value", changed(lambda ds, index: set_pixels(ds, np.zeros((32, 32), np.int16)))),
    Case("dicom 1 x 1", changed(lambda ds, index: set_pixels(ds, np.zeros((1, 1), np.int16)))),
    Case("dicom 1 x 500", changed(lambda ds, index: set_pixels(ds, np.zeros((1, 500), np.int16)))),
    Case("dicom all bits set", changed(lambda ds, index: set_pixels(ds, np.full((32, 32), 65535, np.uint16)))),
    Case("dicom noise", changed(_noise)),
    Case("dicom 32 bit", changed(lambda ds, index: set_pixels(ds, np.zeros((32, 32), np.int32))), True),
    Case("dicom colour", with_values(PhotometricInterpretation="RGB", SamplesPerPixel=3), True),
    Case("dicom inverted", with_values(PhotometricInterpretation="MONOCHROME1"), True),
    Case("dicom no pixels", with_values(PixelData=None), True),
    Case("dicom few pixels", changed(lambda ds, index: setattr(ds, "PixelData", b"\0\0")), True),
    Case("dicom claims 65535 x 65535", changed(lambda ds, index: _rows(ds, 65535)), True),
    Case("dicom claims 20000 x 20000", changed(lambda ds, index: _rows(ds, 20000)), True),
    Case("dicom claims 0 x 0", changed(lambda ds, index: _rows(ds, 0)), True),
    Case("dicom claims a million frames", with_values(NumberOfFrames=1000000), True),
    Case("dicom claims minus one frame", with_values(NumberOfFrames=-1), True),
    Case("dicom jpeg bomb", changed(_jpeg_bomb), True),
    Case("dicom frames of two bytes", changed(_encapsulated_nothing), True),
    Case("dicom sequences in sequences", changed(lambda ds, index: _nested(ds, 60))),
    Case("dicom sequences without end", _nested_by_hand, True),
    Case("dicom rows as text", with_values(Rows=b"many"), True),
    Case("dicom not ct", with_values(SOPClassUID=SecondaryCaptureImageStorage, Modality="OT"), True),
    Case("dicom localizer", with_values(ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"]), True),
    Case("dicom without identifiers", with_values(SOPInstanceUID=None, FrameOfReferenceUID=None)),
    Case("dicom without series", with_values(SeriesInstanceUID=None)),
    Case("dicom number of series as text", with_values(SeriesNumber=b"seven ")),
    Case("dicom name in no character set", with_values(SpecificCharacterSet="IR 999", PatientName=b"\xff\xfe^\x80")),
    Case("dicom date that cannot be", with_values(StudyDate=b"20269999", StudyTime=b"999999", PatientAge=b"old ")),
    Case("dicom big endian", _in_syntax(ExplicitVRBigEndian)),
    Case("dicom implicit", _in_syntax(ImplicitVRLittleEndian), False),
    Case("dicom syntax of no one", _unknown_syntax, True),
    Case("dicom enhanced of fewer groups", _enhanced(lambda ds: setattr(ds, "NumberOfFrames", 7)), True),
    Case("dicom enhanced without groups", _enhanced(lambda ds: delattr(ds, "PerFrameFunctionalGroupsSequence")), True),
    Case("dicom enhanced of empty groups", _enhanced(_no_groups), True),
)  # fmt: skip
