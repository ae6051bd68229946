"""Loss of the volume autoencoder: absolute error, a little KL, and a critic of patches that joins late."""

from __future__ import annotations

import torch
from monai.losses import PatchAdversarialLoss
from torch import Tensor, nn

from latentct.losses.elbo import kl_divergence


class AutoencoderLoss(nn.Module):
    """``E + kl_weight * KL / N + adversarial_weight * mean (D(x_hat) - 1)^2`` for volumes of N voxels.

    ``E`` is the weighted mean of ``|x_hat - x|``, in which a voxel of tissue counts ``1 + tissue_weight`` times as much
    as one of air: of a head in a field that holds a chest, nineteen voxels in twenty are air.

    The least-squares adversarial term (Mao et al. 2017, arXiv 1611.04076) counts once `critic_joins` is set, see
    `latentct.engines.PatchCritic`: a critic that starts before there is anything to refine only disturbs. The KL is
    that to N(0, I) in nats, small, so that the latents stay bounded (Rombach et al. 2022, arXiv 2112.10752).

    Args:
        kl_weight: in units of the network range a nat.
        tissue_weight: how much more a voxel of tissue counts.
        tissue_above: network value above which a voxel is tissue.
        critic: discriminator of patches; its parameters get no gradient from this loss.
        adversarial_weight: weight of the critic's judgement.
    """

    def __init__(
        self,
        kl_weight: float,
        critic: nn.Module,
        adversarial_weight: float,
        tissue_weight: float = 0.0,
        tissue_above: float = 0.25,
    ) -> None:
        super().__init__()
        self.kl_weight = kl_weight
        self.tissue_weight = tissue_weight
        self.tissue_above = tissue_above
        self.critic = critic
        self.adversarial_weight = adversarial_weight
        self.adversarial = PatchAdversarialLoss(criterion="least_squares", no_activation_leastsq=True)
        self.critic_joins = False

    def forward(self, pred: tuple[Tensor, Tensor, Tensor], target: Tensor) -> Tensor:
        """Return the scalar loss of ``(x_hat, z_mean, z_logvar)``, x_hat and target being (B, 1, D, H, W)."""
        x_hat, z_mean, z_logvar = pred
        loss = weighted_l1(x_hat, target, self.tissue_weight, self.tissue_above)
        loss = loss + self.kl_weight * kl_divergence(z_mean, z_logvar).mean() / target[0].numel()
        return loss + self.adversarial_weight * self._judgement(x_hat) if self.critic_joins else loss

    def critic_loss(self, x_hat: Tensor, target: Tensor) -> Tensor:
        """Return the scalar loss of the critic: true volumes are 1, reconstructed ones 0."""
        real = self.adversarial(self._scores(target), target_is_real=True, for_discriminator=True)
        fake = self.adversarial(self._scores(x_hat.detach()), target_is_real=False, for_discriminator=True)
        return 0.5 * (real + fake)

    def _judgement(self, x_hat: Tensor) -> Tensor:
        self.critic.requires_grad_(False)
        judged: Tensor = self.adversarial(self._scores(x_hat), target_is_real=True, for_discriminator=False)
        self.critic.requires_grad_(True)
        return judged

    def _scores(self, x: Tensor) -> Tensor:
        with torch.autocast(x.device.type, torch.bfloat16):
            scores: Tensor = self.critic(x.contiguous())[-1]
        return scores.float()


def weighted_l1(x_hat: Tensor, x: Tensor, tissue_weight: float, tissue_above: float) -> Tensor:
    """Return the mean of ``|x_hat - x|``, voxels with ``x > tissue_above`` counted ``1 + tissue_weight`` times."""
    weight = 1 + tissue_weight * (x > tissue_above)
    return (weight * (x_hat - x).abs()).sum() / weight.sum()
