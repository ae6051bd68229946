"""The elements of DICOM-CT-PD, the open format for CT projections: one file a view, its geometry in private elements.

Names, numbers and meanings are those of Table IV of Moen et al., Medical Physics 2021 (doi 10.1002/mp.14594), which
describes the Low Dose CT Image and Projection Data collection; the kinds of their values those that public readers
agree on. The format: Chen et al., Medical Physics 42, 2015 (doi 10.1118/1.4935406), and the "DICOM-CT-PD User Manual",
version 3, of The Cancer Imaging Archive.
"""

import struct

from pydicom import Dataset

ELEMENTS = {
    "NumberofDetectorRows": (0x70291010, "US"),
    "NumberofDetectorColumns": (0x70291011, "US"),
    "DetectorElementTransverseSpacing": (0x70291002, "FL"),
    "DetectorElementAxialSpacing": (0x70291006, "FL"),
    "DetectorShape": (0x7029100B, "CS"),
    "DetectorFocalCenterAngularPosition": (0x70311001, "FL"),
    "DetectorFocalCenterAxialPosition": (0x70311002, "FL"),
    "DetectorFocalCenterRadialDistance": (0x70311003, "FL"),
    "ConstantRadialDistance": (0x70311031, "FL"),
    "DetectorCentralElement": (0x70311033, "FL"),
    "SourceAngularPositionShift": (0x7033100B, "FL"),
    "SourceAxialPositionShift": (0x7033100C, "FL"),
    "SourceRadialDistanceShift": (0x7033100D, "FL"),
    "SpectrumIndex": (0x70331063, "US"),
    "TypeofProjectionData": (0x70371009, "CS"),
    "LogFlag": (0x70391009, "CS"),
    "WaterAttenuationCoefficient": (0x70411001, "DS"),
}
"""Element and kind of value of what is read."""

_KEPT = (
    *("SOPClassUID", "SeriesInstanceUID", "SeriesNumber", "InstanceNumber", "Manufacturer", "PatientPosition", "Rows"),
    *("Columns", "BitsAllocated", "PixelRepresentation", "NumberOfFrames", "RescaleSlope", "RescaleIntercept"),
)


def is_projection(header: Dataset) -> bool:
    """Tell whether a header is that of a projection in DICOM-CT-PD."""
    return all(
        ELEMENTS[name][0] in header for name in ("DetectorFocalCenterAngularPosition", "NumberofDetectorColumns")
    )


def reduced(header: Dataset) -> Dataset:
    """Return the few elements that are needed of tens of thousands of headers; none of them tells who was scanned."""
    small = Dataset()
    small.file_meta = header.file_meta
    tags: list[int | str] = [*(tag for tag, _ in ELEMENTS.values()), *_KEPT]
    for tag in tags:
        if tag in header:
            small[tag] = header[tag]
    return small


def private_value(header: Dataset, name: str) -> tuple[float, ...] | str:
    """Return the numbers of an element of `ELEMENTS`, or its text.

    Files without explicit kinds of values hold bytes, for no dictionary in use knows these elements.

    Raises:
        Exception: The element is missing, or its bytes are not of its kind.
    """
    tag, kind = ELEMENTS[name]
    value = header[tag].value
    if kind in ("FL", "US") and isinstance(value, bytes):
        code, size = ("f", 4) if kind == "FL" else ("H", 2)
        return tuple(float(number) for number in struct.unpack(f"<{len(value) // size}{code}", value))
    if isinstance(value, bytes):
        value = value.decode("ascii").strip(" \0")
    if kind == "CS":
        return str(value).strip().upper()
    many = hasattr(value, "__iter__") and not isinstance(value, str)
    return tuple(float(number) for number in (value if many else [value]))
