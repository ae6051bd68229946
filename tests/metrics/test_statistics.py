"""Averages over patients, and the interval of their mean."""

import math

import numpy as np
import pytest

from latentct.metrics import bootstrap_ci, mean_per_patient, summarise


def test_interval_of_a_normal_sample_is_about_its_standard_error() -> None:
    values = np.random.default_rng(3).normal(10.0, 2.0, size=200)
    lower, upper = bootstrap_ci(values, seed=0)
    half_width = 1.96 * values.std(ddof=1) / math.sqrt(200)
    assert lower == pytest.approx(values.mean() - half_width, abs=0.05)
    assert upper == pytest.approx(values.mean() + half_width, abs=0.05)


def test_interval_is_reproducible_and_depends_on_the_seed() -> None:
    values = [1.0, 4.0, 2.0, 8.0, 5.0]
    assert bootstrap_ci(values, 500, seed=7) == bootstrap_ci(values, 500, seed=7)
    assert bootstrap_ci(values, 500, seed=7) != bootstrap_ci(values, 500, seed=8)


def test_summary_of_three_patients_leaves_out_nan() -> None:
    summary = summarise([1.0, 2.0, 3.0, float("nan")])
    assert summary["mean"] == 2.0
    assert summary["sd"] == 1.0
    assert summary["n_patients"] == 3
    ci95 = summary["ci95"]
    assert isinstance(ci95, list)
    assert 1.0 <= ci95[0] < 2.0 < ci95[1] <= 3.0


def test_summary_of_nothing_is_nan() -> None:
    summary = summarise([float("nan")])
    assert summary["n_patients"] == 0
    assert math.isnan(float(np.asarray(summary["mean"])))


def test_mean_per_patient_weighs_patients_not_slices() -> None:
    means = mean_per_patient(np.array([1.0, 3.0, 10.0, np.nan, np.nan]), ["b", "b", "a", "a", "c"])
    assert list(means) == ["b", "a", "c"]
    assert means["b"] == 2.0
    assert means["a"] == 10.0
    assert math.isnan(means["c"])
