"""Which slices are used, and the data set of single slices."""

import numpy as np
import pytest
import torch

from latentct.errors import InputError
from latentct.transforms import KeepSlicesd, SliceDataset, group_sampler

SPACING_MM = (5.0, 2.0, 2.0)


def disk(radius_mm: float, center_mm: tuple[float, float] = (0.0, 0.0), n: int = 100) -> np.ndarray:
    t = (np.arange(n) - (n - 1) / 2) * 2.0
    return np.hypot(t[:, None] - center_mm[0], t[None, :] - center_mm[1]) <= radius_mm


@pytest.mark.parametrize(
    ("rule", "kept"),
    [
        ({}, [1, 2, 3]),
        ({"area_at_least_mm2": 0.0}, [0, 1, 2, 3]),
        ({"area_at_least_mm2": 8000.0}, [3]),
        ({"cut_at_most": 1.0}, [1, 2, 3, 4]),
        ({"wider_than_mm": 79.0}, [2, 3]),  # by the farthest pixel: an off-centre body reaches farther than it is wide
        ({"wider_than_mm": 150.0}, [2]),
    ],
)
def test_rules(rule, kept):
    body = np.stack([disk(20), disk(35), disk(35, (0, 45)), disk(60), disk(100)])
    assert KeepSlicesd("image", **rule).select(body, (2.0, 2.0)) == kept


@pytest.mark.parametrize(
    ("at_most", "kept"), [(1, [0]), (2, [0, 9]), (4, [0, 3, 6, 9]), (10, list(range(10))), (99, list(range(10)))]
)
def test_at_most_are_spread_over_those_that_qualify(at_most, kept):
    body = np.stack([disk(50)] * 10 + [disk(5)] * 3)
    assert KeepSlicesd("image", at_most=at_most).select(body, (2.0, 2.0)) == kept


def test_all_keys_are_thinned_alike(make_volume):
    x_hu = np.arange(4, dtype=np.float32)[:, None, None] * np.ones((1, 100, 100), dtype=np.float32)
    body = np.stack([disk(5), disk(50), disk(5), disk(50)])[None]
    out = KeepSlicesd(["image", "body"])({"image": make_volume(x_hu, SPACING_MM), "body": body, "id": "a"})
    assert out["slices"] == [1, 3]
    assert out["image"][0, :, 0, 0].tolist() == [1, 3]
    assert out["body"].shape == (1, 2, 100, 100)
    assert out["id"] == "a"


@pytest.mark.parametrize(("hu_below", "kept"), [(None, [0, 1, 2]), (2500.0, [0, 2])])
def test_slices_that_hold_metal_can_be_left_out(make_volume, hu_below, kept):
    x_hu = np.zeros((3, 100, 100))
    x_hu[:, 50, 50] = (2499, 2500, 40)
    item = {"image": make_volume(x_hu, SPACING_MM), "body": np.stack([disk(50)] * 3)[None]}
    assert KeepSlicesd("image", hu_below=hu_below, at_most=3)(item)["slices"] == kept


def test_a_volume_without_a_body_keeps_nothing(make_volume):
    volume = make_volume(np.zeros((3, 100, 100)), SPACING_MM)
    out = KeepSlicesd("image")({"image": volume, "body": np.zeros((1, 3, 100, 100), bool)})
    assert out["image"].shape == (1, 0, 100, 100)
    assert out["slices"] == []


def volumes(*depths: int) -> list[dict]:
    return [{"value": 0.1 * i, "depth": d, "group": f"g{i}", "patient": f"p{i}"} for i, d in enumerate(depths)]


def read(item: dict) -> dict:
    return {"image": torch.full((1, item["depth"], 4, 5), item["value"])}


def test_dataset_holds_every_slice():
    dataset = SliceDataset(volumes(2, 0, 3), read, progress=False)
    assert len(dataset) == 5
    assert dataset.groups == ["g0", "g0", "g2", "g2", "g2"]
    assert dataset.slices.dtype == torch.float16
    item = dataset[4]
    assert item["image"].shape == (1, 4, 5)
    assert item["image"].dtype == torch.float32
    assert item["image"].mean().item() == pytest.approx(0.2, abs=1e-4)


def test_dataset_transforms_a_copy():
    def darken(item: dict) -> dict:
        item["image"] -= 1.0
        return item

    dataset = SliceDataset(volumes(2, 1), read, darken, progress=False)
    assert [dataset[2]["image"].mean().item() for _ in range(2)] == pytest.approx([-0.9, -0.9], abs=1e-4)


def test_dataset_refuses_to_be_empty():
    with pytest.raises(InputError, match="none of 2 volumes has a usable slice"):
        SliceDataset(volumes(0, 0), read, progress=False)


def test_groups_are_drawn_by_their_shares():
    dataset = SliceDataset(volumes(40, 5, 1), read, progress=False)
    torch.manual_seed(0)
    sampler = group_sampler(dataset, {"g0": 1.0, "g1": 2.0}, 8000)  # one that is not named has a share of 1
    drawn = np.array([dataset.groups[i] for i in sampler])
    assert len(drawn) == len(sampler) == 8000
    shares = [(drawn == g).mean() for g in ("g0", "g1", "g2")]
    assert shares == pytest.approx([0.25, 0.5, 0.25], abs=0.02)
