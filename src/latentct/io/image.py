"""A CT image in patient axes, whatever file it came from."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from latentct.geometry import Grid


@dataclass(frozen=True, eq=False)
class CTImage:
    """A CT volume, and what a writer needs to derive a result from it.

    Attributes:
        x_hu: Shape (D, H, W), HU; the indices grow towards superior, posterior and patient left.
        affine_lps_mm: 4 x 4, from voxel indices (z, y, x) to LPS mm in the order (x, y, z).
        padding: Shape (D, H, W), True = not reconstructed by the scanner, so that its HU mean nothing; None where
            the file marks no such voxel.
        source: What a writer of the same format needs from the files that were read. It may hold patient data and is
            never shown.
    """

    x_hu: NDArray[np.float32]
    affine_lps_mm: NDArray[np.float64]
    padding: NDArray[np.bool_] | None = None
    source: object = field(default=None, repr=False)

    @property
    def spacing_mm(self) -> tuple[float, float, float]:
        """Distances (dz, dy, dx) between neighbouring voxels, in mm."""
        dz, dy, dx = np.linalg.norm(self.affine_lps_mm[:3, :3], axis=0)
        return float(dz), float(dy), float(dx)

    @property
    def grid(self) -> Grid:
        """The voxels (z, y, x) about the middle of the image."""
        return Grid(self.x_hu.shape, self.spacing_mm)
