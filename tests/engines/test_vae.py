"""What training a VAE adds to MONAI's engines."""

import math
from itertools import pairwise
from types import SimpleNamespace

import pytest
import torch
from ignite.engine import Engine
from monai.engines import SupervisedTrainer
from torch import nn

from latentct.engines import (
    AutocastInferer,
    AutoencoderPrepareBatch,
    BodyError,
    GradientClipping,
    KLWarmUp,
    warmup_cosine,
)
from latentct.losses import ELBOLoss


def test_batch_is_input_and_target():
    batch = {"image": torch.rand(2, 1, 4, 4)}
    for prepare in (AutoencoderPrepareBatch(), AutoencoderPrepareBatch(torch.zeros_like, probability=0.0)):
        inputs, target = prepare(batch, "cpu")
        assert torch.equal(inputs, batch["image"])
        assert torch.equal(target, batch["image"])


def test_corruption_changes_the_input_alone():
    batch = {"slice": torch.rand(2, 1, 4, 4)}
    inputs, target = AutoencoderPrepareBatch(lambda x: 0.5 * x, probability=1.0, key="slice")(batch, "cpu")
    assert torch.equal(inputs, 0.5 * batch["slice"])
    assert torch.equal(target, batch["slice"])


def test_share_of_corrupted_batches():
    torch.manual_seed(0)
    prepare = AutoencoderPrepareBatch(lambda x: x + 1, probability=0.3)
    batch = {"image": torch.zeros(1)}
    assert sum(float(prepare(batch)[0]) for _ in range(1000)) / 1000 == pytest.approx(0.3, abs=0.05)


def test_autocast_computes_in_bfloat16_and_returns_float32():
    seen = []
    layer = nn.Conv2d(1, 2, 3)
    layer.register_forward_hook(lambda *args: seen.append(args[2].dtype))
    x = torch.rand(1, 1, 8, 8)
    assert AutocastInferer()(x, layer).dtype == torch.float32
    assert AutocastInferer(enabled=False)(x, layer).equal(layer(x))
    assert seen[:2] == [torch.bfloat16, torch.float32]


def test_autocast_returns_tuples_in_float32():
    layer = nn.Conv2d(1, 2, 3)
    outputs = AutocastInferer()(torch.rand(1, 1, 8, 8), lambda x: (layer(x), x))
    assert isinstance(outputs, tuple)
    assert [o.dtype for o in outputs] == [torch.float32] * 2


def test_body_error_by_hand():
    image = torch.tensor([[[[0.0, 0.1, 0.25], [0.3, 0.25, 0.75]]], [[[0.0, 0.0, 0.0], [0.0, 0.5, 0.0]]]])
    pred = image + torch.tensor([[[[1.0, 1.0, 0.01], [-0.02, 0.0, 0.03]]], [[[1.0, 1.0, 1.0], [1.0, 0.001, 1.0]]]])
    # -500 HU is 0.125: four pixels of the first slice count, off by 40, 80, 0 and 120 HU, and one of the second, by 4
    assert BodyError(-1000.0, 3000.0)({"label": image, "pred": pred}) == pytest.approx((60 + 4) / 2, rel=1e-4)


def test_body_error_leaves_out_slices_without_a_body():
    image = torch.zeros(2, 1, 2, 2)
    image[0] = 0.25
    assert BodyError(-1000.0, 3000.0)({"label": image, "pred": image + 0.01}) == pytest.approx(40.0, rel=1e-4)


def test_kl_weight_rises_to_one():
    loss, weights = ELBOLoss(0.05), []
    engine = Engine(lambda *_: weights.append(loss.kl_weight))
    KLWarmUp(loss, 4).attach(engine)
    engine.run(range(3), max_epochs=2)
    assert weights == [0.25, 0.5, 0.75, 1.0, 1.0, 1.0]


def test_no_warm_up():
    loss = ELBOLoss(0.05)
    KLWarmUp(loss, 0)(SimpleNamespace(state=SimpleNamespace(iteration=1)))
    assert loss.kl_weight == 1.0


@pytest.mark.parametrize(("max_norm", "expected"), [(0.5, 0.5), (1e6, None)])
def test_gradient_is_clipped_before_the_step(max_norm, expected):
    network = nn.Linear(3, 1, bias=False)
    before = network.weight.detach().clone()
    x, y = torch.full((4, 3), 10.0), torch.full((4, 1), 1e3)
    free = torch.autograd.grad((network(x) - y).square().mean(), network.weight)[0]
    trainer = SupervisedTrainer(
        device=torch.device("cpu"),
        max_epochs=1,
        train_data_loader=[{"image": x, "label": y}],
        network=network,
        optimizer=torch.optim.SGD(network.parameters(), lr=1.0),
        loss_function=nn.MSELoss(),
        train_handlers=[GradientClipping(network, max_norm)],
    )
    trainer.run()
    step = before - network.weight.detach()
    assert step.norm().item() == pytest.approx(expected or free.norm().item(), rel=1e-4)
    assert torch.allclose(step / step.norm(), free / free.norm(), atol=1e-4)


def test_learning_rate_rises_then_falls():
    factors = [warmup_cosine(i, total=110, warmup=10, floor=0.1) for i in range(150)]
    assert factors[:10] == pytest.approx([(i + 1) / 10 for i in range(10)])
    assert factors[10] == 1.0
    assert factors[60] == pytest.approx(0.55)  # half way down
    assert factors[35] == pytest.approx(0.1 + 0.9 * 0.5 * (1 + math.cos(math.pi / 4)))
    assert factors[110:] == pytest.approx([0.1] * 40)
    assert all(a >= b for a, b in pairwise(factors[10:]))


def test_learning_rate_without_warm_up_starts_at_one():
    assert warmup_cosine(0, total=10, warmup=0) == 1.0
    assert warmup_cosine(0, total=0, warmup=0) == 1.0
