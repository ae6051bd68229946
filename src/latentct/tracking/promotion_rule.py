"""The rule that decides on a promotion, and what it says of measured differences."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from math import isnan, nan
from pathlib import Path
from typing import Any

from latentct.bundle.configs import read_config
from latentct.errors import InputError
from latentct.metrics import paired_comparison

#: Metric to the regions that it is of, in LSR's tables and in those of few views, and to its better direction.
METRICS = {
    "mae_inside_hu": (("inside",), "lower"),
    "mae_outside_hu": (("outside",), "lower"),
    "mae_sinogram": (("missing rays",), "lower"),
    "rmse_hu": (("body",), "lower"),
    "mae_hu": (("body",), "lower"),
    "psnr": (("body", "volume"), "higher"),
    "ssim": (("body", "volume"), "higher"),
    "ct_mar_total": (("slice",), "lower"),
    "residual": (("measured rays",), "lower"),
}
#: Keys of `evaluating` that follow from the version and the rule.
RESERVED = frozenset({"bundle_root", "ckpt_path", "drawn", "experiment_name", "methods", "output_dir", "overwrite"})
_SCHEMA = Path(__file__).with_name("promotion.schema.json")


@dataclass(frozen=True)
class Rule:
    """When a version may take an alias; the fields are those of `promotion.schema.json`."""

    method: str
    metric: str
    region: str
    better: str
    level: float
    decided_on: str
    baseline: str
    evaluation: Mapping[str, Any]
    tasks: Mapping[str, Mapping[str, Any]]
    not_worse_by: float = 0.0


@dataclass(frozen=True)
class Line:
    """What the rule says of one task.

    Attributes:
        task: name of the task.
        challenger: the challenger's mean over the patients of both.
        rival: that of the version, or the method, that it is compared with.
        difference: challenger minus rival, the mean over patients.
        interval: lower and upper end of the paired interval of the difference.
        n_patients: patients that count.
        n_dropped: patients that lack a score in either; there must be none.
        demand: what is asked of the interval, in words.
        holds: whether it is so.
    """

    task: str
    challenger: float
    rival: float
    difference: float
    interval: tuple[float, float]
    n_patients: int
    n_dropped: int
    demand: str
    holds: bool


def read_rule(file: Path, name: str) -> Rule:
    """Return the rule of a registered model, or else that of `default`.

    Raises:
        InputError: the file is missing, breaks its schema, or asks for a metric in a region or direction that is not
            the metric's own.
    """
    from jsonschema import Draft202012Validator
    from jsonschema.exceptions import best_match

    rules = read_config(file)
    error = best_match(Draft202012Validator(json.loads(_SCHEMA.read_text("utf-8"))).iter_errors(rules))
    if error is not None:
        raise InputError(f"{file} breaks the schema at {error.json_path}: {error.message[:200]}; correct that entry.")
    entry = name if name in rules else "default"
    rule = Rule(**rules[entry])
    _check(rule, f"{file}: {entry}")
    return rule


def judge(rule: Rule, task: str, challenger: Mapping[str, float], rival: Mapping[str, float], margin: float) -> Line:
    """Compare the scores of two versions, or of a version's method and the baseline, on a task.

    Args:
        rule: the rule.
        task: name of the task; `rule.decided_on` asks for more than the others.
        challenger: score by patient, NaN for none; patients without a score in both are left out.
        rival: the same of the rival.
        margin: by how much the challenger may be worse on the deciding task.
    """
    challenger, rival = _scored(challenger, rival), _scored(rival, challenger)
    found: dict[str, Any] = dict(paired_comparison(challenger, rival, seed=0, level=rule.level))
    low, high = found["interval"]
    side, least = ("below", high) if rule.better == "lower" else ("above", -low)
    best = low if rule.better == "lower" else -high
    if task == rule.decided_on:
        bound = margin if rule.better == "lower" else 0 - margin
        demand, holds = f"wholly {side} {bound:g} (decides)", least < margin
    else:
        demand, holds = f"not wholly {'above' if side == 'below' else 'below'} 0", best <= 0
    return Line(
        task,
        _mean(challenger, rival),
        _mean(rival, challenger),
        found["mean_difference"],
        (low, high),
        found["n_pairs"],
        found["n_dropped"],
        demand,
        bool(holds and found["n_pairs"] and not found["n_dropped"]),
    )


def refuse_reserved(overrides: Mapping[str, Any], where: str) -> None:
    """Refuse keys of `evaluating` that follow from the version and the rule.

    Raises:
        InputError: names the first of them.
    """
    for key in overrides:
        if key.replace("#", "::").split("::")[0] in RESERVED:
            raise InputError(f"{where}: '{key}' cannot be set; it follows from the version and the rule, so remove it.")


def _check(rule: Rule, where: str) -> None:
    if rule.metric not in METRICS:
        raise InputError(f"{where}: metric '{rule.metric}' is unknown; choose one of {', '.join(METRICS)}.")
    regions, better = METRICS[rule.metric]
    if rule.region not in regions:
        raise InputError(
            f"{where}: {rule.metric} is taken in region '{' or '.join(regions)}', not '{rule.region}'; name the region "
            "of the metric."
        )
    if rule.better != better:
        raise InputError(f"{where}: of {rule.metric} the {better} is better, not the {rule.better}; correct `better`.")
    if rule.decided_on not in rule.tasks:
        raise InputError(
            f"{where}: decided_on is '{rule.decided_on}', which is none of the tasks {', '.join(rule.tasks)}; name one."
        )
    for task, overrides in {"evaluation": rule.evaluation, **rule.tasks}.items():
        refuse_reserved(overrides, f"{where}: {task}")


def _scored(scores: Mapping[str, float], others: Mapping[str, float]) -> dict[str, float]:
    """Return the scores without those of patients that have no score in either."""
    return {
        patient: score for patient, score in scores.items() if not (isnan(score) and isnan(others.get(patient, nan)))
    }


def _mean(scores: Mapping[str, float], others: Mapping[str, float]) -> float:
    """Return the mean over the patients that have a score in both."""
    values = [scores[patient] for patient in sorted(scores.keys() & others.keys())]
    present = [value for value in values if not isnan(value)]
    return sum(present) / len(present) if present else nan
