"""Projections with a geometry of RTK: numbers of RTK that are always there, and RTK itself where it is installed."""

import math
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal

from latentct.errors import InputError
from latentct.geometry import ConeBeam, Grid, VectorConeBeam
from latentct.io.metaimage import read_header, read_pixels
from latentct.io.projections import read_projections
from latentct.io.rtk import read_scan
from latentct.projectors import make_projector
from latentct.units import MU_WATER_70KEV

MATRIX = """-1150.2393275428 -52.3063671972959 961.362331966728 6500
21.9994336571383 -1498.82301762035 -55.2230637523432 8000
0.642689710020172 -0.0174524064372835 0.765927770839871 -1000"""
"""What RTK 2.7 wrote of the view `TILTED`."""
TILTED = """<GantryAngle>40</GantryAngle><SourceOffsetX>3</SourceOffsetX><SourceOffsetY>4</SourceOffsetY>
<ProjectionOffsetX>5</ProjectionOffsetX><ProjectionOffsetY>6</ProjectionOffsetY>
<InPlaneAngle>2</InPlaneAngle><OutOfPlaneAngle>1</OutOfPlaneAngle>"""
SHAPE, PIXEL_MM, ORIGIN_MM = (2, 3, 4), (20.0, 10.0), (-15.0, -25.0)


def xml(*views: str, shared: str = "", version: str = "3") -> str:
    distances = "<SourceToIsocenterDistance>1000</SourceToIsocenterDistance>"
    distances += "<SourceToDetectorDistance>1500</SourceToDetectorDistance>"
    inside = distances + shared + "".join(f"<Projection>{view}</Projection>" for view in views)
    opening = f'<?xml version="1.0"?>\n<!DOCTYPE RTKGEOMETRY>\n<RTKThreeDCircularGeometry version="{version}">'
    return f"{opening}{inside}</RTKThreeDCircularGeometry>"


CIRCLE = xml(
    "<GantryAngle>0</GantryAngle><Matrix>-1500 0 -5 5000 0 -1500 0 0 0 0 1 -1000</Matrix>",
    "<GantryAngle>90</GantryAngle>",
    shared="<ProjectionOffsetX>5</ProjectionOffsetX>",
)
Y = np.arange(24, dtype=np.float32).reshape(SHAPE) / 4


def write_mha(path: Path, array=Y, kind="MET_FLOAT", compressed=False, data="LOCAL", **entries) -> None:
    header = {
        "ObjectType": "Image",
        "NDims": "3",
        "BinaryData": "True",
        "BinaryDataByteOrderMSB": str(array.dtype.byteorder == ">"),
        "CompressedData": str(compressed),
        "TransformMatrix": "1 0 0 0 1 0 0 0 1",
        "Offset": f"{ORIGIN_MM[1]} {ORIGIN_MM[0]} 0",
        "ElementSpacing": f"{PIXEL_MM[1]} {PIXEL_MM[0]} 1",
        "DimSize": " ".join(str(n) for n in array.shape[::-1]),
        "ElementType": kind,
    }
    lines = "".join(f"{key} = {value}\n" for key, value in (header | entries | {"ElementDataFile": data}).items())
    pixels = zlib.compress(array.tobytes()) if compressed else array.tobytes()
    if data == "LOCAL":
        path.write_bytes(lines.encode() + pixels)
    else:
        path.write_text(lines)
        path.with_name(data).write_bytes(pixels)


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "geometry.xml").write_text(CIRCLE)
    write_mha(tmp_path / "scan.mha")
    return tmp_path


@pytest.fixture
def panel(tmp_path):
    write_mha(tmp_path / "panel.mha")
    return read_header(tmp_path / "panel.mha")


def on_panel(scan: VectorConeBeam, i: int, point_mm: np.ndarray) -> tuple[float, float]:
    """Return the column and row, as fractions from the panel's middle, of a point's shadow."""
    source, middle, u, v = (np.array(getattr(scan, key)[i]) for key in ("source_mm", "detector_mm", "u_mm", "v_mm"))
    along, column, row = np.linalg.solve(np.stack([point_mm - source, -u, -v], axis=1), middle - source)
    assert along > 1
    return column, row


