"""Negative evidence lower bound of a VAE with a Laplace likelihood."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn


class ELBOLoss(nn.Module):
    """L1 + KL as a proper bound: the image given the latent is Laplace distributed about the decoder's output.

    For an image of N pixels, with Laplace scale b and posterior q(z | x) = N(z_mean, exp(z_logvar)),

        loss = [ sum |recon - x| / b + N log(2 b) + kl_weight * KL(q || N(0, I)) ] / N      in nats a pixel,

    averaged over the batch (Kingma and Welling 2014, arXiv 1312.6114). A larger b makes a smoother image and a more
    regular latent space; `kl_weight` is for the warm-up and ends at 1 (see `latentct.engines.KLWarmUp`).

    Args:
        laplace_scale: b in units of the network range [0, 1]; with `learn_scale` the value it starts from.
        learn_scale: make b a parameter of this module; give it to the optimizer together with the network's.
    """

    def __init__(self, laplace_scale: float, learn_scale: bool = False) -> None:
        super().__init__()
        self.log_scale = nn.Parameter(torch.tensor(math.log(laplace_scale)), requires_grad=learn_scale)
        self.kl_weight = 1.0

    def forward(self, pred: tuple[Tensor, Tensor, Tensor], target: Tensor) -> Tensor:
        """Return the scalar loss of `(recon, z_mean, z_logvar)`, recon and target being (B, C, H, W)."""
        recon, z_mean, z_logvar = pred
        n_pixels = target[0].numel()
        l1 = (recon - target).abs().flatten(1).sum(dim=1)
        nats = l1 * torch.exp(-self.log_scale) + n_pixels * (math.log(2.0) + self.log_scale)
        return (nats + self.kl_weight * kl_divergence(z_mean, z_logvar)).mean() / n_pixels


def kl_divergence(z_mean: Tensor, z_logvar: Tensor) -> Tensor:
    """Return KL(N(z_mean, exp(z_logvar)) || N(0, I)) of each batch item in nats, shape (B,)."""
    return 0.5 * (z_mean.square() + z_logvar.exp() - z_logvar - 1.0).flatten(1).sum(dim=1)
