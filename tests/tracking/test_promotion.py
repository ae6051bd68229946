"""When an alias moves and when it does not, with evaluations that are made up; `test_registry` has a real one."""

import json
import math
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from mlflow import MlflowClient

from latentct.errors import InputError
from latentct.io.manifest import file_sha256
from latentct.tracking.evaluation import Evaluation, scores_by_patient
from latentct.tracking.promotion import Promotion, promote
from latentct.tracking.promotion_rule import Rule, judge, read_rule
from latentct.tracking.run import track_run
from latentct.tracking.store import connect
from latentct.tracking.versions import rollback

from .. import checks

NAME = "lsr_truncation"
PATIENTS = [f"patient_{i}" for i in range(16)]
TASKS = {"narrow": {"diameter_mm": 150.0}, "wide": {"diameter_mm": 200.0}}
RULE = {
    "method": "lsr",
    "metric": "mae_outside_hu",
    "region": "outside",
    "better": "lower",
    "level": 0.95,
    "decided_on": "narrow",
    "baseline": "adt",
    "evaluation": {"split": "test"},
    "tasks": TASKS,
}


@pytest.fixture(scope="module")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with its tables: making them takes longer than any test here."""
    with pytest.MonkeyPatch.context() as patch:
        file = tmp_path_factory.mktemp("store") / "mlruns.db"
        patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{file}")
        connect()
    return file


@pytest.fixture
def client(empty_store: Path, tmp_path: Path) -> MlflowClient:
    (tmp_path / "mlflow").mkdir()
    shutil.copy(empty_store, tmp_path / "mlflow" / "mlruns.db")
    made = connect()
    made.create_registered_model(NAME)
    return made


@pytest.fixture
def rules(tmp_path: Path, manifest: Path) -> Path:
    return write_rules(tmp_path / "promotion.yaml", manifest)


def write_rules(path: Path, manifest: Path, **changes: Any) -> Path:
    rule = RULE | {"evaluation": {"manifest": str(manifest), "split": "test"}} | changes
    path.write_text(yaml.safe_dump({"default": rule}))
    return path


def add_version(client: MlflowClient, folder: Path, **errors: float) -> str:
    """Add a version whose mean error on each task stands in its weights."""
    bundle = folder / "artifacts" / "bundle"
    (bundle / "models").mkdir(parents=True)
    (bundle / "configs").mkdir()
    (bundle / "configs" / "inference.yaml").write_text("network_def: {_target_: torch.nn.Identity}\n")
    (bundle / "configs" / "train.yaml").write_text("{manifest: a, split: b, diameter_mm: 1, methods: {adt: null}}\n")
    (bundle / "configs" / "evaluate.yaml").write_text("limit: null\n")
    weights = bundle / "models" / "model.pt"
    weights.write_text(json.dumps(errors))
    (weights.parent / "sha256.json").write_text(json.dumps({"model.pt": file_sha256(weights)}))
    flavor = {"artifacts": {"bundle": {"path": "artifacts/bundle", "uri": ""}}, "loader_module": "none"}
    (folder / "MLmodel").write_text(yaml.safe_dump({"flavors": {"python_function": flavor}}))
    tags = {"weights.sha256": file_sha256(weights), "bundle": NAME}
    return str(client.create_model_version(NAME, folder.as_uri(), tags=tags).version)


def evaluate(root: Path, overrides: Mapping[str, Any], methods: list[str], metric: str, output_dir: Path) -> Evaluation:
    """Score patients around the error in the weights; the baseline has 50 HU. Patients differ more than versions."""
    (task,) = [name for name, changes in TASKS.items() if changes.items() <= overrides.items()]
    error = json.loads((root / "models" / "model.pt").read_text())[task]
    spread = {patient: 10.0 * (i % 4) for i, patient in enumerate(PATIENTS)}
    noise = {patient: (-1) ** i * 0.5 for i, patient in enumerate(PATIENTS)}
    scores = {"lsr": {p: error + spread[p] + noise[p] * error / 10 for p in PATIENTS}}
    scores |= {"adt": {p: 50.0 + spread[p] for p in PATIENTS}} if "adt" in methods else {}
    return Evaluation(output_dir.name, scores)


def evaluate_and_track(
    root: Path, overrides: Mapping[str, Any], methods: list[str], metric: str, output_dir: Path
) -> Evaluation:
    """The same with a run, as a bundle's tracker opens it."""
    with track_run(output_dir, NAME, stage="evaluate", params={"limit": overrides["limit"]}) as run:
        return Evaluation(run.run_id, evaluate(root, overrides, methods, metric, output_dir).scores)


