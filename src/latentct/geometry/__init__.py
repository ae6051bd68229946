"""Where the voxels, the source and the detector pixels are, in mm. Immutable data; knows nothing else."""

from latentct.geometry.grid import Grid
from latentct.geometry.masks import field_of_measurement_mask, ray_distance_mm, truncation_ray_mask
from latentct.geometry.protocols import fan_ct
from latentct.geometry.scan import ConeBeam, FanBeam, ParallelBeam, Scan, Scan2D, VectorConeBeam, equally_spaced_rad

__all__ = [
    "ConeBeam",
    "FanBeam",
    "Grid",
    "ParallelBeam",
    "Scan",
    "Scan2D",
    "VectorConeBeam",
    "equally_spaced_rad",
    "fan_ct",
    "field_of_measurement_mask",
    "ray_distance_mm",
    "truncation_ray_mask",
]
