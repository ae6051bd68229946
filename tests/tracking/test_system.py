"""The machine's load in the record of a run."""

import multiprocessing
import threading
import time
from pathlib import Path

import pytest
import torch

from latentct.tracking import MLflowTracker, open_run

from .conftest import FailingLoss, make_trainer, points, runs

CPU = "system/cpu_utilization_percentage"


def watchers() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "SystemMetricsMonitor"]


def wait_for(run_id: str, count: int) -> None:
    until = time.monotonic() + 60
    while len(points(run_id, CPU)) < count and time.monotonic() < until:
        time.sleep(0.05)


def test_load_is_recorded_until_the_run_ends_and_goes_on_with_a_resumed_one(tmp_path: Path) -> None:
    for resume, count in ((False, 2), (True, 5)):
        run = open_run(tmp_path, "exp", stage="train", resume=resume)
        run.watch_system(0.05)
        wait_for(run.run_id, count)
        run.finish()
        assert watchers() == []
    (kept,) = runs()
    steps = [step for step, _ in points(kept.info.run_id, CPU)]
    assert len(steps) >= 5
    assert steps == list(range(len(steps)))


def test_a_tracker_watches_and_stops_when_the_training_fails(tmp_path: Path) -> None:
    tracker = MLflowTracker(tmp_path, "exp", system_every_s=0.05)

    class Crash(FailingLoss):
        def forward(self, prediction: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
            if self.calls == 1:
                wait_for(tracker.run.run_id, 1)
            return super().forward(prediction, label)

    with pytest.raises(RuntimeError):
        make_trainer(tracker, loss=Crash(RuntimeError("x"), call=2)).run()
    assert watchers() == []
    (kept,) = runs()
    assert kept.info.status == "FAILED"
    assert points(kept.info.run_id, CPU)


def test_without_an_interval_nothing_is_watched(tmp_path: Path) -> None:
    tracker = MLflowTracker(tmp_path, "exp", system_every_s=0)

    class Look(torch.nn.L1Loss):
        def forward(self, prediction: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
            assert watchers() == []
            return super().forward(prediction, label)

    make_trainer(tracker, epochs=1, loss=Look()).run()


def test_forked_workers_neither_watch_nor_close_the_run(tmp_path: Path) -> None:
    run = open_run(tmp_path, "exp", stage="train")
    run.watch_system(0.05)
    context = multiprocessing.get_context("fork")
    for _ in range(5):
        worker = context.Process(target=lambda: exit(len(watchers())))
        worker.start()
        worker.join(60)
        assert worker.exitcode == 0
    before = len(points(run.run_id, CPU))
    wait_for(run.run_id, before + 1)
    assert len(points(run.run_id, CPU)) > before
    run.finish()
    assert runs()[0].info.status == "FINISHED"
