"""Fingerprints follow settings and weights, and only these."""

import functools

import pytest
import torch
from torch import nn

from latentct.engines.fingerprint import fingerprint
from latentct.geometry import Grid
from latentct.recon import Sirt


class Holder:
    def __init__(self, content: object) -> None:
        self.content = content
        self.myself = self


def network(weight: float) -> nn.Module:
    layer = nn.Linear(2, 2)
    nn.init.constant_(layer.weight, weight)
    nn.init.zeros_(layer.bias)
    return layer


@pytest.mark.parametrize(
    "make",
    [
        lambda v: v,
        lambda v: Sirt(v),
        lambda v: {"a": [1, (v,)]},
        lambda v: network(float(v)),
        lambda v: Holder(network(float(v))),
        lambda v: Grid((4, v), (1.0, 2.0)),
        lambda v: torch.full((2,), v, dtype=torch.bfloat16),
        lambda v: functools.partial(max, key=v),
    ],
)
def test_equal_settings_give_equal_fingerprints(make):
    assert fingerprint(make(3)) == fingerprint(make(3))
    assert fingerprint(make(3)) != fingerprint(make(4))


def test_names_and_classes_count():
    assert fingerprint(max) != fingerprint(min)
    assert fingerprint(Holder(1)) != fingerprint(Sirt(1))
    assert fingerprint(["ab", "c"]) != fingerprint(["a", "bc"])
