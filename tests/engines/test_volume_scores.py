"""Scores of volumes in a file: what is known, what is replaced, and the table over patients."""

import json
import math

import pytest

from latentct.engines.volume_scores import VolumeScores, differences, patient_table
from latentct.metrics import paired_comparison


@pytest.fixture
def scores(tmp_path):
    return VolumeScores(tmp_path / "new" / "volumes.json")


def test_what_was_put_is_known_and_adds_up(scores):
    assert scores.known("4", "scan", "tv", "a") == set()
    scores.put("4", "scan", "tv", "a", {"v1": {"psnr": 1.0}})
    scores.put("4", "scan", "tv", "a", {"v2": {"psnr": 2.0}})
    scores.put("4", "scan", "fdk", "b", {"v1": {"psnr": 3.0}})
    assert scores.known("4", "scan", "tv", "a") == {"v1", "v2"}
    assert scores.known("8", "scan", "tv", "a") == set()
    assert scores.of_scan("4", "scan")["tv"] == {"v1": {"psnr": 1.0}, "v2": {"psnr": 2.0}}


@pytest.mark.parametrize(("scan", "method"), [("other", "a"), ("scan", "other")])
def test_scores_of_other_scans_or_settings_are_replaced(scores, scan, method):
    scores.put("4", "scan", "tv", "a", {"v1": {"psnr": 1.0}})
    assert scores.known("4", scan, "tv", method) == set()
    scores.put("4", scan, "tv", method, {"v2": {"psnr": 2.0}})
    assert scores.of_scan("4", scan) == {"tv": {"v2": {"psnr": 2.0}}}


def test_rows_of_other_scans_are_not_shown(scores):
    scores.put("4", "old", "tv", "a", {"v1": {"psnr": 1.0}})
    scores.put("4", "new", "fdk", "b", {"v1": {"psnr": 2.0}})
    assert list(scores.of_scan("4", "new")) == ["fdk"]


def test_forgetting_leaves_other_methods_and_conditions(scores):
    scores.forget("4", ["tv"])
    for condition, method in (("4", "tv"), ("4", "fdk"), ("8", "tv")):
        scores.put(condition, "scan", method, "a", {"v1": {"psnr": 1.0}})
    scores.forget("4", ["tv"])
    content = json.loads(scores.path.read_text())
    assert {condition: list(methods) for condition, methods in content.items()} == {"4": ["fdk"], "8": ["tv"]}


VALUES = {
    "tv": {"v1": {"psnr": 10.0}, "v2": {"psnr": 20.0}, "v3": {"psnr": 40.0}, "stranger": {"psnr": 0.0}},
    "fdk": {"v1": {"psnr": 9.0}, "v2": {"psnr": 19.0}, "v3": {"psnr": None}},
}
PATIENTS = {"v1": "a", "v2": "a", "v3": "b"}


def test_the_table_averages_within_patients_first():
    table = patient_table(VALUES, PATIENTS, ("psnr",), order=("fdk", "sirt"))
    assert list(table) == ["fdk", "tv"]
    assert table["tv"]["psnr"]["mean"] == pytest.approx((15 + 40) / 2)
    assert (table["tv"]["psnr"]["n_patients"], table["fdk"]["psnr"]["n_patients"]) == (2, 1)
    assert table["tv"]["psnr"]["ci95"] == [15.0, 40.0]


def test_differences_pair_the_patients():
    found = differences(VALUES, PATIENTS, ("psnr",), "tv", lambda a, b: paired_comparison(a, b, seed=0))
    assert list(found) == ["fdk"]
    assert found["fdk"]["psnr"]["mean_difference"] == 1.0
    assert (found["fdk"]["psnr"]["n_pairs"], found["fdk"]["psnr"]["n_dropped"]) == (1, 1)
    assert differences(VALUES, PATIENTS, ("psnr",), "clsdm", lambda a, b: math.nan) == {}
