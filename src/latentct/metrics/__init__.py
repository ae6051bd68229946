"""Metrics of images in HU and of sinograms, with the region and the HU range always explicit."""

from latentct.metrics.image import mae_hu, psnr, rmse_hu, ssim
from latentct.metrics.masked import masked_mean
from latentct.metrics.sinogram import mae_sinogram
from latentct.metrics.statistics import bootstrap_ci, mean_per_patient, summarise

__all__ = [
    "bootstrap_ci",
    "mae_hu",
    "mae_sinogram",
    "masked_mean",
    "mean_per_patient",
    "psnr",
    "rmse_hu",
    "ssim",
    "summarise",
]