def asked(version: str, rules: Path, **options: Any) -> Promotion:
    return promote(NAME, version, "champion", rules, evaluate=evaluate, **options)


def champion(client: MlflowClient) -> str | None:
    version = client.get_registered_model(NAME).aliases.get("champion")
    return None if version is None else str(version)


def tags(client: MlflowClient, version: str) -> dict[str, str]:
    return client.get_model_version(NAME, version).tags


def test_a_first_version_must_beat_the_baseline(client: MlflowClient, tmp_path: Path, rules: Path) -> None:
    bad = add_version(client, tmp_path / "bad", narrow=60.0, wide=40.0)
    found = asked(bad, rules)
    assert (found.holds, champion(client)) == (False, None)
    assert [line.holds for line in found.lines] == [False, True]
    good = add_version(client, tmp_path / "good", narrow=40.0, wide=40.0)
    assert asked(good, rules).holds
    assert champion(client) == good
    assert tags(client, good)["promotion.against"] == "its method adt"


@pytest.fixture
def reigning(client: MlflowClient, tmp_path: Path, rules: Path) -> str:
    """The first champion, with an error of 40 HU on both tasks."""
    version = add_version(client, tmp_path / "first", narrow=40.0, wide=40.0)
    asked(version, rules)
    return version


@pytest.mark.parametrize(
    ("errors", "failed"),
    [
        ({"narrow": 41.0, "wide": 30.0}, "narrow"),  # worse where it counts
        ({"narrow": 40.0, "wide": 30.0}, "narrow"),  # not distinguishable from the champion
        ({"narrow": 30.0, "wide": 41.0}, "wide"),  # better where it counts, worse on another task
        ({"narrow": 41.0, "wide": 41.0}, "narrow, wide"),
    ],
)
def test_a_version_is_refused(
    client: MlflowClient, tmp_path: Path, rules: Path, reigning: str, errors: dict[str, float], failed: str
) -> None:
    second = add_version(client, tmp_path / "second", **errors)
    found = asked(second, rules)
    assert champion(client) == reigning
    assert tags(client, second)["promotion.verdict"] == f"refused on {failed}"
    assert tags(client, second)["promotion.forced"] == "false"
    rows = {line.split()[0]: line.split()[-1] for line in found.table().splitlines()[2:]}
    assert rows == {task: "NO" if task in failed else "yes" for task in TASKS}


def test_a_better_version_takes_the_alias_and_both_runs_are_kept(
    client: MlflowClient, tmp_path: Path, rules: Path, reigning: str
) -> None:
    second = add_version(client, tmp_path / "second", narrow=38.0, wide=40.0)
    found = promote(NAME, second, "champion", rules, {"limit": 7}, evaluate=evaluate_and_track)
    assert champion(client) == second
    parent = client.get_run(found.run_id)
    assert (parent.info.status, parent.data.tags["stage"]) == ("FINISHED", "promote")
    assert (parent.data.tags["challenger.version"], parent.data.tags["champion.version"]) == (second, reigning)
    assert parent.data.tags["manifest.name"] == "set.json"
    assert parent.data.metrics["narrow/difference"] == pytest.approx(-2.0)
    assert parent.data.metrics["narrow/interval_high"] < 0
    children = [client.get_run(run_id) for run_id in found.evaluations.values()]
    assert len(children) == 4
    assert {run.data.tags["mlflow.parentRunId"] for run in children} == {found.run_id}
    assert {run.data.params["limit"] for run in children} == {"7"}
    assert "MLFLOW_RUN_ID" not in os.environ
    kept = tags(client, second)
    assert kept["promotion.narrow.challenger.run_id"] == found.evaluations["narrow.challenger"]
    assert kept["promotion.wide.champion.run_id"] == found.evaluations["wide.champion"]
    assert tags(client, reigning)["challenged.run_id"] == found.run_id
    content = json.loads(Path(client.download_artifacts(found.run_id, "promotion.json")).read_text())
    assert content["holds"]
    assert [line["task"] for line in content["lines"]] == list(TASKS)


