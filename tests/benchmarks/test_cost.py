"""The table of time and memory: every stage and method once, on tiny networks."""

import json
import time

import pytest
import torch

from benchmarks import cost
from latentct.geometry import ConeBeam, Grid
from latentct.projectors import make_projector

GRID = Grid((8, 12, 12), (8.0, 8.0, 8.0))
SCAN = ConeBeam.equally_spaced(3, 3.0, (10, 16), (12.0, 12.0), 400.0, 600.0)


def test_every_row_has_time_memory_and_share(tmp_path, capsys):
    path = tmp_path / "new" / "cost.json"
    cost.main(["--json", str(path), "--views", "3", "--steps", "1", "2", "--repeats", "1", "--layer", "smoke"])
    results = json.loads(path.read_text())
    assert set(results) >= {"conditioner, 3 views", "4 samples, 1 steps", "4 samples, 2 steps", "decoder, 4 samples"}
    assert set(results) >= {"latent search, 4 samples", "voxel step", "fdk", "sirt", "tv", "clsdm", "clsdm_consistent"}
    for row in results.values():
        assert row["seconds"] > 0 and 0 <= row["projector_share"] <= 1
    assert results["sirt"]["projector_share"] > 0 == results["decoder, 4 samples"]["projector_share"]
    assert "clsdm_consistent" in capsys.readouterr().out


def test_a_timed_projector_is_the_projector_and_its_seconds():
    plain = make_projector(GRID, SCAN)
    timed = cost.TimedProjector(plain)
    x = torch.rand(1, 1, *GRID.shape, requires_grad=True)
    y = timed(x)
    assert torch.equal(y, plain(x))
    before = timed.seconds
    assert before > 0
    y.square().sum().backward()
    assert timed.seconds > before
    torch.testing.assert_close(x.grad, 2 * plain.adjoint(y.detach()))
    masked = timed.masked(torch.ones(SCAN.sinogram_shape, dtype=torch.bool))
    before = timed.seconds
    masked(x)
    assert timed.seconds > before


def test_time_and_share_are_those_of_the_work():
    projector = cost.TimedProjector(make_projector(GRID, SCAN))

    def work():
        time.sleep(0.02)
        projector.seconds += 0.01

    found = cost.measure(work, projector, 3, torch.device("cpu"))
    assert found.seconds == pytest.approx(0.02, rel=0.5)
    assert found.projector_share == pytest.approx(0.5, rel=0.5)


@pytest.mark.skipif(cost._reset_peak_kib() is None, reason="this system does not tell its memory")
def test_memory_is_the_highest_in_between():
    def work():
        torch.ones(32 * 2**20 // 4).sum()

    assert cost.peak_mib(work, torch.device("cpu")) == pytest.approx(32, abs=4)
