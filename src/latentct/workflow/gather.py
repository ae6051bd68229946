"""Slices corrected part by part, and put together."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from latentct.errors import InputError
from latentct.workflow.completed_image import CompletedImage
from latentct.workflow.metal_image import MetalReducedImage
from latentct.workflow.rays import CorrectedRays
from latentct.workflow.work import Work

Arrays = dict[str, NDArray[Any]]
"""Of S slices: `before_hu`, `x_hu`, `synthesised` (float16), `misfit`, `trace`, and where there are such `spread_hu`,
`y_hat` and `ray_mask`, as in `latentct.workflow.slices.SliceResults`; `failed`, indices of slices left as they
were, and `why`."""

Method = CompletedImage | MetalReducedImage | CorrectedRays


def gathered(work: Work, parts: list[slice]) -> Arrays:
    """Return what was kept of all slices; one part at a time is in memory twice."""
    found: Arrays = {}
    lists: dict[str, list[NDArray[Any]]] = {"trace": [], "failed": [], "why": []}
    for part in parts:
        for name, values in work.part(part).items():
            if name in lists:
                lists[name].append(values + part.start if name == "failed" else values)
                continue
            if name not in found:
                found[name] = np.empty((parts[-1].stop, *values.shape[1:]), values.dtype)
            found[name][part] = values
    found["trace"] = _side_by_side(lists.pop("trace"))
    return found | {name: np.concatenate(values) for name, values in lists.items()}


def corrected(method: Method, part: slice) -> Arrays:
    """Return the arrays of a part; slices that cannot be corrected together each by itself, or as they came."""
    try:
        return _arrays(method, part) | {"failed": np.empty(0, int), "why": np.empty(0, str)}
    except InputError as error:
        if part.stop - part.start == 1:
            return _left_alone(method, part) | {"failed": np.zeros(1, int), "why": np.array([str(error)])}
    alone = [corrected(method, slice(index, index + 1)) for index in range(part.start, part.stop)]
    failed = np.flatnonzero([len(one.pop("failed")) for one in alone])
    trace = _side_by_side([one.pop("trace") for one in alone])
    joined = {name: np.concatenate([one[name] for one in alone]) for name in alone[0]}
    return joined | {"failed": failed, "trace": trace}


def _arrays(method: Method, part: slice) -> Arrays:
    found = method.correct(part)
    if not np.isfinite(found.x_hu).all():
        raise InputError("the search gave values that are not finite; check the HU, or the rays, of the scan.")
    arrays: Arrays = {
        "before_hu": method.before(part),
        "x_hu": found.x_hu,
        "synthesised": found.synthesised.astype(np.float16),
        "misfit": found.misfit,
        "trace": found.trace,
    }
    if found.spread_hu is not None:
        arrays["spread_hu"] = found.spread_hu
    if found.y_hat is not None and found.ray_mask is not None:
        arrays |= {"y_hat": found.y_hat, "ray_mask": np.broadcast_to(found.ray_mask, found.y_hat.shape)}
    return arrays


def _left_alone(method: Method, part: slice) -> Arrays:
    """Return the arrays of a slice that is left as it came."""
    before_hu = method.before(part)
    arrays: Arrays = {
        "before_hu": before_hu,
        "x_hu": before_hu,
        "synthesised": np.zeros(before_hu.shape, np.float16),
        "misfit": np.full(1, np.nan, np.float32),
        "trace": np.empty((0, 1), np.float32),
    }
    if method.has_spread:
        arrays["spread_hu"] = np.zeros_like(before_hu)
    if isinstance(method, CorrectedRays):
        y, ray_mask = method.measured(part)
        arrays |= {"y_hat": y, "ray_mask": ray_mask}
    return arrays


def _side_by_side(traces: list[NDArray[Any]]) -> NDArray[Any]:
    """Join the traces of searches; of one that stopped early the last value is repeated."""
    longest = max(map(len, traces))
    return np.concatenate([_lengthened(trace, longest) for trace in traces], axis=1)


def _lengthened(trace: NDArray[Any], n_steps: int) -> NDArray[Any]:
    if not len(trace):
        return np.full((n_steps, trace.shape[1]), np.nan, np.float32)
    return np.concatenate([trace, np.repeat(trace[-1:], n_steps - len(trace), axis=0)])
