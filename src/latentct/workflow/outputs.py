"""The folder that a correction is written to: whole or not there."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import latentct
from latentct.io.nifti import write_volume
from latentct.io.outputs import whole_output
from latentct.io.projections import write_projections
from latentct.report.page import write_page
from latentct.workflow.outcome import Outcome
from latentct.workflow.page import page_of

IMAGE, DICOM, PROJECTIONS, REPORT, SUMMARY = (
    "image.nii.gz",
    "dicom",
    "projections.npz",
    "report.html",
    "correction.json",
)


def write_outputs(outcome: Outcome, folder: Path, *, report: bool = True, overwrite: bool = False) -> None:
    """Write a correction.

    `dicom/` (a series derived from the source, and one that maps what was synthesised) where DICOM came in, else
    `image.nii.gz` and, where it is known, `synthesised.nii.gz` in percent; `projections.npz` where projections came in;
    `report.html`; `correction.json`.

    Args:
        outcome: what was done.
        folder: appears when it is whole.
        report: whether to write the page.
        overwrite: replace a folder that is there.

    Raises:
        InputError: the folder is there already or cannot be written.
    """
    with whole_output(folder, overwrite=overwrite) as partial:
        partial.mkdir()
        if outcome.after.source is None:
            write_volume(partial / IMAGE, outcome.after.x_hu, outcome.after.affine_lps_mm)
            if outcome.synthesised is not None:
                percent = 100 * outcome.synthesised
                write_volume(partial / "synthesised.nii.gz", percent, outcome.after.affine_lps_mm)
        else:
            from latentct.io.dicom import write_series  # an extra

            write_series(outcome.after, partial / DICOM, outcome.statement, synthesised=outcome.synthesised)
        if outcome.spread_hu is not None:
            write_volume(partial / "uncertainty.nii.gz", outcome.spread_hu, outcome.after.affine_lps_mm)
        if outcome.projections is not None:
            write_projections(partial / PROJECTIONS, outcome.projections)
        if report:
            write_page(partial / REPORT, page_of(outcome))
        (partial / SUMMARY).write_text(json.dumps(summary_of(outcome), indent=2) + "\n", encoding="utf-8")


def summary_of(outcome: Outcome) -> dict[str, Any]:
    """Return what `correction.json` holds: no name and no path."""
    return {
        "task": outcome.task,
        "statement": outcome.statement,
        "findings": outcome.findings,
        "figures": outcome.figures,
        "left_as_they_were": {index + 1: why for index, why in outcome.failed.items()},
        "geometry": dict(outcome.geometry),
        "method": dict(outcome.method),
        "model": outcome.model,
        "input_sha256": outcome.input_sha256,
        "latentct": latentct.__version__,
    }
