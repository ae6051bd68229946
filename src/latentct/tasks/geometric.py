"""Tasks whose missing rays follow from the geometry: narrow detector, short arc, few views, dead detector elements."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch

from latentct.errors import InputError
from latentct.geometry import Scan, VectorConeBeam, truncation_ray_mask
from latentct.tasks.base import GeometricTask, spread_over_rays


class Truncation(GeometricTask):
    """The detector covers a centred field of measurement only.

    Args:
        diameter_mm: Diameter of the field in mm.
    """

    name = "truncation"

    def __init__(self, diameter_mm: float) -> None:
        self.diameter_mm = diameter_mm

    def mask_of(self, scan: Scan) -> torch.Tensor:
        """Return the rays that pass the rotation axis within half the diameter."""
        if isinstance(scan, VectorConeBeam):
            raise TypeError("a field of measurement is for circular scans, not VectorConeBeam")
        return torch.from_numpy(truncation_ray_mask(scan, self.diameter_mm))


class LimitedAngle(GeometricTask):
    """The views of an arc only.

    Args:
        arc_rad: Length of the arc in rad.
        start_rad: Where it begins; it runs anticlockwise and may pass the full turn.
    """

    name = "limited_angle"

    def __init__(self, arc_rad: float, start_rad: float = 0.0) -> None:
        self.arc_rad = arc_rad
        self.start_rad = start_rad

    def mask_of(self, scan: Scan) -> torch.Tensor:
        """Return the rays of the views whose angle is in ``[start, start + arc)``, a full turn being the same."""
        if isinstance(scan, VectorConeBeam):
            raise TypeError("a limited angle is for circular scans, not VectorConeBeam")
        rounding_rad = 1e-9
        along_rad = np.mod(np.asarray(scan.angles_rad) - self.start_rad + rounding_rad, 2 * math.pi)
        return spread_over_rays(torch.from_numpy(along_rad < self.arc_rad), scan)


class SparseView(GeometricTask):
    """Few views, spread evenly over those of the scan.

    Args:
        n_views: How many.
    """

    name = "sparse_view"

    def __init__(self, n_views: int) -> None:
        self.n_views = n_views

    def mask_of(self, scan: Scan) -> torch.Tensor:
        """Return the rays of every k-th view, k rounded where it is not whole."""
        if not 0 < self.n_views <= scan.n_views:
            raise InputError(
                f"the task {self.name} keeps n_views={self.n_views} of a scan of {scan.n_views} views; "
                "choose a number below that of the scan."
            )
        views = torch.zeros(scan.n_views, dtype=torch.bool)
        views[torch.arange(self.n_views) * scan.n_views // self.n_views] = True
        return spread_over_rays(views, scan)


class DeadPixels(GeometricTask):
    """Detector elements that never measure, the same in all views.

    Args:
        columns: Indices of dead detector columns.
        fraction: Share of the other detector elements that are dead too, drawn at random, 0 to 1.
        seed: Of the draw.
    """

    name = "dead_pixels"

    def __init__(self, columns: Sequence[int] = (), fraction: float = 0.0, seed: int = 0) -> None:
        self.columns = tuple(columns)
        self.fraction = fraction
        self.seed = seed

    def mask_of(self, scan: Scan) -> torch.Tensor:
        """Return the rays of the living elements."""
        detector_shape = scan.sinogram_shape[1:]
        outside = [column for column in self.columns if not 0 <= column < detector_shape[-1]]
        if outside:
            raise InputError(
                f"the task {self.name} names columns {outside}, but the detector has {detector_shape[-1]}; "
                f"choose from 0 to {detector_shape[-1] - 1}."
            )
        draw = torch.rand(detector_shape, generator=torch.Generator().manual_seed(self.seed))
        alive = draw >= self.fraction
        alive[..., list(self.columns)] = False
        return alive.expand(scan.sinogram_shape).clone()
