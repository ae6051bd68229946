"""Images that are in memory already, through the transforms of a bundle that begin at a file."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from monai.data import MetaTensor
from monai.transforms import Compose, LoadImaged
from numpy.typing import NDArray

from latentct import keys as K


def preprocessed(
    preprocessing: Compose, voxels: NDArray[np.float32], affine: NDArray[np.float64], sha256: str
) -> dict[Any, Any]:
    """Return what a bundle's preprocessing makes of an image, as if it had read it from a file.

    Args:
        preprocessing: transforms of an item with the path of an image.
        voxels: in HU, (X, Y, Z) as a file has them.
        affine: from voxel indices to RAS mm.
        sha256: hash of the file.
    """
    meta = {"original_channel_dim": "no_channel", "filename_or_obj": "image", "space": "RAS"}
    item = {K.IMAGE: MetaTensor(torch.from_numpy(voxels), affine=torch.from_numpy(affine), meta=meta), "sha256": sha256}
    rest = [step for step in preprocessing.flatten().transforms if not isinstance(step, LoadImaged)]
    return Compose(rest)(item)  # type: ignore[no-any-return]
