"""The random table."""

import pytest
import torch

from latentct.transforms import RandTabled
from latentct.transforms.augmentation import table_profile


@pytest.fixture
def body() -> torch.Tensor:
    x = torch.zeros(1, 64, 64)
    x[:, 15:40, 12:52] = 0.25
    x[:, 20:30, 25:35] = 0.03  # gas within
    return x


def test_table_lies_under_an_untouched_body(body):
    transform = RandTabled("image", prob=1.0, level=(2.0, 3.0))  # far brighter than the body
    transform.set_random_state(seed=0)
    for _ in range(60):
        out = transform({"image": body})["image"]
        table = out != body
        assert table.any()
        assert not table[:, :39].any()  # nothing above the back
        assert torch.equal(out[body >= 0.05], body[body >= 0.05])
        assert out[table].max() <= 3


def test_tables_differ(body):
    transform = RandTabled("image", prob=1.0)
    transform.set_random_state(seed=0)
    assert not torch.equal(transform({"image": body})["image"], transform({"image": body})["image"])


def test_same_seed_same_table(body):
    outs = [RandTabled("image", prob=1.0).set_random_state(seed=4)({"image": body})["image"] for _ in range(2)]
    assert torch.equal(*outs)


def test_prob(body):
    transform = RandTabled("image", prob=0.3)
    transform.set_random_state(seed=0)
    share = sum(not torch.equal(transform({"image": body})["image"], body) for _ in range(200)) / 200
    assert share == pytest.approx(0.3, abs=0.1)
    assert RandTabled("image", prob=0.0)({"image": body})["image"] is body


def test_air_alone_gets_a_table_as_well():
    transform = RandTabled("image", prob=1.0).set_random_state(seed=0)
    assert (transform({"image": torch.zeros(1, 64, 64)})["image"] > 0).any()


def test_profile_is_a_trough():
    table = table_profile(torch.zeros(1, 40, 61), height_px=30, half_width_px=20, depth_px=10, thickness_px=1.5)[0]
    lowest = [int(torch.nonzero(table[:, x]).max()) for x in (10, 20, 30, 40, 50)]
    assert lowest[2] == 31
    assert lowest[0] == lowest[4] < lowest[1] == lowest[3] < lowest[2]
    assert table[30, 30] == 1
    assert not table[:, :10].any()
    assert not table[:, 51:].any()
