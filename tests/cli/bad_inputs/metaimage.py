"""Projections in MetaImage files with a geometry of RTK that are damaged, or lie."""

import os
import random
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np

from .case import Case, Make, damaged, one_file, scattered, swapped, truncated

N_EACH = 8
XML = (
    '<?xml version="1.0"?>\n<RTKThreeDCircularGeometry version="3">'
    "<SourceToIsocenterDistance>800</SourceToIsocenterDistance>"
    "<SourceToDetectorDistance>1200</SourceToDetectorDistance>"
    + "".join(f"<Projection><GantryAngle>{90 * view}</GantryAngle></Projection>" for view in range(4))
    + "</RTKThreeDCircularGeometry>"
)
VIEWS = np.linspace(0, 3, 4 * 24 * 20, dtype=np.float32).reshape(4, 24, 20)


def mha(pixels: bytes | None = None, **entries: str) -> bytes:
    """A MetaImage of four views."""
    header = {
        "ObjectType": "Image", "NDims": "3", "BinaryData": "True", "BinaryDataByteOrderMSB": "False",
        "CompressedData": "False", "TransformMatrix": "1 0 0 0 1 0 0 0 1", "Offset": "-190 -230 0",
        "ElementSpacing": "20 20 1", "DimSize": "20 24 4", "ElementType": "MET_FLOAT",
    }  # fmt: skip
    lines = "".join(f"{key} = {value}\n" for key, value in (header | {"ElementDataFile": "LOCAL"} | entries).items())
    return lines.encode() + (VIEWS.tobytes() if pixels is None else pixels)


def header(pixels: bytes | None = None, **entries: str) -> Make:
    """The maker of a MetaImage with other entries, and its geometry."""
    return described(XML.encode(), mha(pixels, **entries))


def described(xml: bytes, data: bytes | None = None) -> Make:
    def make(folder: Path, chance: random.Random) -> Path:
        (folder / "scan.xml").write_bytes(xml)
        return one_file("scan.mha", mha() if data is None else data)(folder, chance)

    return make


def xml(old: str, new: str, count: int = -1) -> Make:
    """The maker of a geometry that says something else."""
    return described(XML.replace(old, new, count).encode())


def in_view(entry: str) -> Make:
    """The maker of a geometry with one more entry in each view."""
    return xml("</GantryAngle>", f"</GantryAngle>{entry}")


def damaged_mha(folder: Path, chance: random.Random) -> Path:
    (folder / "scan.xml").write_text(XML)
    return damaged("scan.mha", mha, [truncated, lambda data, c: scattered(data, c, 330), swapped])(folder, chance)


def damaged_xml(folder: Path, chance: random.Random) -> Path:
    return described(chance.choice([truncated, scattered, swapped])(XML.encode(), chance))(folder, chance)


def data_file(place: Callable[[Path], object]) -> Make:
    """The maker of a header that names another file, which is something else."""

    def make(folder: Path, chance: random.Random) -> Path:
        place(folder / "scan.raw")
        return header(ElementDataFile="scan.raw", CompressedData="True", pixels=b"")(folder, chance)

    return make


_LAUGHS = '<!DOCTYPE a [<!ENTITY a "aaaaaaaaaa">' + "".join(
    f'<!ENTITY {chr(98 + i)} "{f"&{chr(97 + i)};" * 10}">' for i in range(12)
)
_BOMB = XML.replace("\n", f"\n{_LAUGHS}]>").replace("800<", "&m;<")
_FILE = XML.replace("\n", '\n<!DOCTYPE a [<!ENTITY m SYSTEM "file:///etc/hostname">]>').replace("800<", "&m;<")
_WIDE = _BOMB.replace('"1.0"', '"1.0" encoding="utf-16"').encode("utf-16")
_DEEP = "<GantryAngle>" * 9000 + "</GantryAngle>" * 9000
_CYLINDER = "<RadiusCylindricalDetector>9</RadiusCylindricalDetector><Projection>"

