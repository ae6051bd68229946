"""What is written follows the DICOM standard no worse than its source, as dicom-validator sees it.

LATENTCT_DICOM_STANDARD names a folder that dicom-validator takes as --standard-path: `editions.json`, and the DocBook
of parts 3, 4 and 6 below the folder of an edition. It is not part of this repository.
"""

import logging
import os
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pydicom
import pytest
from tests.io.dicom.phantom import write_ct

from latentct.io.dicom import read_series, write_series

STANDARD = os.environ.get("LATENTCT_DICOM_STANDARD")
REAL = Path(os.environ.get("LATENTCT_DATA", "missing")) / "dicom" / "totalseg_example"
needs_real = pytest.mark.skipif(
    not REAL.is_dir() or not find_spec("openjpeg"), reason="LATENTCT_DATA has no DICOM series, or no decoder is there"
)
pytestmark = pytest.mark.skipif(
    not STANDARD or not find_spec("dicom_validator"),
    reason="dicom-validator or the DICOM standard (LATENTCT_DICOM_STANDARD) is not there",
)


@pytest.fixture(scope="module")
def errors_of():
    """Returns the errors of a file as (module, element, what is wrong)."""
    from dicom_validator.spec_reader.edition_reader import EditionReader
    from dicom_validator.validator.dicom_file_validator import DicomFileValidator
    from dicom_validator.validator.validation_result import Status

    info = EditionReader(STANDARD).dicom_info_for_edition("local")
    validator = DicomFileValidator(info, log_level=logging.CRITICAL)

    def errors(path: Path) -> set[tuple[str, str, str]]:
        (result,) = validator.validate_file(str(path)).values()
        assert result.status in (Status.Passed, Status.Failed)
        return {
            (module, str(tag), error.code.name)
            for module, tags in result.module_errors.items()
            for tag, error in tags.items()
        }

    return errors


def derive(folder: Path, source: Path) -> tuple[Path, Path]:
    """Write what is derived from a series; return its first image and its last map."""
    image = read_series(source)
    write_series(image, folder, "Rays were synthesised.", synthesised=np.zeros(image.x_hu.shape))
    return folder / "image_0001.dcm", sorted(folder.glob("synthesised_*.dcm"))[-1]


def test_a_broken_image_is_found(tmp_path, errors_of):
    image, _ = derive(tmp_path / "out", write_ct(tmp_path / "in", 2))
    spoiled = pydicom.dcmread(image)
    del spoiled.RescaleSlope
    spoiled.save_as(tmp_path / "spoiled.dcm")
    (new,) = errors_of(tmp_path / "spoiled.dcm") - errors_of(image)
    assert new[1:] == ("(0028,1053)", "TagMissing")


def test_a_derived_series_has_no_error_of_its_own(tmp_path, errors_of):
    allowed = errors_of(write_ct(tmp_path / "in", 2) / "001")
    for path in derive(tmp_path / "out", tmp_path / "in"):
        assert errors_of(path) <= allowed


@needs_real
def test_what_is_derived_from_a_real_series_has_no_error_of_its_own(tmp_path, errors_of):
    source = pydicom.dcmread(sorted(REAL.iterdir())[0])
    # Its anonymiser emptied these, without which dicom-validator does not look at the rest.
    for key in ("SOPClassUID", "SOPInstanceUID"):
        setattr(source, key, source.file_meta[f"MediaStorage{key}"].value)
    source.StudyInstanceUID, source.SeriesInstanceUID = "1.2.3", "1.2.4"
    source.save_as(tmp_path / "source.dcm")
    allowed = errors_of(tmp_path / "source.dcm")
    for path in derive(tmp_path / "out", REAL):
        assert errors_of(path) <= allowed
