"""Two methods compared on the same patients: the mean difference, its interval and a rank test."""

from collections.abc import Mapping

import numpy as np
from scipy import stats

from latentct.metrics.statistics import bootstrap_ci


def paired_comparison(
    first: Mapping[str, float],
    second: Mapping[str, float],
    *,
    seed: int,
    n_resamples: int = 10000,
    level: float = 0.95,
) -> dict[str, float | int | list[float]]:
    """Compare two methods patient by patient.

    The interval is the percentile bootstrap of the mean difference, patients drawn with replacement as pairs. The test
    is Wilcoxon's signed-rank test, two-sided, with zero differences ranked and then left out (Wilcoxon 1945,
    doi 10.2307/3001968; Pratt 1959, doi 10.1080/01621459.1959.10501526).

    Args:
        first: patient to value of one metric, e.g. what `mean_per_patient` returns.
        second: the same of the other method.
        seed: seed of the bootstrap.
        n_resamples: number of resampled means.
        level: coverage of the interval, in (0, 1).

    Returns:
        ``mean_difference`` (first minus second), ``interval`` (``[lower, upper]``), ``level``, ``p_wilcoxon`` (1 when
        no pair differs), ``n_pairs`` and ``n_dropped``, the patients that lack a value, or have NaN, in either.
        Without a pair the figures are NaN.
    """
    patients = sorted(first.keys() | second.keys())
    values = [(first.get(patient, np.nan), second.get(patient, np.nan)) for patient in patients]
    differences = np.array([a - b for a, b in values], dtype=np.float64)
    present = differences[~np.isnan(differences)]
    return {
        "mean_difference": float(present.mean()) if present.size else float("nan"),
        "interval": list(bootstrap_ci(present, n_resamples, seed=seed, level=level)),
        "level": level,
        "p_wilcoxon": _p_wilcoxon(present),
        "n_pairs": int(present.size),
        "n_dropped": int(differences.size - present.size),
    }


def _p_wilcoxon(differences: np.ndarray) -> float:
    if differences.size == 0:
        return float("nan")
    if not differences.any():
        return 1.0
    return float(stats.wilcoxon(differences, zero_method="pratt").pvalue)
