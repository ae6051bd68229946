"""Geometry of a scan in a YAML file: a parallel or fan beam, a circle of cone-beam views, or vectors for each view.

The format is in `geometry.schema.json` beside this file, the sections of slices in `plane_geometry`. A circle:

    detector_shape: [96, 96]  # rows, columns
    mu_water: 0.01929         # 1/mm
    circle:
      angles_deg: [0, 45, 90, 135]
      sod_mm: 800
      sdd_mm: 1200
      pixel_mm: [6, 8]        # distance of rows, of columns
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, cast

import numpy as np
import yaml

from latentct.errors import InputError
from latentct.geometry import ConeBeam, Grid, Scan, Scan2D, VectorConeBeam
from latentct.io import plain_yaml
from latentct.io.plane_geometry import (
    read_angles_rad,
    read_image,
    read_plane_scan,
    refuse_senseless_angles,
    refuse_short_distance,
    write_angles,
    write_plane_scan,
)

_SCHEMA_FILE = Path(__file__).with_name("geometry.schema.json")
_SECTIONS = ("parallel", "fan", "circle", "vectors")
_LARGEST = 1e9
PIXELS_MM = (1e-3, 1e3)
"""Least and largest distance of pixels, as in the schema."""
_VECTORS = ("source_mm", "detector_mm", "u_mm", "v_mm")


@dataclass(frozen=True)
class ScanGeometry:
    """What a geometry file says.

    Attributes:
        scan: where source and detector are; the middle of the image is the origin.
        mu_water: attenuation of water in 1/mm at the beam's effective energy.
        i0: intensity of a pixel without an object; None where the files hold line integrals.
        isocenter_mm: position (x, y, z) of the middle of the image in the patient's LPS world.
        slice_mm: distance of neighbouring slices of a parallel or fan beam.
        image: pixels of these slices, about the rotation axis; None leaves them to the method.
        simulated: whether the rays were simulated from an image, which all that is made of them says.
    """

    scan: Scan
    mu_water: float
    i0: float | None = None
    isocenter_mm: tuple[float, float, float] = (0.0, 0.0, 0.0)
    slice_mm: float = 1.0
    image: Grid | None = None
    simulated: bool = False


def read_geometry(text: str, name: str) -> ScanGeometry:
    """Read the text of a geometry file.

    Args:
        text: YAML.
        name: name of the file, for messages.

    Raises:
        InputError: the text is no YAML, breaks the schema, or describes a machine that cannot be.
    """
    content = _parsed(text, name)
    scan = _scan(content, name)
    if (content.get("quantity") == "intensities") != ("i0" in content):
        raise InputError(
            f"geometry {name} must give i0 with 'quantity: intensities' and only then; give the intensity of a pixel "
            "without an object, or remove it."
        )
    x, y, z = (float(c) for c in content.get("isocenter_mm", (0, 0, 0)))
    section = content.get("parallel") or content.get("fan") or {}
    slice_mm = float(section.get("slice_mm", 1.0))
    return ScanGeometry(
        scan,
        float(content["mu_water"]),
        content.get("i0"),
        (x, y, z),
        slice_mm,
        read_image(content),
        content.get("simulated", False),
    )


def read_geometry_file(path: Path) -> ScanGeometry:
    """Read a geometry file; see `read_geometry`.

    Raises:
        InputError: the file is missing, no text in UTF-8, or bad.
    """
    try:
        return read_geometry(path.read_text(encoding="utf-8"), str(path))
    except UnicodeDecodeError as error:
        raise InputError(f"geometry {path} is no text ({error.reason}); give YAML in UTF-8.") from error
    except OSError as error:
        raise InputError(f"geometry {path} cannot be read ({error.strerror}); give a YAML file.") from error


def write_geometry(geometry: ScanGeometry) -> str:
    """Return the text of a geometry file; `read_geometry` gives back the same."""
    scan = geometry.scan
    content: dict[str, Any] = {"mu_water": geometry.mu_water}
    if geometry.i0 is not None:
        content |= {"quantity": "intensities", "i0": geometry.i0}
    if geometry.simulated:
        content["simulated"] = True
    if any(geometry.isocenter_mm):
        content["isocenter_mm"] = list(geometry.isocenter_mm)
    if isinstance(scan, Scan2D):
        content |= write_plane_scan(scan, geometry.slice_mm, geometry.image)
        return yaml.safe_dump(content, sort_keys=False, default_flow_style=None)
    content["detector_shape"] = list(scan.detector_shape)
    if isinstance(scan, ConeBeam):
        content["circle"] = {
            **write_angles(scan.angles_rad),
            "sod_mm": scan.sod_mm,
            "sdd_mm": scan.sdd_mm,
            "pixel_mm": list(scan.pixel_mm),
            "offset_mm": list(scan.offset_mm),
        }
    else:
        content["vectors"] = [{key: list(getattr(scan, key)[i]) for key in _VECTORS} for i in range(scan.n_views)]
    return yaml.safe_dump(content, sort_keys=False, default_flow_style=None)


@cache
def _validator() -> Any:
    from jsonschema import Draft202012Validator

    return Draft202012Validator(json.loads(_SCHEMA_FILE.read_text(encoding="utf-8")))


def _parsed(text: str, name: str) -> dict[str, Any]:
    """Return a file's content where it follows the schema, all of its numbers finite."""
    from jsonschema.exceptions import best_match

    try:
        content = plain_yaml.load(text)
    except (yaml.YAMLError, ValueError) as error:
        raise InputError(f"geometry {name} is no YAML ({_place(error)}); correct it.") from error
    found = [section for section in _SECTIONS if section in content] if isinstance(content, dict) else []
    if isinstance(content, dict) and len(found) != 1:
        raise InputError(
            f"geometry {name} has {' and '.join(found) or 'none'} of the sections {', '.join(_SECTIONS)}, but one is "
            "expected; describe one scan."
        )
    try:
        broken = best_match(_validator().iter_errors(content))
    except ValueError:  # Python shows no integer of thousands of digits
        broken, content = None, {"number": math.inf}
    if broken is not None:
        raise InputError(
            f"geometry {name} breaks the schema at {broken.json_path}: {_rule(broken)}; correct that entry."
        )
    if not all(abs(number) < _LARGEST for number in _numbers(content)):
        raise InputError(f"geometry {name} holds a number that is not finite or too large; give mm and degrees.")
    return cast("dict[str, Any]", content)


