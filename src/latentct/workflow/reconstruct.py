"""From projections to an image by a classical method."""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray

from latentct.errors import InputError
from latentct.findings.ends import find_ends
from latentct.geometry import ConeBeam, Grid, Scan, Scan2D
from latentct.io.image import CTImage
from latentct.io.nifti import grid_affine_lps_mm
from latentct.io.projections import Projections, refuse_source_inside
from latentct.io.sizes import check_free
from latentct.projectors import make_projector
from latentct.recon import FDK, FILTER_NAMES, ByViewCount, FilteredBackProjection, Reconstructor, Sirt, TotalVariation
from latentct.recon.fdk import central_fan
from latentct.serving.limits import check_source
from latentct.units import mu_to_hu
from latentct.workflow.parts import Progress, parts_of

METHODS = ("fbp", "fdk", "sirt", "tv")
WAVE = 32
"""Slices that are reconstructed together."""
SIRT_STEPS, TV_STEPS = 60, 150
"""Accelerated steps of SIRT, which do as much as several hundred plain ones."""
VOLUME_WEIGHTS = {2: 0.08, 4: 0.02, 8: 0.01, 16: 0.006}
"""Weights of the total variation by number of views, see `latentct.recon.tv`."""
SLICE_WEIGHT = 0.006
"""The same for slices. On pixels of 4 mm it suits 32 views, and 64 would do with less; on those of 1 mm, 90 views of a
training patient come out best by 0.006 without noise and want more with it."""


def usual_method(scan: Scan) -> str:
    """Return the method that suits a scan without further knowledge."""
    if isinstance(scan, Scan2D):
        return "fbp"
    return "fdk" if isinstance(scan, ConeBeam) else "sirt"


def make_method(
    name: str,
    scan: Scan,
    mu_water: float,
    *,
    n_iterations: int | None = None,
    weight: float | None = None,
    filter_name: str | None = None,
) -> Reconstructor:
    """Build a method for a scan.

    Args:
        name: One of `METHODS`.
        scan: What it is for.
        mu_water: Attenuation of water in 1/mm.
        n_iterations: Steps of SIRT and of total variation; None: `SIRT_STEPS` and `TV_STEPS`.
        weight: Of the total variation; None: `SLICE_WEIGHT`, and for volumes by the number of views.
        filter_name: Of filtered back-projection; None: the ramp alone.

    Raises:
        InputError: The method is not for this scan, or an option not for this method.
    """
    _refuse_unsuited(name, scan)
    of_method = {
        "fbp": ("--filter",),
        "fdk": ("--filter",),
        "sirt": ("--iterations",),
        "tv": ("--iterations", "--weight"),
    }
    given = {"--iterations": n_iterations, "--weight": weight, "--filter": filter_name}
    foreign = [option for option, value in given.items() if value is not None and option not in of_method[name]]
    if foreign:
        raise InputError(f"{foreign[0]} is none of the options of --method {name}; leave it out.")
    if filter_name is not None and filter_name not in FILTER_NAMES:
        raise InputError(f"--filter is {filter_name!r}; choose one of {', '.join(FILTER_NAMES)}.")
    if n_iterations is not None and n_iterations < 1:
        raise InputError(f"--iterations is {n_iterations}, but 1 or more are expected; correct it.")
    if weight is not None and not 0 < weight < math.inf:
        raise InputError(f"--weight is {weight:g}, but a number above 0 is expected; correct it.")
    if name in ("fbp", "fdk"):
        return (FilteredBackProjection if name == "fbp" else FDK)(filter_name or FILTER_NAMES[0])
    if name == "sirt":
        return Sirt(n_iterations or SIRT_STEPS, accelerated=True)
    return _total_variation(scan, mu_water, n_iterations or TV_STEPS, weight)


