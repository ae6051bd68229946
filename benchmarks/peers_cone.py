"""ITK-RTK's projectors of cone beams on the CPU, and our own in torch where it is missing; see `peers.py`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import torch
from benchmarks.peers import Absent, Case, Rival, imported

from latentct.geometry import ConeBeam
from latentct.projectors import make_projector


def rtk_rivals(case: Case) -> list[Rival]:
    """Return Joseph's method in RTK (Rit et al. 2014, doi 10.1088/1742-6596/489/1/012079), one volume."""
    itk, rtk = loaded_rtk(case.threads)
    kind = itk.Image[itk.F, 3]
    geometry = rtk_geometry(rtk, case.scan)
    volume, rays = case.x[0, 0].numpy(), case.y[0, 0].numpy()
    forward = rtk.JosephForwardProjectionImageFilter[kind, kind].New()
    forward.SetInput(0, panels(itk, np.zeros_like(rays), case.scan))
    forward.SetInput(1, upright(itk, volume, case))
    adjoint = rtk.JosephBackProjectionImageFilter[kind, kind].New()
    adjoint.SetInput(0, upright(itk, np.zeros_like(volume), case))
    adjoint.SetInput(1, panels(itk, rays, case.scan))
    for projector in (forward, adjoint):
        projector.SetGeometry(geometry)
        projector.InPlaceOff()  # otherwise it would add to the result of the last run
    return [
        Rival(
            "rtk joseph",
            1,
            partial(run_again, forward),
            partial(run_again, adjoint),
            lambda found: torch.from_numpy(itk.array_from_image(found))[None],
            lambda found: lying(itk, found)[None],
        )
    ]


def rtk_or_torch(case: Case) -> list[Rival]:
    """Return RTK, or our own reference in torch with the reason where RTK cannot run."""
    try:
        return rtk_rivals(case)
    except Absent as reason:
        return [replace(rival, note=f"instead of RTK: {reason}") for rival in torch_rivals(case)]


def torch_rivals(case: Case) -> list[Rival]:
    """Return our reference in torch, one volume."""
    projector = make_projector(case.grid, case.scan, "torch")
    forward, adjoint = partial(projector, case.x[:1]), partial(projector.adjoint, case.y[:1])
    return [Rival("torch reference", 1, forward, adjoint, lambda y: y[:, 0], lambda x: x[:, 0])]


def loaded_rtk(threads: int) -> tuple[Any, Any]:
    """Return ITK and its module RTK, with so many threads.

    Raises:
        Absent: they are not installed, or do not load on this machine.
    """
    itk = imported("itk", "itk")
    try:
        rtk = itk.RTK
    except AttributeError as error:
        raise Absent("not installed; pip install 'latentct[peers]'") from error
    itk.MultiThreaderBase.SetGlobalDefaultNumberOfThreads(threads)
    return itk, rtk


def rtk_geometry(rtk: Any, scan: ConeBeam) -> Any:
    """Return a circular scan in RTK's words; its rotation axis is y, and its z points where our -y does."""
    geometry = rtk.ThreeDCircularProjectionGeometry.New()
    for angle_rad in scan.angles_rad:
        geometry.AddProjection(scan.sod_mm, scan.sdd_mm, math.degrees(angle_rad))
    return geometry


def upright(itk: Any, volume: np.ndarray[Any, Any], case: Case) -> Any:
    """Return a volume (D, H, W) as an image of RTK."""
    dz, dy, dx = case.grid.spacing_mm
    return _image(itk, volume.transpose(1, 0, 2)[::-1], (dx, dz, dy), n_centred=3)


def lying(itk: Any, found: Any) -> torch.Tensor:
    """Return an image of RTK as a volume (D, H, W)."""
    return torch.from_numpy(itk.array_from_image(found)[::-1].transpose(1, 0, 2).copy())


def panels(itk: Any, rays: np.ndarray[Any, Any], scan: ConeBeam) -> Any:
    """Return line integrals (A, V, U) as a stack of projections of RTK."""
    return _image(itk, rays, (scan.pixel_mm[1], scan.pixel_mm[0], 1.0), n_centred=2)


def run_again(task: Any) -> Any:
    """Run a filter although nothing has changed, and return its output."""
    task.Modified()
    task.Update()
    return task.GetOutput()


def _image(itk: Any, array: np.ndarray[Any, Any], spacing: Sequence[float], n_centred: int) -> Any:
    image = itk.image_from_array(np.ascontiguousarray(array, np.float32))
    sizes = array.shape[::-1]
    centred = [(1 - n) / 2 * s for n, s in zip(sizes[:n_centred], spacing, strict=False)]
    image.SetSpacing(list(spacing))
    image.SetOrigin([*centred, 0.0, 0.0][:3])
    return image
