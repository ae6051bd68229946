"""A tracked training on a DICOM series full of names, and a search for them in everything it left in the store."""

import json
import sqlite3
from pathlib import Path

import numpy as np
import pytest
import torch
from monai.bundle import ConfigParser
from monai.transforms import LoadImage
from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

from latentct.tracking.privacy import Redactor
from latentct.tracking.store import tracking_uri

from .conftest import FailingLoss, make_trainer, runs

FAMILY, GIVEN, PATIENT_ID, BIRTH_DATE, INSTITUTION = "Xylova", "Quentina", "PQ7731", "19610203", "Sonnenklinik"
SECRETS = (FAMILY, GIVEN, PATIENT_ID, BIRTH_DATE, INSTITUTION)
SHAPE = (3, 8, 8)


@pytest.fixture
def series(tmp_path: Path) -> Path:
    """Three DICOM slices whose header, files and folder, with blanks in them, name a patient."""
    folder = tmp_path / f"{FAMILY} {GIVEN} {BIRTH_DATE}" / f"{INSTITUTION} CT {PATIENT_ID}"
    folder.mkdir(parents=True)
    study, uid = generate_uid(), generate_uid()
    for number in range(SHAPE[0]):
        item = Dataset()
        item.file_meta = FileMetaDataset()
        item.file_meta.TransferSyntaxUID, item.file_meta.MediaStorageSOPClassUID = (
            ExplicitVRLittleEndian,
            CTImageStorage,
        )
        item.file_meta.MediaStorageSOPInstanceUID = item.SOPInstanceUID = generate_uid()
        item.SOPClassUID, item.Modality = CTImageStorage, "CT"
        item.StudyInstanceUID, item.SeriesInstanceUID, item.InstanceNumber = study, uid, number + 1
        item.PatientName, item.PatientID, item.PatientBirthDate = f"{FAMILY}^{GIVEN}", PATIENT_ID, BIRTH_DATE
        item.InstitutionName = INSTITUTION
        item.ImagePositionPatient, item.ImageOrientationPatient = [0, 0, 2 * number], [1, 0, 0, 0, 1, 0]
        item.PixelSpacing, item.SliceThickness = [1, 1], 2
        item.Rows, item.Columns = SHAPE[1:]
        item.SamplesPerPixel, item.PhotometricInterpretation, item.PixelRepresentation = 1, "MONOCHROME2", 1
        item.BitsAllocated, item.BitsStored, item.HighBit = 16, 16, 15
        item.RescaleSlope, item.RescaleIntercept = 1, 0
        item.PixelData = np.full(SHAPE[1:], 100 * number, dtype=np.int16).tobytes()
        item.save_as(folder / f"{GIVEN} {FAMILY} {number}.dcm", enforce_file_format=True)
    return folder


@pytest.fixture
def dicom_manifest(tmp_path: Path, series: Path) -> Path:
    """A manifest whose identifiers name the patient."""
    volume = {
        "id": f"{FAMILY}_{GIVEN}_1",
        "image": f"{series.parent.name}/{series.name}/1.dcm",
        "patient": f"{FAMILY}_{GIVEN}",
        "split": "training",
        "group": "body",
        "sha256": "0" * 64,
        "source": f"archive, {FAMILY}_{GIVEN}",
        "licence": "CC0-1.0",
        "spacing_mm": [2.0, 1.0, 1.0],
        "shape": list(SHAPE),
    }
    path = tmp_path / "set.json"
    path.write_text(json.dumps({"name": "set", "volumes": [volume]}))
    return path


def record(tmp_path: Path, series: Path, manifest: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Train an epoch with figures on the series, then fail with a message that holds its folder."""
    monkeypatch.chdir(tmp_path)
    parser = ConfigParser(
        {
            "_meta_": {"name": "tiny", "version": "0.1.0"},
            "dataset_dir": series.parent.name,
            "output_dir": str(series.parent / "results"),
            "scan": str(series),
            "datalist": [{"image": str(file)} for file in sorted(series.iterdir())],
            "listed": f"$sorted(glob.glob('{series}/*.dcm'))",
            "tracker": {
                "_target_": "latentct.tracking.MLflowTracker",
                "output_dir": "@output_dir",
                "experiment_name": "exp",
                "manifest": str(manifest),
                "splits": ["training"],
                "params": {"input": str(series), "note": f"read {series}, and {series.parent.name}/{series.name}"},
                "log_every": 1,
                "system_every_s": 0.1,
            },
        }
    )
    volume = LoadImage(ensure_channel_first=True, image_only=True)(series)
    slices = [volume[..., number] / 1000 for number in range(SHAPE[0])]
    items = [{"image": image, "label": torch.zeros_like(image)} for image in slices]
    error = RuntimeError(f"applying transform to {series}\n{slices[0].meta['filename_or_obj']} is bad: {series}/3 .dcm")
    trainer = make_trainer(
        parser.get_parsed_content("tracker"), epochs=2, loss=FailingLoss(error, call=SHAPE[0] + 1), items=items
    )
    with pytest.raises(RuntimeError, match="applying transform"):
        trainer.run()


def leaks() -> dict[str, set[str]]:
    """Return which secrets stand in which parts of the store: the rows of its database, its files and their names."""
    database = Path(tracking_uri().removeprefix("sqlite:///"))
    with sqlite3.connect(database) as connection:
        rows = "\n".join(connection.iterdump())
    texts = {"rows": rows}
    for path in database.parent.rglob("*"):
        texts[str(path.relative_to(database.parent))] = path.read_bytes().decode("latin-1") if path.is_file() else ""
    return {
        name: found
        for name, text in texts.items()
        if (found := {secret for secret in SECRETS if secret.lower() in f"{name} {text}".lower()})
    }


def test_nothing_in_the_store_names_the_patient(
    tmp_path: Path, series: Path, dicom_manifest: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record(tmp_path, series, dicom_manifest, monkeypatch)
    assert leaks() == {}
    (run,) = runs()
    assert run.info.status == "FAILED"
    assert run.data.tags["error"].startswith("RuntimeError: applying transform to <path>")
    assert run.inputs.dataset_inputs
    pictures = list((tmp_path / "mlflow" / "artifacts").rglob("epoch_*.png"))
    assert pictures
    for picture in pictures:
        with Image.open(picture) as image:
            assert image.info == {}, "text in a picture may be compressed, where a search does not find it"


def test_the_search_finds_what_a_record_without_redaction_holds(
    tmp_path: Path, series: Path, dicom_manifest: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Redactor, "__call__", lambda self, text: text)
    record(tmp_path, series, dicom_manifest, monkeypatch)
    found = leaks()
    assert set(SECRETS) <= set.union(*found.values())
    assert {"rows", "mlruns.db"} < set(found)
    assert {Path(name).name for name in found} >= {"resolved.yaml", "licences.json"}
