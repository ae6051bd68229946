"""Losses of the generative models."""

from latentct.losses.autoencoder import AutoencoderLoss, weighted_l1
from latentct.losses.contrastive import SymmetricInfoNCE, normalised_mse
from latentct.losses.elbo import ELBOLoss, kl_divergence

__all__ = ["AutoencoderLoss", "ELBOLoss", "SymmetricInfoNCE", "kl_divergence", "normalised_mse", "weighted_l1"]
