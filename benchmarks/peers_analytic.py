"""Filtered back-projection of other packages on the CPU, for the second table of `projectors.py`; see `peers.py`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np
from benchmarks.peers import Absent, Case, astra_geometry, imported, over_slices
from benchmarks.peers_cone import loaded_rtk, panels, rtk_geometry, run_again, upright

from latentct.geometry import ParallelBeam

Work = tuple[int, Callable[[], Any]]
"""How many slices or volumes a call treats, and the call."""


def astra_fbp(case: Case) -> Work:
    """Return ASTRA's filtered back-projection with the ramp alone."""
    astra = imported("astra", "astra-toolbox")
    if not isinstance(case.scan, ParallelBeam):
        raise Absent("on the CPU its filtered back-projection is for parallel rays")
    volume_geometry = astra.create_vol_geom(*case.grid.shape)
    rays = astra_geometry(astra, case.scan, case.grid.spacing_mm[0])

    def algorithm(y: np.ndarray[Any, Any]) -> int:
        settings = astra.astra_dict("FBP") | {
            "ProjectorId": astra.create_projector("line", rays, volume_geometry),
            "ProjectionDataId": astra.data2d.create("-sino", rays, y),
            "ReconstructionDataId": astra.data2d.create("-vol", volume_geometry),
            "option": {"FilterType": "Ram-Lak"},
        }
        return int(astra.algorithm.create(settings))

    tasks = [partial(astra.algorithm.run, algorithm(y[0].numpy())) for y in case.y[: 2 * case.threads]]
    return len(tasks), over_slices(case.threads, tasks)


def skimage_fbp(case: Case) -> Work:
    """Return `iradon` of scikit-image with its ramp."""
    transform = imported("skimage.transform", "scikit-image")
    if not isinstance(case.scan, ParallelBeam):
        raise Absent("it has no fan beam")
    settings = {"theta": -np.degrees(case.scan.angles_rad), "output_size": case.grid.shape[0], "circle": False}
    return 1, partial(transform.iradon, np.ascontiguousarray(case.y[0, 0].numpy().T), **settings)


def rtk_fdk(case: Case) -> Work:
    """Return the FDK of RTK, one volume."""
    itk, rtk = loaded_rtk(case.threads)
    task = rtk.FDKConeBeamReconstructionFilter[itk.Image[itk.F, 3]].New()
    task.SetInput(0, upright(itk, np.zeros(case.grid.shape, np.float32), case))
    task.SetInput(1, panels(itk, case.y[0, 0].numpy(), case.scan))
    task.SetGeometry(rtk_geometry(rtk, case.scan))
    task.InPlaceOff()
    return 1, partial(run_again, task)


FBP: Mapping[str, Callable[[Case], Work]] = {"astra-toolbox": astra_fbp, "scikit-image": skimage_fbp}
FDK: Mapping[str, Callable[[Case], Work]] = {"itk-rtk": rtk_fdk}
