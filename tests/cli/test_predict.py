"""`latentct predict` against a server that answers what the test wants."""

import base64
import io
import json
import math
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from latentct.cli.main import app
from latentct.errors import InputError
from latentct.geometry import ParallelBeam
from latentct.io.projections import Projections, read_projections, write_projections
from latentct.io.scan_geometry import ScanGeometry

SCAN = ParallelBeam.equally_spaced(4, math.pi, 6, 10.0)
CONTENT = b"a file"


class Server:
    """What was asked, and what is answered."""

    def __init__(self) -> None:
        self.paths: list[str] = []
        self.requests: list[dict[str, Any]] = []
        self.status = 200
        text = base64.b64encode(CONTENT).decode()
        model = {"name": "LSR", "version": "1.0"}
        self.answer: Any = {
            "predictions": [{"npz": text, "nifti": text, "summary": "Half is a guess.", "model": model}]
        }


@pytest.fixture
def server() -> Iterator[Server]:
    state = Server()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            state.paths.append(self.path)
            body = self.rfile.read(int(self.headers["Content-Length"]))
            state.requests += json.loads(body)["inputs"]
            content = json.dumps(state.answer).encode()
            self.send_response(state.status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: Any) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as http:
        thread = threading.Thread(target=http.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        state.url = f"http://127.0.0.1:{http.server_port}"
        yield state
        http.shutdown()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    y = np.arange(24, dtype=np.float32).reshape(1, 4, 6) / 10
    write_projections(tmp_path / "scan", Projections(y, ScanGeometry(SCAN, 0.02, slice_mm=2.0)))
    return tmp_path / "scan"


def predict(server: Server, *arguments: Any):
    return CliRunner().invoke(app, ["predict", "--url", server.url, *map(str, arguments)])


def sentence(result) -> str:
    assert isinstance(result.exception, InputError)
    return str(result.exception)


def test_a_folder_is_sent_as_npz_and_the_answer_written(server, folder, tmp_path):
    mask = np.zeros((4, 6), bool)
    mask[:, 2:4] = True
    np.save(tmp_path / "mask.npy", mask)
    result = predict(server, folder, tmp_path / "deep" / "out.npz", "--ray-mask", tmp_path / "mask.npy")
    assert result.exit_code == 0, result.output
    assert (tmp_path / "deep" / "out.npz").read_bytes() == CONTENT
    assert "Half is a guess. Model: LSR 1.0." in result.output
    (request,) = server.requests
    assert request["ray_mask"] == mask.tolist() and request["answer"] == "npz" and request["format"] == "npz"
    content = io.BytesIO(base64.b64decode(request["scan_base64"]))
    (tmp_path / "sent.npz").write_bytes(content.getvalue())
    sent, written = read_projections(tmp_path / "sent.npz"), read_projections(folder)
    assert np.array_equal(sent.y, written.y) and sent.geometry == written.geometry
    assert server.paths == ["/invocations"]


@pytest.mark.parametrize(("name", "kind"), [("a.npz", "npz"), ("a.nii", "nifti"), ("a.nii.gz", "nifti")])
def test_a_file_is_sent_as_it_is(server, tmp_path, name, kind):
    (tmp_path / name).write_bytes(b"scan")
    assert predict(server, tmp_path / name, tmp_path / "out.nii.gz").exit_code == 0
    (request,) = server.requests
    assert base64.b64decode(request["scan_base64"]) == b"scan"
    assert request["format"] == kind and request["answer"] == "nifti"


def test_a_refusal_is_passed_on_and_nothing_written(server, folder, tmp_path):
    server.status, server.answer = 400, {"error_code": "X", "message": "ray_mask says that no ray was measured."}
    result = predict(server, folder, tmp_path / "out.npz")
    assert sentence(result) == "ray_mask says that no ray was measured."
    assert not list(tmp_path.glob("out*"))


def test_a_failure_of_the_server_ends_with_code_1(server, folder, tmp_path):
    server.status, server.answer = 504, "too slow"
    result = predict(server, folder, tmp_path / "out.npz")
    assert result.exit_code == 1
    assert "failed (504)" in result.output
    assert not list(tmp_path.glob("out*"))


@pytest.mark.parametrize("answer", [{"predictions": []}, {"predictions": [{"npz": "?"}]}, {}, [1]])
def test_another_server_is_named(server, folder, tmp_path, answer):
    server.answer = answer
    assert "is no served latentct model" in sentence(predict(server, folder, tmp_path / "out.npz"))
    assert not list(tmp_path.glob("out*"))


def test_nothing_is_sent_where_the_command_is_wrong(server, folder, tmp_path):
    (tmp_path / "there.npz").write_bytes(b"old")
    np.save(tmp_path / "numbers.npy", np.zeros((4, 6)))
    (tmp_path / "text.npy").write_text("no array")
    out = tmp_path / "out.npz"
    cases = [
        ((folder, tmp_path / "there.npz"), "exists already"),
        ((folder, tmp_path / "out.txt"), "ends in none of .npz, .nii.gz"),
        ((tmp_path / "absent", out), "is no folder, .npz, .nii or .nii.gz file"),
        ((folder, out, "--ray-mask", tmp_path / "numbers.npy"), "is no array of booleans"),
        ((folder, out, "--ray-mask", tmp_path / "text.npy"), "cannot be read as an NPY file"),
        ((tmp_path, out), "geometry.yaml does not exist"),
    ]
    for arguments, words in cases:
        assert words in sentence(predict(server, *arguments))
    assert server.requests == []
    assert (tmp_path / "there.npz").read_bytes() == b"old"


@pytest.mark.parametrize(
    ("url", "words"), [("file:///etc/passwd", "no http or https"), ("http://127.0.0.1:1", "does not answer")]
)
def test_an_address_without_a_server_is_named(folder, tmp_path, url, words):
    result = CliRunner().invoke(app, ["predict", "--url", url, str(folder), str(tmp_path / "out.npz")])
    assert words in sentence(result)


def test_neither_torch_nor_monai_is_loaded(server, folder, tmp_path):
    code = (
        "import sys; from latentct.cli.predict import predict; from pathlib import Path;"
        "predict(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], None, 60.0);"
        "sys.exit(sum(name in sys.modules for name in ('torch', 'monai', 'mlflow')))"
    )
    command = [sys.executable, "-c", code, str(folder), str(tmp_path / "out.npz"), server.url]
    assert subprocess.run(command, capture_output=True, timeout=60).returncode == 0
