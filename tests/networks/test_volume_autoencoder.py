"""The autoencoder of volumes."""

import pytest
import torch

from latentct.networks import VolumeAutoencoder
from latentct.networks.volume_autoencoder import depth_to_space, space_to_depth


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return VolumeAutoencoder((8, 16, 16), latent_channels=4, num_res_blocks=(1, 1, 1), norm_num_groups=4).eval()


def test_blocks_become_channels_and_voxels_again():
    x = torch.randn(2, 3, 4, 6, 8)
    folded = space_to_depth(x, 2)
    assert folded.shape == (2, 24, 2, 3, 4)
    assert torch.equal(folded[0, :8, 0, 0, 0], x[0, 0, :2, :2, :2].flatten())
    assert torch.equal(depth_to_space(folded, 2), x)


@pytest.mark.parametrize(("channels", "fold", "compression"), [((8, 16, 16), 2, 8), ((8, 16), 2, 4), ((8, 16), 1, 2)])
def test_compression_is_that_of_folding_and_levels(channels, fold, compression):
    network = VolumeAutoencoder(channels, 4, (1,) * len(channels), norm_num_groups=4, fold=fold).eval()
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


def test_training_draws_about_the_mean():
    network = VolumeAutoencoder((8, 16), 4, (1, 1), norm_num_groups=4).train()
    x = torch.rand(1, 1, 8, 8, 8)
    first, z_mean, z_logvar = network(x)
    second, *_ = network(x)
    assert first.shape == x.shape and z_mean.shape == z_logvar.shape
    assert not torch.equal(first, second)


def test_the_decoder_is_differentiable_in_the_latent(network):
    z = torch.randn(1, *network.latent_shape((16, 16, 8)), requires_grad=True)
    network.decode(z).square().sum().backward()
    assert z.grad.abs().min() > 0


def test_sizes_that_do_not_divide_are_refused(network):
    with pytest.raises(ValueError, match="multiples of 8"):
        network.latent_shape((16, 16, 12))
