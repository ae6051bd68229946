"""Licences and data sets of a run."""

import json
from pathlib import Path
from typing import Any

from latentct.tracking import open_run, track_run

from .conftest import artifact_path, runs


def volume(number: int, split: str, licence: str = "CC0-1.0", patient: str | None = None) -> dict[str, Any]:
    return {
        "id": f"volume_{number}",
        "image": f"ct/volume_{number}.nii.gz",
        "patient": patient or f"patient_{number}",
        "split": split,
        "group": "body",
        "sha256": f"{number:064d}",
        "source": "made up",
        "licence": licence,
        "spacing_mm": [1.0, 1.0, 1.0],
        "shape": [1, 8, 8],
    }


def write(tmp_path: Path, *volumes: dict[str, Any]) -> Path:
    path = tmp_path / "set.json"
    path.write_text(json.dumps({"name": "a set", "volumes": list(volumes)}))
    return path


def test_licences_are_counted_over_the_splits_in_use(tmp_path: Path) -> None:
    manifest = write(
        tmp_path,
        volume(1, "training", patient="p"),
        volume(2, "training", patient="p"),
        volume(3, "validation", "CC-BY-4.0"),
        volume(4, "test", "secret"),
    )
    with track_run(tmp_path, "exp", stage="train", manifest=manifest, splits=["training", "validation"]):
        pass
    (run,) = runs()
    assert run.data.tags["data.licences"] == "CC-BY-4.0, CC0-1.0"
    assert json.loads(artifact_path(run.info.run_id, "licences.json").read_text()) == [
        {"licence": "CC-BY-4.0", "source": "made up", "volumes": 1, "patients": 1},
        {"licence": "CC0-1.0", "source": "made up", "volumes": 2, "patients": 1},
    ]


def test_each_split_is_a_data_set_without_names(tmp_path: Path) -> None:
    manifest = write(tmp_path, volume(1, "training"), volume(2, "training"), volume(3, "validation"))
    for resume in (False, True):
        open_run(
            tmp_path, "exp", stage="train", manifest=manifest, splits=["training", "validation"], resume=resume
        ).finish()
    (run,) = runs()
    found = {item.tags[0].value: item.dataset for item in run.inputs.dataset_inputs}
    assert len(run.inputs.dataset_inputs) == 2
    assert {split: json.loads(dataset.profile) for split, dataset in found.items()} == {
        "training": {"volumes": 2, "patients": 2, "groups": {"body": 2}},
        "validation": {"volumes": 1, "patients": 1, "groups": {"body": 1}},
    }
    assert {dataset.name for dataset in found.values()} == {"a set"}
    assert json.loads(found["training"].source) == {"manifest": "set.json", "split": "training"}
    assert "volume_1" not in str([vars(dataset) for dataset in found.values()])


def test_the_digest_of_a_data_set_follows_its_volumes(tmp_path: Path) -> None:
    for index, number in enumerate((1, 1, 2)):
        manifest = write(tmp_path, volume(number, "training"))
        with track_run(tmp_path / str(index), "exp", stage="train", manifest=manifest, splits=["training"]):
            pass
    first, same, other = (run.inputs.dataset_inputs[0].dataset.digest for run in runs())
    assert first == same != other
