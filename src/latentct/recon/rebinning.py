"""Single-slice rebinning: fan beams at chosen heights from a helical scan."""

from __future__ import annotations

import math

import numpy as np
import torch

from latentct.geometry import FanBeam
from latentct.geometry.helix import Helix
from latentct.geometry.scan import FloatArray


def rebin_slice(y: torch.Tensor, helix: Helix, z_mm: float) -> tuple[torch.Tensor, FanBeam]:
    """Return the fan beam of one slice.

    A ray of the fan at the angle ``g`` to its middle passes the axis at the distance ``sod cos g`` from the source. It
    is taken from the oblique ray above or below it that meets the slice there, shortened to its way in the slice
    (Noo, Defrise, Clackdoyle and Kudo 1999, doi 10.1088/0031-9155/44/2/019)::

        tan k = (z - z_source) / (sod cos g)        y(t, g, z) = cos k * y(t, g, v),  v = tan k * distance,

    where the distance is that from the source to the detector along the ray: ``sdd`` of a curved detector,
    ``sdd / cos g`` of a flat one. Between rows it is interpolated. The views are those of a short scan about the one
    at which the source passes the slice. It is exact where the object does not change along z.

    Args:
        y: Line integrals (A, V, U) of the helix.
        helix: Where they were measured; angles and heights both grow or fall steadily.
        z_mm: Height of the slice in mm.

    Returns:
        Line integrals (A', U) of the slice, and the scan that they belong to.

    Raises:
        ValueError: The helix does not reach half a turn to both sides of the slice, or its detector is not high
            enough for its feed.
    """
    views = _short_scan(helix, z_mm)
    fan = helix.fan(views)
    cos_g = np.cos(fan.fan_angles_rad())
    height_mm = z_mm - np.asarray(helix.source_z_mm)[views.start : views.stop, None]
    tan_k = height_mm / (helix.sod_mm * cos_g)
    v_mm = tan_k * (helix.sdd_mm if helix.curved else helix.sdd_mm / cos_g)
    rows = _rows(v_mm, helix, z_mm)
    below = np.minimum(np.floor(rows), max(helix.detector_shape[0] - 2, 0)).astype(np.int64)
    share = torch.as_tensor(rows - below, dtype=y.dtype, device=y.device)
    lower = torch.as_tensor(below, device=y.device)
    upper = (lower + 1).clamp(max=helix.detector_shape[0] - 1)
    part = y[views.start : views.stop]
    at_lower, at_upper = (part.gather(1, index[:, None])[:, 0] for index in (lower, upper))
    cos_k = torch.as_tensor(1 / np.sqrt(1 + tan_k**2), dtype=y.dtype, device=y.device)
    return cos_k * torch.lerp(at_lower, at_upper, share), fan


def _rows(v_mm: FloatArray, helix: Helix, z_mm: float) -> FloatArray:
    """Return the rows, with fractions, at these heights; the outer rows reach half a row further."""
    rows = (v_mm - helix.v_mm()[0]) / helix.pixel_mm[0]
    last = helix.detector_shape[0] - 1
    if rows.min() < -0.5 or rows.max() > last + 0.5:
        raise ValueError(
            f"rows {rows.min():.1f} to {rows.max():.1f} are needed for the slice at {z_mm:g} mm, but the detector has "
            f"rows 0 to {last}: its feed is too large"
        )
    return np.asarray(rows.clip(0, last))


def _short_scan(helix: Helix, z_mm: float) -> range:
    """Return the views of half a turn and the fan about the view at which the source passes a height."""
    angles_rad, z = np.asarray(helix.angles_rad), np.asarray(helix.source_z_mm)
    fan_rad = 2 * float(np.abs(helix.fan(range(1)).fan_angles_rad()).max())
    step_rad = abs(angles_rad[-1] - angles_rad[0]) / (helix.n_views - 1)
    n_views = math.ceil((math.pi + fan_rad) / step_rad) + 1
    passing = np.interp(z_mm, *((z, np.arange(len(z))) if z[-1] > z[0] else (z[::-1], np.arange(len(z))[::-1])))
    start = round(passing - (n_views - 1) / 2)
    if start < 0 or start + n_views > helix.n_views or not z.min() <= z_mm <= z.max():
        raise ValueError(
            f"{n_views} views about the slice at {z_mm:g} mm are needed, but the helix does not reach so far: it holds "
            f"{helix.n_views} from {z.min():g} to {z.max():g} mm"
        )
    return range(start, start + n_views)
