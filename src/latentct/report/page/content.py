"""What a page shows: arrays and sentences. No header of a scan fits in, so none can leak."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Rows = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Volumes:
    """The image before and after the correction, in the patient axes of CONVENTIONS.md.

    Args:
        before_hu: image of the measured rays alone, (D, H, W) in HU.
        after_hu: corrected image, (D, H, W) in HU.
        affine_lps_mm: from voxel indices (z, y, x) to LPS mm, (4, 4).
        synthesised: True where a voxel rests on synthesised rays, (D, H, W); None where nobody worked it out.
        uncertainty_hu: spread of the corrected image, (D, H, W) in HU; None where the method has none.
        first_slice: slice that is shown first; None: the middle one, or one with synthesised voxels.
    """

    before_hu: NDArray[np.float32]
    after_hu: NDArray[np.float32]
    affine_lps_mm: NDArray[np.float64]
    synthesised: NDArray[np.bool_] | None = None
    uncertainty_hu: NDArray[np.float32] | None = None
    first_slice: int | None = None


@dataclass(frozen=True)
class Sinogram:
    """Line integrals `y` (A, U) of one corrected slice; `ray_mask` (A, U) is True where they were measured."""

    y: NDArray[np.float32]
    ray_mask: NDArray[np.bool_]
    caption: str


@dataclass(frozen=True)
class Convergence:
    """What a search minimised, (searches, steps), all positive; each row is one slice or one batch of slices."""

    objective: NDArray[np.float64]
    caption: str


@dataclass(frozen=True)
class Table:
    """Figures by row; the first column names the row."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class PageContent:
    """All that a page shows.

    Args:
        task: what was corrected, as a title.
        date: when it was done.
        software: program and version.
        statement: one sentence on what was measured and what was imagined.
        findings: sentences on what was found in the input.
        volumes: what the viewer shows.
        geometry: names and values of the scan.
        method: names and values of the correction.
        provenance: names and values of versions and hashes.
        figures: numbers that were worked out, if any.
        sinogram: one slice's rays, if it is to be shown.
        convergence: how the search went, if there was one.
    """

    task: str
    date: str
    software: str
    statement: str
    findings: tuple[str, ...]
    volumes: Volumes
    geometry: Rows
    method: Rows
    provenance: Rows
    figures: Table | None = None
    sinogram: Sinogram | None = None
    convergence: Convergence | None = None
