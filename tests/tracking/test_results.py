"""Figures of an evaluation in its run."""

from pathlib import Path

import pytest

from latentct.tracking import MLflowTracker, ResultPublisher

from .conftest import artifacts, make_trainer, runs

INTERVAL = {"mean": 15.0, "sd": 2.0, "ci95": [14.0, 16.0], "n_patients": 3}


@pytest.mark.parametrize("figure", [15.0, INTERVAL], ids=["number", "interval"])
def test_means_and_files_land_in_the_run(tmp_path: Path, figure: object) -> None:
    results = tmp_path / "results"
    results.mkdir()
    for name in ("metrics.json", "figure_worst.png", "volume.nii.gz"):
        (results / name).write_text("{}")
    tracker = MLflowTracker(tmp_path, "exp")
    make_trainer(tracker, epochs=1).run()
    ResultPublisher(tracker)({"methods": {"lsr": {"mae_inside_hu": figure}}}, results)
    tracker.run.flush()
    (run,) = runs()
    assert run.data.metrics["lsr/mae_inside_hu"] == 15.0
    assert artifacts(run.info.run_id, "results") == ["results/figure_worst.png", "results/metrics.json"]


def test_a_process_that_does_not_record_publishes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RANK", "1")
    ResultPublisher(MLflowTracker(tmp_path, "exp"))({"methods": {"lsr": {"mae_inside_hu": 1.0}}}, tmp_path)
    assert list(tmp_path.iterdir()) == []
