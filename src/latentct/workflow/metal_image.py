"""Images with metal, whose rays beside the metal are explained by the prior in a virtual scan."""

from __future__ import annotations

import copy
import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from latentct.findings import Findings, VirtualScan, virtual_scan, with_changed_rays
from latentct.findings.rays import COVER_MM
from latentct.geometry import Grid
from latentct.io.image import CTImage
from latentct.projectors import make_projector
from latentct.serving.slices import SliceCorrector
from latentct.tasks.metal import rays_beside
from latentct.units import hu_to_mu
from latentct.workflow.completed_image import CompletedImage
from latentct.workflow.rays import MOST_RAYS
from latentct.workflow.slices import FloatArray, SliceResults, among_all


class MetalReducedImage:
    """Slices of an image without the streaks of their metal, see `latentct.workflow.slices.SliceMethod`.

    The image is projected, because its raw data are gone; rays through metal are synthesised; and what that changes is
    added to the image. The metal itself stays as it is, as do slices without metal and what the scanner did not
    reconstruct. A body that is cut is completed first, for the rays of the virtual scan go through all of it.

    Args:
        image: in HU.
        findings: what was found in it.
        corrector: prior and search.
    """

    def __init__(self, image: CTImage, findings: Findings, corrector: SliceCorrector) -> None:
        self.n_slices = len(image.x_hu)
        self._image, self._findings, self._corrector = image, findings, corrector
        self.image = Grid(image.grid.shape[1:], image.grid.spacing_mm[1:])
        self._whole = CompletedImage(image, findings, _without_samples(corrector))
        frame = self._whole.frame
        is_cut = bool(findings.cut.slices.any())
        scan = virtual_scan(findings.grid, findings.field, COVER_MM if is_cut else 0.0).scan
        self._virtual = VirtualScan(frame.plane, scan)
        self.scan = scan
        self._inferer = copy.copy(corrector.inferer)
        self._inferer.progress = False
        self.has_spread = bool(self._inferer.n_samples)
        self.wave = max(1, min(self._inferer.batch_size, MOST_RAYS // math.prod(scan.sinogram_shape)))
        self._projector = make_projector(frame.plane, scan, "auto", str(corrector.device))
        ones = torch.ones(1, 1, *scan.sinogram_shape, device=corrector.device)
        self._all_rays = self._projector.adjoint(ones)

    @property
    def affine_lps_mm(self) -> NDArray[np.float64]:
        """From voxel indices (z, y, x) of the result to LPS mm."""
        return self._image.affine_lps_mm

    def before(self, slices: slice) -> FloatArray:
        """Return the slices of a range as they came, (S, H, W) in HU."""
        return self._image.x_hu[slices]

    def correct(self, slices: slice) -> SliceResults:
        """Correct the slices of a range; see `SliceMethod`."""
        x_hu = self._image.x_hu[slices].copy()
        synthesised = np.zeros_like(x_hu)
        misfit, trace = np.full(len(x_hu), np.nan, np.float32), np.empty((0, len(x_hu)), np.float32)
        has_metal = np.flatnonzero(self._findings.metal.slices[slices])
        spread_hu = np.zeros_like(x_hu) if self.has_spread else None
        if len(has_metal):
            part = self._reduced(slices, has_metal)
            x_hu[has_metal], synthesised[has_metal], misfit[has_metal] = part.x_hu, part.synthesised, part.misfit
            trace = among_all(part.trace, has_metal, len(x_hu))
            if spread_hu is not None and part.spread_hu is not None:
                spread_hu[has_metal] = part.spread_hu
        return SliceResults(x_hu, synthesised, misfit, trace, spread_hu)

    def sinogram(self, index: int) -> tuple[FloatArray, NDArray[np.bool_]]:
        """Return the completed rays (A, U) of a slice in the virtual scan, and which of them the image has."""
        slices = slice(index, index + 1)
        y, ray_mask, _ = self._rays(slices, np.array([0]))
        found = self._inferer.reconstruct(y, self._corrector.network, projector=self._projector, ray_mask=ray_mask)
        return found.y_hat[0, 0].cpu().numpy(), ray_mask[0, 0].cpu().numpy()

    def _reduced(self, slices: slice, chosen: NDArray[np.intp]) -> SliceResults:
        frame, mu_water = self._whole.frame, self._corrector.mu_water
        y, ray_mask, x_hu = self._rays(slices, chosen)
        with torch.no_grad():
            found = self._inferer.reconstruct(y, self._corrector.network, projector=self._projector, ray_mask=ray_mask)
            changed = with_changed_rays(x_hu, y, found.y_hat, self._virtual, mu_water)
            share = self._projector.adjoint((~ray_mask).float()) / self._all_rays.clamp_min(1e-6)
        before_hu, metal = self._image.x_hu[slices][chosen], self._findings.metal.mask[slices][chosen]
        own = frame.on_image(np.broadcast_to(frame.known, changed.shape[1:]))[0]
        keep = metal | ~own
        after_hu = np.where(keep, before_hu, frame.on_image(changed[:, 0].cpu().numpy()))
        share_on_image = frame.on_image(share.clamp(0, 1)[:, 0].cpu().numpy())
        spread_hu = None
        if found.x_std_mu is not None:
            spread_hu = np.where(keep, 0, frame.on_image((1000 / mu_water * found.x_std_mu)[:, 0].cpu().numpy()))
        misfit, trace = found.misfit.cpu().numpy(), found.trace.cpu().numpy()
        return SliceResults(after_hu, np.where(keep, 0, share_on_image), misfit, trace, spread_hu)

    def _rays(self, slices: slice, chosen: NDArray[np.intp]) -> tuple[Tensor, Tensor, Tensor]:
        """Return line integrals, which of them meet no metal, and the slices in HU, (S, 1, ., .) each."""
        device = self._corrector.device
        indices = slices.start + chosen
        whole_hu = self._whole.correct_some(indices).x_hu
        metal = self._whole.frame.on_frame(self._findings.metal.mask[indices], False)
        x_hu = torch.from_numpy(whole_hu)[:, None].to(device)
        with torch.no_grad():
            y = self._projector(hu_to_mu(x_hu, self._corrector.mu_water).clamp_min(0.0))
            ray_mask = rays_beside(torch.from_numpy(metal)[:, None].to(device), self._projector)
        return y, ray_mask, x_hu


def _without_samples(corrector: SliceCorrector) -> SliceCorrector:
    """Return a corrector that does no further searches: what is completed on the way has no spread to tell."""
    plain = copy.copy(corrector)
    plain.inferer = copy.copy(corrector.inferer)
    plain.inferer.n_samples = 0
    return plain
