"""Networks: the slice VAE that latent space reconstruction searches, U-Nets, volumes."""

from latentct.networks.conditioner import Conditioning, ViewConditioner
from latentct.networks.few_view import FewViewModel
from latentct.networks.unet import CompletionUNet, ResidualUNet, with_known
from latentct.networks.vae import VariationalAutoencoder
from latentct.networks.volume_autoencoder import VolumeAutoencoder

__all__ = [
    "CompletionUNet",
    "Conditioning",
    "FewViewModel",
    "ResidualUNet",
    "VariationalAutoencoder",
    "ViewConditioner",
    "VolumeAutoencoder",
    "with_known",
]
