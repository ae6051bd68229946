"""The script behind the few-view tables: what it starts, keeps and writes."""

import ast
import json
from pathlib import Path
from typing import Any

import pytest
from benchmarks.few_view import METHODS, ROOT
from monai.bundle import ConfigParser

from benchmarks import few_view
from latentct.bundle.configs import config_files

FIGURE = {"mean": 30.0, "sd": 1.0, "ci95": [29.0, 31.0], "n_patients": 3}


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[tuple[dict[str, str], list[str]]]:
    """Every evaluation that is started, with its options; none really runs."""
    calls: list[tuple[dict[str, str], list[str]]] = []

    def evaluate(options: dict[str, str], passed_on: list[str]) -> dict[str, Any]:
        calls.append((dict(options), list(passed_on)))
        names = ast.literal_eval(options["methods"])
        return {"views": {"4": {name: dict.fromkeys(few_view.COLUMNS, FIGURE) for name in names}}}

    monkeypatch.setattr(few_view, "evaluate", evaluate)
    return calls


def test_the_file_has_views_methods_and_metrics(started, tmp_path, capsys):
    path = tmp_path / "new" / "few_view.json"
    few_view.main(["--json", str(path)])
    results = json.loads(path.read_text())
    assert list(results["4"]) == list(METHODS)
    assert set(results["4"]["fdk"]) == {"psnr", "ssim", "mae_hu", "residual"}
    assert {"mean", "ci95"} <= set(results["4"]["fdk"]["psnr"])
    assert "30.00 [29.00, 31.00]" in capsys.readouterr().out


def test_options_of_the_issue_reach_the_bundle(started, tmp_path):
    options = [
        "--views",
        "2",
        "16",
        "--manifest",
        "m.json",
        "--dataset_dir",
        "d",
        "--split",
        "validation",
        "--limit",
        "3",
        "--n_samples",
        "2",
    ]
    few_view.main(["--json", str(tmp_path / "f.json"), *options])
    ((settings, passed_on),) = started
    assert settings["view_counts"] == "[2, 16]"
    assert passed_on == ["--manifest=m.json", "--dataset_dir=d", "--split=validation", "--limit=3", "--n_samples", "2"]


def test_rows_of_several_runs_stand_in_the_order_of_the_table(started, tmp_path):
    path = tmp_path / "f.json"
    for methods in (["clsdm", "ldm"], ["tv"], ["fdk"]):
        few_view.main(["--json", str(path), "--methods", *methods])
    path.write_text(json.dumps({"2": {"kept": FIGURE}} | json.loads(path.read_text())))
    few_view.main(["--json", str(path), "--methods", "sirt"])
    results = json.loads(path.read_text())
    assert list(results["4"]) == ["fdk", "sirt", "tv", "ldm", "clsdm"]
    assert results["2"] == {"kept": FIGURE}


def test_held_out_scans_leave_out_what_needs_a_circle(started, tmp_path):
    few_view.main(["--json", str(tmp_path / "f.json"), "--held_out"])
    ((settings, _),) = started
    assert "held_out_scans" in settings["scans"] and "view_counts" not in settings
    assert "fdk" in settings["left_out"]


def test_a_failure_says_what_is_kept(monkeypatch, tmp_path):
    monkeypatch.setattr(few_view.subprocess, "run", lambda *a, **k: type("Done", (), {"returncode": 2}))
    with pytest.raises(SystemExit, match="code 2; the scores of finished volumes are kept"):
        few_view.main(["--json", str(tmp_path / "f.json"), "--output_dir", str(tmp_path / "out")])


def test_what_the_script_sets_are_keys_of_the_bundle(started, tmp_path):
    few_view.main(["--json", str(tmp_path / "a.json")])
    few_view.main(["--json", str(tmp_path / "b.json"), "--held_out"])
    files = [ROOT / file for file in config_files(ROOT / few_view.BUNDLE, "evaluating", [])]
    known = set(ConfigParser.load_config_files([str(file) for file in files]))
    for settings, _ in started:
        assert set(settings) <= known | {"meta_file"}
        assert {name.removeprefix("@") for name in ast.literal_eval(settings["methods"]).values()} <= known


def test_a_rows_place_is_that_of_the_engine():
    assert [few_view._place(name) for name in ("fdk", "clsdm_consistent", "other")] == [0, 6, 7]
    assert Path(few_view.BUNDLE).name == "clsdm_sparse_view"
