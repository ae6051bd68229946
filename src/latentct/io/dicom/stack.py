"""Slices in order of position: duplicates, gaps and tilt, and the affine of the stack."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from latentct.errors import InputError
from latentct.io.dicom.headers import floats
from latentct.io.dicom.slices import Slice

SAME_PLACE_MM = 1e-3
MAX_UNEVEN = 0.01  # of the spacing
ROUNDED_MM = 0.011  # positions written with two decimals
MAX_OBLIQUE_DEG = 1.0
MAX_TILT_DEG = 35.0


@dataclass(frozen=True, eq=False)
class Stack:
    """Slices in the order of their positions.

    Attributes:
        slices: In ascending order along the normal of the first.
        affine_lps_mm: 4 x 4, from (slice, row, column) to LPS mm; sheared where the gantry was tilted.
        tilt_deg: Angle between the normal of the slices and the direction in which they are stacked.
    """

    slices: tuple[Slice, ...]
    affine_lps_mm: NDArray[np.float64]
    tilt_deg: float


def by_position(slices: Sequence[Slice]) -> list[list[Slice]]:
    """Sort slices along their normal and put those of the same position together.

    Raises:
        InputError: If the slices differ in size, pixel spacing or orientation.
    """
    first = slices[0]
    for name, same in (
        ("sizes", all(one.shape == first.shape for one in slices)),
        ("pixel spacings", all(np.allclose(one.spacing_mm, first.spacing_mm, rtol=1e-4) for one in slices)),
        ("orientations", all(np.allclose(one.directions, first.directions, atol=1e-3) for one in slices)),
    ):
        if not same:
            raise InputError(f"The series mixes slices of different {name}; take the others out of the folder.")
    normal = np.cross(*first.directions)
    ordered = sorted(slices, key=lambda one: float(np.dot(one.position_mm, normal)))
    places = [[ordered[0]]]
    for one in ordered[1:]:
        if np.abs(one.position_mm - places[-1][0].position_mm).max() < SAME_PLACE_MM:
            places[-1].append(one)
        else:
            places.append([one])
    return places


def stacked(slices: Sequence[Slice]) -> Stack:
    """Check that ordered slices are one even stack along a scanner's axes.

    Raises:
        InputError: If the slices are unevenly spaced, oblique, or not one behind the other.
    """
    first = slices[0]
    normal = np.cross(*first.directions)
    step_mm = _step_mm(slices, normal)
    tilt_deg = _angle_deg(step_mm, normal)
    _check_axes(first.directions, step_mm, tilt_deg)
    affine = np.eye(4)
    affine[:3, 0] = step_mm
    affine[:3, 1] = first.directions[1] * first.spacing_mm[0]
    affine[:3, 2] = first.directions[0] * first.spacing_mm[1]
    affine[:3, 3] = first.position_mm
    return Stack(tuple(slices), affine, tilt_deg if tilt_deg > 0.01 else 0.0)


def _step_mm(slices: Sequence[Slice], normal: NDArray[np.float64]) -> NDArray[np.float64]:
    """The vector from slice to slice, after a check that it is the same everywhere."""
    if len(slices) == 1:
        one = slices[0]
        (thickness_mm,) = floats(one.values, "SliceThickness", 1, one.path)
        if not 0 < thickness_mm < 1000:
            raise InputError(f"The slice has a SliceThickness of {thickness_mm:g} mm; it must be above 0.")
        return normal * thickness_mm
    positions = np.array([one.position_mm for one in slices])
    steps = np.diff(positions, axis=0)
    usual = np.median(np.linalg.norm(steps, axis=1))
    uneven = np.linalg.norm(steps - np.median(steps, axis=0), axis=1) > max(MAX_UNEVEN * usual, ROUNDED_MM)
    if uneven.any():
        raise InputError(
            f"The series is not evenly spaced: {uneven.sum()} of {len(steps)} steps between its {len(slices)} slices "
            f"differ from {usual:.3f} mm by more than 1 %, first after slice {int(uneven.argmax()) + 1}; copy the "
            "missing slices or give a series of one spacing."
        )
    return (positions[-1] - positions[0]) / len(steps)


def _check_axes(directions: NDArray[np.float64], step_mm: NDArray[np.float64], tilt_deg: float) -> None:
    """Slices along the axes of the scanner, or tilted about their rows and stacked along an axis."""
    tilted = tilt_deg > MAX_OBLIQUE_DEG
    lines = (directions[0], step_mm) if tilted else (*directions, step_mm)
    oblique = max(_angle_deg(line, _axis(line)) for line in lines)
    n_axes = len({int(_axis(line).argmax()) for line in lines})
    if oblique > MAX_OBLIQUE_DEG or tilt_deg > MAX_TILT_DEG or n_axes < len(lines):
        raise InputError(
            f"The series is oblique: its slices stand {max(oblique, tilt_deg):.1f} degrees off the axes of the "
            f"scanner, where {MAX_OBLIQUE_DEG:.0f} is allowed beside a tilt of the gantry up to {MAX_TILT_DEG:.0f}; "
            "give the slices as they were scanned."
        )


def _axis(line: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.eye(3)[int(np.abs(line).argmax())]


def _angle_deg(line: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    """Angle between two lines, from 0 to 90 degrees."""
    cosine = abs(np.dot(line, other)) / (np.linalg.norm(line) * np.linalg.norm(other))
    return float(np.degrees(np.arccos(min(1.0, cosine))))
