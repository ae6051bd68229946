"""A volume from a few cone-beam views."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from latentct.engines.few_view_scan import VIEWS
from latentct.errors import InputError
from latentct.geometry import Scan2D
from latentct.io.projections import Projections
from latentct.serving import Corrector
from latentct.serving.volumes import VolumeCorrector

TASK = "sparse-view"


@dataclass(frozen=True)
class VolumeResult:
    """A volume and how far its samples differ.

    Attributes:
        x_hu: In HU, (D, H, W) in patient axes.
        affine_lps_mm: From voxel indices (z, y, x) to LPS mm.
        spread_hu: Standard deviation over the samples in HU, (D, H, W); None of one sample.
        residual: Misfit of the volume's rays to the measured ones, relative to them.
        statement: What was measured and what was imagined, for people.
    """

    x_hu: NDArray[np.float32]
    affine_lps_mm: NDArray[np.float64]
    spread_hu: NDArray[np.float32] | None
    residual: float
    statement: str


def check_views(projections: Projections, task: str | None) -> None:
    """Refuse cone-beam projections that no bundle makes a volume of, before one is loaded.

    Args:
        projections: Of a cone beam.
        task: What is to be corrected; None for what is found.

    Raises:
        InputError: There are too few or too many views, or the task is for slices.
    """
    n_views, (fewest, most) = projections.geometry.scan.n_views, VIEWS
    if not fewest <= n_views <= most:
        raise InputError(
            f"the projections have {n_views} cone-beam views, but {fewest} to {most} can be corrected; use `latentct "
            "reconstruct` for others."
        )
    if task not in (None, TASK):
        raise InputError(
            f"the task {task} is for slices of a parallel or fan beam, but the projections are of {n_views} cone-beam "
            f"views; leave the task out, or give {TASK}."
        )


def reconstruct_views(projections: Projections, task: str | None, corrector: Corrector) -> VolumeResult:
    """Reconstruct a volume from few cone-beam views.

    Args:
        projections: Of a cone beam.
        task: `TASK`, or None for what is found, which is the same.
        corrector: A bundle of volumes, as `clsdm_sparse_view`.

    Raises:
        InputError: See `check_views`; or the bundle is for slices, or cannot use the geometry.
    """
    method, geometry = corrector.method, projections.geometry
    if not isinstance(method, VolumeCorrector) or isinstance(geometry.scan, Scan2D):
        raise InputError(
            "the bundle is for cone-beam views only if the projections are, and for slices if they are; give "
            "clsdm_sparse_view for 2 to 16 cone-beam views, and the bundle of a slice prior for slices."
        )
    check_views(projections, task)
    method.check(geometry, "the geometry")
    found = method.correct(projections, None)
    residual = float(found.misfit[0])
    if not np.isfinite(residual):
        raise InputError("the views give no finite volume; check their geometry, and that the rays fit to it.")
    return VolumeResult(found.x_hu.astype(np.float32), found.affine_lps_mm, found.x_std_hu, residual, found.sentence)
