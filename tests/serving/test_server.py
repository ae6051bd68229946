"""A real server, as `mlflow models serve` starts it, with requests over the network."""

import json
import re
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import mlflow
import psutil
import pytest
from typer.testing import CliRunner

from latentct.cli.main import app
from latentct.io.nifti import read_volume
from latentct.serving import answered, input_example, read_requests

from ..answers import assert_same_answer
from ..checks import ROOT
from ..servers import free_port, mlflow_server
from .malformed import MAX_MB, PATIENT, malformed

MODEL = ROOT / "src" / "latentct" / "tracking" / "served_model.py"
#: What 40 further requests may add to the server's memory: less than it takes to keep their answers.
MOST_GROWTH = 8e6


@dataclass
class Server:
    """A model that is being served."""

    url: str
    process: subprocess.Popen
    folder: Path
    log: Path
    example: dict[str, Any]

    def post(self, body: Any, kind: str = "application/json") -> tuple[int, Any]:
        """Status and answer; of a refusal its message."""
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        try:
            with urlopen(Request(f"{self.url}/invocations", content, {"Content-Type": kind}), timeout=100) as response:
                return response.status, json.load(response)["predictions"]
        except HTTPError as error:
            return error.code, json.loads(error.read())

    def memory(self) -> int:
        """Bytes that the process that computes holds in memory."""
        processes = psutil.Process(self.process.pid).children(recursive=True)
        return max(process.memory_info().rss for process in processes)


@pytest.fixture(scope="module")
def server(staged: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("server")
    (folder / "served").mkdir()
    store = f"sqlite:///{folder}/mlruns.db"
    example = input_example(staged)
    _register(staged, store, folder)
    port = free_port()
    environment = {
        "PYTHONPATH": str(ROOT / "src"),
        "MLFLOW_TRACKING_URI": store,
        "LATENTCT_SERVE_ROOT": str(folder / "served"),
        "LATENTCT_SERVE_MAX_MB": str(MAX_MB),
        "OMP_NUM_THREADS": "1",
        "NUMBA_NUM_THREADS": "1",
    }
    command = f"models serve -m models:/small@champion --env-manager local -h 127.0.0.1 -p {port}".split()
    url = f"http://127.0.0.1:{port}"
    with mlflow_server(command, folder, f"{url}/ping", environment) as process:
        yield Server(url, process, folder, folder / "models.log", example)


def _register(staged: Path, store: str, folder: Path) -> None:
    usual = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri(store)
    try:
        experiment = mlflow.create_experiment("serving", (folder / "artifacts").as_uri())
        with mlflow.start_run(experiment_id=experiment):
            info = mlflow.pyfunc.log_model(
                name="model",
                python_model=str(MODEL),
                artifacts={"bundle": str(staged)},
                pip_requirements=["monai"],
                registered_model_name="small",
            )
        mlflow.MlflowClient().set_registered_model_alias("small", "champion", info.registered_model_version)
    finally:
        mlflow.set_tracking_uri(usual)


def variants(example: dict[str, Any]) -> list[dict[str, Any]]:
    """Five requests that differ in what was measured."""
    shifted = [[row[k:] + row[:k] for row in example["ray_mask"]] for k in range(5)]
    return [{"inputs": [example | {"ray_mask": mask}]} for mask in shifted]


def test_the_server_answers_as_the_model_does(server, corrector):
    status, answers = server.post({"inputs": [server.example, server.example | {"answer": "npz"}]})
    assert status == 200
    direct = [answered(corrector, r) for r in read_requests([server.example, server.example | {"answer": "npz"}])]
    for answer, expected in zip(answers, direct, strict=True):
        assert_same_answer(answer, expected)


def test_twenty_at_once_are_answered_as_one_after_the_other_and_memory_stays_flat(server):
    bodies = variants(server.example)
    serial = [server.post(body) for body in bodies]
    assert all(status == 200 for status, _ in serial)
    assert len({json.dumps(answer[0]["image_hu"]) for _, answer in serial}) == len(bodies)
    with ThreadPoolExecutor(20) as clients:
        used = []
        for _ in range(3):
            answers = list(clients.map(server.post, bodies * 4))
            assert answers == serial * 4
            used.append(server.memory())
    print(f"resident memory after each round of 20: {[round(n / 1e6, 1) for n in used]} MB")
    assert used[2] - used[0] < MOST_GROWTH, used


def test_malformed_requests_are_refused_in_one_sentence_and_the_server_lives(server):
    (server.folder / "outside").mkdir()
    cases = list(malformed(server.example, server.folder / "served", server.folder / "outside"))
    expected = server.post({"inputs": [server.example]})
    for name, body, words in cases:
        status, answer = server.post(body)
        sentence = answer["message"]
        print(f"{status} | {name} | {sentence}")
        assert status == 400, name
        assert words in sentence and "\n" not in sentence and len(sentence) < 300, name
        assert PATIENT not in json.dumps(answer) and "stack_trace" not in answer, name
    assert len(cases) >= 30
    assert server.post({"inputs": [server.example]}) == expected
    assert PATIENT not in server.log.read_text()


@pytest.mark.parametrize(
    ("content", "kind", "status"),
    [
        (b"no json", "application/json", 400),
        (b"[1, 2]", "application/json", 400),
        (b'{"instances": [1]}', "application/json", 400),
        (b"a,b\n1,2\n", "text/csv", 400),
        (b"<x/>", "text/xml", 415),
    ],
)
def test_what_is_no_request_at_all_is_refused_by_mlflow_itself(server, content, kind, status):
    request = Request(f"{server.url}/invocations", content, {"Content-Type": kind})
    with pytest.raises(HTTPError) as refusal:
        urlopen(request, timeout=20)
    assert refusal.value.code == status


def test_the_command_line_predicts(server, nifti, tmp_path):
    output = tmp_path / "corrected.nii.gz"
    arguments = ["predict", "--url", server.url, str(nifti), str(output)]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    assert re.search(r"The scan was simulated .* LSR truncation 0\.1\.0", result.output)
    assert read_volume(output)[0].shape == read_volume(nifti)[0].shape
