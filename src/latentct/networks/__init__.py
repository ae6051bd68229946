"""Networks: the slice VAE that latent space reconstruction searches, the U-Net it is compared with, volumes."""

from latentct.networks.conditioner import Conditioning, ViewConditioner
from latentct.networks.few_view import FewViewModel
from latentct.networks.unet import ResidualUNet
from latentct.networks.vae import VariationalAutoencoder
from latentct.networks.volume_autoencoder import VolumeAutoencoder

__all__ = [
    "Conditioning",
    "FewViewModel",
    "ResidualUNet",
    "VariationalAutoencoder",
    "ViewConditioner",
    "VolumeAutoencoder",
]