def test_the_matrix_of_rtk_casts_the_same_shadow(panel):
    """A point (x, y, z) of ours is (x, z, -y) of RTK, whose matrix gives its (u, v) in mm."""
    scan = read_scan(xml(TILTED), panel, "tilted")
    point_mm = np.array([12.0, -34.0, 56.0])
    u, v, scale = np.array(MATRIX.split(), float).reshape(3, 4) @ (12.0, 56.0, 34.0, 1.0)
    expected = ((u / scale - ORIGIN_MM[1]) / PIXEL_MM[1] - 1.5, (v / scale - ORIGIN_MM[0]) / PIXEL_MM[0] - 1)
    assert_allclose(on_panel(scan, 0, point_mm), expected, atol=1e-9)


def test_fixed_numbers_of_a_tilted_view(panel):
    """At gantry angle 90 the source of RTK stands at its +x and the columns grow along its -z, our +y."""
    scan = read_scan(xml("<GantryAngle>90</GantryAngle><SourceOffsetY>7</SourceOffsetY>"), panel, "side")
    assert_allclose(scan.source_mm[0], (1000, 0, 7), atol=1e-9)
    assert_allclose(scan.detector_mm[0], (-500, -25 + 1.5 * 10, -15 + 20), atol=1e-9)
    assert_allclose(scan.u_mm[0], (0, 10, 0), atol=1e-9)
    assert_allclose(scan.v_mm[0], (0, 0, 20), atol=1e-9)


def test_a_plain_circle_stays_one(folder):
    read = read_projections(folder)
    expected = ConeBeam((0.0, math.pi / 2), (3, 4), (20.0, 10.0), 1000.0, 1500.0, (5.0, -10.0 + 5.0))
    assert read.geometry.scan == expected
    assert read.geometry.mu_water == MU_WATER_70KEV
    assert_array_equal(read.y, Y)


def test_a_circle_and_its_vectors_are_one(panel):
    """The smallest tilt turns a circle into vectors, which must not jump."""
    almost = "<GantryAngle>30</GantryAngle><InPlaneAngle>1e-9</InPlaneAngle>"
    vectors = read_scan(xml(almost), panel, "almost")
    circle = read_scan(xml("<GantryAngle>30</GantryAngle>"), panel, "circle")
    assert isinstance(vectors, VectorConeBeam) and isinstance(circle, ConeBeam)
    for key in ("source_mm", "detector_mm", "u_mm", "v_mm"):
        assert_allclose(getattr(vectors, key), getattr(circle.vectors(), key), atol=1e-6)


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize(
    ("kind", "dtype"), [("MET_FLOAT", "<f4"), ("MET_FLOAT", ">f4"), ("MET_DOUBLE", "<f8"), ("MET_USHORT", ">u2")]
)
@pytest.mark.parametrize("data", ["LOCAL", "scan.raw"])
def test_every_kind_of_file_is_read(folder, kind, dtype, compressed, data):
    array = np.arange(24).reshape(SHAPE).astype(dtype)
    write_mha(folder / "scan.mha", array, kind, compressed, data)
    assert_array_equal(read_projections(folder / "scan.mha", mu_water=0.03).y, np.arange(24).reshape(SHAPE))
    assert read_projections(folder / "scan.mha", mu_water=0.03).geometry.mu_water == 0.03


def test_views_in_files_of_their_own_are_joined_by_name(folder):
    (folder / "scan.mha").unlink()
    write_mha(folder / "b.mha", Y[1:])
    write_mha(folder / "a.mha", Y[:1])
    assert_array_equal(read_projections(folder).y, Y)
    write_mha(folder / "a.mha", Y[:1], Offset="0 0 0")
    assert "differ in size, spacing or origin" in refusal(folder)


