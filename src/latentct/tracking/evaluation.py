"""The evaluation of a staged bundle, run here, and its scores by patient."""

from __future__ import annotations

import gc
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from latentct.bundle.configs import config_files, read_layers
from latentct.bundle.overrides import refuse_unknown_keys
from latentct.engines.results import SHORT_HASH
from latentct.errors import InputError
from latentct.io.manifest import load_manifest
from latentct.metrics import mean_per_patient
from latentct.tracking.run import RUN_FILE

#: The latent search, which an evaluation of LSR always has; it is no entry of `methods`.
SEARCH = "lsr"


@dataclass(frozen=True)
class Evaluation:
    """A finished run of `evaluating`.

    Attributes:
        run_id: its MLflow run.
        scores: `{method: {patient: score}}` of one metric.
    """

    run_id: str
    scores: Mapping[str, Mapping[str, float]]


def check_request(root: Path, overrides: Mapping[str, Any], methods: Sequence[str]) -> None:
    """See that a staged bundle can be evaluated as asked, before anything runs.

    Args:
        root: the bundle's folder.
        overrides: keys of its configs and their values.
        methods: names of methods.

    Raises:
        InputError: a key or a method is unknown.
    """
    files = config_files(root, "evaluating")
    refuse_unknown_keys(overrides, files)
    known = [SEARCH, *read_layers(files)["methods"]]
    for method in methods:
        if method not in known:
            raise InputError(
                f"the evaluation has no method '{method}' (it has {', '.join(known)}); correct the rule of promotion."
            )


def evaluate_bundle(
    root: Path, overrides: Mapping[str, Any], methods: Sequence[str], metric: str, output_dir: Path
) -> Evaluation:
    """Run `evaluating` of a staged bundle with some of its methods only.

    Args:
        root: the bundle's folder.
        overrides: keys of its configs and their values.
        methods: names of the methods to run; the search of LSR runs in any case.
        metric: metric of the scores.
        output_dir: where results go.

    Returns:
        The run, and the scores by patient. Patients are only in memory: files and records do not name them.

    Raises:
        InputError: the metric is not in the evaluation.
    """
    from monai.bundle import ConfigWorkflow

    workflow = ConfigWorkflow(
        config_file=[str(file) for file in config_files(root, "evaluating")],
        meta_file=str(root / "configs" / "metadata.json"),
        logging_file=False,
        run_id="evaluating",
        bundle_root=str(root),
    )
    kept = {name: method for name, method in workflow.parser["methods"].items() if name in methods}
    drawn = {"drawn": [SEARCH, *kept]} if "drawn" in workflow.parser else {}
    workflow.parser.update({**overrides, "output_dir": str(output_dir), "methods": kept, **drawn})
    workflow.initialize()
    workflow.run()
    workflow.finalize()
    manifest = workflow.parser.get_parsed_content("manifest")
    del workflow
    gc.collect()
    run_id = json.loads((output_dir / RUN_FILE).read_text("utf-8"))["run_id"]
    return Evaluation(run_id, scores_by_patient(output_dir, load_manifest(manifest)["volumes"], metric))


def scores_by_patient(
    output_dir: Path, volumes: Sequence[Mapping[str, Any]], metric: str
) -> dict[str, dict[str, float]]:
    """Read the scores of an evaluation, which name volumes by their hash, and average those of each patient.

    Args:
        output_dir: folder of the evaluation's results.
        volumes: the volumes of its manifest, with `sha256` and `patient`.
        metric: metric to read.

    Returns:
        `{method: {patient: score}}`.

    Raises:
        InputError: the evaluation does not have the metric, or has several numbers of views at once.
    """
    patients = {volume["sha256"][:SHORT_HASH]: volume["patient"] for volume in volumes}
    rows = _rows(output_dir)
    if any(metric not in row for row in rows):
        known = ", ".join(sorted(key for key, value in rows[0].items() if isinstance(value, float)))
        raise InputError(f"the evaluation has no metric '{metric}' (it has {known}); correct the rule of promotion.")
    scores: dict[str, dict[str, float]] = {}
    for method in dict.fromkeys(row["method"] for row in rows):
        own = [row for row in rows if row["method"] == method]
        values = [float("nan") if row[metric] is None else row[metric] for row in own]
        scores[method] = mean_per_patient(values, [patients[row["volume"][:SHORT_HASH]] for row in own])
    return scores


def _rows(output_dir: Path) -> list[dict[str, Any]]:
    """Return one row of scores per method and slice, or per method and volume where volumes are reconstructed whole."""
    slices = json.loads((output_dir / "metrics.json").read_text("utf-8")).get("slices")
    if slices is not None:
        return slices
    conditions = json.loads((output_dir / "volumes.json").read_text("utf-8"))
    if len(conditions) != 1:
        raise InputError(
            f"the evaluation has the numbers of views {', '.join(conditions)} at once; give each a task of its own in "
            "the rule of promotion."
        )
    (methods,) = conditions.values()
    return [
        {"method": method, "volume": volume, **scores}
        for method, entry in methods.items()
        for volume, scores in entry["volumes"].items()
    ]
