"""From the first epoch to the served model and back: everything against an MLflow server, as an operator would do it.

With SQLite always, and with PostgreSQL where LATENTCT_TEST_POSTGRES names a database, e.g. by `.ci/postgres make test`.
"""

import json
import logging
import os
import re
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from mlflow import MlflowClient

from latentct.cli.main import main
from latentct.io.nifti import read_volume
from latentct.serving import ScanRequest, answered, input_example, load_corrector
from latentct.tracking.versions import fetch_bundle

from .. import checks
from ..answers import assert_same_answer
from ..servers import free_port, mlflow_server
from ..small_bundle import NAME

pytestmark = pytest.mark.slow

BUNDLE = Path("bundles") / NAME
DATA = ("--manifest", "data/synthetic.json", "--dataset_dir", "data")
RULES = {
    "default": {
        "method": "lsr",
        "metric": "mae_outside_hu",
        "region": "outside",
        "better": "lower",
        "level": 0.95,
        "decided_on": "diameter_150",
        "baseline": "uncorrected",
        "evaluation": {
            "manifest": "data/synthetic.json",
            "dataset_dir": "data",
            "trained_on": "data/synthetic.json",
            "split": "test",
        },
        "tasks": {"diameter_150": {"diameter_mm": 150.0}},
    }
}

Latentct = Callable[..., tuple[int, str]]


def stores() -> list[str]:
    return ["sqlite", *(["postgresql"] if os.environ.get("LATENTCT_TEST_POSTGRES") else [])]


@pytest.fixture(params=stores())
def client(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[MlflowClient]:
    """A server with an empty store, which all commands of the test use."""
    uris = {"sqlite": f"sqlite:///{tmp_path}/runs.db", "postgresql": os.environ.get("LATENTCT_TEST_POSTGRES")}
    port = free_port()
    where = ["--backend-store-uri", str(uris[request.param]), "--artifacts-destination", str(tmp_path / "artifacts")]
    environment = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
    address = f"http://127.0.0.1:{port}"
    arguments = ["server", "--port", str(port), "--workers", "1", *where]
    with mlflow_server(arguments, tmp_path, f"{address}/health", environment):
        monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
        yield MlflowClient(tracking_uri=address)


@pytest.fixture
def latentct(project: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Latentct:
    """Runs `latentct` in the project's folder and returns its exit code and all that it printed."""
    monkeypatch.chdir(project)

    def run(*arguments: object) -> tuple[int, str]:
        monkeypatch.setattr("sys.argv", ["latentct", *map(str, arguments)])
        handlers = list(logging.getLogger().handlers)
        with pytest.raises(SystemExit) as stop:
            main()
        logging.getLogger().handlers = handlers  # those of the bundle write to a stream that ends with the command
        printed = capfd.readouterr()
        return int(stop.value.code or 0), printed.out + printed.err

    return run


def succeed(latentct: Latentct, *arguments: object) -> str:
    code, printed = latentct(*arguments)
    assert code == 0, printed[-4000:]
    return printed


def last_run(client: MlflowClient, stage: str) -> str:
    experiments = [item.experiment_id for item in client.search_experiments()]
    return client.search_runs(experiments, f"tags.stage = '{stage}'", max_results=1)[0].info.run_id


def worse(weights: Path, path: Path) -> Path:
    """Weights of a network that has forgotten what it learned."""
    generator = torch.Generator().manual_seed(0)
    state = torch.load(weights, weights_only=True)
    forgotten = {
        name: value if value.ndim < 2 else 0.3 * torch.randn(value.shape, generator=generator).half()
        for name, value in state.items()
    }
    torch.save(forgotten, path)
    return path


def test_from_the_first_epoch_to_the_served_model_and_back(
    client: MlflowClient, latentct: Latentct, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights = train(latentct, tmp_path)
    training = client.get_run(last_run(client, "train"))
    assert training.info.status == "FINISHED"
    first = register(client, latentct, weights, tmp_path / "first")

    rules = tmp_path / "promotion.yaml"
    rules.write_text(yaml.safe_dump(RULES))
    succeed(latentct, "promote", NAME, first, "--alias", "champion", "--rules", rules)
    assert champion(client) == first
    assert client.get_model_version(NAME, first).tags["training.run_id"] == training.info.run_id
    check_served_model(client, tmp_path, monkeypatch)

    second = register(client, latentct, worse(weights, tmp_path / "worse.pt"), tmp_path / "second")
    code, printed = latentct("promote", NAME, second, "--alias", "champion", "--rules", rules)
    assert code == 1, printed[-3000:]
    assert champion(client) == first

    succeed(latentct, "promote", NAME, second, "--alias", "champion", "--rules", rules, "--force")
    assert champion(client) == second
    assert client.get_model_version(NAME, second).tags["promotion.forced"] == "true"
    succeed(latentct, "rollback", NAME, "--alias", "champion")
    assert champion(client) == first


def post(url: str, content: dict[str, Any]) -> Any:
    """Answer of a served model."""
    request = urllib.request.Request(url, json.dumps(content).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=120) as answer:
        return json.load(answer)


def documented_client() -> str:
    (code,) = re.findall(r"```python\n(.*?)```", (checks.ROOT / "docs" / "mlflow.md").read_text(), re.DOTALL)
    return code


def train(latentct: Latentct, folder: Path) -> Path:
    options = ("--epochs", 6, "--slices_per_epoch", 64, "--output_dir", folder / "train")
    succeed(latentct, "run", BUNDLE, "training", "--layer", "smoke", *DATA, *options)
    return folder / "train" / "model.pt"


def register(client: MlflowClient, latentct: Latentct, weights: Path, folder: Path) -> str:
    """Evaluate weights, register them with that evaluation, and return the new version."""
    options = ("--ckpt_path", weights, "--trained_on", "data/synthetic.json", "--output_dir", folder)
    succeed(latentct, "run", BUNDLE, "evaluating", *DATA, *options)
    evaluation = last_run(client, "evaluate")
    succeed(latentct, "register", BUNDLE, "--weights", weights, "--evaluation", evaluation)
    versions = client.search_model_versions(f"name = '{NAME}'")
    newest = max(versions, key=lambda version: int(version.version))
    assert newest.tags["evaluation.run_id"] == evaluation
    assert re.fullmatch(r"[0-9a-f]{64}", newest.tags["weights.sha256"])
    return newest.version


def champion(client: MlflowClient) -> str:
    return client.get_model_version_by_alias(NAME, "champion").version


def check_served_model(client: MlflowClient, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The endpoint answers as the corrector does when it is called directly, and the client of the documents works."""
    port = free_port()
    model = ["models", "serve", "-m", f"models:/{NAME}@champion", "--env-manager", "local", "-p", str(port)]
    environment = {"OMP_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1"}
    with mlflow_server(model, folder, f"http://127.0.0.1:{port}/ping", environment):
        version = client.get_model_version_by_alias(NAME, "champion")
        root = fetch_bundle(client, version, folder / "fetched")
        example = input_example(root)
        (served,) = post(f"http://127.0.0.1:{port}/invocations", {"inputs": [example]})["predictions"]
        np.savez(folder / "scan.npz", projections=[example["sinogram"]], geometry=example["geometry"])
        with monkeypatch.context() as patch:
            patch.chdir(folder)
            exec(documented_client().replace(":5001/", f":{port}/"), {})
    direct = answered(load_corrector(root), ScanRequest(**example))
    assert_same_answer(served, direct)
    assert read_volume(folder / "corrected.nii.gz")[0].shape == tuple(served["shape"])
    assert served["model"]["weights_sha256"]["model.pt"] == version.tags["weights.sha256"]
