"""The few-view comparison: what methods see, when the volumes are opened, what is computed again, and the scores."""

import hashlib
import json
import math
from functools import partial

import pytest
import torch
from ignite.engine import Engine

from latentct.engines import few_view
from latentct.engines.few_view import FewViewComparison, bodies, noisy_scans
from latentct.geometry import ConeBeam, Grid, few_view_scans
from latentct.metrics import paired_comparison
from latentct.projectors import make_projector
from latentct.units import hu_to_mu

GRID = Grid((6, 20, 20), (8.0, 8.0, 8.0))
MACHINE = ConeBeam((0.0,), (8, 24), (16.0, 16.0), 400.0, 600.0)
MU_WATER = 0.02


def volume(value_hu: float) -> torch.Tensor:
    """A cylinder of water with a core of another value, in air whose values are below the least HU."""
    y_mm, x_mm = torch.tensor(GRID.coordinates_mm(1)), torch.tensor(GRID.coordinates_mm(2))
    radius_mm = torch.hypot(y_mm[:, None], x_mm[None, :])
    x_hu = torch.where(radius_mm < 60, 0.0, -2000.0)
    return torch.where(radius_mm < 25, value_hu, x_hu).float().expand(1, *GRID.shape).clone()


VOLUMES = {name: volume(value) for name, value in (("v1", 200.0), ("v2", 400.0), ("v3", -300.0))}


def batches(*groups: str) -> list[dict]:
    """Batches of volumes, e.g. of v1 and v2 and then of v3: `batches("v1 v2", "v3")`."""
    names = [group.split() for group in groups]
    return [batch(ns, [VOLUMES[n] for n in ns]) for ns in names]


def batch(names: list[str], scanned: list[torch.Tensor]) -> dict:
    patients = [f"patient of {name}" for name in names]
    images = torch.stack([VOLUMES[name] for name in names])
    return {"image": images, "scanned": torch.stack(scanned), "sha256": names, "patient": patients}


class Constant:
    """A method that returns water everywhere, and remembers what it saw."""

    def __init__(self, share: float = 1.0) -> None:
        self.share = share
        self.seen: list[torch.Tensor] = []

    def __call__(self, y, projector, ray_mask):
        assert ray_mask.dtype == torch.bool and ray_mask.shape == projector.scan.sinogram_shape
        self.seen.append(y.clone())
        y.zero_()
        ray_mask.zero_()
        return torch.full((len(y), 1, *projector.grid.shape), self.share * MU_WATER)


def compare(folder, methods, data=None, views=(2, 4), **options) -> FewViewComparison:
    scans = few_view_scans(MACHINE, views)
    options = {"seed": 0} | options
    comparison = FewViewComparison(methods, scans, GRID, MU_WATER, 1e5, output_dir=folder, **options)
    engine = Engine(comparison)
    comparison.attach(engine)
    engine.run(data or batches("v1 v2", "v3"))
    return comparison


def test_table_has_every_condition_method_and_metric(tmp_path):
    published = []
    test = partial(paired_comparison, seed=0)
    methods = {"clsdm_consistent": Constant(0.9), "fdk": Constant()}
    compare(tmp_path, methods, paired_test=test, publish=lambda *given: published.append(given))
    summary = json.loads((tmp_path / "metrics.json").read_text())
    assert {name: list(rows) for name, rows in summary["views"].items()} == {
        "2": ["fdk", "clsdm_consistent"],
        "4": ["fdk", "clsdm_consistent"],
    }
    figures = summary["views"]["4"]["fdk"]
    assert set(figures) == {"psnr", "ssim", "mae_hu", "residual"}
    assert {"mean", "ci95", "n_patients"} <= set(figures["psnr"])
    assert figures["psnr"]["clsdm_consistent_minus"]["n_pairs"] == 3
    assert (summary["n_patients"], summary["n_volumes"]) == (3, 3)
    assert summary["methods"]["2/fdk"] == summary["views"]["2"]["fdk"]
    assert published == [(summary, tmp_path)]


def test_scores_are_those_of_the_frozen_result(tmp_path):
    comparison = compare(tmp_path, {"fdk": Constant()}, batches("v1"), views=(4,))
    row = comparison.scores.of_scan("4", comparison._scan_prints["4"])["fdk"]["v1"]
    x_hu = VOLUMES["v1"][None].clamp(min=-1000)
    body = bodies(x_hu, GRID)
    assert row["mae_hu"] == pytest.approx(float(x_hu.abs()[body].mean()), rel=1e-4)
    mse = float((x_hu.clamp(-1000, 1000) - 0).square().mean())
    assert row["psnr"] == pytest.approx(20 * math.log10(2000 / math.sqrt(mse)), rel=1e-4)
    projector = make_projector(GRID, few_view_scans(MACHINE, (4,))["4"])
    y = projector(hu_to_mu(x_hu, MU_WATER))
    y_hat = projector(torch.full_like(x_hu, MU_WATER))
    assert row["residual"] == pytest.approx(float((y_hat - y).norm() / y.norm()), rel=0.02)


