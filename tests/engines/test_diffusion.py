"""Pairs that are made once, the problems of the denoiser, and a training that learns."""

from pathlib import Path
from typing import Any

import pytest
import torch
from monai.data import MetaTensor
from monai.engines import SupervisedTrainer
from torch import Tensor

from latentct.engines import (
    JointPrepareBatch,
    LatentPairs,
    LatentPrepareBatch,
    Noising,
    SamplingInferer,
    freeze,
    stacked,
    standardise_latents,
    trainable,
)
from latentct.networks.diffusion import noised, velocity

from ..networks.few_view_cases import tiny_model


class Views:
    """A scan that sums along two axes; counts its calls."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, batchdata: Any, device: Any = None, *args: Any, **kwargs: Any) -> tuple[Any, ...]:
        self.calls += 1
        x = batchdata["image"]
        return torch.stack([x.sum(2), x.sum(3)], dim=2), x, (), {"scan": "a scan"}


def volumes(n: int = 6) -> list[dict[str, Tensor]]:
    """Batches of two volumes, each constant, so that a condition says all about its latent."""
    levels = torch.linspace(0.0, 1.0, n).reshape(n // 2, 2, 1, 1, 1, 1)
    return [{"image": level.expand(-1, -1, 8, 8, 8).clone()} for level in levels]


def test_pairs_are_what_the_networks_give() -> None:
    model, batches = tiny_model(), volumes()
    pairs = LatentPairs(model, batches, Views(), passes=2)
    assert len(pairs) == 12
    x = batches[1]["image"]
    torch.testing.assert_close(pairs[3]["z"], model.autoencoder.encode(x)[0][1].detach(), rtol=1e-3, atol=1e-3)
    y = Views()(batches[1])[0]
    torch.testing.assert_close(pairs[9]["cond"], model.conditioner.condition(y, None)[1].detach(), rtol=1e-3, atol=1e-3)


def test_pairs_set_the_scales_once_asked() -> None:
    model = tiny_model()
    LatentPairs(model, volumes(), Views())
    assert torch.equal(model.latent_scale, torch.ones_like(model.latent_scale))
    pairs = LatentPairs(model, volumes(), Views(), standardise=True)
    standard = model.standard_latents(torch.stack([pairs[i]["z"] for i in range(6)]))
    assert float(standard.mean()) == pytest.approx(0.0, abs=1e-3)
    assert float(standard.std()) == pytest.approx(1.0, abs=1e-2)
    assert not torch.equal(model.cond_scale, torch.ones_like(model.cond_scale))


def test_pairs_are_kept_until_the_weights_change(tmp_path: Path) -> None:
    model, views, path = tiny_model(), Views(), tmp_path / "deep" / "pairs.pt"
    first = LatentPairs(model, volumes(), views, path=path)
    again = LatentPairs(model, volumes(), views, path=path)
    assert views.calls == 3
    assert torch.equal(again.z, first.z)
    assert torch.equal(again.cond, first.cond)
    with torch.no_grad():
        model.conditioner.weight.mul_(2.0)
    changed = LatentPairs(model, volumes(), views, path=path)
    assert views.calls == 6
    torch.testing.assert_close(changed[4]["cond"], 2 * first[4]["cond"], rtol=1e-3, atol=1e-3)
    with torch.no_grad():
        model.conditioner.weight.neg_()
    LatentPairs(model, volumes(), views, path=path)
    assert views.calls == 9


def test_problems_of_one_latent_stand_in_a_row() -> None:
    z_0 = torch.arange(3.0).reshape(3, 1, 1, 1, 1).expand(-1, 4, 2, 2, 2)
    z_t, t, v = Noising(draws=5)(z_0)
    assert z_t.shape == v.shape == (15, 4, 2, 2, 2)
    a = (0.5 * torch.pi * t).reshape(-1, 1, 1, 1, 1)
    torch.testing.assert_close(a.cos() * z_t - a.sin() * v, z_0.repeat_interleave(5, 0), rtol=1e-4, atol=1e-5)
    assert len(set(t.tolist())) == 15
    assert not torch.equal(Noising(draws=5)(z_0)[1], t)


def test_problems_with_a_seed_repeat_at_times_spread_evenly() -> None:
    z_0 = torch.randn(2, 4, 2, 2, 2)
    noising = Noising(draws=4, seed=3)
    first, again = noising(z_0), noising(z_0)
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert first[1].tolist() == [0.125, 0.375, 0.625, 0.875] * 2
    assert not torch.equal(Noising(draws=4, seed=4)(z_0)[0], first[0])


def test_both_ways_pose_the_same_problem() -> None:
    model, batch, noising = tiny_model().eval(), volumes()[1], Noising(draws=3, seed=0)
    standardise_latents(model, volumes())
    y, image, _, _ = Views()(batch)
    with torch.no_grad():
        pair = {"z": model.autoencoder.encode(image)[0], "cond": model.conditioner.condition(y, None)}
        z_t, v, args, kwargs = LatentPrepareBatch(model, noising)(pair)
        z_t_joint, v_joint, args_joint, kwargs_joint = JointPrepareBatch(model, Views(), noising)(batch)
        torch.testing.assert_close(z_t_joint, z_t)
        torch.testing.assert_close(v_joint, v)
        assert kwargs_joint["scan"] == "a scan"
        torch.testing.assert_close(model(z_t_joint, *args_joint, **kwargs_joint), model(z_t, *args, **kwargs))


def test_input_and_target_fit_together() -> None:
    model = tiny_model()
    z_0 = torch.randn(2, 4, 2, 2, 2)
    z_t, v, (t, cond), _ = LatentPrepareBatch(model, Noising())({"z": z_0, "cond": torch.randn(2, 16, 2, 2, 2)})
    eps = torch.sin(0.5 * torch.pi * t).reshape(-1, 1, 1, 1, 1) * z_t
    eps = eps + torch.cos(0.5 * torch.pi * t).reshape(-1, 1, 1, 1, 1) * v
    torch.testing.assert_close(noised(z_0, eps, t), z_t)
    torch.testing.assert_close(velocity(z_0, eps, t), v)
    assert cond.shape == (2, 16, 2, 2, 2)


@pytest.mark.parametrize("aligned", [True, False])
def test_training_teaches_the_denoiser_the_volumes(aligned: bool) -> None:
    model, batches = tiny_model(), volumes(8)
    torch.nn.init.zeros_(model.denoiser.out[-1].conv.weight)
    freeze(model.autoencoder)
    if aligned:
        freeze(model.conditioner)
        loader: Any = torch.utils.data.DataLoader(LatentPairs(model, batches, Views(), standardise=True), batch_size=8)
        prepare: Any = LatentPrepareBatch(model, Noising())
    else:
        standardise_latents(model, batches)
        loader, prepare = batches, JointPrepareBatch(model, Views(), Noising(draws=4))
    before = model.conditioner.weight.clone(), model.autoencoder.gain.clone()
    trainer = SupervisedTrainer(
        device="cpu", max_epochs=40, train_data_loader=loader, network=model, prepare_batch=prepare,
        optimizer=torch.optim.AdamW([w for w in model.parameters() if w.requires_grad], lr=5e-3),
        loss_function=torch.nn.MSELoss(),
    )  # fmt: skip
    torch.manual_seed(0)
    trainer.run()
    assert torch.equal(before[1], model.autoencoder.gain)
    assert torch.equal(before[0], model.conditioner.weight) == aligned
    image = torch.cat([batch["image"] for batch in batches])
    y = Views()({"image": image})[0]
    sampled = SamplingInferer(steps=5)(y, model.eval(), scan=None)
    assert float((sampled - image).abs().mean()) < 0.12  # the volumes' own mean would leave 0.29


def test_sampling_repeats_itself_and_hears_the_seed() -> None:
    model, y = tiny_model().eval(), torch.rand(2, 1, 2, 8, 8)
    first = SamplingInferer(steps=2)(y, model, scan=None)
    assert first.shape == (2, 1, 8, 8, 8)
    assert torch.equal(SamplingInferer(steps=2)(y, model, scan=None), first)
    assert not torch.equal(SamplingInferer(steps=2, seed=1)(y, model, scan=None), first)


def test_freezing_leaves_nothing_to_train() -> None:
    model = tiny_model()
    assert freeze(model.conditioner) is model.conditioner
    assert not any(w.requires_grad for w in model.conditioner.parameters())
    assert all(w.requires_grad for w in model.denoiser.parameters())


def test_trainable_leaves_out_what_is_frozen():
    network = torch.nn.Sequential(torch.nn.Linear(2, 3), freeze(torch.nn.Linear(3, 1)))
    assert [w.shape for w in trainable(network)] == [(3, 2), (3,)]


def test_stacked_gives_plain_volumes():
    volumes = [{"image": MetaTensor(torch.full((1, 2, 2, 2), float(i)))} for i in range(3)]
    x = stacked(volumes)
    assert type(x) is torch.Tensor and x.shape == (3, 1, 2, 2, 2)
    assert x[:, 0, 0, 0, 0].tolist() == [0.0, 1.0, 2.0]
