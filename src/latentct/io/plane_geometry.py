"""The sections `parallel` and `fan` of a geometry file: scans of axial slices.

A fan, with all that may be said of it:

    mu_water: 0.01929            # 1/mm
    fan:
      angles_deg: [0, 0.5, 1]    # one a view; or angles_rad
      bins: 736
      bin_mm: 1.2858             # on the detector
      sod_mm: 595
      sdd_mm: 1085.6
      curved: true
      offset_mm: 0.3
      slice_mm: 2.5              # distance of neighbouring slices
      image: {shape: [512, 512], spacing_mm: [0.98, 0.98]}  # what to reconstruct; else the method chooses
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from latentct.errors import InputError
from latentct.geometry import FanBeam, Grid, ParallelBeam, Scan2D

MOST_TURNS, LEAST_SOD_MM = 1000, 1e-3


def read_angles_rad(section: Mapping[str, Any]) -> tuple[float, ...]:
    """Return the angles of a section, which has them in degrees or in rad."""
    if "angles_rad" in section:
        return tuple(float(t) for t in section["angles_rad"])
    return tuple(math.radians(t) for t in section["angles_deg"])


def write_angles(angles_rad: Sequence[float]) -> dict[str, list[float]]:
    """Return angles as an entry of a section: in degrees, or in rad where degrees do not give back the same numbers."""
    angles_deg = [math.degrees(t) for t in angles_rad]
    if all(math.radians(d) == t for d, t in zip(angles_deg, angles_rad, strict=True)):
        return {"angles_deg": angles_deg}
    return {"angles_rad": list(angles_rad)}


def read_plane_scan(content: Mapping[str, Any], name: str) -> Scan2D:
    """Return the scan that a geometry file describes in its section `parallel` or `fan`.

    Args:
        content: of the file, following the schema.
        name: of the file, for messages.

    Raises:
        InputError: the detector of a fan stands in the patient, or is wider than half a turn.
    """
    section = content.get("parallel") or content["fan"]
    angles_rad = read_angles_rad(section)
    refuse_senseless_angles(angles_rad, name)
    n_bins, bin_mm, offset_mm = int(section["bins"]), float(section["bin_mm"]), float(section.get("offset_mm", 0))
    if "parallel" in content:
        return ParallelBeam(angles_rad, n_bins, bin_mm, offset_mm)
    sod_mm, sdd_mm = float(section["sod_mm"]), float(section["sdd_mm"])
    refuse_short_distance(sod_mm, sdd_mm, name)
    scan = FanBeam(angles_rad, n_bins, bin_mm, sod_mm, sdd_mm, offset_mm, bool(section.get("curved", False)))
    widest_deg = math.degrees(float(np.abs(scan.fan_angles_rad()).max()))
    if widest_deg >= 90:
        raise InputError(
            f"geometry {name} has rays {widest_deg:.0f} degrees from the central one, but less than 90 is expected; "
            "give bins, bin_mm and sdd_mm of the detector."
        )
    return scan


def read_image(content: Mapping[str, Any]) -> Grid | None:
    """Return the pixels that a geometry file asks for, if any."""
    image = (content.get("parallel") or content.get("fan") or {}).get("image")
    return None if image is None else Grid(tuple(image["shape"]), tuple(image["spacing_mm"]))


def write_plane_scan(scan: Scan2D, slice_mm: float, image: Grid | None) -> dict[str, Any]:
    """Return the section `parallel` or `fan` of a scan."""
    section: dict[str, Any] = {**write_angles(scan.angles_rad), "bins": scan.n_bins, "bin_mm": scan.bin_mm}
    if isinstance(scan, FanBeam):
        section |= {"sod_mm": scan.sod_mm, "sdd_mm": scan.sdd_mm, "curved": scan.curved}
    section |= {"offset_mm": scan.offset_mm, "slice_mm": slice_mm}
    if image is not None:
        section["image"] = {"shape": list(image.shape), "spacing_mm": list(image.spacing_mm)}
    return {"fan" if isinstance(scan, FanBeam) else "parallel": section}


def refuse_senseless_angles(angles_rad: Sequence[float], name: str) -> None:
    """Raise an InputError if several views are at one angle, or turns are more than any scan has."""
    if len(angles_rad) > 1 and min(angles_rad) == max(angles_rad):
        raise InputError(f"geometry {name} has {len(angles_rad)} views at one angle; give the angle of each view.")
    if max(map(abs, angles_rad)) > 2 * math.pi * MOST_TURNS:
        raise InputError(
            f"geometry {name} has angles of more than {360 * MOST_TURNS} degrees; give them within a few turns."
        )


def refuse_short_distance(sod_mm: float, sdd_mm: float, name: str) -> None:
    """Raise an InputError if source, rotation axis and detector do not stand one behind the other."""
    if sod_mm < LEAST_SOD_MM:
        raise InputError(f"geometry {name} has the source {sod_mm:g} mm before the axis; give a distance in mm.")
    if sdd_mm <= sod_mm:
        raise InputError(
            f"geometry {name} has sdd_mm {sdd_mm:g}, not more than sod_mm {sod_mm:g}, so the detector would stand in "
            "the patient; give the distances from the source to the detector and to the rotation axis."
        )
