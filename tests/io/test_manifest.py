import json
import subprocess
import sys
from pathlib import Path

import pytest

from latentct.errors import InputError
from latentct.io.manifest import datalist, load_manifest, long_volumes, manifest_sha256
from latentct.io.manifest_builder import VolumeDefaults, build_manifest, write_manifest


@pytest.fixture
def manifest(nifti_folder):
    """Volumes a (test), b (training) and deep_c (training), each its own patient."""
    manifest = build_manifest(nifti_folder, VolumeDefaults(split="training"), name="three")
    manifest["volumes"][0]["split"] = "test"
    return manifest


def _save(manifest, path: Path) -> Path:
    path.write_text(json.dumps(manifest))
    return path


def test_datalist_gives_absolute_files_in_the_manifests_order(manifest, nifti_folder, tmp_path):
    items = datalist(_save(manifest, tmp_path / "m.json"), "training", nifti_folder, check_hash=True)
    assert [item["id"] for item in items] == ["b", "deep_c"]
    assert [item["image"] for item in items] == [str(nifti_folder / name) for name in ("b.nii", "deep/c.nii.gz")]
    assert items[0]["shape"] == [3, 4, 6]
    assert items[0]["spacing_mm"] == [2.5, 1.5, 0.75]
    assert items[0]["patient"] == "b"


def test_data_folder_comes_from_the_environment_by_default(manifest, nifti_folder, monkeypatch):
    monkeypatch.setenv("LATENTCT_DATA", str(nifti_folder))
    assert datalist(manifest, "test")[0]["image"] == str(nifti_folder / "a.nii.gz")
    monkeypatch.delenv("LATENTCT_DATA")
    with pytest.raises(InputError, match="pass dataset_dir or set LATENTCT_DATA"):
        datalist(manifest, "test")


def test_items_share_their_keys_so_that_they_collate(manifest, nifti_folder):
    manifest["volumes"][1]["notes"] = "only here"
    for volume in manifest["volumes"]:
        volume["metal"] = "no"
    first, second = datalist(manifest, "training", nifti_folder)
    assert set(first) == set(second)
    assert "notes" not in first and first["metal"] == "no"


def test_a_relative_data_folder_becomes_absolute(manifest, nifti_folder, monkeypatch):
    monkeypatch.chdir(nifti_folder.parent)
    assert datalist(manifest, "test", "data")[0]["image"] == str(nifti_folder / "a.nii.gz")


def test_a_changed_file_is_refused_only_when_hashes_are_checked(manifest, nifti_folder):
    (nifti_folder / "b.nii").write_bytes(b"other")
    datalist(manifest, "training", nifti_folder)
    with pytest.raises(InputError, match=r"b\.nii has SHA-256 .* but the manifest lists .* 'b'"):
        datalist(manifest, "training", nifti_folder, check_hash=True)


def test_missing_files_and_folders_are_named(manifest, nifti_folder, tmp_path):
    (nifti_folder / "b.nii").unlink()
    with pytest.raises(InputError, match=r"1 of 2 files of manifest 'three' are missing, the first is .*b\.nii"):
        datalist(manifest, "training", nifti_folder)
    with pytest.raises(InputError, match=r"data folder .*nowhere does not exist"):
        datalist(manifest, "training", tmp_path / "nowhere")


def test_unknown_and_empty_splits_are_refused(manifest, nifti_folder):
    with pytest.raises(InputError, match="split 'train' is unknown; choose one of training, validation, test"):
        datalist(manifest, "train", nifti_folder)
    with pytest.raises(InputError, match="no volume in split 'validation'; it has test, training"):
        datalist(manifest, "validation", nifti_folder)


def test_a_patient_in_two_splits_is_refused(manifest, tmp_path):
    manifest["volumes"][1]["patient"] = "a"
    with pytest.raises(InputError, match="patient 'a' in both 'test' and 'training'"):
        load_manifest(_save(manifest, tmp_path / "m.json"))


