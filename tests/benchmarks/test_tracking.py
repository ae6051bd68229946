"""What the record of a training costs: that all of it is counted, on a tiny network."""

import json
import time

import pytest
from ignite.engine import Engine, Events

from benchmarks import tracking


def test_every_row_has_its_share(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "")
    path = tmp_path / "new" / "tracking.json"
    tracking.main(["--json", str(path), "--iterations", "3", "--repeats", "1", "--layer", "smoke"])
    results = json.loads(path.read_text())
    assert list(results) == ["10 iterations", "iteration"]
    for row in results.values():
        assert 0 < row["share"] < 1
        assert row["share"] == pytest.approx(row["handler_ms"] / row["iteration_ms"])
        assert row["once_s"] > 0
    assert "share" in capsys.readouterr().out


def test_a_stopwatch_takes_the_time_of_each_function():
    class Handler:
        def attach(self, engine):
            engine.add_event_handler(Events.ITERATION_COMPLETED, self.slow)
            engine.add_event_handler(Events.COMPLETED, self.with_engine)

        def slow(self):
            time.sleep(0.01)

        def with_engine(self, engine):
            assert engine.state.iteration == 3

    engine = Engine(lambda _, batch: None)
    watch = tracking.Stopwatch(engine)
    Handler().attach(watch)
    engine.run(range(3), max_epochs=1)
    assert 0.03 <= watch.seconds["slow"] < engine.state.times["COMPLETED"]
    assert set(watch.seconds) == {"slow", "with_engine"}
