"""The VAE of slices: shapes, modes, where attention sits, export."""

import copy
import doctest

import pytest
import torch
from monai.networks.blocks import SpatialAttentionBlock

import latentct.networks.vae
from latentct.networks import VariationalAutoencoder


@pytest.fixture
def vae() -> VariationalAutoencoder:
    """Stride 8, latents of 3 channels, weights scaled up so that attention and residuals show in the output."""
    torch.manual_seed(0)
    network = VariationalAutoencoder(1, (4, 8, 8), (0, 0, 3), (0, 1, 2), 1, num_head_channels=4, norm_num_groups=2)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.mul_(1.5)
    return network.eval()


@pytest.mark.parametrize("shape", [(16, 16), (8, 24), (40, 32)])
def test_any_size_divisible_by_the_stride(vae, shape):
    x = torch.rand(2, 1, *shape)
    latent = (2, 3, shape[0] // 8, shape[1] // 8)
    assert vae.stride == 8
    assert vae(x).shape == x.shape
    recon, z_mean, z_logvar = vae.train()(x)
    assert (recon.shape, z_mean.shape, z_logvar.shape) == (x.shape, latent, latent)
    assert (2, *vae.latent_shape(shape)) == latent


def test_latent_shape_refuses_what_the_stride_does_not_divide(vae):
    with pytest.raises(ValueError, match=r"\(16, 20\) is not divisible by the network's stride 8"):
        vae.latent_shape((16, 20))


def test_eval_decodes_the_mean(vae):
    x = torch.rand(3, 1, 16, 16)
    z_mean, _ = vae.encode(x)
    assert torch.equal(vae(x), vae.decode(z_mean))
    assert torch.allclose(vae(x)[1:2], vae(x[1:2]), atol=1e-5)  # slices of a batch do not see each other


def test_training_decodes_a_sample_of_the_posterior(vae, monkeypatch):
    x = torch.rand(1, 1, 16, 16)
    z_mean, z_logvar = vae.encode(x)
    monkeypatch.setattr(torch, "randn_like", lambda t: torch.full_like(t, 2.0))
    recon, *posterior = vae.train()(x)
    assert torch.equal(posterior[0], z_mean)
    assert torch.equal(posterior[1], z_logvar)
    assert torch.allclose(recon, vae.decode(z_mean + 2.0 * torch.exp(z_logvar / 2)), atol=1e-5)


def test_samples_differ(vae):
    x = torch.rand(1, 1, 16, 16)
    vae.train()
    assert not torch.allclose(vae(x)[0], vae(x)[0])


def test_log_variance_stays_where_half_precision_can_hold_it(vae):
    _, z_logvar = vae.encode(torch.rand(1, 1, 16, 16) * 1e9)
    assert z_logvar.min() >= -20
    assert z_logvar.max() <= 5
    with torch.no_grad():
        vae.posterior[-1].conv.bias.fill_(100.0)
    assert torch.equal(vae.encode(torch.rand(1, 1, 16, 16))[1], torch.full((1, 3, 2, 2), 5.0))


def test_attention_at_the_bottleneck_only(vae):
    sizes = []
    for block in (m for m in vae.modules() if isinstance(m, SpatialAttentionBlock)):
        block.register_forward_hook(lambda _, inputs, __: sizes.append(tuple(inputs[0].shape[-2:])))
    vae(torch.rand(1, 1, 16, 24))
    assert sizes == [(2, 3)] * 2  # one in the encoder, one in the decoder


def test_attention_has_several_heads(vae):
    heads = [m.attn.num_heads for m in vae.modules() if isinstance(m, SpatialAttentionBlock)]
    assert heads == [2, 2]  # 8 channels in heads of 4


def test_every_latent_entry_moves_the_image(vae):
    z = torch.randn(2, 3, 2, 2, requires_grad=True)
    (gradient,) = torch.autograd.grad(vae.decode(z).square().sum(), z)
    assert gradient.abs().min() > 0


def test_every_parameter_learns(vae):
    recon, z_mean, z_logvar = vae.train()(torch.rand(2, 1, 16, 16))
    (recon.square().sum() + z_mean.square().sum() + z_logvar.square().sum()).backward()
    without = [name for name, p in vae.named_parameters() if p.grad is None]
    assert not without


@pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning")
def test_traced_export_equals_eager(vae):
    x = torch.rand(2, 1, 16, 24)
    with torch.no_grad():
        traced = torch.jit.trace(vae, x, check_trace=False)
        assert torch.allclose(traced(x), vae(x), atol=1e-5)


def test_state_dict_restores_the_network(vae):
    other = copy.deepcopy(vae)
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.zero_()
    other.load_state_dict(vae.state_dict())
    x = torch.rand(1, 1, 16, 16)
    assert torch.equal(other(x), vae(x))


def test_doctest():
    assert doctest.testmod(latentct.networks.vae) == (0, 2)