def refusal(path) -> str:
    with pytest.raises(InputError) as error:
        read_projections(path)
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize(
    ("entries", "reason"),
    [
        ({"DimSize": "4 3 5"}, "have shape (5, 3, 4), but their geometry expects (2, 3, 4)"),
        ({"DimSize": "4 3"}, "2 numbers as DimSize"),
        ({"DimSize": "4 0 2"}, "not positive"),
        ({"DimSize": "4 x 2"}, "no finite number"),
        ({"ElementSpacing": "1 nan 1"}, "no finite number"),
        ({"ElementSpacing": "-1 1 1"}, "not positive"),
        ({"TransformMatrix": "0 1 0 1 0 0 0 0 1"}, "turned axes"),
        ({"kind": "MET_UCHAR"}, "no plain binary numbers"),
        ({"ElementNumberOfChannels": "3"}, "no plain binary numbers"),
        ({"kind": "MET_DOUBLE"}, "announces 192 bytes of pixels, but 96 were found"),
        ({"kind": "MET_USHORT"}, "announces 48 bytes of pixels, but more were found"),
        ({"HeaderSize": "-1", "data": "scan.raw"}, "neither LOCAL nor one plain file"),
    ],
)
def test_bad_headers_are_refused(folder, entries, reason):
    write_mha(folder / "scan.mha", **entries)
    assert reason in refusal(folder / "scan.mha")


@pytest.mark.parametrize("data", ["../scan.raw", "/etc/passwd", "LIST", "view_%d.raw 0 1 1"])
def test_pixels_elsewhere_are_not_read(folder, data):
    text = (folder / "scan.mha").read_bytes().split(b"ElementDataFile")[0]
    (folder / "scan.mha").write_bytes(text + f"ElementDataFile = {data}\n".encode())
    assert "neither LOCAL nor one plain file beside it" in refusal(folder / "scan.mha")


@pytest.mark.parametrize("content", [b"", b"no image", b"\xff\x00" * 50000, b"NDims = 3\n"])
def test_what_is_no_metaimage_is_refused(folder, content):
    (folder / "scan.mha").write_bytes(content)
    assert "is no MetaImage file" in refusal(folder / "scan.mha")


def test_a_small_file_that_grows_without_end_is_refused(folder):
    write_mha(folder / "scan.mha", compressed=True)
    header = (folder / "scan.mha").read_bytes().split(b"LOCAL\n")[0] + b"LOCAL\n"
    (folder / "scan.mha").write_bytes(header + zlib.compress(bytes(10**7)))
    assert "announces 96 bytes of pixels, but more were found" in refusal(folder / "scan.mha")
    (folder / "scan.mha").write_bytes(header + b"not deflated")
    assert "cannot be read" in refusal(folder / "scan.mha")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("<a", "is no XML (line 1"),
        ("<a/>", "no RTKThreeDCircularGeometry"),
        (xml("", version="2"), "of version 3"),
        (xml(), "holds no 'Projection'"),
        (xml("<GantryAngle>x</GantryAngle>"), "GantryAngle that is no finite number"),
        (xml("<GantryAngle>inf</GantryAngle>"), "GantryAngle that is no finite number"),
        (xml("<SourceToIsocenterDistance>1600</SourceToIsocenterDistance>"), "not more than sod_mm 1600"),
        (xml("", shared="<RadiusCylindricalDetector>500</RadiusCylindricalDetector>"), "cylindrical detector"),
        (xml(f"{TILTED}<Matrix>{MATRIX.replace('6500', '6400')}</Matrix>"), "view 0, has a Matrix that is not that of"),
        (xml("<Matrix>1 2</Matrix>"), "not 3 x 4 numbers"),
        (
            xml("<OutOfPlaneAngle>1</OutOfPlaneAngle>", "<Matrix>0 0 0 0 0 0 0 0 0 0 0 0</Matrix>"),
            "view 1, has a Matrix",
        ),
        ('<!DOCTYPE a [<!ENTITY b "b">]><a>&b;</a>', "defines entities"),
    ],
)
def test_bad_geometries_are_refused(folder, text, reason):
    (folder / "geometry.xml").write_text(text)
    assert reason in refusal(folder)


def test_missing_parts_are_named(folder):
    (folder / "geometry.xml").rename(folder / "scan.xml")
    assert len(read_projections(folder / "scan.mha").y) == 2
    (folder / "scan.xml").unlink()
    assert "scan.xml does not exist; put the geometry" in refusal(folder / "scan.mha")
    (folder / "scan.mha").unlink()
    (folder / "geometry.xml").write_text(CIRCLE)
    assert "holds no .mha or .mhd file" in refusal(folder)


