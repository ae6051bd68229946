"""A quick look at a volume: most iterations on a coarse grid, a few on the fine one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch.nn.functional import interpolate

from latentct.geometry import ConeBeam, Grid, VectorConeBeam
from latentct.geometry.scan import as_vectors
from latentct.projectors import make_projector
from latentct.recon.tv import tv
from latentct.units import MU_WATER_70KEV


def coarse_to_fine(
    y: torch.Tensor,
    grid: Grid,
    scan: ConeBeam | VectorConeBeam,
    coarse_steps: int,
    fine_steps: int,
    weight: float,
    mu_water: float = MU_WATER_70KEV,
) -> torch.Tensor:
    """Reconstruct by total variation on voxels and pixels of twice the size, then in a few steps on those given.

    A coarse step costs an eighth of a fine one, and what few views leave to be found is mostly coarse.

    Args:
        y: Line integrals (B, 1, A, V, U).
        grid: Grid of the volume, with even numbers of voxels.
        scan: Geometry of ``y``.
        coarse_steps: Steps on the coarse grid.
        fine_steps: Steps on ``grid``.
        weight: Weight of the total variation of a single view, see `tv`; of A views it is A times smaller.
        mu_water: Attenuation of water in 1/mm at the energy of the scan.

    Returns:
        Attenuation ``x_mu`` (B, 1, D, H, W), not negative.
    """
    half, coarse = halved(scan), grid.coarser(2)
    weight = weight / scan.n_views
    y_half = interpolate(y[:, 0], half.detector_shape, mode="area")[:, None]
    projector = make_projector(coarse, half, device=y.device)
    x_half = tv(y_half, projector, weight=weight, n_iterations=coarse_steps, step_ratio=1.0, mu_water=mu_water)
    x_start = interpolate(x_half, grid.shape, mode="trilinear", align_corners=False)
    projector = make_projector(grid, scan, device=y.device)
    return tv(y, projector, weight=weight, n_iterations=fine_steps, mu_water=mu_water, x_start=x_start)


def halved(scan: ConeBeam | VectorConeBeam) -> ConeBeam | VectorConeBeam:
    """Return the same panels in half as many rows and columns, rounded up.

    >>> halved(ConeBeam((0.0,), (4, 5), (3.0, 3.0), 100.0, 150.0)).pixel_mm
    (6.0, 5.0)
    """
    n_rows, n_columns = scan.detector_shape
    shape = ((n_rows + 1) // 2, (n_columns + 1) // 2)
    dv, du = n_rows / shape[0], n_columns / shape[1]
    if isinstance(scan, ConeBeam):
        return replace(scan, detector_shape=shape, pixel_mm=(scan.pixel_mm[0] * dv, scan.pixel_mm[1] * du))
    u_mm, v_mm = as_vectors(np.asarray(scan.u_mm) * du), as_vectors(np.asarray(scan.v_mm) * dv)
    return replace(scan, detector_shape=shape, u_mm=u_mm, v_mm=v_mm)
