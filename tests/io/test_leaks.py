"""A patient or a file on both sides of a split stops the run."""

import json
from pathlib import Path

import pytest

from latentct.errors import InputError
from latentct.io.leaks import check_overlap, check_splits
from latentct.io.manifest import datalist, load_manifest
from latentct.io.manifest_builder import VolumeDefaults, build_manifest

FOLDER = Path(__file__).parents[2] / "data_manifests"


@pytest.fixture
def manifest(nifti_folder):
    """Volumes a (test), b (validation) and deep_c (training), each its own patient."""
    manifest = build_manifest(nifti_folder, VolumeDefaults(split="training"), name="three")
    for volume, split in zip(manifest["volumes"], ("test", "validation", "training"), strict=True):
        volume["split"] = split
        volume["sha256"] = volume["id"][0] * 64
    return manifest


def items(manifest, folder):
    return [item for split in ("test", "validation", "training") for item in datalist(manifest, split, folder)]


def test_separate_patients_pass(manifest, nifti_folder):
    check_splits(items(manifest, nifti_folder))
    check_overlap(datalist(manifest, "test", nifti_folder), manifest)


def test_a_patient_in_two_splits_stops_the_run(manifest, nifti_folder):
    manifest["volumes"][2]["patient"] = "a"
    with pytest.raises(InputError, match=r"patient 'a' is in both 'test' \(volume 'a'\) and 'training'"):
        check_splits(items(manifest, nifti_folder))


def test_one_file_under_two_pseudonyms_stops_the_run(manifest, nifti_folder):
    manifest["volumes"][1]["sha256"] = manifest["volumes"][0]["sha256"]
    with pytest.raises(InputError, match=r"the file with SHA-256 a{12}\.\.\. is in both 'test' .* 'validation'"):
        check_splits(items(manifest, nifti_folder))


def test_a_patient_may_have_several_volumes_in_a_split(manifest, nifti_folder):
    for volume in manifest["volumes"]:
        volume |= {"patient": "a", "sha256": "f" * 64, "split": "test"}
    check_splits(datalist(manifest, "test", nifti_folder))


@pytest.mark.parametrize(("key", "found"), [("patient", "patient 'b'"), ("sha256", "the file with SHA-256 b{12}")])
def test_training_on_another_manifest_must_not_have_seen_the_tested(manifest, nifti_folder, tmp_path, key, found):
    other = json.loads(json.dumps(manifest)) | {"name": "other"}
    other["volumes"] = other["volumes"][1:2]
    other["volumes"][0] |= {"split": "test", "id": "x", "patient": "p", "sha256": "c" * 63 + "d"}
    other["volumes"][0][key] = manifest["volumes"][1][key]
    tested = datalist(other, "test", nifti_folder)
    path = tmp_path / "three.json"
    path.write_text(json.dumps(manifest))
    with pytest.raises(InputError, match=found + r".*volume 'x'.* tested on but was seen in training as volume 'b'"):
        check_overlap(tested, path)
    check_overlap(tested, path, seen_splits=("training",))


def test_the_published_manifests_leak_nothing():
    manifest = load_manifest(FOLDER / "all.json")
    check_splits(manifest["volumes"])
    for part in ("head_neck.json", "body.json"):
        tested = [volume for volume in load_manifest(FOLDER / part)["volumes"] if volume["split"] == "test"]
        check_overlap(tested, manifest)
