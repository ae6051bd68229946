"""The encoder of one view."""

import pytest
import torch

from latentct.networks.view_encoder import ViewEncoder


@pytest.fixture
def encoder() -> ViewEncoder:
    torch.manual_seed(0)
    return ViewEncoder(2, 3, channels=(8, 8, 16), out_channels=(4, 6), norm_num_groups=4).double()


def test_features_of_two_resolutions(encoder):
    fine, middle = encoder(torch.rand(5, 2, 16, 24).double(), torch.rand(5, 3).double())
    assert fine.shape == (5, 4, 8, 12)
    assert middle.shape == (5, 6, 4, 6)


def test_views_do_not_depend_on_each_other_but_on_their_code(encoder):
    maps, code = torch.rand(3, 2, 16, 16).double(), torch.rand(3, 3).double()
    together, alone = encoder(maps, code), encoder(maps[1:2], code[1:2])
    other = encoder(maps[1:2], code[1:2] + 1)
    for a, b, c in zip(together, alone, other, strict=True):
        assert torch.allclose(a[1:2], b, atol=1e-12)
        assert (b - c).abs().max() > 1e-3


def test_a_feature_sees_most_of_the_panel(encoder):
    maps = torch.rand(1, 2, 32, 32).double().requires_grad_()
    fine, _ = encoder(maps, torch.zeros(1, 3).double())
    reach = torch.autograd.grad(fine[0, :, 8, 8].sum(), maps)[0].abs().sum((0, 1)) > 0
    assert reach.float().mean() > 0.7
