"""The comparison of completions, on a linear prior, whose slices can be completed."""

import pytest
import torch
from benchmarks.readme_table import COMPLETION_COLUMNS, COMPLETION_METHODS, completion_tables
from tests.inferers.cases import HU_MAX, HU_MIN, LATENT, MU_WATER, PRIOR_GRID, SCANS, LinearPrior

from benchmarks import completion
from latentct.inferers import LatentReconstructionInferer
from latentct.units import x_to_hu

FIELD_MM = 180.0


@pytest.fixture(scope="module")
def cut() -> completion.Cut:
    z = torch.randn(4, *LATENT, generator=torch.Generator().manual_seed(2))
    x_hu = x_to_hu(LinearPrior().decode(z), HU_MIN, HU_MAX).clamp_min(-1000.0)
    return completion.Cut(x_hu, x_hu > -500, ["a", "a", "b", "c"], PRIOR_GRID, FIELD_MM)


@pytest.fixture(scope="module")
def found(cut) -> dict:
    air = {"completion": lambda x_mu, known: torch.where(known, x_mu, 0.0)}
    inferer = LatentReconstructionInferer(PRIOR_GRID, HU_MIN, HU_MAX, mu_water=MU_WATER, progress=False)
    entries = {"grid": PRIOR_GRID, "network": LinearPrior(), "inferer": inferer, "scan": SCANS["parallel"], **air}
    ways = completion.methods(entries.__getitem__, FIELD_MM, {"prior_weight": 0.0})
    return completion.compare(cut, ways, MU_WATER)


def test_every_method_is_scored_over_patients_and_against_the_search(found):
    assert list(found) == list(COMPLETION_METHODS)
    for name, scores in found.items():
        assert list(scores) == list(COMPLETION_COLUMNS) == list(completion.COLUMNS)
        for figures in scores.values():
            assert figures["n_patients"] == 3
            assert ("search_unet_minus" in figures) == (name != completion.MAIN)


def test_the_search_completes_what_air_and_the_edge_do_not(found):
    error = {name: scores["mae_outside_hu"]["mean"] for name, scores in found.items()}
    assert error["search_unet"] < 0.6 * error["unet"]
    assert error["search_fill"] < 0.3 * error["edge_fill"]
    assert error["rays"] < 0.1 * error["search_fill"]
    assert found["search_unet"]["overlap"]["mean"] > 0.8 > 0.1 > found["unet"]["overlap"]["mean"]


def test_scores_are_those_outside_of_the_circle(cut):
    outside = ~torch.from_numpy(completion.field_of_measurement_mask(PRIOR_GRID, FIELD_MM))
    wrong = torch.where(outside, cut.x_hu, -1000.0)
    assert {name: value.tolist() for name, value in cut.scores(wrong).items()} == {
        "mae_body_hu": [0.0] * 4,
        "mae_outside_hu": [0.0] * 4,
        "overlap": [1.0] * 4,
    }
    assert cut.scores(cut.x_hu + 10)["mae_body_hu"].tolist() == pytest.approx([10.0] * 4, rel=1e-3)
    assert cut.known().sum() < (~outside).sum()  # the rim is not known


def test_the_table_names_every_method(found):
    lines = completion_tables({"220": found})
    assert lines[0] == "**Field of view of 220 mm** (3 patients)"
    assert sum(line.startswith("| ") for line in lines) == 1 + len(COMPLETION_METHODS)
