"""Other people's projectors of plane scans on the CPU, set up for the cases of `projectors.py`.

A function of `PLANE` takes a case and returns rivals, or raises `Absent` with the reason why there is none. Arrays are
brought into the layout of the peer when the rival is built, outside the time that is measured. ASTRA knows single
slices only but leaves the interpreter's lock while it computes: it gets those of a batch in a pool of as many threads
as the others have. scikit-image keeps the lock, and a pool makes it slower: it gets one slice.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np
import torch
from torch import Tensor

import latentct
from latentct.geometry import FanBeam, Grid, ParallelBeam, Scan
from latentct.projectors import make_projector

MBIRTORCH_SLICES = 4
"""Slices of the batch that mbirtorch gets: it compiles for every number anew, for a minute."""


class Absent(Exception):
    """Why a peer cannot take part in a case."""


@dataclass(frozen=True)
class Case:
    """What is projected.

    Attributes:
        grid: where the pixels are; square pixels, centred.
        scan: where the rays are.
        x: images (N, 1, *grid.shape) in 1/mm.
        y: their line integrals (N, 1, *scan.sinogram_shape) by our own projector.
        threads: how many threads everybody may use.
    """

    grid: Grid
    scan: Scan
    x: Tensor
    y: Tensor
    threads: int


@dataclass(frozen=True)
class Rival:
    """A projector to compare with, for fixed data.

    Attributes:
        name: package and kind.
        n: slices or volumes that a call treats.
        forward: projects the images of the case.
        adjoint: back-projects the line integrals of the case.
        projections: brings what `forward` returns into our layout and unit, (N, *sinogram_shape).
        images: brings what `adjoint` returns into our layout and unit, (N, *grid.shape).
        grid: the grid it really has, if that differs.
        scan: the scan it really has, if that differs.
        note: what else differs.
    """

    name: str
    n: int
    forward: Callable[[], Any]
    adjoint: Callable[[], Any]
    projections: Callable[[Any], Tensor]
    images: Callable[[Any], Tensor]
    grid: Grid | None = None
    scan: Scan | None = None
    note: str = ""


def astra_rivals(case: Case) -> list[Rival]:
    """Return ASTRA's CPU projectors (van Aarle et al. 2016, doi 10.1364/OE.24.025129) of all kinds that fit."""
    astra = imported("astra", "astra-toolbox")
    kinds = ("line", "linear") if isinstance(case.scan, ParallelBeam) else ("line_fanflat",)
    return [_astra_rival(astra, case, kind) for kind in kinds]


def skimage_rivals(case: Case) -> list[Rival]:
    """Return `radon` of scikit-image, and `iradon` without filter: not its transpose, but all it has."""
    transform = imported("skimage.transform", "scikit-image")
    scan, (size, _) = case.scan, case.grid.shape
    if not isinstance(scan, ParallelBeam):
        raise Absent("it has no fan beam")
    angles, pixel_mm = -np.degrees(scan.angles_rad), case.grid.spacing_mm[0]
    n_bins = size + math.ceil(math.sqrt(2) * size - size)
    taken = replace(scan, n_bins=n_bins, offset_mm=_off_middle(n_bins) * pixel_mm)
    shifted = Grid(case.grid.shape, case.grid.spacing_mm, (_off_middle(size) * pixel_mm,) * 2)
    sinogram = np.ascontiguousarray(make_projector(shifted, taken)(case.x[:1])[0, 0].numpy().T)
    radon = partial(transform.radon, theta=angles, circle=False)
    iradon = partial(transform.iradon, theta=angles, filter_name=None, output_size=size, circle=False)
    mean = math.pi / (2 * len(angles))
    return [
        Rival(
            "scikit-image",
            1,
            partial(radon, case.x[0, 0].numpy()),
            partial(iradon, sinogram),
            lambda found: torch.from_numpy(found.T[None]) * pixel_mm,
            lambda found: torch.from_numpy(found[None]) / mean * pixel_mm,
            shifted,
            taken,
            f"{n_bins} bins, axis through the pixel next to the middle; adjoint: iradon without filter",
        )
    ]


