"""A small bundle from its evaluation to a version that answers, and what may not be registered or loaded."""

import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pytest
import torch
import yaml
from ignite.engine import Engine
from mlflow import MlflowClient

from latentct.bundle import stage_bundle
from latentct.errors import InputError
from latentct.io.manifest import file_sha256
from latentct.serving import input_example
from latentct.tracking import MLflowTracker, record_weights, registry
from latentct.tracking.evaluation import evaluate_bundle
from latentct.tracking.model_folder import pinned_requirements
from latentct.tracking.promotion import promote
from latentct.tracking.registry import RegisteredVersion, register
from latentct.tracking.run import track_run
from latentct.tracking.store import connect
from latentct.tracking.versions import fetch_bundle

from .. import checks
from ..bundles.conftest import DataSet, data_set
from ..small_bundle import copy_small_bundle

__all__ = ["data_set"]

pytestmark = pytest.mark.slow


@dataclass(frozen=True)
class Registered:
    """A small bundle, its evaluation and the version that was made of both, in a store of their own."""

    store: str
    bundle: Path
    weights: Path
    options: dict[str, Any]
    evaluation_run_id: str
    version: RegisteredVersion


@pytest.fixture(scope="module")
def small_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of `lsr_truncation` with a tiny network of random weights and a search of two steps."""
    bundle = copy_small_bundle(tmp_path_factory.mktemp("project"), rounds=(2,))
    torch.manual_seed(0)
    network = checks.parse([bundle / "configs" / "train.yaml"]).get_parsed_content("network_def")
    torch.save({name: value.half() for name, value in network.state_dict().items()}, bundle / "models" / "model.pt")
    return bundle


@pytest.fixture(scope="module")
def registered(small_bundle: Path, data_set: DataSet, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registered]:
    folder = tmp_path_factory.mktemp("registered")
    options = {"manifest": str(data_set.manifest), "dataset_dir": str(data_set.folder), "split": "test"}
    options["trained_on"] = str(data_set.manifest)
    weights = folder / "train" / "model.pt"
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI")  # the store of a project's folder, which MLflow itself would not use
        patch.chdir(folder)
        weights.parent.mkdir()
        shutil.copy(small_bundle / "models" / "model.pt", weights)
        train(weights)
        staged = stage_bundle(small_bundle, folder / "staged", weights)
        evaluation = evaluate_bundle(staged.root, options, ["uncorrected"], "mae_outside_hu", folder / "evaluated")
        version = register(small_bundle, evaluation.run_id, weights)
        store = f"sqlite:///{folder}/mlflow/mlruns.db"
        yield Registered(store, small_bundle, weights, options, evaluation.run_id, version)


def train(weights: Path) -> None:
    """Track a training that left weights, and then one that left others."""
    others = weights.with_name("unet.pt")
    shutil.copy(checks.ROOT / "bundles" / "lsr_truncation" / "models" / "unet.pt", others)
    for left in (weights, others):
        tracker = MLflowTracker(left.parent, "lsr_truncation")
        engine = Engine(lambda *_: None)
        tracker.attach(engine)
        engine.run([0])
        record_weights(tracker, left)


@pytest.fixture
def client(registered: Registered, monkeypatch: pytest.MonkeyPatch) -> MlflowClient:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", registered.store)
    return connect()


@pytest.fixture
def model_folder(client: MlflowClient, registered: Registered, tmp_path: Path) -> Path:
    """A copy of what was registered."""
    uri = client.get_model_version_download_uri(registered.version.name, registered.version.version)
    return Path(mlflow.artifacts.download_artifacts(uri, dst_path=str(tmp_path), tracking_uri=registered.store))


def load(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(sys, "path", list(sys.path))  # MLflow puts the code in the model before that of this checkout
    return mlflow.pyfunc.load_model(str(folder))


def test_a_version_names_what_it_is_made_of(client: MlflowClient, registered: Registered) -> None:
    made = registered.version
    version = client.get_model_version(made.name, made.version)
    assert made.name == "lsr_truncation"
    assert version.tags["weights.sha256"] == file_sha256(registered.weights)
    assert version.tags["evaluation.run_id"] == registered.evaluation_run_id
    assert version.tags["bundle.version"] == "0.1.0"
    assert len(version.tags["git.commit"]) == 40
    evaluation, training = (client.get_run(version.tags[f"{kind}.run_id"]) for kind in ("evaluation", "training"))
    assert evaluation.data.params["weights.sha256"] == file_sha256(registered.weights)
    assert evaluation.data.tags["manifest.sha256"] == version.tags["manifest.sha256"]
    assert (training.data.tags["stage"], training.data.tags["exported.sha256"]) == (
        "train",
        file_sha256(registered.weights),
    )
    assert version.tags["training.run_id"] == made.training_run_id
    run = client.get_run(version.run_id)
    assert (run.info.status, run.data.tags["stage"]) == ("FINISHED", "register")
    assert [f"models:/{output.model_id}" for output in run.outputs.model_outputs] == [version.source]
    for value in (*version.tags.values(), *run.data.tags.values(), *run.data.params.values(), version.description):
        assert str(checks.ROOT) not in value
        assert str(registered.bundle.parents[1]) not in value


def test_every_training_records_the_weights_that_it_exports() -> None:
    configs = [file for bundle in checks.bundle_folders() for file in (bundle / "configs").glob("train*.yaml")]
    runs = [yaml.safe_load(file.read_text()).get("run", []) for file in configs]
    exporting = [run for run in runs if any("export_half(" in step for step in run)]
    assert len(exporting) == 7
    for run in exporting:
        assert run[-2].startswith("$export_half(")
        assert run[-1] == "$record_weights(@train::tracker, @export_path)"


def test_a_version_is_described_by_the_figures_of_its_evaluation(client: MlflowClient, registered: Registered) -> None:
    text = client.get_model_version(registered.version.name, registered.version.version).description
    error = client.get_run(registered.evaluation_run_id).data.metrics["lsr/mae_outside_hu"]
    (row,) = [line for line in text.splitlines() if line.startswith("| lsr ")]
    assert f"{error:.4g}" in row
    assert "Research only; not a medical device." in text


def test_a_registered_model_answers_a_request(
    model_folder: Path, registered: Registered, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = load(model_folder, monkeypatch)
    request = input_example(model_folder / "artifacts" / "lsr_truncation")
    (answer,) = model.predict([request])
    assert np.isfinite(np.asarray(answer["image_hu"])).all()
    assert model.metadata.metadata["weights_sha256"]["model.pt"] == file_sha256(registered.weights)
    assert model.metadata.signature is not None


def test_a_registered_model_holds_code_but_nothing_of_the_machine(model_folder: Path, registered: Registered) -> None:
    assert (model_folder / "code" / "latentct" / "bundle" / "staging.py").is_file()
    assert not list(model_folder.rglob("__pycache__"))
    assert not list(model_folder.rglob("eval"))
    places = [str(path).encode() for path in (checks.ROOT, Path.home(), registered.bundle.parents[2], "/tmp")]
    own = [file for file in model_folder.rglob("*") if file.is_file() and "code" not in file.parts]
    for file in own:
        assert not [place for place in places if place in file.read_bytes()], file
    assert "MLmodel" in {file.name for file in own}
    config = yaml.safe_load((model_folder / "MLmodel").read_text())
    assert config["model_id"].startswith("m-")


def test_requirements_are_pinned_to_what_is_installed(model_folder: Path) -> None:
    lines = (model_folder / "requirements.txt").read_text().splitlines()
    assert lines == pinned_requirements()
    assert f"mlflow=={mlflow.__version__}" in lines
    assert all("==" in line and "+" not in line for line in lines)
    assert not any(line.startswith(("pytest", "pydicom")) for line in lines)


def test_exchanged_weights_are_refused_when_they_are_loaded(
    model_folder: Path, registered: Registered, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights = model_folder / "artifacts" / "lsr_truncation" / "models" / "model.pt"
    state = torch.load(weights, weights_only=True)
    torch.save({name: value + 1 for name, value in state.items()}, weights)
    with pytest.raises(InputError, match="is not the file whose SHA-256"):
        load(model_folder, monkeypatch)


def test_a_fetched_bundle_is_the_one_that_was_registered(
    client: MlflowClient, registered: Registered, tmp_path: Path
) -> None:
    version = client.get_model_version(registered.version.name, registered.version.version)
    root = fetch_bundle(client, version, tmp_path / "fetched")
    assert (root / "models" / "model.pt").read_bytes() == registered.weights.read_bytes()
    assert (root / "configs" / "evaluate.yaml").is_file()


def test_only_the_weights_of_the_evaluation_can_be_registered(
    client: MlflowClient, registered: Registered, tmp_path: Path
) -> None:
    before = client.search_model_versions("name = 'lsr_truncation'")
    other = tmp_path / "other.pt"
    torch.save({"a": torch.zeros(1)}, other)
    with pytest.raises(InputError, match="evaluated weights with SHA-256"):
        register(registered.bundle, registered.evaluation_run_id, other)
    assert len(client.search_model_versions("name = 'lsr_truncation'")) == len(before)


def test_only_a_finished_evaluation_of_the_bundle_justifies_a_version(
    client: MlflowClient, registered: Registered, tmp_path: Path
) -> None:
    with track_run(tmp_path / "trained", "lsr_truncation", stage="train") as trained:
        pass
    with pytest.raises(KeyError), track_run(tmp_path / "failed", "lsr_truncation", stage="evaluate") as failed:
        raise KeyError
    metal = {"_meta_": {"name": "LSR metal", "version": "0.1.0"}}
    with track_run(tmp_path / "metal", "lsr_metal", stage="evaluate", config=metal) as foreign:
        pass
    for run_id, message in (
        (trained.run_id, "has the stage 'train'"),
        (failed.run_id, "is FAILED"),
        (foreign.run_id, "evaluated the bundle 'LSR metal', not 'LSR truncation'"),
        ("0" * 32, "is not in the store"),
    ):
        with pytest.raises(InputError, match=message):
            register(registered.bundle, run_id, registered.weights)
    with pytest.raises(InputError, match="--name is 'a/b'"):
        register(registered.bundle, registered.evaluation_run_id, name="a/b")


def test_a_bundle_with_foreign_code_is_refused_before_any_of_it_runs(
    client: MlflowClient, registered: Registered, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry, "input_example", lambda _: pytest.fail("the bundle's configs were run"))
    bundle = tmp_path / "bundles" / "lsr_truncation"
    shutil.copytree(registered.bundle, bundle)
    inference = bundle / "configs" / "inference.yaml"
    text = inference.read_text()
    inference.write_text(text.replace("_target_: latentct.networks.VariationalAutoencoder", "_target_: subprocess.run"))
    with pytest.raises(InputError, match="subprocess"):
        register(bundle, registered.evaluation_run_id, registered.weights)


def test_a_version_is_promoted_by_its_own_evaluation(
    client: MlflowClient, registered: Registered, tmp_path: Path
) -> None:
    rule = {"method": "lsr", "metric": "mae_outside_hu", "region": "outside", "better": "lower", "level": 0.95}
    rule |= {"decided_on": "narrow", "baseline": "uncorrected", "evaluation": registered.options}
    rule |= {"tasks": {"narrow": {"diameter_mm": 150.0}}}
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump({"default": rule}))
    made = registered.version
    found = promote(made.name, made.version, "champion", tmp_path / "rules.yaml", {"limit": 1})
    assert found.lines[0].n_patients == 1
    evaluation = client.get_run(found.evaluations["narrow.challenger"])
    assert evaluation.data.params["weights.sha256"] == file_sha256(registered.weights)
    assert evaluation.data.tags["mlflow.parentRunId"] == found.run_id
    assert evaluation.data.metrics["lsr/mae_outside_hu"] == pytest.approx(found.lines[0].challenger)
    assert "adt/mae_outside_hu" not in evaluation.data.metrics
    record = Path(client.download_artifacts(found.run_id, "promotion.json")).read_text()
    parent = client.get_run(found.run_id).data
    for text in (record, *parent.params.values(), *parent.tags.values()):
        assert registered.options["dataset_dir"] not in text
        assert "patient_" not in text
    moved = client.get_registered_model(made.name).aliases.get("champion")
    assert (moved is not None) == found.holds
