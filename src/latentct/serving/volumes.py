"""Volumes from a few cone-beam views, reconstructed by the sampler of a bundle as its `inference` does."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from monai.data import list_data_collate
from numpy.typing import NDArray

from latentct.engines import PatientPrepareBatch
from latentct.engines.few_view_scan import VIEWS
from latentct.engines.measurement import Measurement
from latentct.errors import InputError
from latentct.geometry import Grid
from latentct.inferers import FewViewInferer
from latentct.io.nifti import grid_affine_lps_mm
from latentct.io.projections import Projections, check_scan
from latentct.io.scan_geometry import ScanGeometry
from latentct.projectors import make_projector
from latentct.serving.correction import Correction, at_energy, image_hu, spread_hu
from latentct.serving.image import preprocessed


class VolumeCorrector:
    """Reconstruct volumes from few views.

    Args:
        content: parsed entries of a bundle's `inference.yaml` by id: `network`, `sampler`, `simulated_scan`, `grid`,
            `mu_water`, `preprocessing`, `prepare_batch`, `device`.
    """

    ids = ("network", "sampler", "simulated_scan", "grid", "mu_water", "preprocessing", "prepare_batch", "device")
    optional_ids: tuple[str, ...] = ()

    def __init__(self, content: dict[str, Any]) -> None:
        self.network = content["network"]
        self.sampler: FewViewInferer = content["sampler"]
        self.grid: Grid = content["grid"]
        self.mu_water: float = content["mu_water"]
        self.preprocessing = content["preprocessing"]
        self.prepare_batch: PatientPrepareBatch = content["prepare_batch"]
        self.device: torch.device = content["device"]
        self.geometry = ScanGeometry(content["simulated_scan"], self.mu_water)

    def check(self, geometry: ScanGeometry, name: str) -> None:
        """Raise an InputError if the geometry is no cone beam, or its views cannot be used."""
        check_scan(geometry.scan, self.grid, VIEWS, name)

    def correct(self, projections: Projections, ray_mask: NDArray[np.bool_] | None) -> Correction:
        """Reconstruct line integrals (A, V, U), all of them measured.

        Args:
            projections: with a geometry that has passed `check`.
            ray_mask: must be None.

        Raises:
            InputError: there is a mask.
        """
        if ray_mask is not None:
            raise InputError("ray_mask is for models that correct slices; leave it out, or leave out whole views.")
        geometry = projections.geometry
        y = at_energy(projections.y, geometry.mu_water, self.mu_water)[None, None].to(self.device)
        projector = make_projector(self.grid, geometry.scan, "auto", self.device)
        affine_lps_mm = grid_affine_lps_mm(self.grid, geometry.isocenter_mm)
        return self._corrected(Measurement.complete(y, projector), affine_lps_mm)

    def correct_image(self, voxels: NDArray[np.float32], affine: NDArray[np.float64], sha256: str) -> Correction:
        """Take views of a volume by the bundle's own protocol, and reconstruct it from them.

        Args:
            voxels: in HU, axes in any order.
            affine: from voxel indices to RAS mm.
            sha256: hash of the file, from which the noise follows.
        """
        batch: Any = list_data_collate([preprocessed(self.preprocessing, voxels, affine, sha256)])
        self.prepare_batch(batch, self.device)
        scan = self.prepare_batch.scan
        assert scan is not None
        return self._corrected(scan.measurement, scan.affine_lps_mm)

    def _corrected(self, measurement: Measurement, affine_lps_mm: NDArray[np.float64]) -> Correction:
        projector, ray_mask = measurement.projector, measurement.ray_mask
        found = self.sampler.reconstruct(measurement.y, self.network, projector=projector, ray_mask=ray_mask)
        std_hu = spread_hu(found.x_std_mu, self.mu_water)
        return Correction(
            image_hu(found.x_mu, self.mu_water)[0, 0],
            affine_lps_mm,
            ray_mask.cpu().numpy(),
            measurement.y[0, 0].cpu().numpy(),
            found.residual.float().cpu().numpy(),
            f"All {len(ray_mask)} views were measured, but they leave most of the volume open; that was imagined by a "
            "model of other patients, so it is a guess and no finding, and most so where the samples differ.",
            None if std_hu is None else std_hu[0, 0],
        )