def test_a_margin_lets_an_equal_version_through(
    client: MlflowClient, tmp_path: Path, manifest: Path, reigning: str
) -> None:
    within = write_rules(tmp_path / "margin.yaml", manifest, not_worse_by=1.5, tasks={"narrow": TASKS["narrow"]})
    too_bad = add_version(client, tmp_path / "second", narrow=42.0)
    assert not asked(too_bad, within).holds
    as_good = add_version(client, tmp_path / "third", narrow=40.5)
    assert asked(as_good, within).holds
    assert champion(client) == as_good


def test_force_moves_the_alias_and_leaves_a_tag(
    client: MlflowClient, tmp_path: Path, rules: Path, reigning: str
) -> None:
    second = add_version(client, tmp_path / "second", narrow=60.0, wide=60.0)
    assert asked(second, rules, force=True).forced
    assert champion(client) == second
    assert tags(client, second)["promotion.forced"] == "true"
    assert tags(client, second)["promotion.verdict"] == "refused on narrow, wide"


def test_rolling_back_twice_goes_two_versions_back(
    client: MlflowClient, tmp_path: Path, rules: Path, reigning: str
) -> None:
    second = add_version(client, tmp_path / "second", narrow=30.0, wide=30.0)
    third = add_version(client, tmp_path / "third", narrow=20.0, wide=20.0)
    asked(second, rules)
    asked(third, rules)
    assert json.loads(client.get_registered_model(NAME).tags["alias.champion.history"]) == [reigning, second, third]
    assert rollback(NAME, "champion").version == champion(client) == second
    assert rollback(NAME, "champion").version == champion(client) == reigning
    assert tags(client, third)["alias.champion.rolled_back"].startswith(f"to version {second}, ")
    with pytest.raises(InputError, match="has named no other version before"):
        rollback(NAME, "champion")
    asked(third, rules)
    assert rollback(NAME, "champion").version == reigning


def test_a_deleted_version_is_no_way_back(client: MlflowClient, tmp_path: Path, rules: Path, reigning: str) -> None:
    second = add_version(client, tmp_path / "second", narrow=30.0, wide=30.0)
    asked(second, rules)
    client.delete_model_version(NAME, reigning)
    with pytest.raises(InputError, match=f"version {reigning} of '{NAME}'.* was deleted"):
        rollback(NAME, "champion")
    assert champion(client) == second


def test_a_model_that_is_not_there_cannot_be_rolled_back(client: MlflowClient) -> None:
    with pytest.raises(InputError, match="'absent' is not in the registry"):
        rollback("absent", "champion")


@pytest.mark.parametrize("change", ["weights", "weights and hashes", "another file"])
def test_weights_that_were_exchanged_are_not_evaluated(
    client: MlflowClient, tmp_path: Path, rules: Path, change: str
) -> None:
    version = add_version(client, tmp_path / "first", narrow=40.0, wide=40.0)
    models = tmp_path / "first" / "artifacts" / "bundle" / "models"
    file = models / ("unet.pt" if change == "another file" else "model.pt")
    file.write_text(json.dumps({"narrow": 1.0, "wide": 1.0}))
    if change == "weights and hashes":
        (models / "sha256.json").write_text(json.dumps({"model.pt": file_sha256(file)}))
    message = {"weights": "is not the file whose SHA-256", "another file": "is not listed"}
    with pytest.raises(InputError, match=message.get(change, "the registry says")):
        asked(version, rules)
    assert champion(client) is None


