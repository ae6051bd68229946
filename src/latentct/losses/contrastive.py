"""Contrastive alignment of a condition with the latent of the volume it belongs to."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, normalize


class SymmetricInfoNCE(nn.Module):
    """Tell the own latent of a condition from others, and the own condition of a latent.

    Heads ``e`` and ``f``, both trained, map condition and latent to unit vectors; ``s_ij = e(cond_i) . f(z_j) / T``.
    With a batch of B and M latents of earlier batches,

        loss = 1/2 [ cross entropy of s_i. over the B + M latents  +  cross entropy of s_.j over the B conditions ],

    the own partner being the right class (van den Oord et al. 2018, arXiv 1807.03748; both directions as in Radford et
    al. 2021, arXiv 2103.00020). The memory stands in for a large batch (Wu et al. 2018, arXiv 1805.01978). It holds
    latents, not their projections: the autoencoder is frozen, so they never go out of date, and the newest head
    projects them. It is filled in training only. A volume may meet an earlier, differently augmented self in it, which
    a memory much smaller than the training set keeps rare.

    Args:
        cond_channels: channels of the condition.
        latent_shape: shape (C, d, h, w) of a latent, d, h and w at least 4.
        temperature: T.
        memory: M, 0 for none.
        embedding: length of the unit vectors.
    """

    memory: Tensor
    n_seen: Tensor

    def __init__(
        self,
        cond_channels: int,
        latent_shape: Sequence[int],
        temperature: float = 0.1,
        memory: int = 64,
        embedding: int = 128,
    ) -> None:
        super().__init__()
        self.temperature = temperature
        self.cond_head = _head(cond_channels, embedding)
        self.latent_head = _head(latent_shape[0], embedding)
        self.register_buffer("memory", torch.zeros(memory, *latent_shape))
        self.register_buffer("n_seen", torch.zeros((), dtype=torch.long))

    def forward(self, cond: Tensor, z: Tensor) -> Tensor:
        """Return the scalar loss of conditions (B, C, d, h, w) and their latents (B, *latent_shape)."""
        batch = len(z)
        earlier = self.memory[: min(int(self.n_seen), len(self.memory))].clone()
        of_cond = normalize(self.cond_head(cond), dim=1)
        of_latents = normalize(self.latent_head(torch.cat([z, earlier])), dim=1)
        similarity = of_cond @ of_latents.T / self.temperature
        own = torch.arange(batch, device=z.device)
        if self.training:
            self._remember(z)
        return 0.5 * (cross_entropy(similarity, own) + cross_entropy(similarity[:, :batch].T, own))

    @torch.no_grad()
    def _remember(self, z: Tensor) -> None:
        """Let the newest latents take the places of the oldest."""
        size = len(self.memory)
        if size:
            newest = z[-size:].detach()
            places = (int(self.n_seen) + torch.arange(len(newest), device=z.device)) % size
            self.memory[places] = newest.to(self.memory)
            self.n_seen += len(newest)


def normalised_mse(a: Tensor, b: Tensor) -> Tensor:
    """Return the mean over the batch of ``|a / |a| - b / |b||^2``, from 0 (parallel) to 4 (opposite).

    >>> a = torch.tensor([[3.0, 0.0]])
    >>> float(normalised_mse(a, 2 * a)), float(normalised_mse(a, torch.tensor([[0.0, 1.0]])))
    (0.0, 2.0)
    """
    return (normalize(a.flatten(1), dim=1) - normalize(b.flatten(1), dim=1)).square().sum(1).mean()


def _head(channels: int, embedding: int) -> nn.Sequential:
    """Return the layers from (B, C, d, h, w) to (B, embedding): two halvings, then all that is left in one vector."""
    return nn.Sequential(
        nn.Conv3d(channels, 32, 2, stride=2),
        nn.GroupNorm(8, 32),
        nn.SiLU(),
        nn.Conv3d(32, 64, 2, stride=2),
        nn.GroupNorm(8, 64),
        nn.SiLU(),
        nn.AdaptiveAvgPool3d(2),
        nn.Flatten(),
        nn.Linear(64 * 8, embedding),
    )
