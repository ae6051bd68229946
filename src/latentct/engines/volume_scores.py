"""Scores of volumes in a file, to which several runs may add, and the table over patients that follows from them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from filelock import FileLock

from latentct.engines.results import PairedTest
from latentct.io.files import whole_file
from latentct.metrics import mean_per_patient, summarise

Scores = Mapping[str, float]


class VolumeScores:
    """The scores of methods on volumes under several conditions, e.g. numbers of views, kept in one JSON file.

    `{condition: {method: {"scan": ..., "method": ..., "volumes": {volume: {metric: score}}}}}`, where the first two
    are fingerprints of how the scans were made and of the method. Scores of other scans or of another method of the
    same name are not known and are replaced; nothing names a patient.

    Args:
        path: the file; it is made by the first scores. Several processes may add to it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def known(self, condition: str, scan: str, method: str, fingerprint: str) -> set[str]:
        """Return the volumes that have scores of this very method on these very scans."""
        entry = self._read().get(condition, {}).get(method, {})
        return set(entry["volumes"]) if _is_of(entry, scan, fingerprint) else set()

    def put(self, condition: str, scan: str, method: str, fingerprint: str, scores: Mapping[str, Scores]) -> None:
        """Add the scores of volumes, `{volume: {metric: score}}`; the file is replaced whole or not at all."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{self.path}.lock"):
            content = self._read()
            methods = content.setdefault(condition, {})
            if not _is_of(methods.get(method, {}), scan, fingerprint):
                methods[method] = {"scan": scan, "method": fingerprint, "volumes": {}}
            methods[method]["volumes"].update(scores)
            with whole_file(self.path) as partial:
                partial.write_text(json.dumps(content))

    def forget(self, condition: str, methods: Sequence[str]) -> None:
        """Drop the scores of methods under a condition."""
        if not self.path.exists():
            return
        with FileLock(f"{self.path}.lock"):
            content = self._read()
            content[condition] = {m: entry for m, entry in content.get(condition, {}).items() if m not in methods}
            with whole_file(self.path) as partial:
                partial.write_text(json.dumps(content))

    def of_scan(self, condition: str, scan: str) -> dict[str, dict[str, Scores]]:
        """Return `{method: {volume: {metric: score}}}` of a condition, of the scans with this fingerprint only."""
        methods = self._read().get(condition, {})
        return {name: entry["volumes"] for name, entry in methods.items() if entry["scan"] == scan}

    def _read(self) -> dict[str, Any]:
        return json.loads(self.path.read_text()) if self.path.exists() else {}


def patient_table(
    methods: Mapping[str, Mapping[str, Scores]],
    patients: Mapping[str, str],
    metrics: Sequence[str],
    order: Sequence[str] = (),
) -> dict[str, dict[str, dict[str, Any]]]:
    """Return `{method: {metric: figures}}` over patients; the figures are those of `metrics.summarise`.

    Args:
        methods: `{method: {volume: {metric: score}}}`.
        patients: volume to patient; volumes that are not here do not count.
        metrics: the metrics of the table.
        order: methods that come first, in this order, as far as they are there.
    """
    names = [name for name in order if name in methods] + [name for name in methods if name not in order]
    values = {name: _per_patient(methods[name], patients, metrics) for name in names}
    return {name: {m: dict(summarise(list(values[name][m].values()))) for m in metrics} for name in names}


def differences(
    methods: Mapping[str, Mapping[str, Scores]],
    patients: Mapping[str, str],
    metrics: Sequence[str],
    method: str,
    test: PairedTest,
) -> dict[str, dict[str, Any]]:
    """Return `{rival: {metric: test}}` of one method against each other, patient by patient; empty without it."""
    if method not in methods:
        return {}
    own = _per_patient(methods[method], patients, metrics)
    rivals = {name: _per_patient(scores, patients, metrics) for name, scores in methods.items() if name != method}
    return {name: {m: test(own[m], values[m]) for m in metrics} for name, values in rivals.items()}


def _per_patient(
    scores: Mapping[str, Scores], patients: Mapping[str, str], metrics: Sequence[str]
) -> dict[str, dict[str, float]]:
    volumes = [volume for volume in patients if volume in scores]
    owners = [patients[volume] for volume in volumes]
    return {metric: mean_per_patient([scores[v][metric] for v in volumes], owners) for metric in metrics}


def _is_of(entry: Mapping[str, Any], scan: str, fingerprint: str) -> bool:
    return (entry.get("scan"), entry.get("method")) == (scan, fingerprint)