def test_a_failed_evaluation_fails_the_promotion(client: MlflowClient, tmp_path: Path, rules: Path) -> None:
    version = add_version(client, tmp_path / "first", narrow=40.0, wide=40.0)

    def broken(*_: Any) -> Evaluation:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        promote(NAME, version, "champion", rules, evaluate=broken)
    (experiment,) = [item for item in client.search_experiments() if item.name == NAME]
    (run,) = client.search_runs([experiment.experiment_id])
    assert (run.info.status, run.data.tags["stage"]) == ("FAILED", "promote")
    assert champion(client) is None


def test_bad_requests_are_refused_and_leave_no_run(
    client: MlflowClient, tmp_path: Path, rules: Path, manifest: Path, reigning: str
) -> None:
    second = add_version(client, tmp_path / "second", narrow=30.0, wide=30.0)
    other_method = write_rules(tmp_path / "other.yaml", manifest, method="lsr_tv")
    experiment = client.get_experiment_by_name(NAME).experiment_id
    before = len(client.search_runs([experiment]))
    for changes, message in (
        ({"version": "7"}, r"has no version '7' \(versions: 1, 2\)"),
        ({}, "names version 1 already"),
        ({"alias": "latest"}, "--alias is 'latest'"),
        ({"overrides": {"ckpt_path": "other.pt"}}, "'ckpt_path' cannot be set"),
        ({"overrides": {"methods::adt": None}}, "'methods::adt' cannot be set"),
        ({"name": "absent"}, "'absent' has no version"),
        ({"rules": rules.parent / "absent.yaml"}, "absent.yaml cannot be read"),
        ({"version": second, "overrides": {"limt": 1}}, r"--limt is no key of .*did you mean 'limit'\?"),
        ({"version": second, "rules": other_method}, r"no method 'lsr_tv' \(it has lsr, adt\)"),
    ):
        request: Any = {"name": NAME, "version": reigning, "alias": "champion", "rules": rules, **changes}
        with pytest.raises(InputError, match=message):
            promote(**request, evaluate=evaluate)
    assert champion(client) == reigning
    assert len(client.search_runs([experiment])) == before


def test_an_alias_that_moved_meanwhile_is_left_alone(
    client: MlflowClient, tmp_path: Path, rules: Path, reigning: str
) -> None:
    second, third = (add_version(client, tmp_path / name, narrow=30.0, wide=30.0) for name in ("second", "third"))

    def interrupted(*arguments: Any) -> Evaluation:
        client.set_registered_model_alias(NAME, "champion", third)
        return evaluate(*arguments)

    with pytest.raises(InputError, match=f"moved to version {third} meanwhile"):
        promote(NAME, second, "champion", rules, evaluate=interrupted)
    assert champion(client) == third


BETTER, EQUAL, WORSE = (1.0, 3.0), (-1.0, 1.0), (-3.0, -1.0)


@pytest.mark.parametrize(
    ("gain", "margin", "decides", "elsewhere"),
    [(BETTER, 0, True, True), (EQUAL, 0, False, True), (EQUAL, 1.5, True, True), (WORSE, 1.5, False, False)],
)
@pytest.mark.parametrize("better", ["lower", "higher"])
def test_what_the_rule_says_of_an_interval(
    better: str, gain: tuple[float, float], margin: float, decides: bool, elsewhere: bool
) -> None:
    sign = -1 if better == "lower" else 1
    rule = Rule("lsr", "psnr", "body", better, 0.95, "a", "tv", {}, {"a": {}, "b": {}})
    rival = {patient: 40.0 + i for i, patient in enumerate(PATIENTS)} | {"empty": math.nan}
    challenger = {patient: rival[patient] + sign * gain[i % 2] for i, patient in enumerate(PATIENTS)}
    challenger["empty"] = math.nan
    assert judge(rule, "a", challenger, rival, margin).holds is decides
    line = judge(rule, "b", challenger, rival, margin)
    assert line.holds is elsewhere
    assert "-0" not in judge(rule, "a", challenger, rival, 0.0).demand
    assert line.challenger - line.rival == pytest.approx(line.difference)
    assert (line.n_patients, line.n_dropped) == (16, 0)
    challenger["empty"] = 100.0  # a score that the rival does not have cannot be compared
    assert not judge(rule, "b", challenger, rival, margin).holds


