import json

import pytest

from latentct.io.manifest import load_manifest


def test_build_then_check(latentct, nifti_folder, tmp_path):
    path = tmp_path / "mine.json"
    code, out, _ = latentct("manifest", "build", nifti_folder, "--split", "test", "-o", path, "--licence", "CC0-1.0")
    assert code == 0 and "3 volumes" in out and "test: 3 volumes of 3 patients" in out
    assert load_manifest(path)["name"] == "mine"
    assert {volume["licence"] for volume in load_manifest(path)["volumes"]} == {"CC0-1.0"}
    assert latentct("manifest", "check", path, "--dataset-dir", nifti_folder)[0] == 0
    (nifti_folder / "b.nii").write_bytes(b"other")
    code, _, err = latentct("manifest", "check", path, "--dataset-dir", nifti_folder)
    assert code == 2 and "SHA-256" in err


def test_build_from_a_table_with_validation(latentct, nifti_folder, tmp_path):
    table = tmp_path / "table.json"
    table.write_text(
        json.dumps([{"file": "a.nii.gz", "group": "x", "split": "training"}, {"file": "b.nii", "group": "y"}])
    )
    options = ("--table", table, "--only", "x", "--validation-fraction", "1", "--split", "test")
    code, out, _ = latentct("manifest", "build", nifti_folder, *options, "-o", tmp_path / "m.json")
    assert code == 0 and "validation: 1 volumes of 1 patients" in out and "test" not in out.splitlines()[1]


@pytest.mark.parametrize(
    ("options", "said"),
    [(["--split", "train"], "--split is 'train'"), (["--split", "test", "--only", "x"], "no --table was given")],
)
def test_bad_options_write_nothing(latentct, nifti_folder, tmp_path, options, said):
    code, _, err = latentct("manifest", "build", nifti_folder, *options, "-o", tmp_path / "m.json")
    assert code == 2 and said in err
    assert not (tmp_path / "m.json").exists()


def test_an_existing_manifest_needs_force(latentct, nifti_folder, tmp_path):
    path = tmp_path / "m.json"
    path.write_text("mine")
    command = ("manifest", "build", nifti_folder, "--split", "test", "-o", path)
    code, _, err = latentct(*command)
    assert code == 2 and "pass --force" in err and path.read_text() == "mine"
    assert latentct(*command, "--force")[0] == 0
    assert len(load_manifest(path)["volumes"]) == 3
