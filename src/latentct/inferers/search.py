"""Minimisation over latents, many slices at once.

The slices of a batch are independent problems that share one decoder call. Every quantity that an optimiser keeps is
therefore held per slice, and a slice that has converged leaves the batch.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

Objective = Callable[[Tensor, Tensor], Tensor]
"""`objective(z, which)` gives the value (b,) of latents z (b, ...) for the slices `which` (b,) of the problem."""


@dataclass
class SearchResult:
    """Latents found and how.

    Attributes:
        z: best latents seen, (B, ...).
        value: their objective, (B,).
        trace: objective after each step, (steps, B); a slice that has stopped keeps its last value.
        n_steps: steps that each slice took, (B,).
    """

    z: Tensor
    value: Tensor
    trace: Tensor
    n_steps: Tensor

    def followed_by(self, later: SearchResult) -> SearchResult:
        """Return the two searches of the same slices as one, whose latents are the better of both."""
        better = later.value < self.value
        return SearchResult(
            z=torch.where(_like(better, later.z), later.z, self.z),
            value=torch.minimum(self.value, later.value),
            trace=torch.cat([self.trace, later.trace]).cummin(dim=0).values,
            n_steps=self.n_steps + later.n_steps,
        )


def adam_search(
    objective: Objective,
    z: Tensor,
    steps: int,
    learning_rate: float,
    tolerance: float = 0.0,
    window: int = 20,
    on_step: Callable[[], object] | None = None,
) -> SearchResult:
    """Minimise by Adam (Kingma and Ba 2015, arXiv 1412.6980) with a cosine schedule, and keep the best latents seen.

    Args:
        objective: see `Objective`.
        z: start (B, ...).
        steps: largest number of steps.
        learning_rate: first step size; it falls to a tenth along half a cosine.
        tolerance: a slice stops when its best value fell by less than this fraction over `window` steps; 0 never stops.
        window: steps between two such looks.
        on_step: called after each step, for progress bars.
    """
    active = torch.arange(len(z), device=z.device)
    best = SearchResult(z.clone(), z.new_full((len(z),), math.inf), z.new_empty((0, len(z))), active * 0)
    at_last_look = best.value.clone()
    current, m, v = z.clone(), torch.zeros_like(z), torch.zeros_like(z)
    rows: list[Tensor] = []
    for step in range(1, steps + 1):
        value, gradient = value_and_gradient(objective, current, active)
        _keep_best(best, active, current, value)
        best.n_steps[active] = step
        rows.append(best.value.clone())
        m.lerp_(gradient, 0.1)
        v.lerp_(gradient.square(), 0.01)
        size = learning_rate * (0.55 + 0.45 * math.cos(math.pi * step / steps)) / (1 - 0.9**step)
        current = current - size * m / ((v / (1 - 0.99**step)).sqrt() + 1e-12)
        if on_step is not None:
            on_step()
        if tolerance > 0 and step % window == 0:
            going = best.value[active] < at_last_look[active] * (1 - tolerance)
            at_last_look = best.value.clone()
            active, current, m, v = active[going], current[going], m[going], v[going]
            if not len(active):
                break
    best.trace = torch.stack(rows) if rows else best.trace
    return best


def lbfgs_search(
    objective: Objective,
    z: Tensor,
    steps: int,
    tolerance: float = 1e-4,
    history: int = 8,
    scale: Tensor | None = None,
    on_step: Callable[[], object] | None = None,
) -> SearchResult:
    """Minimise by limited-memory BFGS, with the memory and the step length of each slice its own.

    Two-loop recursion and backtracking to sufficient decrease (Nocedal and Wright 2006, algorithms 7.4 and 3.1,
    doi 10.1007/978-0-387-40065-5). Pairs of negative curvature are not used; a slice for which no step length helps
    forgets its memory and goes on along its gradient once.

    Args:
        objective: see `Objective`.
        z: start (B, ...).
        steps: largest number of steps.
        tolerance: a slice stops when a step lowers its value by less than this fraction.
        history: number of pairs remembered.
        scale: units (1, ...) of the entries of z in which the steps are taken; None: all alike. Where it equals the
            curvature's inverse root, far fewer steps are needed.
        on_step: called after each step, for progress bars.
    """
    if scale is not None:
        found = lbfgs_search(
            lambda u, which: objective(scale * u, which), z / scale, steps, tolerance, history, on_step=on_step
        )
        return replace(found, z=scale * found.z)
    active = torch.arange(len(z), device=z.device)
    value, gradient = value_and_gradient(objective, z, active)
    best = SearchResult(z.clone(), value.clone(), z.new_empty((0, len(z))), active * 0)
    current, memory, rows = z.clone(), _Memory(history, gradient), []
    restarted = torch.ones_like(active, dtype=torch.bool)
    for step in range(1, steps + 1):
        direction = -memory.apply(gradient)
        new, new_value, new_gradient = _backtrack(objective, active, current, value, gradient, direction)
        memory.append(new - current, new_gradient - gradient)
        failed = new_value >= value
        memory.forget(failed, gradient)
        going = (new_value < value * (1 - tolerance)) | (failed & ~restarted)
        _keep_best(best, active, new, new_value)
        best.n_steps[active] = step
        rows.append(best.value.clone())
        if on_step is not None:
            on_step()
        active, current, value, gradient = active[going], new[going], new_value[going], new_gradient[going]
        restarted = failed[going]
        memory.select(going)
        if not len(active):
            break
    best.trace = torch.stack(rows) if rows else best.trace
    return best


def value_and_gradient(objective: Objective, z: Tensor, which: Tensor) -> tuple[Tensor, Tensor]:
    """Return the objective (b,) and its gradient (b, ...) at latents z (b, ...)."""
    z = z.detach().requires_grad_()
    with torch.enable_grad():
        value = objective(z, which)
        (gradient,) = torch.autograd.grad(value.sum(), z)
    return value.detach(), gradient


class _Memory:
    """The pairs (s, y) of L-BFGS, newest last."""

    def __init__(self, size: int, gradient: Tensor) -> None:
        self.size = size
        self.pairs: list[tuple[Tensor, Tensor, Tensor]] = []
        self.gamma = _first_length(gradient)

    def append(self, s: Tensor, y: Tensor) -> None:
        curvature, yy = _dot(s, y), _dot(y, y).clamp_min(1e-30)
        used = curvature > 1e-12 * yy
        rho = torch.where(used, 1 / curvature, torch.zeros_like(curvature))
        self.gamma = torch.where(
            used, curvature / yy, self.gamma
        )  # of the newest pair used: its scale is that of a step
        self.pairs = [*self.pairs, (s, y, rho)][-self.size :]

    def forget(self, which: Tensor, gradient: Tensor) -> None:
        self.gamma = torch.where(which, _first_length(gradient), self.gamma)
        self.pairs = [(s, y, rho * ~which) for s, y, rho in self.pairs]

    def select(self, going: Tensor) -> None:
        self.gamma = self.gamma[going]
        self.pairs = [(s[going], y[going], rho[going]) for s, y, rho in self.pairs]

    def apply(self, gradient: Tensor) -> Tensor:
        """Return the inverse Hessian's estimate times the gradient."""
        q, alphas = gradient.clone(), []
        for s, y, rho in reversed(self.pairs):
            alphas.append(rho * _dot(s, q))
            q = q - _scale(alphas[-1], y)
        q = _scale(self.gamma, q)
        for (s, y, rho), alpha in zip(self.pairs, reversed(alphas), strict=True):
            q = q + _scale(alpha - rho * _dot(y, q), s)
        return q