WHOLE = Case("mha whole", header(), refused=False)
CASES = (
    *(Case(f"mha damaged {n}", damaged_mha) for n in range(2 * N_EACH)),
    *(Case(f"xml damaged {n}", damaged_xml) for n in range(N_EACH)),
    WHOLE,
    Case("mha claims 10^15 pixels", header(DimSize="100000 100000 100000"), True),
    Case("mha claims minus 20 columns", header(DimSize="-20 24 4"), True),
    Case("mha claims nan columns", header(DimSize="nan 24 4"), True),
    Case("mha claims half a column", header(DimSize="20.5 24 4")),
    Case("mha claims 10^400 columns", header(DimSize=f"{10**400} 24 4"), True),
    Case("mha spacing nan", header(ElementSpacing="nan nan nan"), True),
    Case("mha spacing negative", header(ElementSpacing="-1 -1 -1"), True),
    Case("mha spacing tiny", header(ElementSpacing="1e-300 1e-300 1"), True),
    Case("mha spacing huge", header(ElementSpacing="1e15 1e15 1"), True),
    Case("mha offset infinite", header(Offset="inf 0 0"), True),
    Case("mha offset far", header(Offset="1e15 1e15 0"), True),
    Case("mha of letters", header(ElementType="MET_CHAR"), True),
    Case("mha data in a parent folder", header(ElementDataFile="../secret.raw"), True),
    Case("mha data in a list", header(ElementDataFile="LIST"), True),
    Case("mha data in its own header", header(ElementDataFile="scan.mha"), True),
    Case("mha data in a pipe", data_file(os.mkfifo), True),
    Case("mha data from zeros", data_file(lambda path: path.symlink_to("/dev/zero")), True),
    Case("mha data in a folder", data_file(Path.mkdir), True),
    Case("mha data in no file", header(ElementDataFile="none.raw"), True),
    Case("mha bomb", header(pixels=zlib.compress(bytes(1 << 28), 1), CompressedData="True"), True),
    Case("mha no header", described(XML.encode(), bytes(1 << 20)), True),
    Case("mha nan", header(pixels=(VIEWS * np.nan).tobytes()), True),
    Case("mha huge", header(pixels=(VIEWS * 1e30).tobytes()), True),
    Case("mha without geometry", one_file("scan.mha", mha()), True),
    Case("xml entity bomb", described(_BOMB.encode()), True),
    Case("xml entity bomb in 16 bit", described(_WIDE), True),
    Case("xml entity of a file", described(_FILE.encode()), True),
    Case("xml too deep", described(b"<a>" * 200000), True),
    Case("xml of one deep view", xml("<GantryAngle>0</GantryAngle>", _DEEP), True),
    Case("xml angle nan", xml(">90<", ">nan<"), True),
    Case("xml angle huge", xml(">90<", ">1e300<"), True),
    Case("xml distances swapped", xml("800", "2000"), True),
    Case("xml distance zero", xml("800", "0"), True),
    Case("xml distance negative", xml("800", "-800"), True),
    Case("xml distances tiny", described(XML.replace("800", "1e-300").replace("1200", "2e-300").encode()), True),
    Case("xml source in the panel", in_view("<SourceOffsetX>1e8</SourceOffsetX>"), True),
    Case("xml panel on edge", in_view("<OutOfPlaneAngle>90</OutOfPlaneAngle>")),
    Case("xml matrix of another", in_view("<Matrix>1 2 3 4 5 6 7 8 9 10 11 12</Matrix>"), True),
    Case("xml matrix of nan", in_view(f"<Matrix>{'nan ' * 12}</Matrix>"), True),
    Case("xml cylinder", xml("<Projection>", _CYLINDER, 1), True),
    Case("xml no view", xml("Projection>", "View>"), True),
    Case("xml 5 views", xml("<Projection>", "<Projection/><Projection>", 1), True),
    Case("xml version 9", xml('version="3"', 'version="9"'), True),
    Case("xml empty", described(b""), True),
    Case("xml is html", described(b"<html><body>404"), True),
)
