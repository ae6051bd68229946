"""Promotion: challenger and champion evaluated on the same scans, and the alias moved only if the rule holds."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from latentct.errors import InputError
from latentct.tracking.evaluation import Evaluation, check_request, evaluate_bundle
from latentct.tracking.promotion_rule import Line, Rule, judge, read_rule, refuse_reserved
from latentct.tracking.run import children_of, track_run
from latentct.tracking.store import connect
from latentct.tracking.versions import fetch_bundle, find_version, move_alias, version_of_alias
from latentct.tracking.writer import TrackedRun

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion

#: Aliases that MLflow takes, and those among them that it keeps for itself.
_ALIAS, _NO_ALIAS = re.compile(r"[A-Za-z][\w-]*"), re.compile(r"latest|v\d+", re.IGNORECASE)
CHALLENGER, CHAMPION = "challenger", "champion"
Evaluate = Callable[[Path, Mapping[str, Any], list[str], str, Path], Evaluation]


@dataclass(frozen=True)
class Promotion:
    """What `promote` found and did.

    Attributes:
        name: registered model.
        version: the challenger.
        alias: the alias that was asked for.
        rival: what the challenger was compared with, in words.
        rule: the rule that was applied.
        lines: what it says, task by task.
        evaluations: `<task>.challenger` and `<task>.champion` to the runs that evaluated them.
        run_id: the run that all this is recorded in.
        forced: whether the alias was moved in spite of the rule.
    """

    name: str
    version: str
    alias: str
    rival: str
    rule: Rule
    lines: list[Line]
    evaluations: dict[str, str]
    run_id: str
    forced: bool

    @property
    def holds(self) -> bool:
        """Whether every line of the rule holds."""
        return all(line.holds for line in self.lines)

    def table(self) -> str:
        """Return the lines of the rule with what was measured, for people."""
        rule = self.rule
        head = f"{self.name}: version {self.version} against {self.rival}, {rule.metric} of {rule.method} "
        head += f"({rule.region}, {rule.better} is better), {100 * rule.level:g} % paired intervals over patients"
        rows = [("task", "challenger", "rival", "difference", "patients", "the interval must lie", "holds")]
        for line in self.lines:
            interval = f"{line.difference:+.3g} [{line.interval[0]:+.3g}, {line.interval[1]:+.3g}]"
            patients = f"{line.n_patients}" + (f" ({line.n_dropped} lack a score)" if line.n_dropped else "")
            means = f"{line.challenger:.4g}", f"{line.rival:.4g}"
            rows.append((line.task, *means, interval, patients, line.demand, "yes" if line.holds else "NO"))
        widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
        lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
        return "\n".join([head, *lines])


def promote(
    name: str,
    version: str,
    alias: str,
    rules: Path,
    overrides: Mapping[str, Any] | None = None,
    force: bool = False,
    evaluate: Evaluate = evaluate_bundle,
) -> Promotion:
    """Evaluate a version and the one that an alias names on the same scans, and move the alias if the rule holds.

    The evaluations are children of one run of the stage `promote`, which keeps the figures and the verdict. Where the
    alias names no version, the challenger is compared with the rule's baseline in its own evaluations.

    Args:
        name: registered model.
        version: the challenger.
        alias: alias to move.
        rules: file of rules.
        overrides: keys of `evaluating` for all tasks; they go before those of the rule.
        force: move the alias even if the rule does not hold; a tag on the version keeps that.
        evaluate: evaluates a staged bundle, as `evaluate_bundle` does.

    Returns:
        What was found; the alias has moved if it `holds` or was `forced`.

    Raises:
        InputError: the rule, the version or an override is bad, or the alias names the version already or was moved by
            another process meanwhile.
    """
    overrides = dict(overrides or {})
    refuse_reserved(overrides, "command line")
    rule = read_rule(rules, name)
    client = connect()
    versions = _versions(client, name, version, alias)
    tasks = {task: {**rule.evaluation, **changes, **overrides} for task, changes in rule.tasks.items()}
    methods = [rule.method] if CHAMPION in versions else [rule.method, rule.baseline]  # others decide nothing
    manifest = {**rule.evaluation, **overrides}["manifest"]
    with TemporaryDirectory() as temporary:
        folder = Path(temporary)
        bundles = _fetch(client, versions, folder, tasks, methods)
        with track_run(folder, versions[CHALLENGER].tags["bundle"], stage="promote", manifest=manifest) as run:
            run.log_tags({"model.name": name, "model.alias": alias})
            run.log_tags({f"{role}.version": str(one.version) for role, one in versions.items()})
            run.log_params({"rule": asdict(rule), "overrides": overrides})
            with children_of(run.run_id):
                found = {
                    task: {
                        role: evaluate(root, options, methods, rule.metric, folder / f"{role}_{task}")
                        for role, root in bundles.items()
                    }
                    for task, options in tasks.items()
                }
            lines = [_judge(rule, task, evaluations) for task, evaluations in found.items()]
            against = f"version {versions[CHAMPION].version}" if CHAMPION in versions else f"its method {rule.baseline}"
            runs = {f"{task}.{role}": one.run_id for task, roles in found.items() for role, one in roles.items()}
            forced = force and not all(line.holds for line in lines)
            promotion = Promotion(name, version, alias, against, rule, lines, runs, run.run_id, forced)
            _record(run, promotion)
    _tag_versions(client, promotion, versions.get(CHAMPION))
    if promotion.holds or promotion.forced:
        _refuse_moved(versions.get(CHAMPION), version_of_alias(client, name, alias), alias)
        move_alias(client, name, alias, version)
    return promotion


def _versions(client: MlflowClient, name: str, version: str, alias: str) -> dict[str, ModelVersion]:
    """Return the challenger, and the champion where there is one."""
    if not _ALIAS.fullmatch(alias) or _NO_ALIAS.fullmatch(alias):
        raise InputError(f"--alias is '{alias}'; give a letter and then letters, digits, '_' and '-', e.g. champion.")
    challenger, champion = find_version(client, name, version), version_of_alias(client, name, alias)
    if champion is None:
        return {CHALLENGER: challenger}
    if str(champion.version) == version:
        raise InputError(f"alias '{alias}' of '{name}' names version {version} already; promote another version.")
    return {CHALLENGER: challenger, CHAMPION: find_version(client, name, champion.version)}


def _fetch(
    client: MlflowClient,
    versions: Mapping[str, ModelVersion],
    folder: Path,
    tasks: Mapping[str, Mapping[str, Any]],
    methods: list[str],
) -> dict[str, Path]:
    """Return the bundles of the versions, all of which can be evaluated as asked."""
    bundles = {role: fetch_bundle(client, one, folder / role) for role, one in versions.items()}
    for root in bundles.values():
        for options in tasks.values():
            check_request(root, options, methods)
    return bundles


def _refuse_moved(before: ModelVersion | None, now: ModelVersion | None, alias: str) -> None:
    """Refuse to move an alias that another process moved while the versions were evaluated."""
    if now is not None and (before is None or str(before.version) != str(now.version)):
        raise InputError(f"alias '{alias}' was moved to version {now.version} meanwhile; promote again.")


def _judge(rule: Rule, task: str, evaluations: Mapping[str, Evaluation]) -> Line:
    own = evaluations[CHALLENGER].scores
    if CHAMPION in evaluations:
        return judge(rule, task, own[rule.method], evaluations[CHAMPION].scores[rule.method], rule.not_worse_by)
    return judge(rule, task, own[rule.method], own[rule.baseline], 0.0)


def _record(run: TrackedRun, promotion: Promotion) -> None:
    """Keep the figures and the verdict in the run that the evaluations are children of."""
    for line in promotion.lines:
        figures = {"challenger": line.challenger, "rival": line.rival, "difference": line.difference}
        figures |= {"interval_low": line.interval[0], "interval_high": line.interval[1]}
        run.log_metrics({f"{line.task}/{key}": value for key, value in figures.items()})
    content = {**asdict(promotion), "holds": promotion.holds}
    run.log_text(json.dumps(content, indent=1) + "\n", "promotion.json")
    run.log_tags(_verdict(promotion))


def _tag_versions(client: MlflowClient, promotion: Promotion, champion: ModelVersion | None) -> None:
    """Keep on both versions which runs compared them, and on the challenger what came of it."""
    runs = {f"promotion.{key}.run_id": run_id for key, run_id in promotion.evaluations.items()}
    tags = {"promotion.run_id": promotion.run_id, "promotion.against": promotion.rival, **_verdict(promotion), **runs}
    for key, value in tags.items():
        client.set_model_version_tag(promotion.name, promotion.version, key, value)
    if champion is not None:
        challenged = {"challenged.by": f"version {promotion.version}", "challenged.run_id": promotion.run_id}
        for key, value in challenged.items():
            client.set_model_version_tag(promotion.name, champion.version, key, value)


def _verdict(promotion: Promotion) -> dict[str, str]:
    failed = [line.task for line in promotion.lines if not line.holds]
    verdict = f"refused on {', '.join(failed)}" if failed else "holds"
    return {"promotion.verdict": verdict, "promotion.forced": str(promotion.forced).lower()}
