"""Single-slice rebinning: fan beams at chosen heights from a helical scan."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from latentct.geometry import FanBeam
from latentct.geometry.helix import FocalSpot, Helix
from latentct.geometry.scan import FloatArray

Place = tuple[FloatArray, FloatArray]
"""View and column of each ray, with fractions."""
TAPERED_ROWS = 0.1
"""Share of the rows, at each end of the detector, over which a ray counts less and less."""
LEAST_WEIGHT = 1e-3


def rebin_slice(y: torch.Tensor, helix: Helix, z_mm: float) -> tuple[torch.Tensor, FanBeam]:
    """Return the fan beam of one slice, over the whole turn about the view at which the source passes it.

    A ray that passes the axis at the distance ``l`` from its source, measured in the slice, is taken from the oblique
    ray above or below it that is at the height of the slice there, shortened to its way in the slice (Noo, Defrise,
    Clackdoyle and Kudo 1999, doi 10.1088/0031-9155/44/2/019)::

        tan k = (z - z_source) / l        y(t, g, z) = cos k * y(t, g, v),  v - v_source = tan k * L,

    with the length ``L`` of the ray from source to detector in the slice. Between rows it is interpolated. The line is
    seen a second time half a turn away, from the other side. That sighting takes over, smoothly, where the first is
    more than a quarter of a turn from the view at which the source passes the slice, or near the end of the detector.
    Where the focal spot flies, sightings are interpolated among the views of one spot. It is exact, up to
    interpolation, where the object does not change along z.

    Args:
        y: Line integrals (A, V, U) of the helix.
        helix: Where they were measured; angles and heights both grow or fall steadily.
        z_mm: Height of the slice in mm.

    Returns:
        Line integrals (A', U) of the slice, and the scan that they belong to, `Helix.fan`.

    Raises:
        ValueError: The helix does not reach half a turn to both sides of the slice, or its detector is not high
            enough for its feed.
    """
    views = slice_views(helix, z_mm)
    return rebin_views(y[views.start : views.stop], helix, views, z_mm), helix.fan()


def slice_views(helix: Helix, z_mm: float) -> range:
    """Return the views that `rebin_slice` needs for a slice.

    Raises:
        ValueError: The helix does not hold all of them.
    """
    half = math.ceil(math.pi / abs(helix.step_rad)) + len(helix.spots)
    passing = round((helix.passing_rad(z_mm) - helix.angles_rad[0]) / helix.step_rad)
    z = np.asarray(helix.source_z_mm)
    if passing < half or passing + half >= helix.n_views or not z.min() <= z_mm <= z.max():
        raise ValueError(
            f"{2 * half + 1} views about the slice at {z_mm:g} mm are needed, but the helix does not reach so far: it "
            f"holds {helix.n_views} from {z.min():g} to {z.max():g} mm"
        )
    return range(passing - half, passing + half + 1)


def rebin_views(y: torch.Tensor, helix: Helix, views: range, z_mm: float) -> torch.Tensor:
    """Do what `rebin_slice` does with the views of `slice_views` alone, for scans too large to hold.

    Args:
        y: Line integrals of these views.
        helix: The whole scan.
        views: What `slice_views` returned for the slice.
        z_mm: Height of the slice in mm.

    Raises:
        ValueError: The detector is not high enough for its feed.
    """
    fan, n_spots = helix.fan(), len(helix.spots)
    slice_y = torch.empty(fan.sinogram_shape, dtype=y.dtype, device=y.device)
    for number, spot in enumerate(helix.spots):
        first = (number - views.start) % n_spots
        own = np.arange(views.start + first, views.stop, n_spots)
        rays = _rays(fan, spot)
        weighted, weights = _at_height(y[first::n_spots], helix, own, rays, z_mm)
        direct, opposite, nearness = _sightings(fan, number, helix, own, rays, z_mm)
        total_weight = torch.as_tensor(nearness, dtype=y.dtype, device=y.device) * _between(weights, direct)
        total = torch.as_tensor(nearness, dtype=y.dtype, device=y.device) * _between(weighted, direct)
        total += (1 - total_weight) * _between(weighted, opposite)
        total_weight += (1 - total_weight) * _between(weights, opposite)
        if float(total_weight.min()) < LEAST_WEIGHT:
            raise ValueError(
                f"the {helix.detector_shape[0]} rows of the detector do not see every ray of the slice at {z_mm:g} mm: "
                "its feed is too large"
            )
        slice_y[number::n_spots] = total / total_weight
    return slice_y


@dataclass(frozen=True)
class _Rays:
    """The rays from a focal spot to the columns, in the plane of the slice, in the view at the angle 0.

    Attributes:
        angle_rad: Of the rays, (U,): they run along ``(-sin, cos)`` of it.
        from_axis_mm: Signed distance to the axis, ``p . (cos, sin)`` of any point p on the ray, (U,), growing.
        to_axis_mm: From the focal spot to where the ray is nearest to the axis, (U,).
        length_mm: From the focal spot to the detector, (U,).
        spot: The focal spot.
    """

    angle_rad: FloatArray
    from_axis_mm: FloatArray
    to_axis_mm: FloatArray
    length_mm: FloatArray
    spot: FocalSpot


def _rays(fan: FanBeam, spot: FocalSpot) -> _Rays:
    g = fan.fan_angles_rad()
    far = fan.sdd_mm / (np.ones_like(g) if fan.curved else np.cos(g))
    element = np.stack([far * np.sin(g), far * np.cos(g) - fan.sod_mm])
    radius_mm = fan.sod_mm + spot.radial_mm
    source = radius_mm * np.array([[math.sin(spot.angle_rad)], [-math.cos(spot.angle_rad)]])
    way = element - source
    length_mm = np.hypot(*way)
    from_axis_mm = (source[0] * way[1] - source[1] * way[0]) / length_mm
    to_axis_mm = -(source * way).sum(axis=0) / length_mm
    return _Rays(np.arctan2(-way[0], way[1]), from_axis_mm, to_axis_mm, length_mm, spot)


def _at_height(
    y: torch.Tensor, helix: Helix, own: NDArray[np.int64], rays: _Rays, z_mm: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """Interpolate the views of one spot between rows; return the rays of the slice times their weights, and those."""
    height_mm = z_mm - rays.spot.z_mm - np.asarray(helix.source_z_mm)[own, None]
    tan_k = height_mm / rays.to_axis_mm
    n_rows = helix.detector_shape[0]
    rows = (rays.spot.z_mm + tan_k * rays.length_mm - helix.v_mm()[0]) / helix.pixel_mm[0]
    inside = np.minimum(rows, n_rows - 1 - rows) + 0.5  # the outer rows reach half a row further
    weights = np.clip(inside / max(TAPERED_ROWS * n_rows, 1), 0, 1)
    at = rows.clip(0, n_rows - 1)
    below = np.minimum(np.floor(at), max(n_rows - 2, 0)).astype(np.int64)
    lower = torch.as_tensor(below, device=y.device)[:, None]
    at_lower, at_upper = (y.gather(1, index)[:, 0] for index in (lower, (lower + 1).clamp(max=n_rows - 1)))
    share, cos_k, of_rays = (
        torch.as_tensor(array, dtype=y.dtype, device=y.device)
        for array in (at - below, 1 / np.sqrt(1 + tan_k**2), weights)
    )
    return of_rays * cos_k * torch.lerp(at_lower, at_upper, share), of_rays


def _sightings(
    fan: FanBeam, number: int, helix: Helix, own: NDArray[np.int64], rays: _Rays, z_mm: float
) -> tuple[Place, Place, FloatArray]:
    """Return where the rays of the fan are seen, from their side and from the other, and how near the first is.

    Nearness is 1 up to a quarter turn from where the source passes the slice, and falls to 0 at half a turn.
    """
    g, columns = fan.fan_angles_rad(), np.arange(fan.n_bins)
    t = np.asarray(fan.angles_rad)[number :: len(helix.spots), None]
    sign, passing_rad = math.copysign(1.0, helix.step_rad), helix.passing_rad(z_mm)
    own_rad = sign * np.asarray(helix.angles_rad)[own]
    places, from_passing_rad = [], []
    for side, turned_rad in ((1, 0.0), (-1, math.pi)):
        column = np.interp(side * fan.sod_mm * np.sin(g), rays.from_axis_mm, columns)
        angle_rad = t - g + turned_rad - np.interp(column, columns, rays.angle_rad)
        from_passing_rad.append((angle_rad - passing_rad + math.pi) % (2 * math.pi) - math.pi)
        view = np.interp(sign * (passing_rad + from_passing_rad[-1]), own_rad, np.arange(len(own)))
        places.append((view, np.broadcast_to(column, view.shape)))
    far = np.clip(2 * np.abs(from_passing_rad[0]) / math.pi - 1, 0, 1)
    return places[0], places[1], np.cos(math.pi / 2 * far) ** 2


def _between(values: torch.Tensor, place: Place) -> torch.Tensor:
    """Interpolate linearly between views and columns."""
    view, column = place
    n_views, n_columns = values.shape
    first = np.minimum(view.astype(np.int64), max(n_views - 2, 0))
    left = np.minimum(column.astype(np.int64), max(n_columns - 2, 0))
    corner = torch.as_tensor(first * n_columns + left, device=values.device)
    along, across = (
        torch.as_tensor(share, dtype=values.dtype, device=values.device) for share in (view - first, column - left)
    )
    flat, (down, right) = values.reshape(-1), (n_columns if n_views > 1 else 0, 1 if n_columns > 1 else 0)
    upper = torch.lerp(flat[corner], flat[corner + right], across)
    lower = torch.lerp(flat[corner + down], flat[corner + down + right], across)
    return torch.lerp(upper, lower, along)
