"""Networks: the slice VAE that latent space reconstruction searches, and the U-Net it is compared with."""

from latentct.networks.unet import ResidualUNet
from latentct.networks.vae import VariationalAutoencoder

__all__ = ["ResidualUNet", "VariationalAutoencoder"]
