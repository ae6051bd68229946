"""Answers of served models, compared across processes."""

import base64
from io import BytesIO
from typing import Any

import numpy as np

#: Sums of another number of threads round differently, and a search of some steps makes a little more of that.
MEAN_HU, MOST_HU = 0.2, 10.0


def assert_same_answer(one: dict[str, Any], other: dict[str, Any]) -> None:
    """Fail unless two answers differ by rounding only."""
    assert one.keys() == other.keys()
    numbers = {"image_hu", "misfit", "npz"} & one.keys()
    assert {key: one[key] for key in one.keys() - numbers} == {key: other[key] for key in other.keys() - numbers}
    np.testing.assert_allclose(one["misfit"], other["misfit"], rtol=1e-2)
    difference_hu = np.abs(image_hu(one) - image_hu(other))
    assert difference_hu.mean() < MEAN_HU and difference_hu.max() < MOST_HU


def image_hu(answer: dict[str, Any]) -> np.ndarray:
    """The image of an answer as lists or as an NPZ file."""
    if "image_hu" in answer:
        return np.asarray(answer["image_hu"], dtype=np.float64)
    with np.load(BytesIO(base64.b64decode(answer["npz"]))) as arrays:
        return arrays["image_hu"].astype(np.float64)
