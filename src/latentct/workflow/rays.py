"""Slices from the rays of a scan that lacks some: the complete scan, and the image from it."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from latentct.correction.metal import reinsert_metal
from latentct.errors import InputError
from latentct.findings.rays import COVER_MM, RayFindings, find_in_rays
from latentct.geometry import Grid, Scan2D
from latentct.geometry.completion import bin_at_axis_mm
from latentct.io.nifti import grid_affine_lps_mm
from latentct.io.projections import Projections
from latentct.io.scan_geometry import ScanGeometry
from latentct.projectors import make_projector
from latentct.recon import fbp
from latentct.serving import Corrector
from latentct.serving.correction import at_energy
from latentct.serving.limits import check_detector, check_source
from latentct.serving.slices import SliceCorrector
from latentct.tasks import first_reconstruction
from latentct.tasks.metal import rays_beside
from latentct.units import mu_to_hu
from latentct.workflow.ray_settings import inferer_for, refinement_for
from latentct.workflow.slices import FloatArray, SliceResults, among_all

MOST_PIXELS = 512
"""Along a side of an image whose pixels nobody asks for."""
MOST_RAYS = 1 << 24
"""In a wave: what they and their copies take stays below a gigabyte."""


def find(projections: Projections, task: str | None) -> RayFindings:
    """Look at the rays of slices; no model is needed for it.

    Args:
        projections: Of a parallel or fan beam.
        task: What is to be corrected, of `latentct.findings.rays.TASKS`; None for what is found.

    Raises:
        InputError: The scan does not lack what is to be corrected, or its detector or source cannot be used.
    """
    geometry = projections.geometry
    assert isinstance(geometry.scan, Scan2D)
    check_detector(geometry.scan, "the geometry")
    grid = working_grid(image_grid(geometry))
    check_source(geometry.scan, [grid], "the geometry")
    return find_in_rays(projections.y, geometry.scan, geometry.mu_water, grid).asked_for(task)


def rays_method(projections: Projections, task: str | None, corrector: Corrector) -> CorrectedRays:
    """Look at the rays of slices, and make what corrects them.

    Args:
        projections: Of a parallel or fan beam.
        task: See `find`.
        corrector: A bundle of slices.

    Raises:
        InputError: See `find` and `CorrectedRays`.
    """
    return CorrectedRays(projections, find(projections, task), corrector)


def image_grid(geometry: ScanGeometry) -> Grid:
    """Return the pixels of the result: those asked for, else the field of the priors.

    Then they are as wide as the bins are at the axis, which is what the rays resolve, or as 512 a side allow.
    """
    if geometry.image is not None:
        return geometry.image
    assert isinstance(geometry.scan, Scan2D)
    n = min(MOST_PIXELS, 2 * round(COVER_MM / bin_at_axis_mm(geometry.scan) / 2))
    return Grid((n, n), (COVER_MM / n, COVER_MM / n))


def working_grid(image: Grid) -> Grid:
    """Return pixels like those of an image that show at least the field of the priors.

    What explains rays, or is looked for in them, may lie outside of the image that is asked for.
    """
    assert image.center_mm is not None
    sides = zip(image.shape, image.spacing_mm, image.center_mm, strict=True)
    shape = [n + 2 * max(0, math.ceil((COVER_MM / 2 + abs(c)) / step - n / 2 - 1e-6)) for n, step, c in sides]
    return replace(image, shape=tuple(shape))


class CorrectedRays:
    """Slices of a scan of a parallel or fan beam, see `latentct.workflow.slices.SliceMethod`.

    Args:
        projections: As measured.
        findings: What they lack.
        corrector: A bundle of slices, of any task: the settings of the search follow from the findings.

    Raises:
        InputError: The bundle is for volumes, or cannot use the geometry.
    """

    def __init__(self, projections: Projections, findings: RayFindings, corrector: Corrector) -> None:
        method = corrector.method
        if not isinstance(method, SliceCorrector):
            raise InputError(
                "the projections are of a parallel or fan beam, but the bundle makes volumes of cone-beam views; give "
                "the bundle of a slice prior, as lsr_truncation."
            )
        method.check(projections.geometry, "the geometry")
        self.findings = findings
        self.scan = findings.completion.scan
        self.n_slices = len(projections.y)
        self.image = image_grid(projections.geometry)
        self._projections, self._corrector = projections, method
        self._inferer = inferer_for(findings.task, method)
        self.has_spread = bool(self._inferer.n_samples)
        n_views = math.pi / findings.arc.line_step_rad
        self._refinement = refinement_for(findings.task, n_views, max(self.image.spacing_mm), self._inferer, method)
        self.wave = max(1, min(self._inferer.batch_size, MOST_RAYS // math.prod(self.scan.sinogram_shape)))
        device = method.device
        self._projector = make_projector(self.image, self.scan, "auto", device)
        self._whole = make_projector(working_grid(self.image), self.scan, "auto", device)
        self._measured = torch.from_numpy(findings.completion.ray_mask).to(device)
        self._all_rays = self._projector.adjoint(torch.ones(1, 1, *self.scan.sinogram_shape, device=device))
        # Line integrals and attenuation of the prior's energy times this are those of the scan's.
        self._scale = projections.geometry.mu_water / method.mu_water

    @property
    def output_geometry(self) -> ScanGeometry:
        """The geometry of the completed projections."""
        return replace(self._projections.geometry, scan=self.scan, image=self.image)

    @property
    def affine_lps_mm(self) -> NDArray[np.float64]:
        """From voxel indices (z, y, x) of the result to LPS mm."""
        geometry = self._projections.geometry
        shape, spacing_mm, (y_mm, x_mm) = self.image.shape, self.image.spacing_mm, self.image.center_mm or (0.0, 0.0)
        volume = Grid((self.n_slices, *shape), (geometry.slice_mm, *spacing_mm), (0.0, y_mm, x_mm))
        return grid_affine_lps_mm(volume, geometry.isocenter_mm)

    def before(self, slices: slice) -> FloatArray:
        """Return the classical reconstruction of the measured rays, (S, H, W) in HU."""
        measured = self.findings.completion.embed(self._projections.y[slices])
        y = at_energy(measured, self._projections.geometry.mu_water, self._corrector.mu_water)[:, None]
        x_mu = first_reconstruction(y, self._measured.cpu(), self.image, self.scan, self._corrector.mu_water)
        return mu_to_hu(x_mu, self._corrector.mu_water)[:, 0].numpy()

    def measured(self, slices: slice) -> tuple[FloatArray, NDArray[np.bool_]]:
        """Return the measured rays within the complete scan, (S, A, U), and which they are."""
        y = self.findings.completion.embed(self._projections.y[slices])
        return y, np.broadcast_to(self.findings.completion.ray_mask, y.shape)

    def correct(self, slices: slice) -> SliceResults:
        """Correct the slices of a range; see `SliceMethod`."""
        measured = self.findings.completion.embed(self._projections.y[slices])
        y = at_energy(measured, self._projections.geometry.mu_water, self._corrector.mu_water)[:, None]
        y = y.to(self._corrector.device)
        with torch.no_grad():
            ray_mask, metal_mask = self._rays_beside_metal(slices)
            x_mu, y_hat, misfit, trace, spread_mu = self._completed(y, ray_mask)
            x_mu = self._with_metal(x_mu, metal_mask, y)
            share = self._synthesised(ray_mask, len(y))
        x_hu = mu_to_hu(x_mu, self._corrector.mu_water)[:, 0].cpu().numpy()
        if not np.isfinite(x_hu).all():
            raise InputError("the scan gives no finite image; check its geometry, and that the rays fit to it.")
        mask = ray_mask.cpu().numpy()
        mask = mask if mask.ndim == 2 else mask[:, 0]
        filled = np.where(mask, measured, y_hat[:, 0].cpu().numpy() * np.float32(self._scale))
        spread_hu = None if spread_mu is None else (1000 / self._corrector.mu_water * spread_mu)[:, 0].cpu().numpy()
        return SliceResults(x_hu, share, misfit * self._scale, trace * self._scale, spread_hu, filled, mask)

    def _rays_beside_metal(self, slices: slice) -> tuple[Tensor, Tensor | None]:
        """Return the measured rays that do not meet metal, and the metal on the pixels of the image, if any."""
        has_metal = np.flatnonzero(self.findings.metal_mm2[slices] > 0)
        if not len(has_metal):
            return self._measured, None
        n, y = len(range(*slices.indices(self.n_slices))), self._projections.y[slices][has_metal]
        device = self._measured.device
        ray_mask = self._measured.expand(n, 1, *self._measured.shape).clone()
        metal_mask = torch.zeros(n, 1, *self.image.shape, dtype=torch.bool, device=device)
        ray_mask[has_metal] &= rays_beside(self.findings.metal_mask(y, self._whole, device), self._whole)
        metal_mask[has_metal] = self.findings.metal_mask(y, self._projector, device)
        return ray_mask, metal_mask

    def _completed(self, y: Tensor, ray_mask: Tensor) -> tuple[Tensor, Tensor, FloatArray, FloatArray, Tensor | None]:
        """Return slices in 1/mm, complete line integrals, misfit, trace and spread.

        A slice that lacks no ray is left alone. The spread is that of the search, before what refines its result.
        """
        misfit = np.full(len(y), np.nan, np.float32)
        lacks = ~ray_mask.reshape(-1, *self._measured.shape).flatten(1).all(dim=1)
        searched = torch.nonzero(lacks.expand(len(y))).flatten()
        if not len(searched):
            return self._fbp(y), y, misfit, np.empty((0, len(y)), np.float32), self._spread(None, searched, len(y))
        part, mask = y[searched], ray_mask if ray_mask.ndim == 2 else ray_mask[searched]
        projector = self._projector if self._refinement is None else self._whole
        found = self._inferer.reconstruct(part, self._corrector.network, projector=projector, ray_mask=mask)
        y_hat = y.clone()
        y_hat[searched] = found.y_hat
        if self._refinement is not None:
            y_hat[searched] = self._refinement.completed(found.x_mu, part, projector, mask)
        indices = searched.cpu().numpy()
        misfit[indices] = found.misfit.cpu().numpy()
        trace = among_all(found.trace.cpu().numpy(), indices, len(y))
        return self._fbp(y_hat), y_hat, misfit, trace, self._spread(found.x_std_mu, searched, len(y))

    def _spread(self, x_std_mu: Tensor | None, searched: Tensor, n_slices: int) -> Tensor | None:
        """Return the spread of all slices on the pixels of the image; None where none was asked for."""
        if not self.has_spread:
            return None
        spread_mu = torch.zeros(n_slices, 1, *self.image.shape, device=self._corrector.device)
        if x_std_mu is not None:
            rows, columns = ((a - b) // 2 for a, b in zip(x_std_mu.shape[-2:], self.image.shape, strict=True))
            height, width = self.image.shape
            spread_mu[searched] = x_std_mu[..., rows : rows + height, columns : columns + width]
        return spread_mu

    def _with_metal(self, x_mu: Tensor, metal_mask: Tensor | None, y: Tensor) -> Tensor:
        """Put the metal back as `latentct.engines.MethodComparison` does, from the reconstruction that knows it."""
        if metal_mask is None or not bool(metal_mask.any()):
            return x_mu
        first_mu = first_reconstruction(y, self._measured, self.image, self.scan, self._corrector.mu_water)
        return reinsert_metal(x_mu, metal_mask, first_mu)

    def _synthesised(self, ray_mask: Tensor, n_slices: int) -> FloatArray:
        """Return which share of the rays through each pixel was synthesised, each by how much of it is in the pixel."""
        missing = (~ray_mask).float()
        missing = missing[None, None] if missing.ndim == 2 else missing
        through = self._projector.adjoint(missing)
        share = torch.where(self._all_rays > 0, through / self._all_rays, 0.0).clamp(0, 1)
        return share[:, 0].expand(n_slices, -1, -1).cpu().numpy()

    def _fbp(self, y: Tensor) -> Tensor:
        return fbp(y, self.image, self.scan, self._inferer.filter_name)
