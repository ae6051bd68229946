"""Two methods on the same patients."""

import math

import numpy as np
import pytest
from scipy import stats

from latentct.metrics import paired_comparison


def by_patient(values: list[float]) -> dict[str, float]:
    return {f"p{i}": value for i, value in enumerate(values)}


def test_a_constant_gain_has_a_narrow_interval_although_patients_differ_much() -> None:
    values = np.random.default_rng(0).normal(100.0, 50.0, size=30)
    noise = np.random.default_rng(1).normal(0.0, 0.1, size=30)
    result = paired_comparison(by_patient(values - 2 + noise), by_patient(values), seed=0)
    lower, upper = result["interval"]
    assert -2.1 < lower < result["mean_difference"] < upper < -1.9
    assert result["p_wilcoxon"] == pytest.approx(stats.wilcoxon(-2 + noise).pvalue)
    assert result["p_wilcoxon"] < 1e-6
    assert (result["n_pairs"], result["n_dropped"], result["level"]) == (30, 0, 0.95)


def test_no_difference_is_not_found() -> None:
    first, second = np.random.default_rng(2).normal(size=(2, 40))
    result = paired_comparison(by_patient(first), by_patient(second), seed=0)
    assert result["interval"][0] < 0 < result["interval"][1]
    assert result["p_wilcoxon"] > 0.05


def test_pairs_go_by_patient_and_half_pairs_are_counted_out() -> None:
    first = {"a": 1.0, "b": 5.0, "c": math.nan, "d": 9.0}
    second = {"e": 7.0, "c": 2.0, "b": 3.0, "a": 4.0}
    result = paired_comparison(first, second, seed=0)
    assert result["mean_difference"] == pytest.approx(-0.5)
    assert (result["n_pairs"], result["n_dropped"]) == (2, 3)


def test_equal_and_absent_values() -> None:
    same = paired_comparison({"a": 1.0, "b": 2.0}, {"a": 1.0, "b": 2.0}, seed=0)
    assert (same["mean_difference"], same["interval"], same["p_wilcoxon"]) == (0.0, [0.0, 0.0], 1.0)
    none = paired_comparison({"a": math.nan}, {"a": 1.0}, seed=0)
    assert math.isnan(none["mean_difference"]) and math.isnan(none["p_wilcoxon"])
    assert (none["n_pairs"], none["n_dropped"]) == (0, 1)


def test_interval_follows_seed_and_level() -> None:
    first, second = by_patient([1.0, 4.0, 2.0, 8.0]), by_patient([0.0, 1.0, 5.0, 3.0])
    wide, narrow = (paired_comparison(first, second, seed=3, level=level)["interval"] for level in (0.95, 0.5))
    assert wide[0] < narrow[0] < narrow[1] < wide[1]
    assert paired_comparison(first, second, seed=3)["interval"] == wide
