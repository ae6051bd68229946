"""Small scans in DICOM-CT-PD, written after its published dictionary, of ellipsoids at known places in the patient.

Everything is laid out in the format's own axes (source at x = -rho sin phi, y = rho cos phi), apart from the package's
geometry: it is here that sign errors would show.
"""

import struct
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from pydicom import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, ImplicitVRLittleEndian, generate_uid

MU_WATER = 0.0192
SLOPE, INTERCEPT = 2e-4, -0.5
NAME = "DOE^JANE"
ELLIPSOIDS = [
    ((0.0, 8.0, -100.0), (130.0, 95.0, 1e6), 1.0),  # body: a cylinder along z
    ((60.0, 10.0, -98.0), (22.0, 22.0, 7.0), 0.5),  # left
    ((-35.0, 48.0, -102.5), (20.0, 16.0, 6.5), -0.6),  # right and posterior, lower
]
"""Centre (x, y, z) in LPS mm, half axes in mm, attenuation in that of water."""
TO_PD = {"FFS": np.array([-1.0, -1.0, 1.0]), "HFS": np.array([1.0, -1.0, -1.0])}
"""What LPS is multiplied by to be in the axes of the files."""


@dataclass(frozen=True)
class Machine:
    position: str = "FFS"
    views_per_turn: int = 160
    turns: float = 2.05
    feed_mm: float = 20.0  # of a turn; negative where z falls
    turning: int = 1  # sense of phi
    n_rows: int = 20
    n_columns: int = 150
    row_mm: float = 2.0
    column_mm: float = 4.0
    rho_mm: float = 595.0
    distance_mm: float = 1085.6
    central: tuple[float, float] = (75.25, 10.5)  # column, row, from 1
    shifts: tuple[tuple[float, float, float], ...] = ((0.0, 0.0, 0.0),)  # phi, z, rho
    shape: str = "CYLINDRICAL"
    maker: str = "SIEMENS"


FLYING_Z = ((2e-3, 0.0, 0.0), (2e-3, -0.66, 5.45))
FLYING_XY = ((1.5e-3, 0.0, 0.0), (-1.5e-3, 0.0, 0.0))


def course(machine: Machine) -> tuple[np.ndarray, np.ndarray]:
    """Return phi in rad and z in mm of the views, in the axes of the files; the middle is at z = -100 LPS."""
    n_views = round(machine.turns * machine.views_per_turn)
    step = np.arange(n_views) - (n_views - 1) / 2
    z_mm = -100 * TO_PD[machine.position][2] + step * machine.feed_mm / machine.views_per_turn
    return machine.turning * (2 * np.pi / machine.views_per_turn * step + 0.3), z_mm


def line_integrals(machine: Machine) -> np.ndarray:
    """Return the closed-form line integrals (A, V, U) of the ellipsoids, rows and columns counted as in the files."""
    phi, z_mm = course(machine)
    d_phi, d_z, d_rho = np.resize(np.array(machine.shifts), (len(phi), 3)).T
    source = polar(machine.rho_mm + d_rho, phi + d_phi, z_mm + d_z)[:, None, None]
    across = (np.arange(1, machine.n_columns + 1) - central_column(machine)) * machine.column_mm
    if machine.shape == "CYLINDRICAL":
        angle = across / machine.distance_mm
        side, depth = machine.distance_mm * np.sin(angle), machine.distance_mm * np.cos(angle)
    else:
        side, depth = across, np.full_like(across, machine.distance_mm)
    up = -(np.arange(1, machine.n_rows + 1) - machine.central[1]) * machine.row_mm  # row 1 is the highest
    focus = polar(machine.rho_mm, phi, z_mm)[:, None, None]
    inwards, sideways = polar(-1.0, phi, 0 * phi)[:, None, None], polar(-1.0, phi + np.pi / 2, 0 * phi)[:, None, None]
    element = focus + depth[:, None] * inwards + side[:, None] * sideways
    element = element + up[:, None, None] * np.array([0.0, 0.0, 1.0])
    way = element - source
    way = way / np.linalg.norm(way, axis=-1, keepdims=True)
    return sum(
        MU_WATER * mu * lengths(source, way, np.array(center) * TO_PD[machine.position], np.array(half))
        for center, half, mu in ELLIPSOIDS
    )


def central_column(machine: Machine) -> float:
    """The column, from 1, that looks through the axis; scanners of GE count from the other end and from 0."""
    column = machine.central[0]
    return machine.n_columns - column if machine.maker.startswith("GE") else column


