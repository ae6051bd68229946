"""Correct the slices of a whole scan into an array that is there already."""

from __future__ import annotations

import numpy as np
from torch import Tensor, nn

from latentct.inferers.lsr import FloatArray, LatentReconstructionInferer
from latentct.projectors import Projector


def correct_volume(
    inferer: LatentReconstructionInferer,
    network: nn.Module,
    y: Tensor | FloatArray,
    *,
    projector: Projector,
    ray_mask: Tensor,
    x_mu: FloatArray,
) -> FloatArray:
    """Correct a scan of any number of slices in the memory of one wave.

    Input and output may lie on disk (`numpy.memmap`, or `numpy.load(..., mmap_mode="r")`); the slices of a wave are
    read, searched and written before the next wave is read.

    Args:
        inferer: the search; its `batch_size` is the number of slices of a wave.
        network: the prior, see `LatentReconstructionInferer.reconstruct`.
        y: line integrals (S, 1, A, U), float32; what is not measured is not read.
        projector: of a parallel or fan beam; its grid is that of the result.
        ray_mask: bool (A, U) or (S, 1, A, U), True = measured.
        x_mu: where the corrected slices are written, (S, 1, H, W), float32, in 1/mm.

    Returns:
        Root mean squared misfit of the measured rays of each slice, (S,).

    Raises:
        ValueError: `x_mu` does not have the shape of the result.
        InputError: no ray of the scan, or of a slice, was measured.
    """
    expected = (len(y), 1, *projector.grid.shape)
    if x_mu.shape != expected:
        raise ValueError(f"the array for the corrected slices has shape {x_mu.shape}, not {expected}")
    n_waves = inferer.n_waves(len(y))
    misfit = np.empty(len(y), np.float32)
    waves = inferer.waves(y, network, projector=projector, ray_mask=ray_mask)
    for wave, found in enumerate(waves):
        x_mu[wave::n_waves] = found.x_mu.cpu().numpy()
        misfit[wave::n_waves] = found.misfit.cpu().numpy()
    return misfit