def test_nothing_to_compare_never_holds() -> None:
    rule = Rule("lsr", "psnr", "body", "higher", 0.95, "a", "tv", {}, {"a": {}})
    assert not judge(rule, "a", {"one": math.nan}, {"one": math.nan}, 0.0).holds


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"region": "inside"}, "mae_outside_hu is taken in region 'outside', not 'inside'"),
        ({"better": "higher"}, "of mae_outside_hu the lower is better"),
        ({"metric": "mae"}, "metric 'mae' is unknown"),
        ({"decided_on": "broad"}, "'broad', which is none of the tasks narrow, wide"),
        ({"tasks": {}}, r"breaks the schema at \$\.default\.tasks"),
        ({"level": 95}, r"breaks the schema at \$\.default\.level"),
        ({"margin": 1}, r"breaks the schema at \$\.default"),
        ({"evaluation": {"split": "test"}}, "'manifest' is a required property"),
        ({"tasks": {"narrow": {"ckpt_path": "x.pt"}}}, "narrow: 'ckpt_path' cannot be set"),
    ],
)
def test_bad_rules_are_refused(tmp_path: Path, manifest: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_rule(write_rules(tmp_path / "rules.yaml", manifest, **changes), NAME)


@pytest.mark.parametrize("bundle", checks.bundle_folders(), ids=lambda bundle: bundle.name)
def test_the_rules_of_the_project_fit_its_bundles(bundle: Path) -> None:
    rule = read_rule(checks.ROOT / "mlflow" / "promotion.yaml", bundle.name)
    base = "train_autoencoder.yaml" if checks.in_stages(bundle) else "train.yaml"
    config = checks.parse([bundle / "configs" / base, bundle / "configs" / "evaluate.yaml"]).get()
    for overrides in (rule.evaluation, *rule.tasks.values()):
        assert set(overrides) <= set(config)
    assert {rule.method, rule.baseline} <= {"lsr", *config["methods"]}


VOLUMES = [{"sha256": c * 64, "patient": patient} for c, patient in (("a", "one"), ("b", "one"), ("c", "two"))]


def test_scores_of_slices_are_joined_with_their_patients(tmp_path: Path) -> None:
    rows = [("lsr", "a", 1.0), ("lsr", "a", 3.0), ("lsr", "b", 4.0), ("lsr", "c", None), ("adt", "c", 7.0)]
    slices = [{"method": m, "volume": v * 12, "groups": [], "rmse_hu": s} for m, v, s in rows]
    (tmp_path / "metrics.json").write_text(json.dumps({"slices": slices}))
    found = scores_by_patient(tmp_path, VOLUMES, "rmse_hu")
    assert found["lsr"]["one"] == pytest.approx(8 / 3)
    assert found["lsr"]["two"] != found["lsr"]["two"]
    assert found["adt"] == {"two": 7.0}
    with pytest.raises(InputError, match="no metric 'psnr'"):
        scores_by_patient(tmp_path, VOLUMES, "psnr")


def test_scores_of_volumes_are_joined_with_their_patients(tmp_path: Path) -> None:
    (tmp_path / "metrics.json").write_text("{}")
    volumes = {"a" * 64: {"psnr": 30.0}, "b" * 64: {"psnr": 34.0}, "c" * 64: {"psnr": 20.0}}
    content = {"8": {"tv": {"scan": "s", "method": "m", "volumes": volumes}}}
    (tmp_path / "volumes.json").write_text(json.dumps(content))
    assert scores_by_patient(tmp_path, VOLUMES, "psnr") == {"tv": {"one": 32.0, "two": 20.0}}
    (tmp_path / "volumes.json").write_text(json.dumps(content | {"4": content["8"]}))
    with pytest.raises(InputError, match="numbers of views 8, 4 at once"):
        scores_by_patient(tmp_path, VOLUMES, "psnr")
