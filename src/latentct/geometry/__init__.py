"""Where the voxels, the source and the detector pixels are, in mm. Immutable data; knows nothing else."""

from latentct.geometry.grid import Grid
from latentct.geometry.masks import field_of_measurement_mask, ray_distance_mm, truncation_ray_mask
from latentct.geometry.protocols import fan_ct, few_view_cbct, x2ct_biplanar, x2ct_grid
from latentct.geometry.scan import ConeBeam, FanBeam, ParallelBeam, Scan, Scan2D, VectorConeBeam, equally_spaced_rad
from latentct.geometry.variants import few_view_scans, held_out_scans, tilted

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
    "few_view_cbct",
    "few_view_scans",
    "field_of_measurement_mask",
    "held_out_scans",
    "ray_distance_mm",
    "tilted",
    "truncation_ray_mask",
    "x2ct_biplanar",
    "x2ct_grid",
]
