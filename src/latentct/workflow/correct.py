"""Correct a scan: slices in parts that survive an interruption, or a volume from a few cone-beam views."""

from __future__ import annotations

import hashlib
import json
import math
import time
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray

import latentct
from latentct.errors import InputError
from latentct.findings import Findings
from latentct.geometry import Grid
from latentct.io.image import CTImage
from latentct.io.projections import Projections
from latentct.io.sizes import check_free
from latentct.projectors import make_projector
from latentct.report.page import Convergence, Sinogram
from latentct.serving import Corrector
from latentct.serving.slices import SliceCorrector
from latentct.units import mu_to_hu
from latentct.workflow import describe
from latentct.workflow.completed_image import CompletedImage
from latentct.workflow.figures import figures_of
from latentct.workflow.gather import Arrays, Method, corrected, gathered
from latentct.workflow.metal_image import MetalReducedImage
from latentct.workflow.outcome import SYNTHESISED_SHARE, Outcome
from latentct.workflow.outputs import write_outputs
from latentct.workflow.parts import Progress, parts_of
from latentct.workflow.plan import Plan
from latentct.workflow.rays import CorrectedRays
from latentct.workflow.reconstruct import make_method, usual_method
from latentct.workflow.slices import FloatArray
from latentct.workflow.volumes import VolumeResult, reconstruct_views
from latentct.workflow.work import Work, open_work

BASE_BYTES, BYTES_PER_VOXEL, BYTES_PER_RAY = 1_000_000_000, 20, 10
"""What a correction takes beside its input: one wave of slices, and the voxels and rays of the result."""


def correct_scan(
    plan: Plan, corrector: Corrector, output: Path, progress: Progress, *, report: bool = True, overwrite: bool = False
) -> Outcome:
    """Do what was planned, and write it.

    Args:
        plan: with a task.
        corrector: the bundle that it names.
        output: folder of the result; what is done of a long scan is kept beside it until it is whole.
        progress: passes on the parts of the work.
        report: whether to write the page.
        overwrite: replace a folder that is there.

    Raises:
        InputError: no slice can be corrected, another process works on this result, the bundle does not suit, or the
            folder cannot be written.
    """
    started = time.monotonic()
    method = None if plan.findings is None else _method(plan, corrector)
    if method is not None:
        _check_memory(method, plan)
    with open_work(output, _fingerprint(plan, corrector)) as work:
        found = _volume(plan, corrector) if method is None else _slices(plan, corrector, method, work, progress)
        outcome = replace(found, figures={**found.figures, "duration_s": round(time.monotonic() - started, 1)})
        write_outputs(outcome, output, report=report, overwrite=overwrite)
    return outcome


def _method(plan: Plan, corrector: Corrector) -> Method:
    if isinstance(plan.scan, Projections):
        return CorrectedRays(plan.scan, cast("Any", plan.findings), corrector)
    if not isinstance(corrector.method, SliceCorrector):
        raise InputError("the bundle makes volumes of cone-beam views, but an image was given; give one for slices.")
    assert isinstance(plan.findings, Findings)
    kind = CompletedImage if plan.task == "truncation" else MetalReducedImage
    return kind(plan.scan, plan.findings, corrector.method)


def _check_memory(method: Method, plan: Plan) -> None:
    height, width = method.image.shape
    needed = BASE_BYTES + BYTES_PER_VOXEL * method.n_slices * height * width
    if isinstance(plan.scan, Projections):
        needed += BYTES_PER_RAY * method.n_slices * math.prod(method.scan.sinogram_shape)
    check_free(needed, "correcting the scan takes", "give fewer slices at a time")


def _fingerprint(plan: Plan, corrector: Corrector) -> str:
    """Return what the parts of a result depend on, as a hash."""
    settings = [plan.input_sha256, describe.method(plan, corrector), corrector.model, latentct.__version__]
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()


def _slices(plan: Plan, corrector: Corrector, method: Method, work: Work, progress: Progress) -> Outcome:
    parts = parts_of(method.n_slices, method.wave)
    for part in progress(parts):
        if not work.done(part):
            work.keep(part, corrected(method, part))
    found = gathered(work, parts)
    failed = {int(index): str(why) for index, why in zip(found.pop("failed"), found.pop("why"), strict=True)}
    if len(failed) == method.n_slices:
        raise InputError(failed[0])
    return _outcome(plan, corrector, method, found, failed)


