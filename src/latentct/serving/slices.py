"""Scans of slices, corrected by the latent search of a bundle as its `inference` does."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from monai.data import list_data_collate
from numpy.typing import NDArray
from torch import Tensor

from latentct import keys as K
from latentct.correction.metal import reinsert_metal
from latentct.engines import ScanPrepareBatch
from latentct.engines.measurement import Measurement
from latentct.errors import InputError
from latentct.geometry import Grid, Scan2D
from latentct.inferers import LatentReconstructionInferer, UNetCompletion
from latentct.io.nifti import LPS_FROM_RAS, grid_affine_lps_mm
from latentct.io.projections import Projections
from latentct.io.scan_geometry import ScanGeometry
from latentct.projectors import make_projector
from latentct.recon import fbp, plane_scan
from latentct.serving.correction import Correction, at_energy, image_hu, spread_hu
from latentct.serving.image import preprocessed
from latentct.serving.limits import MAX_PIXELS, check_count, check_detector, check_size, check_source
from latentct.simulate import truncate
from latentct.tasks import Metal


class SliceCorrector:
    """Correct slices by latent space reconstruction.

    Args:
        content: parsed entries of a bundle's `inference.yaml` by id: `network`, `inferer`, `task`, `scan`, `grid`,
            `mu_water`, `preprocessing`, `prepare_batch`, `device`; and `completion` where there is one.

    Attributes:
        completion: the first guess of slices that their field of view cuts, see `latentct.inferers.UNetCompletion`;
            None: the bundle has none.
    """

    ids = ("network", "inferer", "task", "scan", "grid", "mu_water", "preprocessing", "prepare_batch", "device")
    optional_ids: tuple[str, ...] = ("completion",)

    def __init__(self, content: dict[str, Any]) -> None:
        self.network = content["network"]
        self.completion: UNetCompletion | None = content.get("completion")
        self.inferer: LatentReconstructionInferer = content["inferer"]
        self.task = content["task"]
        self.grid: Grid = content["grid"]
        self.mu_water: float = content["mu_water"]
        self.preprocessing = content["preprocessing"]
        self.prepare_batch: ScanPrepareBatch = content["prepare_batch"]
        self.device: torch.device = content["device"]
        self.geometry = ScanGeometry(content["scan"], self.mu_water)

    def check(self, geometry: ScanGeometry, name: str) -> None:
        """Raise an InputError if the geometry is none of slices, or its detector, image or source cannot be used."""
        scan = geometry.scan
        if not isinstance(scan, Scan2D):
            raise InputError(f"{name} describes a cone beam, but this model corrects slices; give 'parallel' or 'fan'.")
        check_detector(scan, name)
        image = geometry.image or self.grid
        check_count(max(image.shape), MAX_PIXELS, "pixels along a side of the image", name)
        check_source(scan, (image, self.grid), name)

    def correct(self, projections: Projections, ray_mask: NDArray[np.bool_] | None) -> Correction:
        """Correct line integrals (S, A, U), onto the pixels that the geometry asks for or those of the prior.

        Args:
            projections: with a geometry that has passed `check`.
            ray_mask: measured rays (A, U); None takes those that the bundle's task leaves.

        Raises:
            InputError: the image is too large, or the task leaves no ray, or none to synthesise.
        """
        geometry, n_slices = projections.geometry, len(projections.y)
        image = geometry.image or self.grid
        check_size(4 * n_slices * image.shape[0] * image.shape[1], "the corrected image")
        y = at_energy(projections.y, geometry.mu_water, self.mu_water)[:, None].to(self.device)
        projector = make_projector(image, geometry.scan, "auto", str(self.device))
        mask = self.task.ray_mask(y, projector) if ray_mask is None else torch.from_numpy(ray_mask).to(self.device)
        measurement = Measurement(truncate(y, mask), mask, projector)
        volume = Grid((n_slices, *image.shape), (geometry.slice_mm, *image.spacing_mm))
        affine_lps_mm = grid_affine_lps_mm(volume, geometry.isocenter_mm)
        return self._corrected(measurement, y, affine_lps_mm)

    def correct_image(self, voxels: NDArray[np.float32], affine: NDArray[np.float64], sha256: str) -> Correction:
        """Scan a volume by the bundle's own protocol, and correct the scan.

        Args:
            voxels: in HU, axes in any order.
            affine: from voxel indices to RAS mm.
            sha256: hash of the file, from which noise and implants follow.
        """
        batch: Any = list_data_collate([preprocessed(self.preprocessing, voxels, affine, sha256)])
        affine = np.asarray(batch[K.IMAGE].affine, dtype=np.float64).reshape(4, 4)
        self.prepare_batch(batch, self.device)
        measurement, as_measured = self.prepare_batch.measurement, self.prepare_batch.as_measured
        assert measurement is not None and as_measured is not None
        return self._corrected(measurement, as_measured, LPS_FROM_RAS @ affine)

    def _corrected(self, measurement: Measurement, y: Tensor, affine_lps_mm: NDArray[np.float64]) -> Correction:
        projector, ray_mask = measurement.projector, measurement.ray_mask
        with torch.no_grad():
            found = self.inferer.reconstruct(measurement.y, self.network, projector=projector, ray_mask=ray_mask)
        x_mu = found.x_mu
        if isinstance(self.task, Metal):  # as `latentct.engines.MethodComparison` puts it back
            first_mu = fbp(y, projector.grid, plane_scan(projector), self.inferer.filter_name)
            x_mu = reinsert_metal(x_mu, self.task.metal_mask(y, projector), first_mu)
        std_hu = spread_hu(found.x_std_mu, self.mu_water)
        measured = ray_mask.cpu().numpy()
        return Correction(
            image_hu(x_mu, self.mu_water)[:, 0],
            affine_lps_mm,
            measured if measured.ndim == 2 else measured[:, 0],
            found.y_hat[:, 0].cpu().numpy(),
            found.misfit.cpu().numpy(),
            _sentence(measured),
            None if std_hu is None else std_hu[:, 0],
        )


def _sentence(ray_mask: NDArray[np.bool_]) -> str:
    measured = 100 * float(ray_mask.mean())
    return (
        f"{measured:.1f} % of the rays were measured and are in the image as they came; the other {100 - measured:.1f} "
        "% were synthesised by a model of other patients: what only they show is a guess, no finding."
    )
