"""The page of a correction."""

from __future__ import annotations

import platform
from datetime import date
from importlib.metadata import version

import latentct
from latentct.report.page import PageContent, Table, Volumes
from latentct.workflow.outcome import SYNTHESISED_SHARE, Outcome, Rows

UNITS = {"hu": "HU", "percent": "%", "s": "s"}
PACKAGES = ("torch", "monai", "numpy")


def page_of(outcome: Outcome) -> PageContent:
    """Return what the page of a correction shows."""
    return PageContent(
        task=f"{outcome.task.replace('-', ' ').capitalize()} corrected",
        date=date.today().isoformat(),
        software=f"latentct {latentct.__version__}",
        statement=outcome.statement,
        findings=(*outcome.findings, *_failures(outcome)),
        volumes=Volumes(
            outcome.before.x_hu,
            outcome.after.x_hu,
            outcome.after.affine_lps_mm,
            None if outcome.synthesised is None else outcome.synthesised >= SYNTHESISED_SHARE,
            outcome.spread_hu,
            outcome.shown_slice,
        ),
        geometry=outcome.geometry,
        method=outcome.method,
        provenance=_provenance(outcome),
        figures=Table(("Figure", "Value"), tuple((_name(name), f"{v:.4g}") for name, v in outcome.figures.items())),
        sinogram=outcome.sinogram,
        convergence=outcome.convergence,
    )


def _provenance(outcome: Outcome) -> Rows:
    model = outcome.model
    return (
        ("SHA-256 of the input's values", outcome.input_sha256),
        ("Model", f"{model['name']} {model['version']}"),
        *((f"SHA-256 of {name}", digest) for name, digest in model["weights_sha256"].items()),
        ("latentct", latentct.__version__),
        *((name, version(name)) for name in PACKAGES),
        ("Python", platform.python_version()),
    )


def _failures(outcome: Outcome) -> tuple[str, ...]:
    return tuple(f"Slice {index + 1} was left as it is: {why}" for index, why in outcome.failed.items())


def _name(figure: str) -> str:
    """Return the name of a figure for people, with its unit.

    >>> _name("measured_voxels_mean_change_hu")
    'Measured voxels mean change, HU'
    """
    *words, last = figure.split("_")
    unit = UNITS.get(last)
    name = " ".join(words if unit and words else [*words, last]).capitalize()
    return f"{name}, {unit}" if unit else name