def _rule(broken: Any) -> str:
    """Return the rule that an entry breaks; of what the text says, names of keys only, for it may be a patient's."""
    if broken.validator in ("additionalProperties", "required"):
        return str(broken.message)[:200]
    if broken.validator in ("oneOf", "not"):
        return "the keys do not go together"
    return f"{broken.validator} {broken.validator_value} is expected"


def _place(error: Exception) -> str:
    """Return what a YAML parser stumbled over, without the text around it."""
    mark = getattr(error, "problem_mark", None)
    where = "" if mark is None else f" in line {mark.line + 1}, column {mark.column + 1}"
    return f"{getattr(error, 'problem', None) or 'it cannot be parsed'}{where}"


def _numbers(content: Any) -> list[float | int]:
    if isinstance(content, Mapping):
        return [number for value in content.values() for number in _numbers(value)]
    if isinstance(content, list):
        return [number for value in content for number in _numbers(value)]
    return [content] if isinstance(content, int | float) else []


def _scan(content: Mapping[str, Any], name: str) -> Scan:
    if "parallel" in content or "fan" in content:
        return read_plane_scan(content, name)
    if "circle" in content:
        return _circle(content, name)
    vectors = _vectors(content)
    refuse_impossible(vectors, name)
    return vectors


def _shape(content: Mapping[str, Any]) -> tuple[int, int]:
    n_rows, n_columns = content["detector_shape"]
    return int(n_rows), int(n_columns)


def _circle(content: Mapping[str, Any], name: str) -> ConeBeam:
    circle = content["circle"]
    sod_mm, sdd_mm = float(circle["sod_mm"]), float(circle["sdd_mm"])
    refuse_short_distance(sod_mm, sdd_mm, name)
    angles_rad = read_angles_rad(circle)
    refuse_senseless_angles(angles_rad, name)
    dv_mm, du_mm = (float(size) for size in circle["pixel_mm"])
    v_mm, u_mm = (float(position) for position in circle.get("offset_mm", (0, 0)))
    return ConeBeam(angles_rad, _shape(content), (dv_mm, du_mm), sod_mm, sdd_mm, (v_mm, u_mm))


def _vectors(content: Mapping[str, Any]) -> VectorConeBeam:
    views = content["vectors"]
    columns = {key: tuple(tuple(float(c) for c in view[key]) for view in views) for key in _VECTORS}
    return VectorConeBeam(**cast("dict[str, Any]", columns), detector_shape=_shape(content))


def refuse_impossible(scan: VectorConeBeam, name: str) -> None:
    """Raise an InputError for panels of absurd pixels, without an area, or not behind the middle of the volume."""
    for i in range(scan.n_views):
        source, middle, u, v = (np.asarray(getattr(scan, key)[i]) for key in _VECTORS)
        if not all(PIXELS_MM[0] <= np.linalg.norm(step) <= PIXELS_MM[1] for step in (u, v)):
            raise InputError(
                f"geometry {name} has pixels in view {i} that are not {PIXELS_MM[0]:g} to {PIXELS_MM[1]:g} mm wide; "
                "give u_mm and v_mm in mm."
            )
        normal = np.cross(u, v)
        if np.linalg.norm(normal) <= 1e-9 * (1 + np.linalg.norm(u) * np.linalg.norm(v)):
            raise InputError(f"geometry {name} has parallel u_mm and v_mm in view {i}; give the steps of the panel.")
        if normal @ middle * (normal @ -source) <= 0:
            raise InputError(
                f"geometry {name} has the isocentre of view {i} not between source_mm and the plane of the panel; give "
                "both from the middle of the volume."
            )