def polar(rho: float | np.ndarray, phi: np.ndarray, z: np.ndarray) -> np.ndarray:
    return np.stack([-rho * np.sin(phi), rho * np.cos(phi), z], axis=-1)


def lengths(source: np.ndarray, way: np.ndarray, center: np.ndarray, half: np.ndarray) -> np.ndarray:
    start, step = (source - center) / half, way / half
    a, b, c = (step**2).sum(-1), (start * step).sum(-1), (start**2).sum(-1) - 1
    return 2 * np.sqrt(np.maximum(b**2 - a * c, 0)) / a


def write_scan(
    folder: Path,
    machine: Machine = Machine(),
    *,
    y: np.ndarray | None = None,
    implicit: bool = False,
    columns_first: bool = True,
    change: Callable[[Dataset, int], None] | None = None,
) -> Path:
    """Write the files of a scan under names that tell no order; `implicit` leaves the kinds of private values out."""
    folder.mkdir(parents=True, exist_ok=True)
    y = line_integrals(machine) if y is None else y
    stored = np.rint((y - INTERCEPT) / SLOPE).astype(np.uint16)
    series_uid, (phi, z_mm) = generate_uid(None), course(machine)
    for view, pixels in enumerate(stored):
        ds = header(machine, series_uid, implicit)
        ds.InstanceNumber = view + 1
        for tag, value in zip(
            (0x70311001, 0x70311002, 0x70311003, 0x7033100B, 0x7033100C, 0x7033100D),
            (phi[view] % (2 * np.pi), z_mm[view], machine.rho_mm, *machine.shifts[view % len(machine.shifts)]),
            strict=True,
        ):
            put(ds, tag, "FL", (value,), implicit)
        image = pixels.T if columns_first else pixels
        ds.Rows, ds.Columns = image.shape
        ds.add_new("PixelData", "OW", np.ascontiguousarray(image).tobytes())
        if change:
            change(ds, view)
        ds.save_as(folder / f"{(view * 7919) % 99991:05d}.dcm", enforce_file_format=True)
    return folder


def header(machine: Machine, series_uid: str, implicit: bool) -> Dataset:
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian if implicit else ExplicitVRLittleEndian
    ds.SOPClassUID = ds.file_meta.MediaStorageSOPClassUID = CTImageStorage
    ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = generate_uid(None)
    ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.Modality = "1.2.3", series_uid, "CT"
    ds.PatientName, ds.PatientID, ds.PatientPosition = NAME, "4711", machine.position
    ds.Manufacturer, ds.SeriesNumber = machine.maker, 3
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    ds.BitsAllocated = ds.BitsStored = 16
    ds.HighBit, ds.PixelRepresentation = 15, 0
    ds.RescaleSlope, ds.RescaleIntercept = SLOPE, INTERCEPT
    for group in (0x7029, 0x7031, 0x7033, 0x7037, 0x7039, 0x7041):
        ds.add_new((group, 0x0010), "LO", "DICOM-CT-PD")
    put(ds, 0x70291010, "US", (machine.n_rows,), implicit)
    put(ds, 0x70291011, "US", (machine.n_columns,), implicit)
    put(ds, 0x70291002, "FL", (machine.column_mm,), implicit)
    put(ds, 0x70291006, "FL", (machine.row_mm,), implicit)
    put(ds, 0x7029100B, "CS", machine.shape, implicit)
    put(ds, 0x70311031, "FL", (machine.distance_mm,), implicit)
    put(ds, 0x70311033, "FL", machine.central, implicit)
    put(ds, 0x70371009, "CS", "HELICAL", implicit)
    put(ds, 0x70391009, "CS", "YES", implicit)
    put(ds, 0x70411001, "DS", str(MU_WATER), implicit)
    return ds


def put(ds: Dataset, tag: int, kind: str, value: tuple | str, implicit: bool) -> None:
    """Add an element with its kind of value, or as the bytes of an unknown one."""
    if isinstance(value, str):
        ds.add_new(tag, "UN" if implicit else kind, value.encode() + b" " * (len(value) % 2) if implicit else value)
    elif implicit:
        ds.add_new(tag, "UN", struct.pack(f"<{len(value)}{'f' if kind == 'FL' else 'H'}", *value))
    else:
        ds.add_new(tag, kind, [float(x) if kind == "FL" else x for x in value] if len(value) > 1 else value[0])


def smaller(machine: Machine = Machine()) -> Machine:
    """A scan of little more than a turn and few elements, for what does not look at the image."""
    return replace(
        machine, views_per_turn=24, turns=1.5, n_rows=10, n_columns=40, row_mm=4.0, column_mm=16.0, central=(20.5, 5.5)
    )
