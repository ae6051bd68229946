"""Losses of the generative models."""

from latentct.losses.autoencoder import AutoencoderLoss
from latentct.losses.elbo import ELBOLoss, kl_divergence

__all__ = ["AutoencoderLoss", "ELBOLoss", "kl_divergence"]