def mbirtorch_rivals(case: Case) -> list[Rival]:
    """Return the compiled separable footprints of mbirtorch, which turns the other way."""
    mbirtorch = imported("mbirtorch", "mbirtorch")
    if not isinstance(case.scan, ParallelBeam):
        raise Absent("it has no fan beam")
    if len(case.x) < MBIRTORCH_SLICES:
        raise Absent("timed in the batch only: it compiles for every number of slices anew, for a minute")
    x, y = (data[:MBIRTORCH_SLICES, 0] for data in (case.x, case.y))
    pixel_mm = case.grid.spacing_mm[0]
    n_views, n_bins = case.scan.sinogram_shape
    model = mbirtorch.ParallelBeamModel((n_views, len(x), n_bins), -np.array(case.scan.angles_rad))
    model.set_params(
        no_compile=True,
        no_warning=True,
        recon_shape=(*case.grid.shape, len(x)),
        delta_det_channel=case.scan.bin_mm,
        delta_det_row=pixel_mm,
        delta_voxel=pixel_mm,
        use_ror_mask=False,
    )
    return [
        Rival(
            "mbirtorch",
            len(x),
            partial(model.forward_project, x.permute(1, 2, 0).contiguous(), output_sharded=True),
            partial(model.back_project, y.permute(1, 0, 2).contiguous(), output_sharded=True),
            lambda found: found.permute(1, 0, 2),
            lambda found: found.permute(2, 0, 1),
            note=f"{len(x)} slices, compiled by torch",
        )
    ]


PLANE = {"astra-toolbox": astra_rivals, "scikit-image": skimage_rivals, "mbirtorch": mbirtorch_rivals}


def imported(module: str, package: str) -> Any:
    """Return a module of a peer.

    Raises:
        Absent: it is not installed, or does not load on this machine.
    """
    try:
        return __import__(module, fromlist=["_"])
    except ModuleNotFoundError as error:
        raise Absent(f"not installed ({error}); pip install 'latentct[peers]'") from error
    except Exception as error:  # what a broken installation raises can be anything
        raise Absent(f"{package} does not load: {error}") from error


def versions(packages: Sequence[str]) -> dict[str, str]:
    """Return the versions of ours and of the packages that are installed."""
    found = {"latentct": latentct.__version__}
    for package in packages:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def over_slices(threads: int, works: Sequence[Callable[[], Any]]) -> Callable[[], list[Any]]:
    """Return what does some works in a pool of threads, and returns their results in order."""
    if len(works) == 1:
        return lambda: [works[0]()]
    pool = ThreadPoolExecutor(threads)
    return lambda: list(pool.map(lambda work: work(), works))


def _off_middle(n: int) -> float:
    """Return where the middle of `n` steps is if the step number n // 2 is at zero, as in scikit-image."""
    return 0.0 if n % 2 else -0.5


def _astra_rival(astra: Any, case: Case, kind: str) -> Rival:
    pixel_mm, slices = case.grid.spacing_mm[0], range(min(len(case.x), 2 * case.threads))
    volume_geometry = astra.create_vol_geom(*case.grid.shape)
    rays = astra_geometry(astra, case.scan, pixel_mm)
    # Its first image row lies at the largest y.
    volumes = [astra.data2d.create("-vol", volume_geometry, np.flipud(case.x[i, 0].numpy())) for i in slices]
    sinograms = [astra.data2d.create("-sino", rays, case.y[i, 0].numpy()) for i in slices]
    found_y = [astra.data2d.create("-sino", rays) for _ in slices]
    found_x = [astra.data2d.create("-vol", volume_geometry) for _ in slices]
    projectors = [astra.create_projector(kind, rays, volume_geometry) for _ in slices]

    def work(name: str, data: str, result: str, inputs: Sequence[int], outputs: Sequence[int], i: int) -> Any:
        settings = astra.astra_dict(name) | {"ProjectorId": projectors[i], data: inputs[i], result: outputs[i]}
        return partial(_run_astra, astra, astra.algorithm.create(settings), outputs[i])

    forward = [work("FP", "VolumeDataId", "ProjectionDataId", volumes, found_y, i) for i in slices]
    adjoint = [work("BP", "ProjectionDataId", "ReconstructionDataId", sinograms, found_x, i) for i in slices]
    return Rival(
        f"astra {kind}",
        len(slices),
        over_slices(case.threads, forward),
        over_slices(case.threads, adjoint),
        lambda found: torch.from_numpy(np.stack([astra.data2d.get(y) for y in found])) * pixel_mm,
        lambda found: torch.from_numpy(np.stack([np.flipud(astra.data2d.get(x)) for x in found])) * pixel_mm,
        note=f"{len(slices)} slices in a pool of threads" if len(slices) > 1 else "",
    )


def _run_astra(astra: Any, algorithm: int, result: int) -> int:
    astra.algorithm.run(algorithm)
    return result


def astra_geometry(astra: Any, scan: Scan, pixel_mm: float) -> Any:
    """Return the scan in ASTRA's words, in pixels."""
    angles = np.array(scan.angles_rad)
    if isinstance(scan, FanBeam):
        distances = scan.sod_mm / pixel_mm, (scan.sdd_mm - scan.sod_mm) / pixel_mm
        return astra.create_proj_geom("fanflat", scan.bin_mm / pixel_mm, scan.n_bins, angles, *distances)
    return astra.create_proj_geom("parallel", scan.bin_mm / pixel_mm, scan.n_bins, angles)
