"""Few views of the volumes of a batch."""

import math

import pytest
import torch
from ignite.engine import Engine
from monai.data import MetaTensor

from latentct.engines import FewViewPrepareBatch
from latentct.geometry import ConeBeam, Grid, few_view_scans
from latentct.projectors import make_projector
from latentct.simulate import RandomViews
from latentct.units import MU_WATER_70KEV

GRID = Grid((6, 8, 8), (16.0, 24.0, 24.0))
SCAN = ConeBeam((0.0,), (8, 10), (24.0, 32.0), sod_mm=800.0, sdd_mm=1200.0)
BATCH = {"image": 0.5 * torch.rand(2, 1, *GRID.shape, generator=torch.Generator().manual_seed(0))}


def prepare(**settings: object) -> FewViewPrepareBatch:
    views = settings.pop("views", RandomViews(SCAN, (2, 5)))
    return FewViewPrepareBatch(GRID, views, -1000.0, 1000.0, **{"seed": 3, **settings})


def test_line_integrals_of_the_volumes_in_physical_units():
    y, image, args, kwargs = prepare(i0_photons=None)(BATCH, "cpu")
    assert torch.equal(image, BATCH["image"])
    assert args == ()
    expected = make_projector(GRID, kwargs["scan"])(2 * MU_WATER_70KEV * image)
    assert y.shape == (2, 1, kwargs["scan"].n_views, 8, 10)
    assert torch.allclose(y, expected, atol=1e-6)
    noisy = prepare(i0_photons=1e5)(BATCH, "cpu")[0] - y
    predicted = torch.exp(0.5 * y) / math.sqrt(1e5)  # a photon count of exp(-y) i0 has this standard deviation
    assert (noisy / predicted).std().item() == pytest.approx(1.0, abs=0.1)
    assert (noisy / predicted).mean().item() == pytest.approx(0.0, abs=0.15)


def test_no_attenuation_is_negative():
    y = prepare(i0_photons=None)({"image": torch.full((1, 1, *GRID.shape), -0.2)}, "cpu")[0]
    assert torch.equal(y, torch.zeros_like(y))


def test_a_seed_repeats_views_and_noise_with_every_run():
    made, seen = prepare(), []
    engine = Engine(lambda *_: seen.append(made(BATCH, "cpu")))
    made.attach(engine)
    torch.manual_seed(1)
    before = torch.get_rng_state()
    for _ in range(2):
        engine.run([None] * 3)
    assert torch.equal(torch.get_rng_state(), before)
    for a, b in zip(seen[:3], seen[3:], strict=True):
        assert a[3]["scan"] == b[3]["scan"]
        assert torch.equal(a[0], b[0])
    assert len({batch[3]["scan"] for batch in seen[:3]}) == 3


def test_without_a_seed_chance_is_torchs():
    torch.manual_seed(5)
    a = prepare(seed=None)(BATCH, "cpu")
    b = prepare(seed=None)(BATCH, "cpu")
    torch.manual_seed(5)
    c = prepare(seed=None)(BATCH, "cpu")
    assert a[3]["scan"] == c[3]["scan"] != b[3]["scan"]
    assert torch.equal(a[0], c[0])


def test_scans_of_a_list_are_gone_through_in_turn():
    made = prepare(views=list(few_view_scans(SCAN, (4, 8)).values()))
    counts = [made(BATCH, "cpu")[0].shape[2] for _ in range(3)]
    made.restart()
    assert [*counts, made(BATCH, "cpu")[0].shape[2]] == [4, 8, 4, 4]


def test_another_key_and_a_plain_tensor():
    y, image, _, _ = prepare(key="volume")({"volume": MetaTensor(BATCH["image"])}, "cpu")
    assert type(y) is type(image) is torch.Tensor
