"""The critic beside MONAI's supervised trainer."""

import torch
from ignite.engine import Events
from monai.engines import SupervisedTrainer
from monai.networks.nets import PatchDiscriminator

from latentct.engines import AutoencoderPrepareBatch, PatchCritic
from latentct.losses import AutoencoderLoss
from latentct.networks import VolumeAutoencoder


def test_the_critic_joins_after_its_warm_up_and_is_trained_from_its_start():
    torch.manual_seed(0)
    network = VolumeAutoencoder((4, 8), 2, (1, 1), norm_num_groups=2)
    critic = PatchDiscriminator(spatial_dims=3, in_channels=1, channels=4, num_layers_d=1, norm="INSTANCE")
    loss = AutoencoderLoss(0.0, critic, adversarial_weight=0.1)
    handler = PatchCritic(loss, torch.optim.Adam(critic.parameters(), lr=1e-2), start_epoch=2, warmup_epochs=1)
    data = [{"image": torch.rand(2, 1, 16, 16, 16)}]
    trainer = SupervisedTrainer(
        device="cpu",
        max_epochs=3,
        train_data_loader=data,
        network=network,
        optimizer=torch.optim.Adam(network.parameters()),
        loss_function=loss,
        prepare_batch=AutoencoderPrepareBatch(),
        train_handlers=[handler],
    )
    weights, joined = [next(critic.parameters()).detach().clone()], []

    @trainer.on(Events.EPOCH_COMPLETED)
    def note():
        weights.append(next(critic.parameters()).detach().clone())
        joined.append(loss.critic_joins)

    trainer.run()
    assert joined == [False, False, True]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[1], weights[2]) and not torch.equal(weights[2], weights[3])
