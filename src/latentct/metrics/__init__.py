"""Metrics of images in HU and of sinograms, with the region and the HU range always explicit."""

from latentct.metrics.ct_mar import CT_MAR_SCORES, CtMarCase, CtMarProtocol, ct_mar_scores
from latentct.metrics.image import mae_hu, psnr, rmse_hu, ssim
from latentct.metrics.legacy import legacy_x2ct
from latentct.metrics.masked import masked_mean
from latentct.metrics.paired import paired_comparison
from latentct.metrics.sinogram import mae_sinogram, projection_residual
from latentct.metrics.statistics import bootstrap_ci, mean_per_patient, summarise

__all__ = [
    "CT_MAR_SCORES",
    "CtMarCase",
    "CtMarProtocol",
    "bootstrap_ci",
    "ct_mar_scores",
    "legacy_x2ct",
    "mae_hu",
    "mae_sinogram",
    "masked_mean",
    "mean_per_patient",
    "paired_comparison",
    "projection_residual",
    "psnr",
    "rmse_hu",
    "ssim",
    "summarise",
]
