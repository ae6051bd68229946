"""From an image to the projections that an incomplete scan of it would have measured."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from latentct.errors import InputError
from latentct.findings import find
from latentct.geometry import Grid, Scan, Scan2D
from latentct.io.image import CTImage
from latentct.io.projections import RANGE, Projections
from latentct.io.scan_geometry import ScanGeometry, read_geometry, write_geometry
from latentct.io.sizes import check_free
from latentct.projectors import Projector, make_projector
from latentct.simulate import acquire
from latentct.simulate.noise import noisy
from latentct.units import MU_WATER_70KEV, hu_to_mu
from latentct.workflow.parts import Progress, parts_of
from latentct.workflow.simulate_geometry import complete_geometry, image_grid, incomplete_scan
from latentct.workflow.simulate_metal import METAL_PHOTONS, Implant, metal_scanner, put_implant

TASKS = ("none", "truncation", "metal", "limited-angle", "sparse-view")
WAVE = 16
"""Slices that are projected together."""
FEWEST_PHOTONS, MOST_PHOTONS = 100.0, 1e12
AIR_HU = -1000.0


@dataclass(frozen=True, eq=False)
class Simulation:
    """A scan that is ready to be simulated.

    Attributes:
        x_hu: What is scanned, (D, H, W) in HU.
        grid: Its grid, 3-D.
        geometry: Of the measured rays.
        photons: Photons a ray without object; None: no noise.
        seed: Of all chance.
        implant: Metal that is put in; None: none.
        sentences: What is scanned and how, for people.
    """

    x_hu: NDArray[np.float32]
    grid: Grid
    geometry: ScanGeometry
    photons: float | None
    seed: int
    implant: Implant | None
    sentences: tuple[str, ...]


def prepare_simulation(
    image: CTImage,
    task: str = "none",
    *,
    given: ScanGeometry | None = None,
    field_mm: float | None = None,
    arc_deg: float | None = None,
    n_views: int | None = None,
    photons: float | None = None,
    seed: int = 0,
) -> Simulation:
    """Choose the rays of a scan and check that it can be simulated.

    Args:
        image: What is scanned; its padding is taken for air.
        task: One of `TASKS`. For "metal" an implant is put in, all rays are measured, and beam, noise, scatter and
            water correction are those of `metal_scanner`; all other scans have one energy.
        given: The complete scan; None: a virtual fan beam.
        field_mm: Diameter of the field of measurement, for truncation.
        arc_deg: Arc of the views, for a limited angle.
        n_views: Number of views, for sparse views.
        photons: Photons a ray without object; None: no noise, but for metal `METAL_PHOTONS`.
        seed: Of all chance.

    Raises:
        InputError: A number does not make sense, or there is no memory for the scan.
    """
    if task not in TASKS:
        raise InputError(f"--task is {task!r}, which is not known; choose one of {', '.join(TASKS)}.")
    if photons is not None and not FEWEST_PHOTONS <= photons <= MOST_PHOTONS:
        raise InputError(
            f"--photons is {photons:g}, but {FEWEST_PHOTONS:g} to {MOST_PHOTONS:g} a ray are expected; correct it."
        )
    grid, complete = image_grid(image), complete_geometry(image, given)
    _check_memory(grid, complete.scan)
    scan = incomplete_scan(complete.scan, task, field_mm, arc_deg, n_views)
    is_metal = task == "metal"
    geometry = replace(complete, scan=scan, mu_water=MU_WATER_70KEV if is_metal else complete.mu_water)
    read_geometry(write_geometry(geometry), "of the simulated scan")  # refuses what no reader would take
    x_hu = image.x_hu if image.padding is None else np.where(image.padding, np.float32(AIR_HU), image.x_hu)
    implant = put_implant(x_hu, grid, seed) if is_metal else None
    photons = METAL_PHOTONS if is_metal and photons is None else photons
    sentences = [
        _object(grid, given is None),
        _rays(grid, complete.scan, scan),
        *(["The body is cut in the image; what lies outside is taken for air."] if _is_cut(image, grid) else []),
        *([implant.sentence] if implant else []),
        "There is no noise." if photons is None else f"The noise is that of {photons:g} photons a ray.",
    ]
    return Simulation(x_hu, grid, geometry, photons, seed, implant, tuple(sentences))


def simulate(simulation: Simulation, progress: Progress = iter) -> Projections:
    """Measure the rays of a scan.

    Args:
        simulation: What is scanned and how.
        progress: Shows how far it is.

    Raises:
        InputError: The image attenuates more than a file of line integrals may hold.
    """
    geometry, n_slices = simulation.geometry, len(simulation.x_hu)
    if geometry.image is None:
        projector = make_projector(simulation.grid, geometry.scan)
        parts = [_measured(simulation, projector, part, as_volume=True) for part in progress([slice(0, n_slices)])]
    else:
        projector = make_projector(geometry.image, geometry.scan)
        waves = parts_of(n_slices, WAVE)
        parts = [_measured(simulation, projector, part, as_volume=False) for part in progress(waves)]
    y = np.concatenate(parts)
    if y.max() > RANGE[1]:
        raise InputError(
            f"the image gives line integrals up to {y.max():.3g}, but at most {RANGE[1]:g} are expected of a patient; "
            "correct its HU or its spacing."
        )
    return Projections(y, geometry)


def _measured(simulation: Simulation, projector: Projector, part: slice, as_volume: bool) -> NDArray[np.float32]:
    """Return the line integrals of some slices (S, A, U), or of the whole volume (A, V, U)."""

    def shaped(values: Tensor) -> Tensor:
        return values[part][None, None] if as_volume else values[part][:, None]

    x_hu = shaped(torch.from_numpy(simulation.x_hu))
    x_mu = hu_to_mu(x_hu, simulation.geometry.mu_water).clamp_min(0.0).contiguous()
    generator = torch.Generator().manual_seed((simulation.seed * 1_000_003 + part.start) % 2**63)
    implant, photons = simulation.implant, simulation.photons
    if implant is not None:
        assert photons is not None
        metal = {implant.material: shaped(implant.fraction)}
        y = metal_scanner(photons).scan(x_mu, projector, metal, generator)
    else:
        y = acquire(x_mu, projector)
        y = y if photons is None else noisy(y, photons, generator)
    return (y[0, 0] if as_volume else y[:, 0]).numpy()


def _check_memory(grid: Grid, scan: Scan) -> None:
    """Refuse a scan that is too large, before its rays are listed."""
    n_rays = math.prod(scan.sinogram_shape)
    if isinstance(scan, Scan2D):
        size, n_at_once = f"{grid.shape[0]} slices of {scan.n_views} views", min(WAVE, grid.shape[0])
        n_all = grid.shape[0] * n_rays
    else:
        size, n_at_once, n_all = f"{scan.n_views} views", 1, n_rays
    columns = " x ".join(map(str, scan.sinogram_shape[1:]))
    needed = 8 * n_all + 20 * n_at_once * n_rays + 8 * math.prod(grid.shape)
    check_free(needed, f"scanning {size} of {columns} detector pixels takes", "give fewer slices or another --geometry")


def _object(grid: Grid, is_virtual: bool) -> str:
    beam = (
        "in a virtual fan beam, which is no real scanner's"
        if is_virtual
        else "in the given geometry, about the middle of the image"
    )
    size = " x ".join(map(str, grid.shape))
    return f"An image of {size} voxels, whose own raw data are not known, is scanned {beam}."


def _rays(grid: Grid, complete: Scan, scan: Scan) -> str:
    n_columns, of_columns = scan.sinogram_shape[-1], complete.sinogram_shape[-1]
    n_all = math.prod(scan.sinogram_shape) * (grid.shape[0] if isinstance(scan, Scan2D) else 1)
    return (
        f"Measured are {scan.n_views} of {complete.n_views} views and {n_columns} of {of_columns} detector columns, "
        f"{4 * n_all / 1e9:.2g} GB of line integrals."
    )


def _is_cut(image: CTImage, grid: Grid) -> bool:
    return bool(find(image.x_hu, grid, image.padding).cut.slices.any())
