"""Losses of the generative models."""

from latentct.losses.elbo import ELBOLoss, kl_divergence

__all__ = ["ELBOLoss", "kl_divergence"]
