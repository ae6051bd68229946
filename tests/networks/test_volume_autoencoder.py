"""The autoencoder of volumes."""

import pytest
import torch

from latentct.networks import VolumeAutoencoder
from latentct.networks.blocks import depth_to_space, space_to_depth


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return VolumeAutoencoder((8, 16, 16), 4, (1, 1, 1), norm_num_groups=4).eval()


def smooth_volumes(n):
    """Volumes that principal components describe well: waves of random direction and phase."""
    generator = torch.Generator().manual_seed(0)
    z, y, x = torch.meshgrid(*[torch.arange(16.0)] * 3, indexing="ij")
    k, phase = 0.4 * torch.randn(n, 3, generator=generator), 6 * torch.rand(n, generator=generator)
    waves = [torch.sin(a * z + b * y + c * x + p) for (a, b, c), p in zip(k.tolist(), phase.tolist(), strict=True)]
    return 0.5 + 0.25 * torch.stack(waves)[:, None]


def test_blocks_become_channels_and_voxels_again():
    x = torch.randn(2, 3, 4, 6, 8)
    folded = space_to_depth(x, 2)
    assert folded.shape == (2, 24, 2, 3, 4)
    assert torch.equal(folded[0, :8, 0, 0, 0], x[0, 0, :2, :2, :2].flatten())
    assert torch.equal(depth_to_space(folded, 2), x)


@pytest.mark.parametrize(("channels", "compression"), [((8, 16, 16), 8), ((8, 16), 4), ((8,), 2)])
def test_every_level_halves_the_resolution(channels, compression):
    network = VolumeAutoencoder(channels, 4, (1,) * len(channels), norm_num_groups=4).eval()
    assert network.compression == compression
    x = torch.rand(1, 1, 16, 16, 8)
    assert network.encode(x)[0].shape[1:] == network.latent_shape((16, 16, 8))


def test_eval_gives_the_volume_of_the_mean(network):
    x = torch.rand(2, 1, 16, 16, 8)
    with torch.no_grad():
        z_mean, z_logvar = network.encode(x)
        assert torch.equal(network(x), network.decode(z_mean))
    assert z_logvar.shape == z_mean.shape
    assert network(x).shape == x.shape


def test_training_draws_about_the_mean_with_little_noise_at_first():
    network = VolumeAutoencoder((8, 16), 4, (1, 1), norm_num_groups=4).train()
    x = torch.rand(1, 1, 8, 8, 8)
    first, z_mean, z_logvar = network(x)
    second, *_ = network(x)
    assert first.shape == x.shape and z_mean.shape == z_logvar.shape
    assert not torch.equal(first, second)
    assert float(z_logvar.detach().max()) < -5


def test_principal_components_of_blocks_are_where_it_starts():
    x = smooth_volumes(12)
    torch.manual_seed(0)
    network = VolumeAutoencoder((8, 16), 4, (1, 1), norm_num_groups=4).eval()
    with torch.no_grad():
        random_error = (network(x) - x).square().mean()
        assert network.initialise(x) is network
        z_mean, _ = network.encode(x)
        error = (network(x) - x).square().mean()
    blocks = space_to_depth(x, 4).movedim(1, -1).flatten(0, -2)
    centred = (blocks - blocks.mean(0)).double()
    left = torch.linalg.svdvals(centred)[4:].square().sum() / centred.numel()
    assert float(left) - 1e-6 < float(error) < 2 * float(left) + 1e-3 < 0.1 * float(random_error)
    assert torch.allclose(z_mean.std(dim=(0, 2, 3, 4)), torch.ones(4), atol=0.1)


def test_the_decoder_is_differentiable_in_the_latent(network):
    z = torch.randn(1, *network.latent_shape((16, 16, 8)), requires_grad=True)
    network.decode(z).square().sum().backward()
    assert z.grad.abs().min() > 0


def test_sizes_that_do_not_divide_are_refused(network):
    with pytest.raises(ValueError, match="multiples of 8"):
        network.latent_shape((16, 16, 12))
