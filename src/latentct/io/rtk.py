"""Cone-beam projections with a geometry of RTK: MetaImage files and the XML of a `ThreeDCircularProjectionGeometry`.

`scan.mha` goes with `scan.xml` or `geometry.xml` beside it; in a folder with `geometry.xml` all MetaImage files are
joined in the order of their names. The numbers are line integrals; the format says nothing of the attenuation of water.

RTK measures in mm and degrees in the frame of IEC 61217 (Rit et al. 2014, doi 10.1088/1742-6596/489/1/012079). Of a
patient on the back, head first, its x is our x, its y our z and its z our -y. A view turns the source at
``(sx, sy, sid)`` and the panel at ``(u + px, v + py, sid - sdd)`` by the transpose of
``R = Rz(-in_plane) Rx(-out_of_plane) Ry(-gantry)``.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray

from latentct.errors import InputError
from latentct.geometry import ConeBeam, VectorConeBeam
from latentct.geometry.scan import FloatArray, as_vectors
from latentct.io.metaimage import SUFFIXES, MetaImage, read_header, read_pixels
from latentct.io.plane_geometry import refuse_senseless_angles, refuse_short_distance
from latentct.io.scan_geometry import ScanGeometry, refuse_impossible
from latentct.io.sizes import check_memory, check_shape

GEOMETRY = "geometry.xml"
VERSIONS = ("3",)
_LENGTHS = ("SourceToIsocenterDistance", "SourceToDetectorDistance")
_OFFSETS = ("SourceOffsetX", "SourceOffsetY", "ProjectionOffsetX", "ProjectionOffsetY")
_ANGLES = ("GantryAngle", "OutOfPlaneAngle", "InPlaneAngle")
_KEYS = (*_LENGTHS, *_OFFSETS, *_ANGLES)
_PATIENT = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, -1.0], [0.0, 1.0, 0.0]])
"""From the axes of RTK to (x, y, z) of our world."""
_LARGEST = 1e5


def read_rtk(path: Path, mu_water: float) -> tuple[ScanGeometry, NDArray[Any]]:
    """Read a MetaImage file, or the MetaImage files of a folder, and their geometry.

    Args:
        path: as the head of this module says.
        mu_water: attenuation of water in 1/mm at the beam's effective energy.

    Raises:
        InputError: a part is missing or bad, the files differ in their panel, or files and geometry differ.
    """
    files = sorted(f for f in path.iterdir() if f.suffix in SUFFIXES and f.is_file()) if path.is_dir() else [path]
    if not files:
        raise InputError(f"folder {path} holds no {' or '.join(SUFFIXES)} file; put the projections there.")
    panels = [read_header(file) for file in files]
    if len({(panel.shape[1:], panel.pixel_mm, panel.origin_mm) for panel in panels}) > 1:
        raise InputError(f"the projections in {path} differ in size, spacing or origin; give views of one panel.")
    file = _geometry_file(path)
    geometry = ScanGeometry(read_scan(_text(file), panels[0], str(file)), mu_water)
    shape = (sum(panel.shape[0] for panel in panels), *panels[0].shape[1:])
    check_shape(shape, geometry, f"projections {path}")
    check_memory(shape, f"projections {path}")
    return geometry, np.concatenate([read_pixels(panel) for panel in panels])


def read_scan(text: str, panel: MetaImage, name: str) -> ConeBeam | VectorConeBeam:
    """Read the text of a geometry file.

    Args:
        text: XML.
        panel: the projections that it is for, of which the pixels of the panel are taken.
        name: name of the file, for messages.

    Returns:
        A circle where one describes all views, and vectors otherwise.

    Raises:
        InputError: the text is no geometry of RTK in a version known here, of a flat panel, or contradicts itself.
    """
    root = _parsed(text, name)
    shared = dict.fromkeys(_KEYS, 0.0) | _entries(root, name)
    found = root.findall("Projection")
    if not found:
        raise InputError(f"geometry {name} holds no 'Projection'; give one for each view.")
    views = [shared | _entries(view, name) for view in found]
    for i, (view, element) in enumerate(zip(views, found, strict=True)):
        refuse_short_distance(view[_LENGTHS[0]], view[_LENGTHS[1]], name)
        _check_matrix(view, element.findtext("Matrix"), f"{name}, view {i},")
    circle = _circle(views, panel)
    if circle is not None:
        refuse_senseless_angles(circle.angles_rad, name)
        return circle
    scan = _vectors(views, panel)
    refuse_impossible(scan, name)
    return scan


def _parsed(text: str, name: str) -> ElementTree.Element:
    try:
        if "<!ENTITY" in text:
            raise InputError(f"geometry {name} defines entities, which no geometry of RTK does; remove them.")
        root = ElementTree.fromstring(text)
    except ElementTree.ParseError as error:
        line, column = error.position
        raise InputError(f"geometry {name} is no XML (line {line}, column {column}); write it anew.") from error
    version = root.get("version")
    if root.tag != "RTKThreeDCircularGeometry" or version not in VERSIONS:
        raise InputError(
            f"geometry {name} is no RTKThreeDCircularGeometry of version {' or '.join(VERSIONS)}; write it with RTK 2."
        )
    return root


def _entries(element: ElementTree.Element, name: str) -> dict[str, float]:
    """Return the numbers directly below an element."""
    numbers = {}
    for child in element:
        if child.tag in _KEYS or child.tag == "RadiusCylindricalDetector":
            numbers[child.tag] = _number(child, name)
    if numbers.pop("RadiusCylindricalDetector", 0.0):
        raise InputError(f"geometry {name} has a cylindrical detector, but a flat panel is expected; resample it.")
    return numbers


def _number(element: ElementTree.Element, name: str) -> float:
    try:
        number = float(element.text or "")
    except ValueError:
        number = np.nan
    if not abs(number) < _LARGEST:
        raise InputError(
            f"geometry {name} has a {element.tag} that is no finite number below {_LARGEST:g}; give mm and degrees."
        )
    return number


def _rotation(view: Mapping[str, float]) -> FloatArray:
    """Return the matrix that takes points of RTK's world to the frame of one view's panel."""
    gantry, tilt, spin = (-np.radians(view[key]) for key in _ANGLES)
    about_y = np.array([[np.cos(gantry), 0, np.sin(gantry)], [0, 1, 0], [-np.sin(gantry), 0, np.cos(gantry)]])
    about_x = np.array([[1, 0, 0], [0, np.cos(tilt), -np.sin(tilt)], [0, np.sin(tilt), np.cos(tilt)]])
    about_z = np.array([[np.cos(spin), -np.sin(spin), 0], [np.sin(spin), np.cos(spin), 0], [0, 0, 1]])
    return np.asarray(about_z @ about_x @ about_y)


def _check_matrix(view: Mapping[str, float], text: str | None, name: str) -> None:
    """Refuse a view whose matrix, which RTK writes beside the distances and angles, says another thing than they."""
    if text is None:
        return
    try:
        found = np.array([float(number) for number in text.split()]).reshape(3, 4)
    except ValueError as error:
        raise InputError(f"geometry {name} has a Matrix that is not 3 x 4 numbers; write it anew.") from error
    sid, sdd, sx, sy, px, py = (view[key] for key in (*_LENGTHS, *_OFFSETS))
    onto_panel = np.array([[-sdd, 0, sx - px, 0], [0, -sdd, sy - py, 0], [0, 0, 1.0, 0]])
    onto_panel[:, 3] = onto_panel[:, :3] @ (-sx, -sy, -sid)
    expected = np.hstack([onto_panel[:, :3] @ _rotation(view), onto_panel[:, 3:]])
    if not np.allclose(found, expected, rtol=1e-5, atol=1e-5 * sdd):
        raise InputError(f"geometry {name} has a Matrix that is not that of its distances and angles; write it anew.")


def _middle_mm(panel: MetaImage) -> tuple[float, float]:
    """Return the position (v, u) of a panel's middle before RTK's offset."""
    (v_mm, u_mm), (dv_mm, du_mm), (_, rows, columns) = panel.origin_mm, panel.pixel_mm, panel.shape
    return v_mm + (rows - 1) / 2 * dv_mm, u_mm + (columns - 1) / 2 * du_mm


def _circle(views: list[dict[str, float]], panel: MetaImage) -> ConeBeam | None:
    first = views[0]
    fixed = (*_LENGTHS, "ProjectionOffsetX", "ProjectionOffsetY")
    zero = ("SourceOffsetX", "SourceOffsetY", "OutOfPlaneAngle", "InPlaneAngle")
    if any(view[key] != first[key] for view in views for key in fixed) or any(
        view[key] for view in views for key in zero
    ):
        return None
    angles_rad = tuple(float(np.radians(view["GantryAngle"])) for view in views)
    v_mm, u_mm = _middle_mm(panel)
    offset_mm = (v_mm + first["ProjectionOffsetY"], u_mm + first["ProjectionOffsetX"])
    return ConeBeam(angles_rad, panel.shape[1:], panel.pixel_mm, first[_LENGTHS[0]], first[_LENGTHS[1]], offset_mm)


def _vectors(views: list[dict[str, float]], panel: MetaImage) -> VectorConeBeam:
    v_mm, u_mm = _middle_mm(panel)
    placed = []
    for view in views:
        sid, sdd, sx, sy, px, py = (view[key] for key in (*_LENGTHS, *_OFFSETS))
        in_view = [
            (sx, sy, sid),
            (u_mm + px, v_mm + py, sid - sdd),
            (panel.pixel_mm[1], 0, 0),
            (0, panel.pixel_mm[0], 0),
        ]
        placed.append(np.array(in_view) @ _rotation(view) @ _PATIENT.T)
    source, middle, u, v = (as_vectors(vectors) for vectors in np.stack(placed, axis=1))
    return VectorConeBeam(source, middle, u, v, panel.shape[1:])


def _geometry_file(path: Path) -> Path:
    places = [path / GEOMETRY] if path.is_dir() else [path.with_suffix(".xml"), path.with_name(GEOMETRY)]
    for place in places:
        if place.is_file():
            return place
    raise InputError(f"{places[0]} does not exist; put the geometry of {path} there as RTK writes it.")


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"geometry {path} cannot be read as text ({error}); give the XML of RTK.") from error
