"""From values a slice to a table over patients: mean, SD and bootstrap interval."""

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Floats: TypeAlias = Sequence[float] | NDArray[np.float64]


def mean_per_patient(values: Floats, patients: Sequence[str]) -> dict[str, float]:
    """Average the values of each patient's slices.

    Args:
        values: one value a slice; NaN (an empty region) is left out.
        patients: the patient of each slice, as many as ``values``.

    Returns:
        Patient to mean, in order of first appearance; NaN for a patient without a single value.

    >>> mean_per_patient([1.0, 3.0, 5.0], ["a", "a", "b"])
    {'a': 2.0, 'b': 5.0}
    """
    by_patient: dict[str, list[float]] = {}
    for value, patient in zip(np.asarray(values, dtype=np.float64), patients, strict=True):
        kept = by_patient.setdefault(patient, [])
        if not np.isnan(value):
            kept.append(float(value))
    return {patient: float(np.mean(kept)) if kept else float("nan") for patient, kept in by_patient.items()}


def bootstrap_ci(
    values_per_patient: Floats, n_resamples: int = 10000, *, seed: int, level: float = 0.95
) -> tuple[float, float]:
    """Return the percentile bootstrap interval of the mean over patients.

    Patients are drawn with replacement, because slices of one patient are not independent (Efron and Tibshirani 1986,
    doi 10.1214/ss/1177013815).

    Args:
        values_per_patient: one value a patient; NaN is left out.
        n_resamples: number of resampled means.
        seed: seed of the generator; the same seed gives the same interval.
        level: coverage, in (0, 1).

    Returns:
        Lower and upper end, both NaN without a single value.
    """
    values = _present(values_per_patient)
    if values.size == 0:
        return float("nan"), float("nan")
    draws = np.random.default_rng(seed).integers(values.size, size=(n_resamples, values.size))
    lower, upper = np.quantile(values[draws].mean(axis=1), [(1 - level) / 2, (1 + level) / 2])
    return float(lower), float(upper)


def summarise(values_per_patient: Floats, *, seed: int = 0) -> dict[str, float | int | list[float]]:
    """Summarise one metric over patients.

    Args:
        values_per_patient: one value a patient; NaN is left out and does not count.
        seed: seed of the bootstrap.

    Returns:
        ``mean``, ``sd`` (n - 1 in the denominator; NaN for one patient), ``ci95`` (``[lower, upper]``, bootstrap of the
        mean) and ``n_patients``, the number that counted.
    """
    values = _present(values_per_patient)
    return {
        "mean": float(values.mean()) if values.size else float("nan"),
        "sd": float(values.std(ddof=1)) if values.size > 1 else float("nan"),
        "ci95": list(bootstrap_ci(values, seed=seed)),
        "n_patients": int(values.size),
    }


def _present(values: Floats) -> NDArray[np.float64]:
    array = np.asarray(values, dtype=np.float64).ravel()
    return array[~np.isnan(array)]
