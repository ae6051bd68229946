"""What the alignment stage of CLS-DM adds to a MONAI trainer: the loss, and the frozen autoencoder it aligns with."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from ignite.engine import Engine
from torch import Tensor, nn

from latentct.engines.vae import AutocastInferer
from latentct.losses.contrastive import SymmetricInfoNCE, normalised_mse


class FrozenEncoder:
    """The mean latents of a trained autoencoder, without gradient and in bfloat16 where that is safe.

    It is no module, so that whoever holds it neither trains nor saves the autoencoder.

    Args:
        autoencoder: has ``encode(x) -> (z_mean, z_logvar)``; set to evaluation and frozen here.
    """

    def __init__(self, autoencoder: nn.Module) -> None:
        self.autoencoder = autoencoder.eval().requires_grad_(False)

    @torch.no_grad()
    def __call__(self, x: Tensor) -> Tensor:
        """Return the latents (B, C, d, h, w) of volumes (B, 1, D, H, W) in the network range."""
        with torch.autocast(x.device.type, torch.bfloat16):
            z_mean: Tensor = self.autoencoder.encode(x)[0]  # type: ignore[operator]
        return z_mean.float()


class AlignmentLoss(nn.Module):
    """Regression of the volume, contrast of condition and latent, and regression of the latent, weighted.

    With ``u = (z - mean) / std`` a channel, mean and std being those of all latents so far, and likewise ``u_hat``,

        regression   mean over voxels of (1 + body_weight [x > body]) |x_hat - x|
        contrastive  `SymmetricInfoNCE` of cond and z
        latent       mean (u_hat - u)^2 + `normalised_mse` of u_hat and u

    A term of weight 0 is not computed. Heads and memory are the contrast's: give its parameters to the optimizer, too.

    Args:
        encode: from volumes to latents, see `FrozenEncoder`.
        contrast: contrastive loss with its heads.
        regression_weight: weight of the volume's regression, in 1 / network range.
        contrastive_weight: weight of the contrast, a nat.
        latent_weight: weight of the latent's regression.
        body_weight: how much more an error within the body counts.
        body: network value above which a voxel counts as body; 0.25 is -500 HU in the range [-1000, 1000] HU.
    """

    def __init__(
        self,
        encode: Callable[[Tensor], Tensor],
        contrast: SymmetricInfoNCE,
        regression_weight: float = 1.0,
        contrastive_weight: float = 0.01,
        latent_weight: float = 0.05,
        body_weight: float = 2.0,
        body: float = 0.25,
    ) -> None:
        super().__init__()
        self.encode = encode
        self.contrast = contrast
        self.moments = RunningMoments(contrast.memory.shape[1])
        self.regression_weight, self.contrastive_weight = regression_weight, contrastive_weight
        self.latent_weight = latent_weight
        self.body_weight, self.body = body_weight, body
        self.terms: dict[str, float] = {}

    def forward(self, pred: tuple[Tensor, Tensor, Tensor], target: Tensor) -> Tensor:
        """Return the scalar loss of ``(cond, z_hat, x_hat)`` for volumes (B, 1, D, H, W) in the network range."""
        cond, z_hat, x_hat = pred
        terms = {}
        if self.regression_weight:
            weight = 1 + self.body_weight * (target > self.body)
            terms["regression"] = self.regression_weight * (weight * (x_hat - target).abs()).mean()
        if self.contrastive_weight or self.latent_weight:
            z = self.encode(target)
            self.moments.update(z)
            u, u_hat = self.moments.standardised(z), self.moments.standardised(z_hat)
            if self.contrastive_weight:
                terms["contrastive"] = self.contrastive_weight * self.contrast(cond, z)
            if self.latent_weight:
                terms["latent"] = self.latent_weight * ((u_hat - u).square().mean() + normalised_mse(u_hat, u))
        self.terms = {name: float(term.detach()) for name, term in terms.items()}
        return torch.stack(list(terms.values())).sum()

    def scalars(self, engine: Engine) -> dict[str, float]:
        """Return the loss of an iteration and its weighted terms: the `scalars` of a tracker."""
        return {"loss": sum(self.terms.values()), **self.terms}


class RunningMoments(nn.Module):
    """Mean and variance of each channel over all that was given, merged batch by batch (Chan et al. 1983).

    Args:
        channels: number of channels.
    """

    n: Tensor
    mean: Tensor
    variance: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.register_buffer("n", torch.zeros(()))
        self.register_buffer("mean", torch.zeros(channels))
        self.register_buffer("variance", torch.zeros(channels))

    @torch.no_grad()
    def update(self, z: Tensor) -> None:
        """Take a batch (B, C, ...) into account."""
        variance, mean = torch.var_mean(z, [0, *range(2, z.ndim)], correction=0)
        self.n += len(z)
        share, change = len(z) / self.n, mean - self.mean
        self.variance.lerp_(variance, share).add_(change.square() * share * (1 - share))
        self.mean.add_(change * share)

    def standardised(self, z: Tensor) -> Tensor:
        """Return ``(z - mean) / std`` of a batch (B, C, ...)."""
        shape = (-1, *[1] * (z.ndim - 2))
        return (z - self.mean.reshape(shape)) / self.variance.clamp_min(1e-8).sqrt().reshape(shape)


class RegressionInferer(AutocastInferer):
    """Run a conditioner and keep its estimate of the volume: what a validation scores."""

    def __call__(self, inputs: Tensor, network: Callable[..., Any], *args: Any, **kwargs: Any) -> Tensor:
        """Return x_hat (B, 1, D, H, W) in float32."""
        return super().__call__(inputs, network, *args, **kwargs)[2]
