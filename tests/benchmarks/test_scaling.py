"""Growth of time and memory: a tiny run, and what is made of the times."""

import json

import pytest
from benchmarks.projectors_report import scaling_table

from benchmarks import scaling


def test_a_run_measures_every_line_of_every_series(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(scaling.machine, "use_threads", lambda n: None)  # the tests after this one keep theirs
    path = tmp_path / "new" / "scaling.json"
    tiny = ["--slices", "1", "3", "--views", "8", "--sizes", "16", "--threads", "1"]
    scaling.main(["--json", str(path), "--works", "fbp", "--no-correction", *tiny])
    found = json.loads(path.read_text())
    assert [row["varied"] for row in found["rows"]] == ["slices", "slices", "views", "size", "threads"]
    assert [row["slices"] for row in found["rows"]][:2] == [1, 3]
    for row in found["rows"]:
        assert row["ms_per_slice"] > 0 and row["resident_mib"] > row["rise_mib"] >= 0
    assert found["growth_fbp"] > 0
    assert "growth_fbp" in capsys.readouterr().out
    lines = scaling_table(found)
    assert lines[0] == "| slices | 1 | 3 |" and lines[2].startswith("| fbp, ms per slice | ")


@pytest.mark.parametrize("name", scaling.WORKS)
def test_memory_is_told_in_mib(name, monkeypatch):
    """torch alone takes more than 50 MiB, and nothing here a tebibyte."""
    monkeypatch.setattr(scaling.machine, "use_threads", lambda n: None)  # the tests after this one keep theirs
    found = scaling.memory(name, scaling.Setting(slices=2, views=8, size=16))
    assert 50 < found["resident_mib"] < 2**20


def test_growth_is_that_of_the_time_per_slice():
    def rows(*times: float) -> list[dict]:
        return [{"work": "fbp", "varied": "slices", "ms_per_slice": ms} for ms in times]

    assert scaling.growth(rows(8.0, 4.0, 2.0), "fbp") == 0.5
    assert scaling.growth(rows(8.0, 2.0, 3.0), "fbp") == 1.5
    assert scaling.growth(rows(8.0), "fbp") == scaling.growth([], "fbp") == 1.0


def test_a_scan_on_disk_is_corrected(monkeypatch):
    monkeypatch.setattr(scaling.machine, "use_threads", lambda n: None)  # the tests after this one keep theirs
    short, shipped = {"rounds": (0,), "progress": False}, scaling.shipped_search
    monkeypatch.setattr(scaling, "shipped_search", lambda: shipped(**short))
    found = scaling.correction_memory((2, 32, 32), 8, 1)
    assert 50 < found["resident_mib"] < 2**20 and found["seconds"] > 0


def test_the_search_takes_every_other_number_of_slices():
    assert scaling.search_numbers({"slices": (1, 2, 4), "views": (8,)}) == {"slices": (1, 4)}
