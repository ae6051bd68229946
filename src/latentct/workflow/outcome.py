"""What a correction gives: the image, what of it is imagined, and how it came about."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from latentct.io.image import CTImage
from latentct.io.projections import Projections
from latentct.report.page import Convergence, Sinogram

SYNTHESISED_SHARE = 0.25
"""Share of the rays through a voxel that must be synthesised for it to count as synthesised."""

Rows = tuple[tuple[str, str], ...]


@dataclass(frozen=True, eq=False)
class Outcome:
    """A corrected scan. Nothing of it but `after.source` may hold patient data.

    Attributes:
        task: what was corrected.
        statement: what was measured and what was imagined, a sentence.
        findings: what was found in the scan, sentences.
        model: bundle that corrected, see `latentct.serving.Corrector.model`.
        input_sha256: hash of the values that came in.
        before: the image of the measured rays alone, on the voxels of `after`.
        after: the corrected image.
        synthesised: share of the rays through each voxel that were synthesised, 0 to 1, (D, H, W); None of volumes
            from cone-beam views, where no voxel rests on measured rays alone.
        spread_hu: standard deviation over samples in HU, (D, H, W); None without samples.
        geometry: names and values of the scan.
        method: names and values of the correction.
        figures: numbers by name, as the result's JSON file and MLflow have them.
        shown_slice: the slice with most to show; None: the middle one.
        sinogram: its rays.
        convergence: how the search went.
        projections: completed line integrals, where rays were given.
        failed: why slices were left as they are, by index.
    """

    task: str
    statement: str
    findings: tuple[str, ...]
    model: dict[str, Any]
    input_sha256: str
    before: CTImage
    after: CTImage
    synthesised: NDArray[np.float32] | None
    spread_hu: NDArray[np.float32] | None
    geometry: Rows
    method: Rows
    figures: dict[str, float]
    shown_slice: int | None = None
    sinogram: Sinogram | None = None
    convergence: Convergence | None = None
    projections: Projections | None = None
    failed: dict[int, str] = field(default_factory=dict)
