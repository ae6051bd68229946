"""Metal in slices whose rays may be few."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from scipy import ndimage

from latentct.geometry import field_of_measurement_mask
from latentct.geometry.completion import Completion
from latentct.projectors import Projector
from latentct.tasks import Metal


def metal_in_rays(
    y: npt.NDArray[np.float32],
    completion: Completion,
    projector: Projector,
    mu_water: float,
    radius_mm: float,
    joined_bins: int = 1,
    device: str | torch.device = "cpu",
) -> torch.Tensor:
    """Find metal in the first reconstruction of what was measured.

    The streaks of few views can be as bright as metal. They fade where neighbouring bins are joined until they are half
    as wide as the steps between views on the border of the object, while metal that is not too small stays bright: what
    counts is metal in both. Outside of the object, near the source, streaks are brighter still and nothing counts.

    Args:
        y: Line integrals (S, A, U) as measured.
        completion: Their place among those of a complete scan.
        projector: Grid of the result; its scan is the complete one.
        mu_water: Attenuation of water in 1/mm at the energy of the scan.
        radius_mm: Of the circle about the axis that holds the object.
        joined_bins: So many bins are joined; 1 for enough views.
        device: Of the projector.

    Returns:
        bool (S, 1, H, W), True = metal.
    """
    task, measured = Metal(mu_water=mu_water), torch.from_numpy(completion.ray_mask).to(device)
    mask = torch.from_numpy(field_of_measurement_mask(projector.grid, 2 * radius_mm)).to(device)
    for width in {1, joined_bins}:
        rays = y if width == 1 else ndimage.uniform_filter1d(y, width, axis=-1, mode="nearest")
        mask = mask & task.metal_mask(torch.from_numpy(completion.embed(rays))[:, None].to(device), projector, measured)
    return mask
