"""MONAI transforms of CT slices: body, grid, slices, augmentation, simulated scans."""

from latentct.correction.body import body_mask, cut_contour_fraction
from latentct.transforms.augmentation import RandTabled
from latentct.transforms.body import BodyMaskd
from latentct.transforms.finer import ResampleBeneathd
from latentct.transforms.grid import ResampleSlicesd, ResampleVolumed, resample_slices, slice_grid, volume_grid
from latentct.transforms.implants import Implants, MetalFromFile, RandImplants, SliceCase, SliceMetal
from latentct.transforms.simulation import SimulateScand
from latentct.transforms.slices import KeepSlicesd, SliceDataset, group_sampler
from latentct.transforms.volumes import AttenuationToHUd, CheckVolumed, check_volumes, volumes_with_slices

__all__ = [
    "AttenuationToHUd",
    "BodyMaskd",
    "CheckVolumed",
    "Implants",
    "KeepSlicesd",
    "MetalFromFile",
    "RandImplants",
    "RandTabled",
    "ResampleBeneathd",
    "ResampleSlicesd",
    "ResampleVolumed",
    "SimulateScand",
    "SliceCase",
    "SliceDataset",
    "SliceMetal",
    "body_mask",
    "check_volumes",
    "cut_contour_fraction",
    "group_sampler",
    "resample_slices",
    "slice_grid",
    "volume_grid",
    "volumes_with_slices",
]
