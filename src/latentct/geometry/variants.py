"""Scans that differ from a machine's usual one: other view counts, arcs, orbits and detector positions."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import replace

import numpy as np

from latentct.geometry.scan import ConeBeam, Scan, VectorConeBeam, as_vectors, equally_spaced_rad


def few_view_scans(scan: ConeBeam, counts: Iterable[int], arc_rad: float = math.pi) -> dict[str, Scan]:
    """Return scans of one machine by number of views, equally spaced over ``arc_rad`` from angle 0.

    Args:
        scan: The machine: distances, panel and offset; its own angles are not used.
        counts: Numbers of views.
        arc_rad: Arc of the views, the end point excluded.
    """
    return {str(n): replace(scan, angles_rad=equally_spaced_rad(n, arc_rad)) for n in counts}


def held_out_scans(scan: ConeBeam) -> dict[str, Scan]:
    """Return scans of kinds that random views of one machine do not contain.

    ``8_views`` is the usual half turn, to compare with. ``5_views_120``, ``7_views_120`` and ``10_views_120`` spread
    their views over 120 degrees only; in ``8_views_tilted`` the orbit is tilted by 10 degrees about the x axis; in
    ``8_views_offset`` the panel is shifted along u by a tenth of its width.

    Args:
        scan: The machine; its own angles are not used.
    """
    usual = replace(scan, angles_rad=equally_spaced_rad(8, math.pi))
    width_mm = scan.detector_shape[1] * scan.pixel_mm[1]
    offset_mm = (scan.offset_mm[0], scan.offset_mm[1] + width_mm / 10)
    short = few_view_scans(scan, (5, 7, 10), 2 * math.pi / 3)
    return {
        "8_views": usual,
        **{f"{n}_views_120": short_scan for n, short_scan in short.items()},
        "8_views_tilted": tilted(usual, math.radians(10)),
        "8_views_offset": replace(usual, offset_mm=offset_mm),
    }


def tilted(scan: ConeBeam, tilt_rad: float) -> VectorConeBeam:
    """Return a scan whose source and panel turn about an axis that is tilted against z, about x and the origin.

    Args:
        scan: The scan before it is tilted.
        tilt_rad: Angle from +y towards +z by which everything is turned.

    >>> tilted(ConeBeam((0.0,), (2, 2), (1.0, 1.0), 100.0, 150.0), math.pi / 2).source_mm[0][2]
    -100.0
    """
    cosine, sine = math.cos(tilt_rad), math.sin(tilt_rad)
    turn = np.array([[1.0, 0.0, 0.0], [0.0, cosine, -sine], [0.0, sine, cosine]])
    level = scan.vectors()
    return VectorConeBeam(
        source_mm=as_vectors(np.array(level.source_mm) @ turn.T),
        detector_mm=as_vectors(np.array(level.detector_mm) @ turn.T),
        u_mm=as_vectors(np.array(level.u_mm) @ turn.T),
        v_mm=as_vectors(np.array(level.v_mm) @ turn.T),
        detector_shape=level.detector_shape,
    )
