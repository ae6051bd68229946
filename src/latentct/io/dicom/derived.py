"""The header of a derived CT slice: what is taken over from its source, and what is new."""

from copy import deepcopy
from dataclasses import dataclass
from datetime import datetime

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

import latentct
from latentct.io.dicom.headers import has_value, quiet, sop_class, sop_instance, text
from latentct.io.dicom.slices import Slice

# What stays true of a derived image, by module of the CT Image IOD (DICOM PS3.3 A.3). Everything else is left out.
_PATIENT = (
    "PatientName PatientID IssuerOfPatientID PatientBirthDate PatientSex EthnicGroup PatientComments "
    "PatientIdentityRemoved DeidentificationMethod DeidentificationMethodCodeSequence"
)
_STUDY = (
    "StudyDate StudyTime AccessionNumber ReferringPhysicianName StudyID StudyDescription PhysiciansOfRecord "
    "ReferencedStudySequence ProcedureCodeSequence PatientAge PatientSize PatientWeight PregnancyStatus "
    "AdmittingDiagnosesDescription AdditionalPatientHistory"
)
_SERIES = "BodyPartExamined Laterality PatientPosition ProtocolName PositionReferenceIndicator"
_EQUIPMENT = (
    "Manufacturer InstitutionName InstitutionAddress StationName InstitutionalDepartmentName ManufacturerModelName "
    "DeviceSerialNumber SoftwareVersions"
)
_ACQUISITION = (
    "AcquisitionNumber AcquisitionDate AcquisitionTime AcquisitionDateTime IrradiationEventUID ScanOptions KVP "
    "DataCollectionDiameter DistanceSourceToDetector DistanceSourceToPatient GantryDetectorTilt TableHeight "
    "RotationDirection ExposureTime XRayTubeCurrent Exposure FilterType GeneratorPower FocalSpots ConvolutionKernel "
    "RevolutionTime SingleCollimationWidth TotalCollimationWidth TableSpeed TableFeedPerRotation SpiralPitchFactor "
    "ExposureModulationType CTDIvol CTDIPhantomTypeCodeSequence"
)
_CONTRAST = (
    "ContrastBolusAgent ContrastBolusRoute ContrastBolusVolume ContrastBolusStartTime ContrastBolusStopTime "
    "ContrastBolusTotalDose ContrastFlowRate ContrastFlowDuration ContrastBolusIngredient "
    "ContrastBolusIngredientConcentration"
)
_IMAGE = "BurnedInAnnotation LossyImageCompression LossyImageCompressionRatio LossyImageCompressionMethod"
_WINDOW = "WindowCenter WindowWidth WindowCenterWidthExplanation"
_KEPT = " ".join(
    (_PATIENT, _STUDY, _SERIES, _EQUIPMENT, _ACQUISITION, _CONTRAST, _IMAGE, "SpecificCharacterSet")
).split()
_EMPTY_WHERE_UNKNOWN = (  # elements of type 2
    *("PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyDate", "StudyTime", "AccessionNumber"),
    *("ReferringPhysicianName", "StudyID", "PositionReferenceIndicator", "Manufacturer", "AcquisitionNumber", "KVP"),
)
_SERIES_NUMBERS_ON = 1000


@dataclass(frozen=True)
class Kind:
    """What tells the slices of one derived series from those of another.

    Attributes:
        name: Added to the description of the series.
        place: Of the series among those derived, from 1.
        derivation: What was done, in words.
        code: Value and meaning of the derivation in DICOM's own terms (PS3.16).
        rescale_type: Unit of the values, "HU" or "PCT".
    """

    name: str
    place: int
    derivation: str
    code: tuple[str, str]
    rescale_type: str


@dataclass(frozen=True)
class NewUids:
    """Identifiers that all slices of what is derived have in common, and the time it was made.

    Attributes:
        study: That of the source, or a new one where an anonymiser left it empty.
        frame_of_reference: Likewise.
        made: Local time.
    """

    study: str
    frame_of_reference: str
    made: datetime


def new_uids(source: Dataset) -> NewUids:
    """Choose the identifiers for what is derived from a source."""
    kept = (text(source, key) or generate_uid(None) for key in ("StudyInstanceUID", "FrameOfReferenceUID"))
    study, frame_of_reference = kept
    return NewUids(study, frame_of_reference, datetime.now())


