"""The loss of the alignment stage and its training in MONAI's engine."""

import pytest
import torch
from ignite.engine import Events
from monai.engines import SupervisedTrainer
from torch import nn

from latentct.engines import (
    AlignmentLoss,
    AutocastInferer,
    FewViewPrepareBatch,
    FrozenEncoder,
    RegressionInferer,
)
from latentct.engines.alignment import RunningMoments
from latentct.geometry import ConeBeam, Grid
from latentct.losses import SymmetricInfoNCE, normalised_mse
from latentct.networks import ViewConditioner
from latentct.simulate import RandomViews

GRID = Grid((32, 32, 32), (8.0, 14.0, 14.0))
SCAN = ConeBeam((0.0,), (16, 16), (36.0, 48.0), sod_mm=800.0, sdd_mm=1200.0)
LATENT = (4, 4, 4, 4)


class Pooling(nn.Module):
    """An autoencoder's encoder: four scaled copies of the mean of 8 x 8 x 8 voxels."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor([1.0, 2.0, -3.0, 0.5]).reshape(4, 1, 1, 1))

    def encode(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        z = nn.functional.avg_pool3d(x, 8) * self.scale + 1
        return z, torch.zeros_like(z)


def loss(**weights: float) -> AlignmentLoss:
    torch.manual_seed(0)
    contrast = SymmetricInfoNCE(16, LATENT, memory=8, embedding=16)
    return AlignmentLoss(FrozenEncoder(Pooling()), contrast, **weights)


def batch() -> tuple[tuple[torch.Tensor, ...], torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    image = torch.rand(3, 1, *GRID.shape, generator=generator)
    pred = (torch.randn(3, 16, 4, 4, 4), torch.randn(3, *LATENT), torch.rand(image.shape, generator=generator))
    return tuple(p.requires_grad_() for p in pred), image


def test_encoder_is_frozen():
    autoencoder = Pooling()
    x = torch.rand(2, 1, *GRID.shape, requires_grad=True)
    z = FrozenEncoder(autoencoder)(x)
    assert (z.dtype, z.requires_grad, autoencoder.training) == (torch.float32, False, False)
    assert torch.allclose(z, autoencoder.encode(x)[0], atol=0.05)
    assert not any(w.requires_grad for w in autoencoder.parameters())
    assert not [name for name, _ in loss().named_parameters() if "encode" in name]


def test_regression_by_hand():
    pred, image = batch()
    made = loss(regression_weight=2.0, contrastive_weight=0.0, latent_weight=0.0, body_weight=3.0, body=0.25)
    error = (pred[2] - image).abs()
    expected = 2 * (error.sum() + 3 * error[image > 0.25].sum()) / error.numel()
    assert made(pred, image).item() == pytest.approx(expected.item(), rel=1e-5)
    assert set(made.terms) == {"regression"}
    assert float(made.moments.n) == 0


def test_latent_regression_is_in_standard_deviations_of_each_channel():
    pred, image = batch()
    made = loss(regression_weight=0.0, contrastive_weight=0.0, latent_weight=0.5)
    z = made.encode(image)
    std, mean = torch.std_mean(z, dim=(0, 2, 3, 4), keepdim=True, correction=0)
    u, u_hat = (z - mean) / std, (pred[1] - mean) / std
    expected = 0.5 * ((u_hat - u).square().mean() + normalised_mse(u_hat, u))
    assert made(pred, image).item() == pytest.approx(expected.item(), rel=1e-3)
    assert made((pred[0], z, pred[2]), image).item() == pytest.approx(0.0, abs=1e-6)


@pytest.mark.parametrize(
    ("name", "reached"), [("regression_weight", [2]), ("contrastive_weight", [0]), ("latent_weight", [1])]
)
def test_each_weight_switches_its_term(name, reached):
    weights = {"regression_weight": 0.0, "contrastive_weight": 0.0, "latent_weight": 0.0, name: 1.0}
    pred, image = batch()
    made = loss(**weights)
    made(pred, image).backward()
    assert [i for i, p in enumerate(pred) if p.grad is not None] == reached
    assert (int(made.contrast.n_seen) > 0) == (name == "contrastive_weight")


def test_scalars_are_the_weighted_terms():
    pred, image = batch()
    made = loss()
    value = made(pred, image)
    scalars = made.scalars(None)
    assert scalars["loss"] == pytest.approx(value.item(), rel=1e-6)
    assert set(scalars) == {"loss", "regression", "contrastive", "latent"}


def test_moments_of_all_batches():
    moments, z = RunningMoments(2), 3 * torch.randn(12, 2, 3, 3) + torch.tensor([1.0, -200.0]).reshape(2, 1, 1)
    for part in z.split([2, 7, 3]):
        moments.update(part)
    standard = moments.standardised(z)
    assert standard.mean((0, 2, 3)).tolist() == pytest.approx([0, 0], abs=1e-5)
    assert standard.std((0, 2, 3), correction=0).tolist() == pytest.approx([1, 1], abs=1e-4)


def test_training_with_monai_lowers_the_errors():
    torch.manual_seed(0)
    conditioner = ViewConditioner(
        GRID,
        channels=(8, 8, 16),
        decoder_channels=(8, 8, 16),
        view_channels=(8, 8, 8),
        lifted_channels=(4, 4),
        norm_num_groups=4,
        pixel_mm=(24.0, 32.0),
        first_look_steps=(4, 2),
    )
    made, history = loss(), []
    images = torch.zeros(8, 1, *GRID.shape)
    for i, image in enumerate(images):
        image[:, 8:24, 4 + i : 20 + i, 6:26] = 0.5 + 0.05 * (i % 3)
    trainer = SupervisedTrainer(
        device=torch.device("cpu"),
        max_epochs=8,
        train_data_loader=[{"image": images[:4]}, {"image": images[4:]}],
        network=conditioner,
        optimizer=torch.optim.AdamW([*conditioner.parameters(), *made.parameters()], 3e-3),
        loss_function=made,
        prepare_batch=FewViewPrepareBatch(GRID, RandomViews(SCAN, (3, 4)), -1000.0, 1000.0, seed=0),
        inferer=AutocastInferer(),
    )
    trainer.add_event_handler(Events.ITERATION_COMPLETED, lambda _: history.append(made.scalars(None)))
    trainer.run()
    for name in ("regression", "latent"):
        early, late = (sum(h[name] for h in part) for part in (history[:4], history[-4:]))
        assert late < 0.8 * early, name
    assert int(made.contrast.n_seen) == 64
    y, image, _, kwargs = trainer.prepare_batch({"image": images[:2]}, "cpu")
    x_hat = RegressionInferer()(y, conditioner, **kwargs)
    assert (x_hat.shape, x_hat.dtype) == (image.shape, torch.float32)
