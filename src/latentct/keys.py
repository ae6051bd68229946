"""Names of the entries of a batch, written once so that transforms, engines and configs agree."""

from typing import Final

IMAGE: Final = "image"
LABEL: Final = "label"
PRED: Final = "pred"
BODY: Final = "body"
SINOGRAM: Final = "sinogram"
PROJECTIONS: Final = "projections"
RAY_MASK: Final = "ray_mask"
REFERENCE: Final = "reference"
METAL: Final = "metal"
METAL_SIZE: Final = "metal_size"
METAL_MATERIAL: Final = "metal_material"