def _outcome(plan: Plan, corrector: Corrector, method: Method, found: Arrays, failed: dict[int, str]) -> Outcome:
    scan, affine_lps_mm, x_hu = plan.scan, method.affine_lps_mm, found["x_hu"]
    source = scan.source if isinstance(scan, CTImage) else None
    padding = scan.padding if isinstance(scan, CTImage) and plan.task == "metal" else None
    projections = None
    if isinstance(method, CorrectedRays):
        projections = Projections(found["y_hat"], method.output_geometry)
    searched = np.isfinite(found["misfit"])
    shown = _most_to_show(searched, found["synthesised"]) if searched.any() else None
    return Outcome(
        task=str(plan.task),
        statement=describe.statement(plan, method, found),
        findings=plan.sentences,
        model=corrector.model,
        input_sha256=plan.input_sha256,
        before=CTImage(found["before_hu"], affine_lps_mm),
        after=CTImage(x_hu, affine_lps_mm, padding, source),
        synthesised=found["synthesised"],
        spread_hu=found.get("spread_hu"),
        geometry=describe.geometry(plan, method.scan),
        method=describe.method(plan, corrector),
        figures=figures_of(found, searched, failed),
        shown_slice=shown,
        sinogram=None if shown is None else _sinogram(method, found, shown),
        convergence=_convergence(found["trace"][:, searched]),
        projections=projections,
        failed=failed,
    )


def _most_to_show(searched: NDArray[np.bool_], share: FloatArray) -> int:
    """Return the middle one of the slices with the most synthesised voxels."""
    areas = np.where(searched, (share >= SYNTHESISED_SHARE).sum(axis=(1, 2)), -1)
    most = np.flatnonzero(areas == areas.max())
    return int(most[len(most) // 2])


def _sinogram(method: Method, found: Arrays, index: int) -> Sinogram:
    if isinstance(method, CorrectedRays):
        y, ray_mask, of = found["y_hat"][index], found["ray_mask"][index], "the scan"
    elif isinstance(method, MetalReducedImage):
        (y, ray_mask), of = method.sinogram(index), "a virtual scan of the image"
    else:
        (y, ray_mask), of = method.sinogram(found["x_hu"][index]), "a virtual scan of the completed image"
    return Sinogram(y, ray_mask, f"Rays of slice {index + 1} of {method.n_slices} in {of}.")


def _convergence(trace: FloatArray) -> Convergence | None:
    if not trace.size or not np.isfinite(trace).all() or trace.min() <= 0:
        return None
    return Convergence(
        trace.T.astype(np.float64), "What the search minimised, by step: median and range over the slices."
    )


def _volume(plan: Plan, corrector: Corrector) -> Outcome:
    assert isinstance(plan.scan, Projections)
    found = reconstruct_views(plan.scan, plan.task, corrector)
    after = CTImage(found.x_hu, found.affine_lps_mm)
    return Outcome(
        task=str(plan.task),
        statement=describe.volume_statement(found),
        findings=plan.sentences,
        model=corrector.model,
        input_sha256=plan.input_sha256,
        before=CTImage(_classical(plan.scan, found), found.affine_lps_mm),
        after=after,
        synthesised=None,
        spread_hu=found.spread_hu,
        geometry=describe.geometry(plan, plan.scan.geometry.scan),
        method=describe.method(plan, corrector),
        figures={"slices": len(found.x_hu), "residual": round(found.residual, 5)},
    )


def _classical(projections: Projections, found: VolumeResult) -> FloatArray:
    """Return what a classical method makes of the views, on the voxels of the volume, in HU."""
    geometry = projections.geometry
    spacing_mm = tuple(float(mm) for mm in np.linalg.norm(found.affine_lps_mm[:3, :3], axis=0))
    grid = Grid(found.x_hu.shape, spacing_mm)
    projector = make_projector(grid, geometry.scan)
    y = torch.from_numpy(projections.y)[None, None]
    method = make_method(usual_method(geometry.scan), geometry.scan, geometry.mu_water)
    x_mu = method(y, projector, torch.ones(geometry.scan.sinogram_shape, dtype=torch.bool))
    return mu_to_hu(x_mu, geometry.mu_water)[0, 0].numpy()