def rtk_scan(itk, folder: Path, views) -> None:
    """Write to a folder what RTK says and measures of two balls beside each other and off the centre."""
    rtk, image = itk.RTK, itk.Image[itk.F, 3]
    geometry = rtk.ThreeDCircularProjectionGeometry.New()
    for view in views:
        geometry.AddProjection(*view)
    writer = rtk.ThreeDCircularProjectionGeometryXMLFileWriter.New()
    writer.SetFilename(str(folder / "geometry.xml"))
    writer.SetObject(geometry)
    writer.WriteFile()
    volume = itk.image_from_array(np.ascontiguousarray(balls().transpose(1, 0, 2)[::-1], np.float32))
    volume.SetSpacing([3.0, 3.0, 3.0])  # x, z and -y of ours
    volume.SetOrigin([-15.5 * 3 + 10, -15.5 * 3 + 6, -15.5 * 3 + 4])
    panel = itk.image_from_array(np.zeros((len(views), 40, 50), np.float32))
    panel.SetSpacing([4.0, 5.0, 1.0])
    panel.SetOrigin([-95.0, -90.0, 0.0])
    forward = rtk.JosephForwardProjectionImageFilter[image, image].New()
    forward.SetInput(0, panel)
    forward.SetInput(1, volume)
    forward.SetGeometry(geometry)
    forward.Update()
    itk.imwrite(forward.GetOutput(), str(folder / "scan.mha"), compression=True)


GRID = Grid((32, 32, 32), (3.0, 3.0, 3.0), (6.0, -4.0, 10.0))


def balls() -> np.ndarray:
    """Return two smooth balls, of 0.02/mm and 12 mm at (30, 10, 14) and of half of it at (-8, -16, -10)."""
    z, y, x = np.meshgrid(*(GRID.coordinates_mm(axis) for axis in range(3)), indexing="ij")
    near = np.exp(-((x - 30) ** 2 + (y - 10) ** 2 + (z - 14) ** 2) / (2 * 8**2))
    far = np.exp(-((x + 8) ** 2 + (y + 16) ** 2 + (z + 10) ** 2) / (2 * 6**2))
    return (0.02 * near + 0.01 * far).astype(np.float32)


VIEWS = {
    "circle": [(800.0, 1200.0, angle, 7.0, -3.0) for angle in (0.0, 50.0, 200.0)],
    "offsets and tilts": [
        (800.0, 1200.0, 10.0, 12.0, -9.0, 4.0, -3.0, 15.0, -20.0),
        (700.0, 1100.0, 140.0, -8.0, 6.0, -5.0, 2.0, -10.0, 8.0),
        (750.0, 1150.0, 265.0, 0.0, 0.0, 12.0, 25.0, 0.0, 0.0),
    ],
}


@pytest.mark.parametrize("name", VIEWS)
def test_our_projector_measures_what_rtk_measures(tmp_path, name):
    """Both interpolate along Joseph's rays, so that only how a voxel's edge counts is left."""
    itk = pytest.importorskip("itk", reason="itk-rtk is not installed")
    if not hasattr(itk, "RTK"):
        pytest.skip("itk-rtk is not installed")
    rtk_scan(itk, tmp_path, VIEWS[name])
    read = read_projections(tmp_path)
    assert isinstance(read.geometry.scan, ConeBeam if name == "circle" else VectorConeBeam)
    projector = make_projector(GRID, read.geometry.scan, "torch")
    ours = projector(torch.from_numpy(balls())[None, None])[0, 0].numpy()
    assert read.y.max() > 0.3
    assert np.linalg.norm(ours - read.y) < 3e-3 * np.linalg.norm(read.y)


def test_pixels_come_in_the_byte_order_of_the_machine(tmp_path):
    write_mha(tmp_path / "a.mha", Y.astype(">f4"))
    assert read_pixels(read_header(tmp_path / "a.mha")).dtype == np.float32