def reconstruct(projections: Projections, grid: Grid, method: Reconstructor, progress: Progress = iter) -> CTImage:
    """Reconstruct an image in HU.

    Args:
        projections: Line integrals (S, A, U) of slices or (A, V, U) of a volume.
        grid: Pixels of a slice, or voxels of a volume, about the rotation axis.
        method: What reconstructs.
        progress: Shows how far it is.

    Raises:
        InputError: There is no memory for it, or a source stands within the image.
    """
    geometry, y = projections.geometry, projections.y
    is_plane = isinstance(geometry.scan, Scan2D)
    if isinstance(geometry.scan, Scan2D):
        check_source(geometry.scan, [grid], "the geometry")
    else:
        refuse_source_inside(grid, geometry.scan, "the geometry")
    volume = Grid((len(y), *grid.shape), (geometry.slice_mm, *grid.spacing_mm)) if is_plane else grid
    _check_memory(volume, geometry.scan)
    projector, all_rays = (
        make_projector(grid, geometry.scan),
        torch.ones(geometry.scan.sinogram_shape, dtype=torch.bool),
    )
    waves = parts_of(len(y), WAVE) if is_plane else [slice(None)]
    x_hu: NDArray[np.float32] = np.empty(volume.shape, dtype=np.float32)
    for part in progress(waves):
        rays = torch.from_numpy(y[part])
        x_mu = method(rays[:, None] if is_plane else rays[None, None], projector, all_rays)
        x_hu[part] = mu_to_hu(x_mu[:, 0] if is_plane else x_mu[0, 0], geometry.mu_water).numpy()
    return CTImage(x_hu, grid_affine_lps_mm(volume, geometry.isocenter_mm))


def is_truncated(projections: Projections) -> bool:
    """Tell whether the body goes on beside the detector; of panels that are placed freely nobody knows."""
    y, geometry = projections.y, projections.geometry
    if isinstance(geometry.scan, ConeBeam):
        return find_ends(y.swapaxes(0, 1), central_fan(geometry.scan), geometry.mu_water).is_cut
    return isinstance(geometry.scan, Scan2D) and find_ends(y, geometry.scan, geometry.mu_water).is_cut


def _refuse_unsuited(name: str, scan: Scan) -> None:
    if name not in METHODS:
        raise InputError(f"--method is {name!r}, which is not known; choose one of {', '.join(METHODS)}.")
    suits = {"fbp": isinstance(scan, Scan2D), "fdk": isinstance(scan, ConeBeam)}
    if not suits.get(name, True):
        kind = "slices of a parallel or fan beam" if name == "fbp" else "a cone beam on a circle"
        raise InputError(
            f"--method {name} is for {kind}, but the scan is none; choose {usual_method(scan)}, sirt or tv."
        )


def _total_variation(scan: Scan, mu_water: float, n_iterations: int, weight: float | None) -> Reconstructor:
    if isinstance(scan, Scan2D):
        return TotalVariation(weight or SLICE_WEIGHT, n_iterations, mu_water)
    weights = VOLUME_WEIGHTS if weight is None else {scan.n_views: weight}
    methods = [TotalVariation(one, n_iterations, mu_water, step_ratio=1.0) for one in weights.values()]
    return ByViewCount(tuple(weights), methods).of(scan.n_views)


def _check_memory(volume: Grid, scan: Scan) -> None:
    """Refuse an image that is too large: some copies of what is worked on together, and the result."""
    n_at_once = min(WAVE, volume.shape[0]) if isinstance(scan, Scan2D) else 1
    n_voxels = math.prod(volume.shape[1:] if isinstance(scan, Scan2D) else volume.shape)
    needed = 6 * math.prod(volume.shape) + 40 * n_at_once * n_voxels + 40 * n_at_once * math.prod(scan.sinogram_shape)
    size = " x ".join(map(str, volume.shape))
    check_free(
        needed, f"an image of {size} voxels takes", "give a smaller --size, a larger --spacing-mm or fewer slices"
    )
