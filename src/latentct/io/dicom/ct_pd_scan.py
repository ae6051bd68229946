"""The helical scan that files of DICOM-CT-PD describe, in the patient's axes.

The format's own axes, as public readers and summaries of its manual give them (the manual itself was not at hand):
the focus of the detector, on which its rows and columns are centred, stands at ``x = -rho sin phi, y = rho cos phi,
z``, with phi from 12 o'clock, anticlockwise for who looks into the gantry from the table; the focal spot at ``rho +
d_rho, phi + d_phi, z + d_z`` of the same. With the detector at 6 o'clock, seen from there, column 1 is leftmost and
row 1 is farthest. The central element, counted from 1, is the one on the line from the focus through the axis.

From there to the patient (LPS): of a patient who lies head first and supine, +x is left and +y anterior; feet first,
+x is right. The sense of z is taken from data, which contradict the manual, by which z rises into the gantry: a scan
of the public collection whose patient lay feet first (C145, GE) falls upon the scanner's own images with LPS = (-x,
-y, z) and row 1 at the highest z, and the senses of rows, columns and shifts of the focal spot are those with which
projections agree best with each other (documentation of PyTomography's `CTGen3ProjMeta` and its prototypes). Hence z
falls into the gantry, and LPS = (x, -y, -z) for head first, which has not been compared with a scanner's images here
or, as far as is known, elsewhere; issue 212 of LEAP reports such z for one scan. No real file was at hand.

Scanners of GE count the central column from the other end and from 0 (same source, by the two half scans of C145 and
C001, which show edges 1.4 mm apart otherwise).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset

from latentct.errors import InputError
from latentct.geometry.helix import FocalSpot, Helix
from latentct.io.dicom.ct_pd_elements import ELEMENTS, private_value
from latentct.io.dicom.headers import integer, shown, text

SENSES = {"HFS": 1, "FFS": -1}
"""Whether columns grow to the patient's left and rows to the head, by PatientPosition."""
SAME_MM, SAME_RAD = 0.02, 2e-5
LARGEST_MM, WIDEST_RAD = 1e4, 2.5
MU_WATER = (0.01, 0.04)
_COMMON = (
    *("NumberofDetectorRows", "NumberofDetectorColumns", "DetectorElementTransverseSpacing"),
    *("DetectorElementAxialSpacing", "DetectorShape", "ConstantRadialDistance", "DetectorCentralElement"),
    *("SpectrumIndex", "TypeofProjectionData", "LogFlag", "WaterAttenuationCoefficient"),
)
_OWN = (
    *("DetectorFocalCenterAngularPosition", "DetectorFocalCenterAxialPosition", "DetectorFocalCenterRadialDistance"),
    *("SourceAngularPositionShift", "SourceAxialPositionShift", "SourceRadialDistanceShift"),
)
_EXPECTED = {"TypeofProjectionData": ("HELICAL",), "LogFlag": ("YES",), "DetectorShape": ("CYLINDRICAL", "FLAT")}

File = tuple[Path, Dataset]


@dataclass(frozen=True, eq=False)
class ProjectionScan:
    """A helical scan in the patient's axes, and the files that hold its views.

    Attributes:
        files: Paths and headers in the order of the views.
        helix: Where source and detector were, LPS.
        sense: See `SENSES`; rows and columns of a file are to be reversed where it is -1.
        mu_water: Attenuation of water in 1/mm.
    """

    files: tuple[File, ...]
    helix: Helix
    sense: int
    mu_water: float


def scan_of(files: Sequence[File]) -> ProjectionScan:
    """Check the headers of one scan and put their geometry together.

    Args:
        files: Paths and headers, in any order.

    Raises:
        InputError: The files are not one whole helical scan of a supine patient, or an element is missing or wrong.
    """
    ordered = _ordered(files)
    path, first = ordered[0]
    _check_common(ordered)
    position = text(first, "PatientPosition").upper()
    if position not in SENSES:
        raise InputError(
            f"{shown(path)} has the PatientPosition {position!r}, but the axes of projections are known for "
            f"{' and '.join(SENSES)} only; give a scan of a supine patient."
        )
    (mu_water,) = _numbers(path, first, "WaterAttenuationCoefficient", 1)
    if not MU_WATER[0] < mu_water < MU_WATER[1]:
        raise InputError(
            f"{shown(path)} has the WaterAttenuationCoefficient {mu_water:g}, but 1/mm within {MU_WATER} is expected; "
            "correct it."
        )
    sense = SENSES[position]
    return ProjectionScan(tuple(ordered), _helix(ordered, sense), sense, mu_water)


def _ordered(files: Sequence[File]) -> list[File]:
    numbers = [integer(header, "InstanceNumber", path) for path, header in files]
    if len(set(numbers)) < len(numbers):
        raise InputError(
            f"{shown(files[0][0].parent)} holds several projections of one InstanceNumber; give the files of one scan."
        )
    return [files[place] for place in np.argsort(numbers)]


def _check_common(files: Sequence[File]) -> None:
    path, first = files[0]
    names = [name for name in _COMMON if name != "SpectrumIndex" or ELEMENTS[name][0] in first]
    common = {name: _value(path, first, name) for name in names}
    for name, allowed in _EXPECTED.items():
        if common[name] not in allowed:
            raise InputError(
                f"{shown(path)} has the {name} {str(common[name])[:16]!r}, but {' or '.join(allowed)} is expected; "
                "give the line integrals of a helical scan."
            )
    for other, header in files[1:]:
        different = [name for name in names if _value(other, header, name) != common[name]]
        if different or text(header, "PatientPosition") != text(first, "PatientPosition"):
            raise InputError(
                f"{shown(other)} differs from {shown(path)} in {', '.join(different) or 'PatientPosition'}; give the "
                "files of one scan."
            )