def _backtrack(
    objective: Objective, active: Tensor, z: Tensor, value: Tensor, gradient: Tensor, direction: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Halve each slice's step until its value has fallen enough; a slice for which none helps stays where it is."""
    slope = _dot(gradient, direction)
    downhill = slope < 0
    direction = torch.where(_like(downhill, direction), direction, -gradient)
    slope = torch.where(downhill, slope, -_dot(gradient, gradient))
    length = torch.ones_like(value)
    new, new_value, new_gradient = z.clone(), value.clone(), gradient.clone()
    pending = torch.arange(len(z), device=z.device)
    for _ in range(8):
        trial = z[pending] + _scale(length[pending], direction[pending])
        trial_value, trial_gradient = value_and_gradient(objective, trial, active[pending])
        good = trial_value <= value[pending] + 1e-4 * length[pending] * slope[pending]
        done = pending[good]
        new[done], new_value[done], new_gradient[done] = trial[good], trial_value[good], trial_gradient[good]
        pending = pending[~good]
        if not len(pending):
            break
        length[pending] *= 0.5
    return new, new_value, new_gradient


def _keep_best(best: SearchResult, active: Tensor, z: Tensor, value: Tensor) -> None:
    better = value < best.value[active]
    best.z[active[better]] = z[better]
    best.value[active[better]] = value[better]


def _first_length(gradient: Tensor) -> Tensor:
    """Return the step that moves a latent by a tenth of its own unit, as long as no curvature is known."""
    return 0.1 / gradient.flatten(1).abs().amax(dim=1).clamp_min(1e-30)


def _dot(a: Tensor, b: Tensor) -> Tensor:
    return (a * b).flatten(1).sum(dim=1)


def _like(a: Tensor, b: Tensor) -> Tensor:
    return a.reshape(-1, *[1] * (b.ndim - 1))


def _scale(a: Tensor, b: Tensor) -> Tensor:
    return _like(a, b) * b