def test_methods_get_copies_and_the_noise_of_a_volume_is_its_own(tmp_path):
    first, second, alone = Constant(), Constant(), Constant()
    compare(tmp_path / "a", {"fdk": first, "sirt": second}, views=(2,))
    compare(tmp_path / "b", {"fdk": alone}, batches("v3 v2"), views=(2,))
    assert torch.equal(first.seen[0], second.seen[0]) and first.seen[0].any()
    assert torch.equal(first.seen[0][1], alone.seen[0][1])
    assert torch.equal(first.seen[1][0], alone.seen[0][0])


def test_conditions_have_noise_of_their_own(tmp_path):
    method = Constant()
    compare(tmp_path, {"fdk": method}, batches("v1"), views=(2, 4))
    two, four = method.seen
    assert not torch.equal(two[0, :, 0], four[0, :, 0])
    torch.testing.assert_close(two[0, :, 0], four[0, :, 0], rtol=0, atol=0.3)


def test_results_are_frozen_before_the_volumes_are_opened(tmp_path, monkeypatch):
    opened = []
    monkeypatch.setattr(few_view.HeldBack, "open", lambda self, outputs: opened.append(outputs) or 1 / 0)
    with pytest.raises(ZeroDivisionError):
        compare(tmp_path, {"fdk": Constant(), "tv": Constant()})
    assert isinstance(opened[0], few_view.FrozenOutputs) and list(opened[0]) == ["fdk", "tv"]


def test_runs_merge_and_compute_only_what_is_missing(tmp_path):
    compare(tmp_path, {"fdk": Constant()}, batches("v1 v2"))
    again, further = Constant(), Constant(0.5)
    compare(tmp_path, {"fdk": again, "tv": further})
    assert [len(y) for y in again.seen] == [1, 1] and [len(y) for y in further.seen] == [2, 2, 1, 1]
    merged = compare(tmp_path, {}).summary["views"]
    together = compare(tmp_path / "other", {"fdk": Constant(), "tv": Constant(0.5)}).summary["views"]
    assert merged == together


def test_other_settings_or_an_order_compute_again(tmp_path):
    compare(tmp_path, {"fdk": Constant()}, views=(2,))
    changed, same, ordered = Constant(0.5), Constant(0.5), Constant(0.5)
    compare(tmp_path, {"fdk": changed}, views=(2,))
    compare(tmp_path, {"fdk": same}, views=(2,))
    compare(tmp_path, {"fdk": ordered}, views=(2,), overwrite=True)
    assert [len(method.seen) for method in (changed, same, ordered)] == [2, 0, 2]


def test_a_method_that_cannot_serve_a_condition_is_left_out(tmp_path):
    table = compare(tmp_path, {"fdk": Constant(), "tv": Constant()}, left_out={"4": ["fdk"]}).summary["views"]
    assert {name: list(rows) for name, rows in table.items()} == {"2": ["fdk", "tv"], "4": ["tv"]}


def test_finer_voxels_are_scanned_where_there_are_any(tmp_path):
    fine = VOLUMES["v1"].repeat_interleave(2, 1).repeat_interleave(2, 2).repeat_interleave(2, 3)
    same, shifted, coarse = Constant(), Constant(), Constant()
    compare(tmp_path / "a", {"fdk": coarse}, batches("v1"), views=(2,))
    compare(tmp_path / "b", {"fdk": same}, [batch(["v1"], [fine])], views=(2,), finer=2)
    torch.testing.assert_close(same.seen[0], coarse.seen[0], rtol=0, atol=0.2)
    compare(tmp_path / "b", {"fdk": shifted}, [batch(["v1"], [fine.roll(4, 3)])], views=(2,), finer=2, seed=1)
    assert (shifted.seen[0] - coarse.seen[0]).abs().max() > 0.3


def test_noise_is_that_of_the_photons():
    projector = make_projector(GRID, few_view_scans(MACHINE, (2,))["2"])
    x_mu = torch.zeros(1, 1, *GRID.shape)
    y = noisy_scans(x_mu, projector, 1e4, [torch.Generator().manual_seed(0)])
    assert float(y.std()) == pytest.approx(0.01, rel=0.1)


def test_bodies_are_without_the_table():
    x_hu = VOLUMES["v1"][None].clone()
    x_hu[..., 18, :] = 100.0
    body = bodies(x_hu, GRID)
    assert body.shape == x_hu.shape and body.dtype == torch.bool
    assert body[..., 10, 10].all() and not body[..., 18, :].any() and not body[..., 0, 0].any()


def test_seeds_are_the_same_everywhere():
    """A hash of Python would differ from one process to the next."""
    digest = hashlib.sha256(b"0/v1/4").digest()
    expected = torch.Generator().manual_seed(int.from_bytes(digest[:7], "big"))
    assert few_view._generator(0, "v1", "4").initial_seed() == expected.initial_seed()
