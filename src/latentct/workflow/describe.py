"""What was done, in words: for the page, the result's JSON file and MLflow. Nothing here tells who the patient is."""

from __future__ import annotations

from typing import Any

import numpy as np

from latentct.geometry import FanBeam, ParallelBeam, Scan
from latentct.io.image import CTImage
from latentct.serving import Corrector
from latentct.workflow.completed_image import CompletedImage
from latentct.workflow.metal_image import MetalReducedImage
from latentct.workflow.outcome import SYNTHESISED_SHARE, Rows
from latentct.workflow.plan import Plan
from latentct.workflow.rays import CorrectedRays
from latentct.workflow.volumes import VolumeResult

OF_OTHERS = "by a model of other patients: a guess, no finding"
LARGEST_RESIDUAL = 0.1
"""Above what volumes of test patients leave of their views, relative to the views."""
VIRTUAL = "Virtual: the image was projected anew, because its raw data are gone; it is none of a real scanner"


def statement(plan: Plan, method: CompletedImage | MetalReducedImage | CorrectedRays, found: dict[str, Any]) -> str:
    """Return what was measured and what was imagined, as a sentence."""
    if isinstance(method, CompletedImage):
        found_by_pixels = method.frame.image.padding is None and method.frame.findings.field is not None
        rim = ", but for the outermost pixel of its field of view" if found_by_pixels else ""
        return (
            f"All that the scanner reconstructed is unchanged{rim}; everything outside, of which no ray is left, was "
            f"imagined, its outline too, {OF_OTHERS}."
        )
    n = int(np.isfinite(found["misfit"]).sum())
    if isinstance(method, MetalReducedImage):
        return (
            f"In {n} of {method.n_slices} slices the rays that meet metal, in a virtual scan of the image, were "
            f"synthesised {OF_OTHERS}; all other rays and the other slices are the image's own."
        )
    percent = 100 * float(1 - found["ray_mask"].mean())
    return (
        f"{100 - percent:.1f} % of the rays were measured and are in the image as they came; the other {percent:.1f} % "
        f"were synthesised {OF_OTHERS}."
    )


def volume_statement(found: VolumeResult) -> str:
    """Return what was measured and what was imagined of a volume, and whether it explains the views at all."""
    if found.residual <= LARGEST_RESIDUAL:
        return found.statement
    return (
        f"{found.statement} It does not even explain the views (residual {found.residual:.2f}): the body reaches "
        "beyond the volume, or the geometry is not that of the views."
    )


def geometry(plan: Plan, scan: Scan) -> Rows:
    """Return the names and values of a scan."""
    kind = {ParallelBeam: "Parallel beam", FanBeam: "Fan beam"}.get(type(scan), "Cone beam")
    rows = [("Scan", _origin(plan)), ("Beam", kind)]
    if not isinstance(scan, ParallelBeam | FanBeam):
        return (*rows, ("Views", str(scan.n_views)))
    angles_deg = np.degrees(np.sort(np.asarray(scan.angles_rad)))
    rows += [
        ("Views", f"{scan.n_views}, from {angles_deg[0]:.1f} to {angles_deg[-1]:.1f} degrees"),
        ("Detector columns", f"{scan.n_bins} of {scan.bin_mm:.3g} mm"),
    ]
    if isinstance(scan, FanBeam):
        rows.append(("Distances", f"source to axis {scan.sod_mm:.0f} mm, source to detector {scan.sdd_mm:.0f} mm"))
    return tuple(rows)


def _origin(plan: Plan) -> str:
    if isinstance(plan.scan, CTImage):
        return VIRTUAL
    return "Simulated from an image" if plan.scan.geometry.simulated else "As measured"


def method(plan: Plan, corrector: Corrector) -> Rows:
    """Return the names and values of a correction."""
    model = corrector.model
    rows = [("Task", str(plan.task)), ("Model", f"{model['name']} {model['version']}")]
    if plan.findings is None:
        return (*rows, ("Method", "Conditional latent diffusion, made consistent with the measured rays (CLS-DM)"))
    inferer: Any = corrector.method.inferer  # type: ignore[union-attr]
    grid, n = inferer.prior_grid, inferer.n_samples
    of_pixels = isinstance(plan.scan, CTImage) and plan.task == "truncation"
    explained = "the pixels that are known" if of_pixels else "the measured rays"
    rows += [
        ("Method", f"Latent space reconstruction: the prior's image that explains {explained} best"),
        ("Prior's pixels", f"{grid.shape[0]} x {grid.shape[1]} of {grid.spacing_mm[0]:g} mm"),
        ("Search", f"L-BFGS, rounds of {' and '.join(map(str, inferer.rounds))} steps at most"),
        *([("Uncertainty", f"standard deviation over {n} further searches from random latents")] if n else []),
        ("Tinted", f"voxels of which at least {100 * SYNTHESISED_SHARE:.0f} % of the rays were synthesised"),
    ]
    return tuple(rows)
