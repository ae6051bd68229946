"""The race of the projectors: every case once on a tiny size, without peers, and what is made of the times."""

import json

import pytest
import torch
from benchmarks.machine import Peaks, interleaved
from benchmarks.peers import PLANE, Absent, Rival, imported
from benchmarks.peers_cone import rtk_or_torch
from benchmarks.projector_cases import cone_case, plane_cases
from benchmarks.projectors_report import markdown_table, ratios

from benchmarks import projectors

TINY = ["--size", "16", "--views", "12", "--bins", "24", "--batch", "3", "--cone", "8", "--cone-views", "3"]
KEYS = {"ratio_batch32", "ratio_single", "ratio_cone", "peak_share_forward", "peak_share_adjoint", "threads", "cpu"}


def test_a_run_without_peers_has_every_key(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(projectors.machine, "use_threads", lambda n: None)  # the tests after this one keep theirs
    path = tmp_path / "new" / "projectors.json"
    projectors.main(["--json", str(path), "--repeats", "1", "--cone-batch", "2", *TINY, "--peers"])
    found = json.loads(path.read_text())
    assert set(found) >= KEYS | {"cases", "analytic", "peaks", "versions", "first_call_s"}
    assert found["ratio_batch32"] is None and found["ratio_cone_peer"] == "torch reference"
    for name in ("parallel_batch", "parallel_single", "fan_batch", "fan_single", "cone_single", "cone_batch"):
        row = found["cases"][name]["rows"]["latentct"]
        assert row["forward_ms"] > 0 and row["adjoint_median_ms"] >= row["adjoint_ms"]
    assert 0 < found["peak_share_forward"] < 1 and 0 < found["peak_share_adjoint"] < 1
    assert "ratio_single: no peer" in capsys.readouterr().out
    lines = markdown_table(found)
    assert "(torch reference)" in next(line for line in lines if line.startswith("| cone, one volume | "))
    assert len([line for line in lines if line.startswith("|")]) == 2 + len(found["cases"]) + len(found["analytic"])


@pytest.mark.parametrize("package", ["astra-toolbox", "scikit-image"])  # mbirtorch compiles for a minute
@pytest.mark.parametrize("name", ["parallel", "fan"])
def test_a_peer_projects_the_same_or_says_why_not(package, name):
    case = projectors.case_of(*plane_cases(48, 40, 70)[name], 2, threads=1)
    try:
        rivals = PLANE[package](case)
    except Absent as reason:
        assert "fan" in str(reason) or "installed" in str(reason)
        return
    for rival in rivals:
        assert projectors.differences(rival, case)["forward_difference"] < 0.02


def test_rtk_projects_the_same():
    pytest.importorskip("itk")
    case = projectors.case_of(*cone_case(16, 5), 1, threads=1)
    rival = rtk_or_torch(case)[0]
    if rival.note:
        pytest.skip(rival.note)
    found = projectors.differences(rival, case)
    assert found["forward_difference"] < 0.001
    assert found["adjoint_difference"] < 0.2  # it weighs voxels at the border otherwise


def test_a_wrong_geometry_is_seen():
    case = projectors.case_of(*plane_cases(48, 40, 70)["parallel"], 1, threads=1)
    rival = Rival("mirrored", 1, lambda: case.y.flip(-1), lambda: case.x, lambda y: y[:, 0], lambda x: x[:, 0])
    assert projectors.differences(rival, case)["forward_difference"] > 0.3


def test_what_is_missing_is_named():
    with pytest.raises(Absent, match="not installed"):
        imported("a_package_that_nobody_has", "nobody")


def test_works_run_in_turn():
    order = []
    found = interleaved({name: lambda name=name: order.append(name) for name in "ab"}, repeats=2)
    assert order == list("ababab")
    assert set(found["a"]) == {"minimum_s", "median_s"}


def test_the_binding_peak_is_the_larger_share():
    peaks = Peaks(gflops=100.0, gb_per_s=10.0)
    assert peaks.share(flops=50e9, n_bytes=1e9, seconds=1.0) == (0.5, "flops")
    assert peaks.share(flops=5e9, n_bytes=1e9, seconds=1.0) == (0.1, "memory")


def test_ratios_take_the_best_peer_and_the_worse_geometry():
    def case(own: float, **peers: float) -> dict:
        rows = {name: {"forward_ms": ms, "adjoint_ms": ms} for name, ms in {"latentct": own, **peers}.items()}
        return {"rows": rows, "peak": {"forward_share": own, "adjoint_share": own}}

    cases = {
        "parallel_batch": case(0.2, a=9.0, b=8.0),
        "fan_batch": case(0.25, a=9.0),
        "parallel_single": case(1.0, a=9.0),
        "fan_single": case(1.0, a=8.0, b=7.0),
        "cone_single": case(1.0, rtk=5.0),
    }
    found = ratios(cases)
    assert found["ratio_batch32"] == pytest.approx(36.0) and found["ratio_batch32_peer"] == "a"
    assert found["ratio_single"] == pytest.approx(7.0) and found["ratio_single_peer"] == "b"
    assert found["ratio_cone"] == pytest.approx(5.0) and found["ratio_cone_peer"] == "rtk"
    assert found["peak_share_forward"] == 0.2


def test_interpolations_are_counted_from_the_rays():
    """A ray along the rows of a slice takes as many steps as there are rows, 4 operations each."""
    grid, scan = plane_cases(16, 1, 8)["parallel"]
    case = projectors.case_of(grid, scan, 1, threads=1)
    found = projectors.shares(case, {"forward_ms": 1.0, "adjoint_ms": 2.0}, Peaks(1.0, 1e9))
    assert found["forward_share"] == pytest.approx(4 * 8 * 16 / 1e6)
    assert found["adjoint_share"] == pytest.approx(found["forward_share"] / 2)
    assert torch.equal(case.x, projectors.smooth_object(grid, 1))
