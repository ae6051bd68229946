"""Networks: the slice VAE that latent space reconstruction searches."""

from latentct.networks.vae import VariationalAutoencoder

__all__ = ["VariationalAutoencoder"]
