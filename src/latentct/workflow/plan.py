"""What a correction will do, before any model is loaded."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from latentct.errors import InputError
from latentct.findings import Findings, find
from latentct.findings.rays import RayFindings
from latentct.geometry import Scan2D
from latentct.io.image import CTImage
from latentct.io.projections import Projections
from latentct.workflow import rays, volumes
from latentct.workflow.prior import BUNDLES, FEW_VIEWS

TASKS = ("truncation", "metal", "limited-angle", "sparse-view")
OF_IMAGES = ("truncation", "metal")


@dataclass(frozen=True, eq=False)
class Plan:
    """What was found in a scan and what is to be corrected.

    Attributes:
        scan: what came in.
        findings: of an image, or of the rays of slices; None of cone-beam views.
        task: one of `TASKS`; None where there is nothing to correct.
        bundle: name of the bundle that has the prior.
        sentences: what was found and what will be done, for people.
    """

    scan: CTImage | Projections
    findings: Findings | RayFindings | None
    task: str | None
    bundle: str
    sentences: tuple[str, ...]

    @cached_property
    def input_sha256(self) -> str:
        """SHA-256 of the HU or line integrals of the scan, and of where they are."""
        scan = self.scan
        if isinstance(scan, CTImage):
            values, place = scan.x_hu, str(scan.affine_lps_mm.tolist())
        else:
            values, place = scan.y, str(scan.geometry)
        digest = hashlib.sha256(np.ascontiguousarray(values).data)
        digest.update(place.encode())
        return digest.hexdigest()


def make_plan(scan: CTImage | Projections, task: str | None) -> Plan:
    """Look at a scan.

    Args:
        scan: what came in.
        task: what is to be corrected, one of `TASKS`; None for what is found.

    Raises:
        InputError: the scan does not need that task, or no bundle is for it.
    """
    if isinstance(scan, CTImage):
        return _of_image(scan, task)
    origin = ("The rays were simulated from an image.",) if scan.geometry.simulated else ()
    if isinstance(scan.geometry.scan, Scan2D):
        found = rays.find(scan, task)
        sentences = (*origin, *_sentences(found))
        return Plan(scan, found, found.task, BUNDLES[found.task or task or TASKS[0]], sentences)
    volumes.check_views(scan, task)
    n_views = scan.geometry.scan.n_views
    said = f"{n_views} cone-beam views leave most of the volume open; a volume that explains them is sampled."
    return Plan(scan, None, volumes.TASK, FEW_VIEWS, (*origin, said))


def _of_image(image: CTImage, task: str | None) -> Plan:
    found = find(image.x_hu, image.grid, image.padding)
    if task is not None and task not in OF_IMAGES:
        raise InputError(
            f"the task {task} needs the projections of the scan, but an image was given, which does not hold the views "
            f"that were measured; give projections, or one of the tasks {' and '.join(OF_IMAGES)}."
        )
    has = {"truncation": found.cut.slices.any(), "metal": found.metal.slices.any()}
    if task is not None and not has[task]:
        nothing = {"truncation": "the body is whole in all slices", "metal": "no metal was found"}
        raise InputError(
            f"the task {task} was asked for, but {nothing[task]}; leave the task to what is found (--task auto)."
        )
    chosen = task or found.task
    sentences = _sentences(found)
    if chosen is not None and chosen != found.task:
        sentences = (*sentences[:-1], f"{chosen.capitalize()} is corrected, because it was asked for.")
    return Plan(image, found, chosen, BUNDLES[chosen or TASKS[0]], sentences)


def _sentences(found: Findings | RayFindings) -> tuple[str, ...]:
    return (*found.sentences(), found.reason())
