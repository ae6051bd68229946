"""Tiny stand-ins for the networks of few-view reconstruction, quick and with known answers."""

from typing import Any

import torch
from monai.networks.nets import DiffusionModelUNet
from torch import Tensor, nn
from torch.nn.functional import avg_pool3d, interpolate

from latentct.geometry import Grid
from latentct.networks import FewViewModel
from latentct.networks.conditioner import Conditioning

GRID = Grid((8, 8, 8), (10.0, 10.0, 10.0))


class PoolingAutoencoder(nn.Module):
    """Four copies of block means as the latent; decoded to the mean of the copies, stretched to full resolution."""

    latent_channels = 4
    compression = 4

    def __init__(self) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.ones(()))

    def latent_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        return (4, *(n // 4 for n in shape))

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        z = self.gain * avg_pool3d(x, 4).expand(-1, 4, -1, -1, -1)
        return z, torch.zeros_like(z)

    def decode(self, z: Tensor) -> Tensor:
        return interpolate(z.mean(dim=1, keepdim=True) / self.gain, scale_factor=4.0, mode="nearest")


class MeanConditioner(nn.Module):
    """The mean line integral, everywhere, with a trained weight for each channel; a tenth of it is the volume."""

    grid = GRID

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.linspace(0.5, 1.5, 16))

    def condition(self, y: Tensor, scan: Any) -> Tensor:
        mean = y.flatten(1).mean(dim=1).reshape(-1, 1, 1, 1, 1) * self.weight.reshape(1, -1, 1, 1, 1)
        return mean.expand(-1, -1, 2, 2, 2)

    def forward(self, y: Tensor, scan: Any) -> Conditioning:
        cond = self.condition(y, scan)
        x_hat = 0.1 * y.flatten(1).mean(dim=1).reshape(-1, 1, 1, 1, 1).expand(-1, -1, 8, 8, 8)
        return Conditioning(cond, cond[:, :4], x_hat)


def tiny_model(seed: int = 0) -> FewViewModel:
    """A model of volumes of 8^3 voxels whose denoiser is a real one, without the layers that begin at zero."""
    torch.manual_seed(seed)
    denoiser = DiffusionModelUNet(
        3, 20, 4, num_res_blocks=1, channels=(8, 8), attention_levels=(False, True), norm_num_groups=4,
        num_head_channels=4,
    )  # fmt: skip
    for weight in denoiser.parameters():
        if weight.ndim == 5 and not weight.any():
            nn.init.normal_(weight, std=0.05)
    return FewViewModel(PoolingAutoencoder(), MeanConditioner(), denoiser)
