"""From the stored order (slice, row, column) to patient axes and back, without resampling."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

PATIENT_AXES = (2, 1, 0)  # of LPS (x, y, z), for the array axes (z, y, x)


@dataclass(frozen=True)
class Turn:
    """Which stored axis becomes which axis of the patient, and which are reversed.

    Attributes:
        order: Stored axis of each patient axis (z, y, x).
        flips: Patient axes that are reversed.
    """

    order: tuple[int, int, int]
    flips: tuple[int, ...]

    def to_patient(
        self, volume: NDArray[np.generic], affine_lps_mm: NDArray[np.float64]
    ) -> tuple[NDArray[np.generic], NDArray[np.float64]]:
        """Turn a stored volume and its affine."""
        affine = affine_lps_mm[:, [*self.order, 3]]
        return np.flip(volume.transpose(self.order), self.flips), self._flipped(affine, self.shape(volume.shape))

    def to_stored(
        self, volume: NDArray[np.generic], affine_lps_mm: NDArray[np.float64]
    ) -> tuple[NDArray[np.generic], NDArray[np.float64]]:
        """Turn a volume in patient axes and its affine back."""
        back = np.argsort(self.order)
        affine = self._flipped(affine_lps_mm, volume.shape)
        return np.flip(volume, self.flips).transpose(back), affine[:, [*back, 3]]

    def shape(self, stored: tuple[int, ...]) -> tuple[int, ...]:
        """Shape in patient axes of a stored shape."""
        return tuple(stored[axis] for axis in self.order)

    def _flipped(self, affine: NDArray[np.float64], shape: tuple[int, ...]) -> NDArray[np.float64]:
        flipped = affine.copy()
        for axis in self.flips:
            flipped[:3, 3] += affine[:3, axis] * (shape[axis] - 1)
            flipped[:3, axis] *= -1
        return flipped


def turn_of(affine_lps_mm: NDArray[np.float64]) -> Turn:
    """Find the turn for an affine whose columns lie near the axes, each near another one."""
    directions = affine_lps_mm[:3, :3] / np.linalg.norm(affine_lps_mm[:3, :3], axis=0)
    order = tuple(int(np.abs(directions[axis]).argmax()) for axis in PATIENT_AXES)
    flips = tuple(place for place, axis in enumerate(PATIENT_AXES) if directions[axis, order[place]] < 0)
    return Turn((order[0], order[1], order[2]), flips)
