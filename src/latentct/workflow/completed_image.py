"""Images of a body that is cut by the field of view, completed by the prior where no ray is left."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from latentct.findings import Findings, rays_through_field, virtual_scan
from latentct.findings.rays import COVER_MM
from latentct.inferers import LatentReconstruction
from latentct.inferers.known_pixels import complete_slices
from latentct.io.image import CTImage
from latentct.projectors import make_projector
from latentct.serving.slices import SliceCorrector
from latentct.transforms.grid import resample_slices
from latentct.units import hu_to_mu, mu_to_hu
from latentct.workflow.frame import AIR_HU, frame_of
from latentct.workflow.slices import FloatArray, SliceResults, among_all

ALL_KNOWN = 0.999


class CompletedImage:
    """Slices of an image with what lies beside its field of view, see `latentct.workflow.slices.SliceMethod`.

    Pixels in the field stay as they are. In slices whose body is cut the others are searched for in the prior; in the
    rest they are air.

    Args:
        image: in HU.
        findings: what was found in it.
        corrector: prior and search.
    """

    def __init__(self, image: CTImage, findings: Findings, corrector: SliceCorrector) -> None:
        self.n_slices = len(image.x_hu)
        self.wave = corrector.inferer.batch_size
        self.frame = frame_of(image, findings)
        self.image = self.frame.plane
        self.has_spread = bool(corrector.inferer.n_samples)
        self.scan = virtual_scan(findings.grid, findings.field, COVER_MM).scan
        self._findings, self._corrector, self._mu_water = findings, corrector, corrector.mu_water
        known = torch.from_numpy(self.frame.known).float()
        self._known = resample_slices(known, self.frame.plane, corrector.grid, 0.0) > ALL_KNOWN

    @property
    def affine_lps_mm(self) -> NDArray[np.float64]:
        """From voxel indices (z, y, x) of the result to LPS mm."""
        return self.frame.affine_lps_mm

    def before(self, slices: slice) -> FloatArray:
        """Return the slices of a range as they came, (S, H, W) in HU, air about them."""
        return self.frame.slices_hu(np.arange(slices.start, slices.stop))

    def correct(self, slices: slice) -> SliceResults:
        """Correct the slices of a range; see `SliceMethod`."""
        return self.correct_some(np.arange(slices.start, slices.stop))

    def correct_some(self, indices: NDArray[np.intp]) -> SliceResults:
        """Correct slices by their indices."""
        x_hu = self.frame.slices_hu(indices)
        cut = np.flatnonzero(self._findings.cut.slices[indices])
        misfit, trace = np.full(len(x_hu), np.nan, np.float32), np.empty((0, len(x_hu)), np.float32)
        spread_hu = np.zeros_like(x_hu) if self.has_spread else None
        if len(cut):
            found = self._completed(torch.from_numpy(x_hu[cut])[:, None])
            x_hu[cut] = np.where(self.frame.known, x_hu[cut], self._fine(mu_to_hu(found.x_mu, self._mu_water), AIR_HU))
            misfit[cut] = found.misfit.cpu().numpy()
            trace = among_all(found.trace.cpu().numpy(), cut, len(x_hu))
            if spread_hu is not None and found.x_std_mu is not None:
                spread_hu[cut] = np.where(self.frame.known, 0, self._fine(1000 / self._mu_water * found.x_std_mu, 0.0))
        synthesised = np.broadcast_to(np.float32(~self.frame.known), x_hu.shape)
        return SliceResults(x_hu, synthesised, misfit, trace, spread_hu)

    def sinogram(self, x_hu: FloatArray) -> tuple[FloatArray, NDArray[np.bool_]]:
        """Return the rays (A, U) of a corrected slice (H, W) in a virtual scan, and which of them meet the field."""
        projector = make_projector(self.frame.plane, self.scan)
        y = projector(hu_to_mu(torch.from_numpy(x_hu)[None, None], self._mu_water).clamp_min(0.0))
        return y[0, 0].numpy(), rays_through_field(self._findings, self.scan).numpy()

    def _completed(self, x_hu: Tensor) -> LatentReconstruction:
        """Return what completes slices (S, 1, H, W) of the frame, on the prior's grid."""
        corrector = self._corrector
        coarse_hu = resample_slices(x_hu.clamp_min(AIR_HU), self.frame.plane, corrector.grid, AIR_HU)
        coarse_mu = hu_to_mu(coarse_hu, self._mu_water).to(corrector.device)
        return complete_slices(corrector.inferer, corrector.network, coarse_mu, self._known, corrector.completion)

    def _fine(self, coarse: Tensor, outside: float) -> FloatArray:
        """Return slices (S, 1, H', W') of the prior's grid on that of the frame, (S, H, W)."""
        return resample_slices(coarse.cpu(), self._corrector.grid, self.frame.plane, outside)[:, 0].numpy()
