"""The critic of an adversarially trained autoencoder, beside MONAI's supervised trainer.

MONAI's `AdversarialTrainer` takes no network that returns its posterior as well. This handler lets the ordinary
trainer train the autoencoder and updates the critic behind each of its iterations.
"""

from __future__ import annotations

import torch
from ignite.engine import Engine, Events
from monai.engines.utils import IterationEvents

from latentct import keys
from latentct.losses import AutoencoderLoss


class PatchCritic:
    """Let a loss's critic join at an epoch, and train it in each iteration from then on, behind the backward pass.

    Args:
        loss: loss of the autoencoder, with the critic.
        optimizer: of the critic's parameters.
        start_epoch: first epoch with a critic, counted from 1; one beyond the last trains without.
        warmup_epochs: epochs in which the critic learns before its judgement counts.
    """

    def __init__(
        self, loss: AutoencoderLoss, optimizer: torch.optim.Optimizer, start_epoch: int, warmup_epochs: int = 1
    ) -> None:
        self.loss = loss
        self.optimizer = optimizer
        self.start_epoch = start_epoch
        self.warmup_epochs = warmup_epochs

    def attach(self, engine: Engine) -> None:
        """Follow a trainer."""
        engine.add_event_handler(Events.EPOCH_STARTED, self._join)
        engine.add_event_handler(IterationEvents.BACKWARD_COMPLETED, self._update)

    def _join(self, engine: Engine) -> None:
        self.loss.critic_joins = engine.state.epoch >= self.start_epoch + self.warmup_epochs

    def _update(self, engine: Engine) -> None:
        if engine.state.epoch < self.start_epoch:
            return
        output = engine.state.output
        loss = self.loss.critic_loss(output[keys.PRED][0], output[keys.LABEL])
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.optimizer.step()
        output["critic_loss"] = loss.detach()
