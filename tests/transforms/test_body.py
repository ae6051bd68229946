"""Where the patient is: without the table, with lungs and arms, and whether the image cuts through them."""

import numpy as np
import pytest

from latentct.transforms import BodyMaskd, body_mask, cut_contour_fraction

from .conftest import SPACING_MM


def test_trunk_and_arms_without_table_and_leads(scene_hu, torso, arms):
    (mask,) = body_mask(scene_hu[None], SPACING_MM[1:])
    assert mask.dtype == bool
    assert not mask[100:].any()  # table
    assert not mask[:15].any()  # lead
    wrong = mask != (torso | arms)  # lungs are filled
    assert wrong.sum() < 0.01 * torso.sum()


def test_a_table_that_touches_the_back_goes_too(scene_hu, torso, arms):
    scene_hu[100:102] = -1000
    scene_hu[89:91] = 200  # where the trunk ends
    (mask,) = body_mask(scene_hu[None], SPACING_MM[1:])
    assert (mask != (torso | arms)).sum() < 0.02 * torso.sum()


def test_a_sheet_counts_when_it_is_thick(scene_hu):
    scene_hu[100:106] = 200
    (mask,) = body_mask(scene_hu[None], SPACING_MM[1:])
    assert mask[102].all()
    assert not body_mask(scene_hu[None], SPACING_MM[1:], sheet_mm=20.0)[0, 102].any()


def test_small_pieces_go_by_their_area(scene_hu, arms):
    (with_arms,), (without,) = (body_mask(scene_hu[None], SPACING_MM[1:], least_mm2=a) for a in (1000.0, 2000.0))
    assert with_arms[arms].mean() > 0.95  # about 1500 mm2 each
    assert not without[arms].any()


def test_air_has_no_body():
    assert not body_mask(np.full((2, 32, 32), -1000.0), (4.0, 4.0)).any()


def test_slices_are_judged_one_by_one(scene_hu):
    volume = np.stack([scene_hu, np.full_like(scene_hu, -1000), scene_hu])
    masks = body_mask(volume, SPACING_MM[1:])
    assert masks.any(axis=(1, 2)).tolist() == [True, False, True]
    assert np.array_equal(masks[0], masks[2])


def _disk(n: int, radius: float, center: tuple[float, float] = (0.0, 0.0)) -> np.ndarray:
    t = np.arange(n) - (n - 1) / 2
    return np.hypot(t[:, None] - center[0], t[None, :] - center[1]) <= radius


def test_whole_and_empty_slices_are_not_cut():
    assert cut_contour_fraction(np.stack([_disk(64, 25), np.zeros((64, 64), bool)])).tolist() == [0, 0]


def test_a_body_that_fills_the_circle_is_all_cut():
    assert cut_contour_fraction(_disk(64, 32)[None]).item() == 1
    assert cut_contour_fraction(np.ones((1, 64, 64), bool)).item() == 1


def test_half_a_circle_cut():
    # a half disk: its arc lies on the circle and has 4 r contour pixels (they share sides), its chord has 2 r
    t = np.arange(128) - 63.5
    half = _disk(128, 64) & (t[:, None] > 0)
    assert cut_contour_fraction(half[None]).item() == pytest.approx(2 / 3, abs=0.02)


def test_a_shifted_body_is_cut_in_part():
    fraction = cut_contour_fraction(_disk(128, 50, (0, 30))[None]).item()
    assert 0.02 < fraction < 0.5


def test_an_oblong_image_ends_at_its_ellipse():
    y, x = np.arange(64) - 31.5, np.arange(128) - 63.5
    assert cut_contour_fraction((np.hypot(y[:, None] / 32, x[None, :] / 64) <= 1)[None]).item() == 1


def test_transform_adds_the_mask(scene_hu, make_volume):
    volume = make_volume(scene_hu[None])
    out = BodyMaskd("image", body_key="patient")({"image": volume})
    assert out["image"] is volume
    assert np.array_equal(out["patient"], body_mask(scene_hu[None], SPACING_MM[1:])[None])
