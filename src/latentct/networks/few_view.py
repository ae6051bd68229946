"""Few views to a volume: the three networks of latent diffusion as one module, with one file of weights."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from latentct.geometry import Scan
from latentct.networks.diffusion import Refinement, ddim

_EMBEDDED_STEPS = 1000.0
"""Times in [0, 1] are embedded as if they were steps of so many, which is what the embedding's frequencies suit."""


class FewViewModel(nn.Module):
    """An autoencoder of volumes, a conditioner of views and a denoiser of latents.

    The arrangement is that of CLS-DM (arXiv 2507.11152): the views become a condition of the latent's size, which is
    concatenated with the noised latent. Latents and conditions are brought to mean 0 and standard deviation 1 in every
    channel, by buffers that `standardise` sets once; all `z` here are standardised ones.

    Args:
        autoencoder: with `encode`, `decode`, `latent_shape`, `latent_channels`, as `VolumeAutoencoder`.
        conditioner: with `condition(y, scan) -> cond`, as `ViewConditioner`.
        denoiser: `(z_t and cond along the channels, t) -> v`, as MONAI's `DiffusionModelUNet`.
        cond_channels: channels of the condition.
    """

    latent_mean: Tensor
    latent_scale: Tensor
    cond_mean: Tensor
    cond_scale: Tensor

    def __init__(self, autoencoder: Any, conditioner: Any, denoiser: nn.Module, cond_channels: int = 16) -> None:
        super().__init__()
        self.autoencoder, self.conditioner = autoencoder, conditioner
        self.denoiser = denoiser
        latent_channels: int = autoencoder.latent_channels
        for name, channels in (("latent", latent_channels), ("cond", cond_channels)):
            self.register_buffer(f"{name}_mean", torch.zeros(1, channels, 1, 1, 1))
            self.register_buffer(f"{name}_scale", torch.ones(1, channels, 1, 1, 1))

    def standardise(self, z: Tensor, cond: Tensor | None = None) -> None:
        """Set the buffers from latents (N, C, d, h, w) as the autoencoder gives them, and conditions alike."""
        for name, sample in (("latent", z), ("cond", cond)):
            if sample is not None:
                std, mean = torch.std_mean(sample.float(), dim=(0, 2, 3, 4), keepdim=True)
                getattr(self, f"{name}_mean").copy_(mean)
                getattr(self, f"{name}_scale").copy_(1 / std.clamp_min(1e-6))

    def standard_latents(self, z: Tensor) -> Tensor:
        """Return standardised latents of those (B, C, d, h, w) that the autoencoder gives."""
        return (z - self.latent_mean) * self.latent_scale

    def standard_conditions(self, cond: Tensor) -> Tensor:
        """Return standardised conditions of those (B, C', d, h, w) that the conditioner gives."""
        return (cond - self.cond_mean) * self.cond_scale

    def encode(self, x: Tensor) -> Tensor:
        """Return z (B, C, d, h, w) of volumes (B, 1, D, H, W) in the network range."""
        z_mean, _ = self.autoencoder.encode(x)
        return self.standard_latents(z_mean)

    def decode(self, z: Tensor) -> Tensor:
        """Return volumes (B, 1, D, H, W) in the network range, not clipped, of z (B, C, d, h, w)."""
        x_hat: Tensor = self.autoencoder.decode(z / self.latent_scale + self.latent_mean)
        return x_hat

    def condition(self, y: Tensor, scan: Scan) -> Tensor:
        """Return cond (B, C', d, h, w) of line integrals (B, 1, A, V, U) of one scan."""
        return self.standard_conditions(self.conditioner.condition(y, scan))

    def latent_shape(self, grid_shape: tuple[int, ...]) -> tuple[int, ...]:
        """Return the shape (C, d, h, w) of the latent of a volume of (D, H, W) voxels."""
        return tuple(self.autoencoder.latent_shape(grid_shape))

    def forward(
        self, z_t: Tensor, t: Tensor, cond: Tensor | None = None, *, y: Tensor | None = None, scan: Scan | None = None
    ) -> Tensor:
        """Return the velocity (B, C, d, h, w) of noised latents at times t (B,) in [0, 1].

        Args:
            z_t: noised latents (B, C, d, h, w).
            t: times (B,).
            cond: conditions (B', C', d, h, w); of fewer than B, each serves as many latents that follow each other.
            y: in place of `cond`, line integrals (B', 1, A, V, U): the conditioner then takes part and is trained.
            scan: geometry of `y`.
        """
        if cond is None:
            assert y is not None and scan is not None
            cond = self.condition(y, scan)
        cond = cond.to(z_t.dtype).repeat_interleave(len(z_t) // len(cond), dim=0)
        v: Tensor = self.denoiser(torch.cat([z_t, cond], dim=1), t * _EMBEDDED_STEPS)
        return v

    def sample(self, cond: Tensor, eps: Tensor, steps: int, refine: Refinement | None = None) -> Tensor:
        """Return latents z (B, C, d, h, w) that noise (B, C, d, h, w) leads to; `steps` and `refine` as of `ddim`."""
        with torch.no_grad():
            return ddim(lambda z_t, t: self(z_t, t, cond).float(), eps, steps, refine)