def _helix(files: Sequence[File], sense: int) -> Helix:
    path, first = files[0]
    own = np.array([[_numbers(one, header, name, 1)[0] for name in _OWN] for one, header in files])
    phi_rad, z_mm, radius_mm, *shifts = own.T
    phi_rad = np.unwrap(phi_rad)
    _check_course(path, phi_rad, z_mm, radius_mm)
    n_rows, n_columns = (int(_numbers(path, first, f"NumberofDetector{axis}", 1)[0]) for axis in ("Rows", "Columns"))
    dv_mm, du_mm, sdd_mm = (
        _numbers(path, first, name, 1)[0]
        for name in ("DetectorElementAxialSpacing", "DetectorElementTransverseSpacing", "ConstantRadialDistance")
    )
    sod_mm, spots = float(radius_mm.mean()), _spots(path, shifts, sense)
    column, row = _numbers(path, first, "DetectorCentralElement", 2)
    if text(first, "Manufacturer").upper().startswith("GE"):
        column = n_columns - column
    if not (
        min(n_rows, n_columns, dv_mm, du_mm) > 0
        and 0 < sod_mm < sdd_mm < LARGEST_MM
        and n_columns * du_mm < sdd_mm * WIDEST_RAD
        and 0 <= column <= n_columns + 1
        and 0 <= row <= n_rows + 1
        and all(abs(spot.radial_mm) + abs(spot.z_mm) + sod_mm * abs(spot.angle_rad) < sod_mm / 10 for spot in spots)
    ):
        raise InputError(
            f"{shown(path)} describes {n_rows} x {n_columns} elements of {dv_mm:g} x {du_mm:g} mm with the central one "
            f"at ({column:g}, {row:g}), {sod_mm:g} mm before the axis and {sdd_mm:g} mm from the focus, which is no CT "
            "scanner; export it again."
        )
    middle_mm = (sense * ((n_rows + 1) / 2 - row) * dv_mm, sense * ((n_columns + 1) / 2 - column) * du_mm)
    return Helix(
        tuple(-sense * phi_rad), tuple(-sense * z_mm), (n_rows, n_columns), (dv_mm, du_mm), sod_mm, sdd_mm, middle_mm,
        curved=_value(path, first, "DetectorShape") == "CYLINDRICAL", spots=spots,
    )  # fmt: skip


def _check_course(
    path: Path, phi_rad: NDArray[np.float64], z_mm: NDArray[np.float64], radius_mm: NDArray[np.float64]
) -> None:
    """Refuse views that do not follow one another evenly along a helix."""
    folder = shown(path.parent)
    if len(phi_rad) < 8:
        raise InputError(f"{folder} holds {len(phi_rad)} projections; give all of the scan.")
    steps = np.diff(phi_rad)
    usual = float(np.median(steps))
    uneven = np.abs(steps - usual) > 0.5 * abs(usual)
    if usual == 0 or uneven.any():
        raise InputError(
            f"{folder} holds projections whose angles are not even, first after number {int(uneven.argmax()) + 1} of "
            f"{len(phi_rad)}; copy the missing files or take those of other scans out."
        )
    moves = np.diff(z_mm)
    if z_mm[0] == z_mm[-1] or (moves.max() > SAME_MM and moves.min() < -SAME_MM):
        raise InputError(f"{folder} holds projections that do not move steadily along z; give one helical scan.")
    if np.ptp(radius_mm) > SAME_MM:
        raise InputError(f"{folder} holds projections from different distances to the axis; give one helical scan.")


def _spots(path: Path, shifts: Sequence[NDArray[np.float64]], sense: int) -> tuple[FocalSpot, ...]:
    """Find after how many views the shifts of the focal spot come back, and what they are."""
    tolerances = (SAME_RAD, SAME_MM, SAME_MM)
    for period in (1, 2, 4):
        own = [[shift[number::period] for shift in shifts] for number in range(period)]
        if all(np.ptp(shift) <= same for spot in own for shift, same in zip(spot, tolerances, strict=True)):
            means = [[float(shift.mean()) for shift in spot] for spot in own]
            return tuple(FocalSpot(-sense * d_phi, -sense * d_z, d_rho) for d_phi, d_z, d_rho in means)
    raise InputError(
        f"{shown(path.parent)} holds projections whose focal spot does not come back after 1, 2 or 4 views; give all "
        "files of the scan."
    )


def _value(path: Path, header: Dataset, name: str) -> tuple[float, ...] | str:
    try:
        return private_value(header, name)
    except Exception as error:
        raise _missing(path, name) from error


def _numbers(path: Path, header: Dataset, name: str, count: int) -> tuple[float, ...]:
    value = _value(path, header, name)
    if isinstance(value, str) or len(value) != count or not np.isfinite(value).all():
        raise _missing(path, name)
    return value


def _missing(path: Path, name: str) -> InputError:
    group, element = divmod(ELEMENTS[name][0], 0x10000)
    return InputError(f"{shown(path)} has no valid {name} ({group:04X},{element:04X}); export it as DICOM-CT-PD again.")
