"""The contrast of conditions and latents."""

import doctest
import math

import pytest
import torch
from torch import nn

import latentct.losses.contrastive
from latentct.losses import SymmetricInfoNCE, normalised_mse

SHAPE = (2, 4, 4, 4)


def loss(**settings: object) -> SymmetricInfoNCE:
    torch.manual_seed(0)
    return SymmetricInfoNCE(3, SHAPE, **{"memory": 6, "embedding": 8, **settings})


def with_plain_heads(**settings: object) -> SymmetricInfoNCE:
    """Heads that only flatten, so that similarities are known."""
    made = loss(**settings)
    made.cond_head = made.latent_head = nn.Flatten()
    return made


def unit(*indices: int) -> torch.Tensor:
    """Latents that are unit vectors of 128."""
    return torch.eye(128)[list(indices)].reshape(-1, *SHAPE)


def test_value_by_hand():
    contrast = with_plain_heads(temperature=0.5).eval()
    z = unit(0, 1, 2)
    own = math.exp(2.0)
    expected = -math.log(own / (own + 2))
    assert contrast(3 * z, z).item() == pytest.approx(expected, abs=1e-5)
    mixed = contrast(unit(0, 2, 1), z)
    assert mixed.item() == pytest.approx((expected + 2 * -math.log(1 / (own + 2))) / 3, abs=1e-5)


def test_memory_counts_in_one_direction():
    contrast = with_plain_heads(temperature=1.0).train()
    contrast(unit(0, 1), unit(5, 6))  # remembered: 5 and 6
    cond, z = unit(5, 7), unit(7, 5)  # the first condition is like an earlier latent
    contrast.eval()
    e = math.e
    to_latents = -(math.log(1 / (2 * e + 2)) + math.log(1 / (e + 3))) / 2
    to_conds = -(math.log(1 / (e + 1)) + math.log(1 / (e + 1))) / 2
    assert contrast(cond, z).item() == pytest.approx((to_latents + to_conds) / 2, abs=1e-5)


def test_both_directions_have_trained_heads():
    contrast = loss()
    contrast(torch.randn(4, 3, 4, 4, 4), torch.randn(4, *SHAPE)).backward()
    assert all(w.grad is not None and w.grad.abs().sum() > 0 for w in contrast.parameters())


def test_memory_keeps_the_newest_latents_as_they_are():
    contrast = loss(memory=5).train()
    z = torch.randn(8, *SHAPE)
    for pair in z.split(2):
        contrast(torch.randn(2, 3, 4, 4, 4), pair)
    kept = {tuple(row.flatten().tolist()) for row in contrast.memory}
    assert kept == {tuple(row.flatten().tolist()) for row in z[3:]}
    assert not contrast.memory.requires_grad
    contrast.eval()(torch.randn(2, 3, 4, 4, 4), torch.randn(2, *SHAPE))
    assert {tuple(row.flatten().tolist()) for row in contrast.memory} == kept


def test_batch_larger_than_the_memory_and_no_memory():
    contrast = loss(memory=3).train()
    z = torch.randn(7, *SHAPE)
    contrast(torch.randn(7, 3, 4, 4, 4), z)
    assert {tuple(r.flatten().tolist()) for r in contrast.memory} == {tuple(r.flatten().tolist()) for r in z[4:]}
    assert loss(memory=0).train()(torch.randn(2, 3, 4, 4, 4), z[:2]).isfinite()


def test_memory_travels_with_the_state():
    contrast, other = loss().train(), loss()
    contrast(torch.randn(2, 3, 4, 4, 4), torch.randn(2, *SHAPE))
    other.load_state_dict(contrast.state_dict())
    assert int(other.n_seen) == 2
    assert torch.equal(other.memory, contrast.memory)


def test_it_can_be_learnt():
    contrast = loss(memory=16).train()
    to_cond = nn.Conv3d(2, 3, 1)
    optimizer = torch.optim.Adam(contrast.parameters(), 1e-2)
    values = []
    for _ in range(50):
        z = torch.randn(4, *SHAPE)
        value = contrast(to_cond(z).detach(), z)
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
        values.append(value.item())
    assert sum(values[-10:]) < 0.85 * sum(values[:10])


def test_normalised_mse_does_not_depend_on_lengths():
    a = torch.randn(3, 2, 4)
    assert normalised_mse(a, 5 * a).item() == pytest.approx(0.0, abs=1e-6)
    assert normalised_mse(a, -a).item() == pytest.approx(4.0, rel=1e-5)


def test_doctest():
    assert doctest.testmod(latentct.losses.contrastive).failed == 0
