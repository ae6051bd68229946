"""From scores a slice to tables over patients."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from torch import Tensor

from latentct.metrics import mean_per_patient, summarise

PairedTest = Callable[[Mapping[str, float], Mapping[str, float]], Any]
"""Compares two methods, each given as {patient: score}."""

SHORT_HASH = 12
"""Digits of a volume's hash that tables of scores keep."""
NOT_METRICS = ("method", "patient", "volume", "slice", "groups")


class ScoreTable:
    """Scores of methods on slices, averaged within patients and then over patients.

    Args:
        intervals: report mean, SD and bootstrap interval over patients; otherwise the mean alone.
    """

    def __init__(self, intervals: bool = True) -> None:
        self.intervals = intervals
        self.rows: list[dict[str, Any]] = []

    def add(
        self, method: str, patient: str, volume: str, groups: Sequence[Sequence[str]], scores: Mapping[str, Tensor]
    ) -> None:
        """Add the scores of the S slices of a volume.

        Args:
            method: name of the method.
            patient: whose slices they are.
            volume: hash of the volume.
            groups: names of the groups each slice belongs to, S sequences.
            scores: (S,) each.
        """
        for i, names in enumerate(groups):
            row = {metric: float(value[i]) for metric, value in scores.items()}
            place = {
                "method": method,
                "patient": patient,
                "volume": volume[:SHORT_HASH],
                "slice": i,
                "groups": tuple(names),
            }
            self.rows.append(place | row)

    @property
    def methods(self) -> list[str]:
        """Methods in the order they were added."""
        return list(dict.fromkeys(row["method"] for row in self.rows))

    @property
    def metrics(self) -> list[str]:
        """Metrics in the order they were added."""
        return [key for key in self.rows[0] if key not in NOT_METRICS]

    @property
    def groups(self) -> list[str]:
        """Groups in alphabetical order."""
        return sorted({group for row in self.rows for group in row["groups"]})

    def n_slices(self, group: str | None = None) -> int:
        """Return how many slices were scored."""
        return len({(row["volume"], row["slice"]) for row in self._of(group)})

    def n_patients(self, group: str | None = None) -> int:
        """Return how many patients they belong to."""
        return len({row["patient"] for row in self._of(group)})

    def per_patient(self, method: str, metric: str, group: str | None = None) -> dict[str, float]:
        """Return a method's mean score of each patient; NaN for one without a value."""
        rows = [row for row in self._of(group) if row["method"] == method]
        return mean_per_patient([row[metric] for row in rows], [row["patient"] for row in rows])

    def summary(self, group: str | None = None) -> dict[str, Any]:
        """Return {method: {metric: figures}} of all slices or of those of a group."""
        return {
            method: {metric: self._summarise(self.per_patient(method, metric, group)) for metric in self.metrics}
            for method in self.methods
        }

    def paired(
        self, method: str, test: PairedTest, metrics: Sequence[str] | None = None, group: str | None = None
    ) -> dict[str, Any]:
        """Return {rival: {metric: test}} of one method against each other.

        Args:
            method: the method compared.
            test: compares its scores with the rival's, patient by patient.
            metrics: those compared; None for all.
            group: the slices meant; None for all.
        """

        def test_of(rival: str, metric: str) -> Any:
            return test(self.per_patient(method, metric, group), self.per_patient(rival, metric, group))

        rivals = [name for name in self.methods if name != method]
        return {rival: {m: test_of(rival, m) for m in metrics or self.metrics} for rival in rivals}

    def slices(self) -> list[dict[str, Any]]:
        """Return the rows without what names a patient."""
        return [{k: v for k, v in row.items() if k not in ("patient", "slice")} for row in self.rows]

    def _of(self, group: str | None) -> Iterable[dict[str, Any]]:
        return (row for row in self.rows if group is None or group in row["groups"])

    def _summarise(self, by_patient: Mapping[str, float]) -> Any:
        values = list(by_patient.values())
        if self.intervals:
            return summarise(values)
        return float(np.nanmean(values)) if np.isfinite(values).any() else math.nan


def strict(tree: Any) -> Any:
    """Return nested results with null for what is not finite, which JSON cannot hold."""
    if isinstance(tree, Mapping):
        return {key: strict(value) for key, value in tree.items()}
    if isinstance(tree, list | tuple):
        return [strict(value) for value in tree]
    return None if isinstance(tree, float) and not math.isfinite(tree) else tree


def cell(figure: Any, digits: int) -> str:
    """Return a figure with its interval, as far as there is one, for a table."""
    if figure is None or (isinstance(figure, Mapping) and figure["mean"] is None):
        return "-"
    if not isinstance(figure, Mapping):
        return f"{figure:.{digits}f}"
    low, high = figure["ci95"]
    return f"{figure['mean']:.{digits}f} [{low:.{digits}f}, {high:.{digits}f}]"


def text_table(methods: Mapping[str, Mapping[str, Any]], columns: Mapping[str, tuple[str, int]]) -> str:
    """Return a table for people.

    Args:
        methods: {method: {metric: figure}}.
        columns: {metric: (title, digits)}; metrics that are not there are left out.
    """
    shown = {m: c for m, c in columns.items() if any(m in figures for figures in methods.values())}
    lines = [f"{'method':<20}" + "".join(f"{title:>26}" for title, _ in shown.values())]
    for name, figures in methods.items():
        lines.append(f"{name:<20}" + "".join(f"{cell(figures[m], digits):>26}" for m, (_, digits) in shown.items()))
    return "\n".join(lines)
