"""The three networks as one: scales, shapes, one file of weights."""

import io

import torch

from .few_view_cases import tiny_model


def test_standardised_latents_and_conditions_have_unit_variance() -> None:
    model = tiny_model()
    scale = torch.tensor([1.0, 2.0, 4.0, 8.0]).reshape(1, 4, 1, 1, 1)
    z = 3.0 + scale * torch.randn(64, 4, 2, 2, 2)
    cond = 5.0 * torch.randn(64, 16, 2, 2, 2) - 1.0
    model.standardise(z, cond)
    for standard in (model.standard_latents(z), model.standard_conditions(cond)):
        std, mean = torch.std_mean(standard, dim=(0, 2, 3, 4))
        torch.testing.assert_close(std, torch.ones_like(std), rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(mean, torch.zeros_like(mean), rtol=1e-4, atol=1e-4)


def test_decoding_undoes_encoding_whatever_the_scale() -> None:
    model = tiny_model()
    model.standardise(2.0 + 3.0 * torch.randn(8, 4, 2, 2, 2))
    x = torch.rand(2, 1, 2, 2, 2).repeat_interleave(4, 2).repeat_interleave(4, 3).repeat_interleave(4, 4)
    torch.testing.assert_close(model.decode(model.encode(x)), x)
    assert model.latent_shape((8, 8, 8)) == tuple(model.encode(x).shape[1:])


def test_one_condition_serves_the_latents_that_follow_each_other() -> None:
    model = tiny_model().eval()
    z_t, t = torch.randn(6, 4, 2, 2, 2), torch.rand(6)
    cond = torch.randn(2, 16, 2, 2, 2)
    with torch.no_grad():
        together = model(z_t, t, cond)
        apart = torch.cat([model(z_t[3 * i : 3 * i + 3], t[3 * i : 3 * i + 3], cond[i : i + 1]) for i in range(2)])
    torch.testing.assert_close(together, apart)
    assert not torch.allclose(model(z_t, t, cond.flip(0)), together)


def test_condition_and_time_reach_the_velocity_and_the_views_are_trained() -> None:
    model = tiny_model()
    z_t, y = torch.randn(2, 4, 2, 2, 2), torch.rand(2, 1, 3, 4, 4)
    v = model(z_t, torch.tensor([0.1, 0.9]), y=y, scan="a scan")
    torch.testing.assert_close(v, model(z_t, torch.tensor([0.1, 0.9]), model.condition(y, None)))
    assert not torch.allclose(v, model(z_t, torch.tensor([0.9, 0.1]), y=y, scan="a scan"))
    v.square().sum().backward()
    assert float(model.conditioner.weight.grad.abs().sum()) > 0


def test_weights_and_scales_travel_in_one_state() -> None:
    model, other = tiny_model(0), tiny_model(1)
    model.standardise(2.0 + 3.0 * torch.randn(8, 4, 2, 2, 2), torch.randn(8, 16, 2, 2, 2))
    file = io.BytesIO()
    torch.save(model.state_dict(), file)
    file.seek(0)
    other.load_state_dict(torch.load(file, weights_only=True))
    cond, eps = torch.randn(1, 16, 2, 2, 2), torch.randn(1, 4, 2, 2, 2)
    torch.testing.assert_close(other.decode(other.sample(cond, eps, 3)), model.decode(model.sample(cond, eps, 3)))