def test_an_id_listed_twice_is_refused(manifest, tmp_path):
    manifest["volumes"][2]["id"] = "b"
    with pytest.raises(InputError, match="lists id 'b' twice"):
        load_manifest(_save(manifest, tmp_path / "m.json"))


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("split", "train"),
        ("sha256", "abc"),
        ("image", "/etc/passwd"),
        ("image", "../outside.nii"),
        ("image", "deep/../../outside.nii"),
        ("spacing_mm", [1.0, 1.0]),
        ("spacing_mm", [1.0, 0.0, 1.0]),
        ("shape", [1, 2, 0]),
        ("patient", ""),
        ("licence", None),
        ("spliit", "test"),
    ],
)
def test_the_schema_refuses_bad_entries_and_says_where(manifest, tmp_path, key, value):
    manifest["volumes"][1][key] = value
    with pytest.raises(InputError, match=r"m\.json breaks the schema at \$\.volumes\[1\]"):
        load_manifest(_save(manifest, tmp_path / "m.json"))


@pytest.mark.parametrize("key", ["id", "image", "patient", "split", "group", "sha256", "source", "licence", "shape"])
def test_the_schema_refuses_missing_entries(manifest, tmp_path, key):
    del manifest["volumes"][1][key]
    with pytest.raises(InputError, match=f"'{key}' is a required property"):
        load_manifest(_save(manifest, tmp_path / "m.json"))


def test_files_that_are_no_manifest_are_refused(tmp_path):
    with pytest.raises(InputError, match=r"none\.json does not exist"):
        load_manifest(tmp_path / "none.json")
    (tmp_path / "bad.json").write_text("{")
    with pytest.raises(InputError, match=r"bad\.json is not valid JSON"):
        load_manifest(tmp_path / "bad.json")
    with pytest.raises(InputError, match="breaks the schema"):
        load_manifest(_save([], tmp_path / "list.json"))


def test_included_manifests_come_first_and_are_checked_together(manifest, tmp_path):
    first, rest = dict(manifest), dict(manifest)
    first["volumes"], rest["volumes"] = manifest["volumes"][:1], manifest["volumes"][1:]
    (tmp_path / "parts").mkdir()
    _save(first, tmp_path / "parts" / "first.json")
    union = _save(
        {"name": "union", "include": ["parts/first.json"]} | {"volumes": rest["volumes"]}, tmp_path / "m.json"
    )
    assert load_manifest(union)["volumes"] == manifest["volumes"]
    rest["volumes"][0]["patient"] = "a"
    _save({"name": "union", "include": ["parts/first.json"], "volumes": rest["volumes"]}, union)
    with pytest.raises(InputError, match="patient 'a' in both"):
        load_manifest(union)


def test_a_manifest_that_includes_itself_is_refused(tmp_path):
    _save({"name": "a", "include": ["b.json"]}, tmp_path / "a.json")
    _save({"name": "b", "include": ["a.json"]}, tmp_path / "b.json")
    with pytest.raises(InputError, match="includes itself"):
        load_manifest(tmp_path / "a.json")


def test_the_hash_of_a_manifest_follows_its_volumes_not_its_layout(manifest, tmp_path):
    write_manifest(manifest, tmp_path / "lines.json")
    expected = manifest_sha256(manifest)
    assert manifest_sha256(tmp_path / "lines.json") == expected
    _save({"name": "other", "include": ["lines.json"]}, tmp_path / "union.json")
    assert manifest_sha256(tmp_path / "union.json") == expected
    manifest["volumes"][0]["split"] = "validation"
    assert manifest_sha256(manifest) != expected


def test_reading_a_manifest_loads_neither_torch_nor_monai():
    code = "import sys, latentct.io.manifest; sys.exit(bool({'torch', 'monai'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_long_volumes_keeps_the_groups_and_lengths_asked_for():
    items = [
        {"id": "a", "group": "body", "shape": [30, 64, 64], "spacing_mm": [2.0, 1.0, 1.0]},
        {"id": "b", "group": "body", "shape": [30, 64, 64], "spacing_mm": [1.0, 1.0, 1.0]},
        {"id": "c", "group": "limb", "shape": [90, 64, 64], "spacing_mm": [2.0, 1.0, 1.0]},
    ]
    assert [v["id"] for v in long_volumes(items, ["body"], 60.0)] == ["a"]
    assert [v["id"] for v in long_volumes(items, ["body", "limb"], 10.0)] == ["a", "b", "c"]
    with pytest.raises(InputError, match="none of 3 volumes is of head and at least 10 mm long"):
        long_volumes(items, ["head"], 10.0)
