import doctest
import json

import pytest

from latentct.errors import InputError
from latentct.io import manifest_builder
from latentct.io.manifest import file_sha256, load_manifest
from latentct.io.manifest_builder import VolumeDefaults, build_manifest, is_validation, read_table, write_manifest

TEST = VolumeDefaults(split="test")


def test_a_folder_becomes_a_manifest_with_one_patient_a_file(nifti_folder, tmp_path):
    defaults = VolumeDefaults(split="training", group="limb", source="here", licence="CC0-1.0")
    write_manifest(build_manifest(nifti_folder, defaults, name="mine", description="three"), tmp_path / "m.json")
    manifest = load_manifest(tmp_path / "m.json")
    assert (manifest["name"], manifest["description"]) == ("mine", "three")
    assert [volume["id"] for volume in manifest["volumes"]] == ["a", "b", "deep_c"]
    assert manifest["volumes"][2] == {
        "id": "deep_c",
        "image": "deep/c.nii.gz",
        "patient": "deep_c",
        "split": "training",
        "group": "limb",
        "source": "here",
        "licence": "CC0-1.0",
        "sha256": file_sha256(nifti_folder / "deep/c.nii.gz"),
        "spacing_mm": [2.5, 1.5, 0.75],
        "shape": [3, 4, 6],
    }


def test_a_table_describes_its_files_and_leaves_out_the_others(nifti_folder, tmp_path):
    rows = [
        {
            "file": "deep/c.nii.gz",
            "id": "c",
            "patient": "p",
            "split": "training",
            "group": "body",
            "metal": "hip",
            "x": 1,
        },
        {"file": "b.nii", "group": "body"},
        {"file": "a.nii.gz", "group": "head"},
    ]
    (tmp_path / "table.json").write_text(json.dumps({"volumes": rows}))
    volumes = build_manifest(nifti_folder, TEST, "m", rows=read_table(tmp_path / "table.json", ["body"]))["volumes"]
    assert [(v["id"], v["patient"], v["split"], v["group"]) for v in volumes] == [
        ("c", "p", "training", "body"),
        ("b", "b", "test", "body"),
    ]
    assert volumes[0]["metal"] == "hip" and "x" not in volumes[0]
    (tmp_path / "table.json").write_text(json.dumps(rows))
    assert len(read_table(tmp_path / "table.json")) == 3


def test_a_file_that_is_not_the_tables_is_refused(nifti_folder):
    rows = [{"file": "b.nii", "sha256": "0" * 64}]
    with pytest.raises(InputError, match=r"b\.nii has SHA-256 .* but the table lists 000000000000"):
        build_manifest(nifti_folder, TEST, "m", rows=rows)


@pytest.mark.parametrize("content", ["{", "{}", '[{"path": "a.nii"}]', '[{"file": 3}]', "[3]"])
def test_bad_tables_are_refused(tmp_path, content):
    (tmp_path / "table.json").write_text(content)
    with pytest.raises(InputError, match=r"table .*table\.json"):
        read_table(tmp_path / "table.json")


def test_missing_tables_and_groups_are_refused(tmp_path):
    with pytest.raises(InputError, match="does not exist"):
        read_table(tmp_path / "none.json")
    (tmp_path / "table.json").write_text('[{"file": "a.nii", "group": "body"}]')
    with pytest.raises(InputError, match="has no row of group head"):
        read_table(tmp_path / "table.json", ["head"])


def test_missing_and_empty_folders_are_refused(tmp_path):
    with pytest.raises(InputError, match=r"nowhere does not exist"):
        build_manifest(tmp_path / "nowhere", TEST, "m")
    with pytest.raises(InputError, match=r"holds no \.nii or \.nii\.gz file"):
        build_manifest(tmp_path, TEST, "m")


def test_an_existing_manifest_is_replaced_only_when_forced(nifti_folder, tmp_path):
    manifest = build_manifest(nifti_folder, TEST, "m")
    path = tmp_path / "new" / "m.json"
    write_manifest(manifest, path)
    with pytest.raises(InputError, match="exists already"):
        write_manifest(manifest | {"name": "other"}, path)
    assert load_manifest(path)["name"] == "m"
    write_manifest(manifest | {"name": "other"}, path, force=True)
    assert load_manifest(path)["name"] == "other"


def test_validation_takes_training_patients_only_and_whole_ones(nifti_folder):
    rows = [
        {"file": "a.nii.gz", "patient": "p", "split": "training"},
        {"file": "b.nii", "patient": "p", "split": "training"},
        {"file": "deep/c.nii.gz", "patient": "q", "split": "test"},
    ]
    splits = [
        v["split"] for v in build_manifest(nifti_folder, TEST, "m", rows=rows, validation_fraction=1.0)["volumes"]
    ]
    assert splits == ["validation", "validation", "test"]


def test_validation_draw_is_the_given_share_and_grows_with_it():
    patients = [f"patient {i}" for i in range(4000)]
    small = {p for p in patients if is_validation(p, 0.06)}
    large = {p for p in patients if is_validation(p, 0.2)}
    assert 0.05 < len(small) / 4000 < 0.07
    assert small < large
    assert not any(is_validation(p, 0.0) for p in patients)


def test_doctests():
    result = doctest.testmod(manifest_builder)
    assert result.attempted > 0 and result.failed == 0