def derived_header(source: Slice, kind: Kind, uids: NewUids, series_uid: str, number: int) -> Dataset:
    """Return the header of one derived slice, but for geometry and pixels.

    Args:
        source: Slice of the source at the same position.
        kind: Which series it belongs to.
        uids: Identifiers of the study.
        series_uid: Identifier of the new series.
        number: Of the slice in its series, from 1.
    """
    new = Dataset()
    with quiet():
        _copy(source, new, _KEPT + (_WINDOW.split() if kind.rescale_type == "HU" else []))
    for keyword in _EMPTY_WHERE_UNKNOWN:
        if keyword not in new:
            setattr(new, keyword, None)
    date, time = uids.made.strftime("%Y%m%d"), uids.made.strftime("%H%M%S.%f")
    new.SOPClassUID, new.SOPInstanceUID = CTImageStorage, generate_uid(None)
    new.StudyInstanceUID, new.SeriesInstanceUID = uids.study, series_uid
    new.FrameOfReferenceUID = uids.frame_of_reference
    new.InstanceCreationDate = new.SeriesDate = new.ContentDate = date
    new.InstanceCreationTime = new.SeriesTime = new.ContentTime = time
    new.Modality, new.ImageType = "CT", ["DERIVED", "SECONDARY", "AXIAL"]
    new.SeriesNumber = _series_number(source.header, kind)
    new.SeriesDescription = f"{text(source.header, 'SeriesDescription')[: 63 - len(kind.name)]} {kind.name}".strip()
    new.InstanceNumber = number
    new.DerivationDescription = kind.derivation[:1024]
    new.DerivationCodeSequence = [_code(*kind.code)]
    new.SourceImageSequence = [_reference(source)]
    new.ContributingEquipmentSequence = [_equipment(uids.made, kind)]
    _add_meta(new)
    return new


def set_geometry(new: Dataset, affine_lps_mm: NDArray[np.float64], place: int, thickness_mm: float | None) -> None:
    """Set position, orientation and spacing of a slice from the stored affine and its place in the stack."""
    columns = affine_lps_mm[:3, :3]
    spacing_mm = np.linalg.norm(columns, axis=0)
    row, column = columns[:, 2] / spacing_mm[2], columns[:, 1] / spacing_mm[1]
    position_mm = affine_lps_mm[:3, 3] + place * columns[:, 0]
    new.ImagePositionPatient = [_decimal(value) for value in position_mm]
    new.ImageOrientationPatient = [_decimal(value) for value in (*row, *column)]
    new.PixelSpacing = [_decimal(spacing_mm[1]), _decimal(spacing_mm[2])]
    new.SliceThickness = _decimal(thickness_mm or spacing_mm[0])
    new.SliceLocation = _decimal(position_mm[int(np.abs(columns[:, 0]).argmax())])


def set_pixels(new: Dataset, stored: NDArray[np.int16], intercept: int, rescale_type: str, padding: int | None) -> None:
    """Set the pixels of a slice as signed 16 bit and what turns them into values."""
    new.SamplesPerPixel, new.PhotometricInterpretation = 1, "MONOCHROME2"
    new.Rows, new.Columns = stored.shape
    new.BitsAllocated = new.BitsStored = 16
    new.HighBit, new.PixelRepresentation = 15, 1
    new.RescaleSlope, new.RescaleIntercept, new.RescaleType = 1, intercept, rescale_type
    if padding is not None:
        new.add_new("PixelPaddingValue", "SS", padding)
    new.add_new("PixelData", "OW", np.ascontiguousarray(stored, dtype="<i2").tobytes())


def _copy(source: Slice, new: Dataset, keywords: list[str]) -> None:
    """Copy elements that can be read; in an enhanced file some stand with the frame."""
    for keyword in keywords:
        for holder in (source.values, source.header):
            if keyword in holder:
                new[keyword] = deepcopy(holder[keyword])
                break


def _series_number(header: Dataset, kind: Kind) -> int:
    digits = text(header, "SeriesNumber")
    return (int(digits) if digits.isdecimal() and len(digits) < 7 else 0) + _SERIES_NUMBERS_ON * kind.place


def _reference(source: Slice) -> Dataset:
    reference = Dataset()
    reference.ReferencedSOPClassUID = sop_class(source.header)
    reference.ReferencedSOPInstanceUID = sop_instance(source.header)
    if has_value(source.header, "NumberOfFrames"):
        reference.ReferencedFrameNumber = source.frame + 1
    reference.PurposeOfReferenceCodeSequence = [_code("121322", "Source image for image processing operation")]
    return reference


def _equipment(made: datetime, kind: Kind) -> Dataset:
    equipment = Dataset()
    equipment.PurposeOfReferenceCodeSequence = [_code("109102", "Processing Equipment")]
    equipment.Manufacturer = equipment.ManufacturerModelName = "latentct"
    equipment.SoftwareVersions = latentct.__version__
    equipment.ContributionDateTime = made.strftime("%Y%m%d%H%M%S.%f")
    equipment.ContributionDescription = kind.derivation[:1024]
    return equipment


def _code(value: str, meaning: str) -> Dataset:
    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = value, "DCM", meaning
    return code


def _add_meta(new: Dataset) -> None:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = new.SOPClassUID, new.SOPInstanceUID
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    new.file_meta = meta


def _decimal(value: float) -> str:
    """A number in the 16 characters of a decimal string, with no sign on zero."""
    for digits in range(15, 0, -1):
        shown = f"{value + 0.0:.{digits}g}"
        if len(shown) <= 16:
            return "0" if float(shown) == 0 else shown
    raise AssertionError(value)  # one digit always fits
