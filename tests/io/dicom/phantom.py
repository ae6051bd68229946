"""Small CT series made with pydicom, so that each test can spoil one thing."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from pydicom import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, EnhancedCTImageStorage, ExplicitVRLittleEndian, generate_uid

NAME = "DOE^JANE"
SHAPE = (12, 10)
Change = Callable[[Dataset, int], None]


def stored_values(index: int, shape: tuple[int, int] = SHAPE) -> np.ndarray:
    """Stored values that differ in every pixel and slice."""
    return (np.arange(shape[0] * shape[1]).reshape(shape) + 200 * index).astype(np.int16)


def slice_dataset(index: int, series_uid: str, frame_of_reference: str = "1.2.3.4") -> Dataset:
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.SOPClassUID = ds.file_meta.MediaStorageSOPClassUID = CTImageStorage
    ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = generate_uid(None)
    ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.FrameOfReferenceUID = "1.2.3", series_uid, frame_of_reference
    ds.PatientName, ds.PatientID, ds.PatientBirthDate, ds.PatientSex = NAME, "4711", "19700101", "F"
    ds.StudyDate, ds.StudyTime, ds.AccessionNumber, ds.ReferringPhysicianName = "20260101", "1200", "A1", ""
    ds.StudyID, ds.Manufacturer, ds.KVP, ds.AcquisitionNumber = "1", "Maker", 120, 1
    ds.Modality, ds.ImageType = "CT", ["ORIGINAL", "PRIMARY", "AXIAL"]
    ds.SeriesNumber, ds.SeriesDescription, ds.InstanceNumber = 7, "Body", index + 1
    ds.BodyPartExamined, ds.PatientPosition, ds.PositionReferenceIndicator = "CHEST", "HFS", ""
    ds.ImagePositionPatient = [-10.0, -20.0, 30.0 + 2.5 * index]
    ds.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    ds.PixelSpacing, ds.SliceThickness = [0.8, 0.7], 2.5
    ds.RescaleSlope, ds.RescaleIntercept = 1, -1024
    ds.add_new((0x0009, 0x0010), "LO", "SECRET CREATOR")
    ds.add_new((0x0009, 0x1001), "LO", NAME)
    set_pixels(ds, stored_values(index))
    return ds


def set_pixels(ds: Dataset, values: np.ndarray, bits_stored: int | None = None) -> None:
    bits = values.dtype.itemsize * 8
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    ds.Rows, ds.Columns = values.shape
    ds.BitsAllocated, ds.BitsStored = bits, bits_stored or bits
    ds.HighBit, ds.PixelRepresentation = ds.BitsStored - 1, int(values.dtype.kind == "i")
    ds.add_new("PixelData", "OW", values.tobytes() + b"\0" * (values.nbytes % 2))


def write_ct(folder: Path, n_slices: int = 5, change: Change | None = None, start: int = 0) -> Path:
    """Write a series, its slices in reversed order of file names, each changed by `change(ds, index)`."""
    folder.mkdir(parents=True, exist_ok=True)
    series_uid = generate_uid(None)
    for index in range(n_slices):
        ds = slice_dataset(index, series_uid)
        if change:
            change(ds, index)
        ds.save_as(folder / f"{start + n_slices - index:03d}", enforce_file_format=True)
    return folder


def write_enhanced(path: Path, n_frames: int = 4) -> Path:
    """Write one enhanced CT file whose frames stand in reversed order and have a rescale of their own."""
    ds = slice_dataset(0, generate_uid(None))
    ds.SOPClassUID = ds.file_meta.MediaStorageSOPClassUID = EnhancedCTImageStorage
    ds.ImageType = ["ORIGINAL", "PRIMARY", "VOLUME", "NONE"]
    for key in ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "RescaleSlope", "RescaleIntercept"):
        del ds[key]
    ds.NumberOfFrames = n_frames
    shared, orientation, measures = Dataset(), Dataset(), Dataset()
    orientation.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    measures.PixelSpacing, measures.SliceThickness = [0.8, 0.7], 2.5
    shared.PlaneOrientationSequence, shared.PixelMeasuresSequence = [orientation], [measures]
    ds.SharedFunctionalGroupsSequence = [shared]
    frames = []
    for frame in range(n_frames):
        own, position, rescale = Dataset(), Dataset(), Dataset()
        position.ImagePositionPatient = [-10.0, -20.0, 30.0 - 2.5 * frame]
        rescale.RescaleSlope, rescale.RescaleIntercept = 1, -1000 - frame
        own.PlanePositionSequence, own.PixelValueTransformationSequence = [position], [rescale]
        frames.append(own)
    ds.PerFrameFunctionalGroupsSequence = frames
    ds.PixelData = np.stack([stored_values(frame) for frame in range(n_frames)]).tobytes()
    path.parent.mkdir(parents=True, exist_ok=True)
    ds.save_as(path, enforce_file_format=True)
    return path
