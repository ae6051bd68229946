"""Batched minimisation: every slice as if it were alone, whatever its neighbours do."""

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from scipy.optimize import minimize
from torch import Tensor

from latentct.inferers.search import Objective, SearchResult, adam_search, lbfgs_search, value_and_gradient

CONDITIONS = (1.0, 10.0, 1e2, 1e4)
SHAPE = (3, 2, 2)


class Quadratics:
    """Bowls of different conditioning, `0.5 (z - c) H (z - c)`, with minimum 0 at c; counts who is asked."""

    def __init__(self) -> None:
        generator = torch.Generator().manual_seed(0)
        n = math.prod(SHAPE)
        turns = torch.linalg.qr(torch.randn(len(CONDITIONS), n, n, generator=generator, dtype=torch.float64)).Q
        spectra = torch.stack([torch.logspace(0, math.log10(c), n, dtype=torch.float64) for c in CONDITIONS])
        self.hessians = turns @ torch.diag_embed(spectra) @ turns.mT
        self.centres = torch.randn(len(CONDITIONS), n, generator=generator, dtype=torch.float64)
        self.asked: list[list[int]] = []

    def __call__(self, z: Tensor, which: Tensor) -> Tensor:
        self.asked.append(which.tolist())
        d = z.flatten(1) - self.centres[which]
        return 0.5 * (d[:, None] @ self.hessians[which] @ d[..., None])[:, 0, 0]


def rosenbrock(z: Tensor, which: Tensor) -> Tensor:
    """Curved valleys of growing steepness with minimum 0 at ones; not convex."""
    steepness = torch.tensor([1.0, 10.0, 100.0, 100.0], dtype=z.dtype)[which]
    x = z.flatten(1)
    valley = (x[:, 1:] - x[:, :-1] ** 2).square().sum(dim=1)
    return steepness * valley + (1 - x[:, :-1]).square().sum(dim=1)


def start(scale: float = 1.0) -> Tensor:
    return scale * torch.randn(4, *SHAPE, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def one(objective: Objective, index: int) -> Objective:
    """The problem of one slice alone."""
    return lambda z, which: objective(z, which + index)


SEARCHES: dict[str, Callable[[Objective, Tensor], SearchResult]] = {
    "adam": lambda objective, z: adam_search(objective, z, 60, 0.1),
    "adam_stopping": lambda objective, z: adam_search(objective, z, 200, 0.1, tolerance=0.1, window=10),
    "lbfgs": lambda objective, z: lbfgs_search(objective, z, 40, tolerance=1e-6),
}
OBJECTIVES = {"quadratics": Quadratics, "rosenbrock": lambda: rosenbrock}
every = pytest.mark.parametrize("search", SEARCHES.values(), ids=SEARCHES)
both = pytest.mark.parametrize("make_objective", OBJECTIVES.values(), ids=OBJECTIVES)


@both
@every
def test_a_batch_is_its_slices_one_by_one(search, make_objective):
    objective, z = make_objective(), start()
    together = search(objective, z)
    for i in range(4):
        alone = search(one(objective, i), z[i : i + 1])
        assert alone.n_steps.item() == together.n_steps[i].item()
        assert torch.allclose(alone.z[0], together.z[i], rtol=1e-6, atol=1e-8)
        assert torch.allclose(alone.value[0], together.value[i], rtol=1e-6, atol=1e-14)
        assert torch.allclose(alone.trace[:, 0], together.trace[: len(alone.trace), i], rtol=1e-6, atol=1e-14)
        assert bool((together.trace[len(alone.trace) :, i] == together.value[i]).all())


@both
@every
def test_the_best_latents_seen_are_kept(search, make_objective):
    objective, z = make_objective(), start()
    kept = z.clone()
    found = search(objective, z)
    assert torch.equal(z, kept)  # the start is not written on
    assert torch.allclose(objective(found.z, torch.arange(4)), found.value)
    assert bool((found.value <= objective(z, torch.arange(4))).all())
    assert torch.equal(found.trace[-1], found.value)
    assert bool((found.trace.diff(dim=0) <= 0).all())


def test_adam_that_overshoots_returns_its_best():
    objective, z = Quadratics(), start()
    found = adam_search(objective, objective.centres.reshape(4, *SHAPE).clone(), 10, 5.0)
    assert found.value.max() == 0
    assert adam_search(objective, z, 1, 5.0).value.equal(objective(z, torch.arange(4)))


def test_adam_is_torchs_with_a_cosine_schedule():
    objective, steps = Quadratics(), 25
    z = start().requires_grad_()
    optimizer = torch.optim.Adam([z], lr=1.0, betas=(0.9, 0.99), eps=1e-12)
    best = torch.full((4,), math.inf, dtype=torch.float64)
    for step in range(1, steps + 1):
        optimizer.param_groups[0]["lr"] = 0.2 * (0.1 + 0.9 * 0.5 * (1 + math.cos(math.pi * step / steps)))
        value = objective(z, torch.arange(4))
        best = torch.minimum(best, value.detach())
        optimizer.zero_grad()
        value.sum().backward()
        optimizer.step()
    assert torch.allclose(adam_search(objective, start(), steps, 0.2).value, best)


@pytest.mark.parametrize("name", ["adam_stopping", "lbfgs"])
def test_converged_slices_leave_the_batch(name):
    objective, z = Quadratics(), start()
    z[2] = objective.centres[2].reshape(SHAPE)
    found = SEARCHES[name](objective, z)
    assert objective.asked[0] == [0, 1, 2, 3]
    assert 2 not in objective.asked[-1]
    assert found.n_steps[2] < found.n_steps.max()
    assert len(found.trace) == found.n_steps.max()
    assert found.value[2] == 0


def test_adam_stops_when_a_window_brings_too_little():
    def falling(z: Tensor, which: Tensor) -> Tensor:  # by a tenth of a per cent a step, or not at all
        falling.calls += 1
        return 0.999**falling.calls * torch.tensor([1.0, 0.0])[which] + 1.0 * (which == 1) + 0.0 * z.sum(dim=1)

    falling.calls = 0
    assert adam_search(falling, torch.zeros(2, 3), 100, 0.1, tolerance=0.005, window=20).n_steps.tolist() == [100, 40]
    falling.calls = 0
    assert adam_search(falling, torch.zeros(2, 3), 100, 0.1, tolerance=0.05, window=20).n_steps.tolist() == [40, 40]
    assert adam_search(falling, torch.zeros(2, 3), 100, 0.1, tolerance=0.0).n_steps.tolist() == [100, 100]


@pytest.mark.parametrize("scale", [1.0, 2.0])
@both
def test_lbfgs_gets_where_scipy_gets(make_objective, scale):
    objective, z = make_objective(), start(scale)
    found = lbfgs_search(objective, z, 400, tolerance=0.0)

    def for_scipy(x: np.ndarray, i: int) -> tuple[float, np.ndarray]:
        t = torch.from_numpy(x).reshape(1, *SHAPE).requires_grad_()
        value = objective(t, torch.tensor([i]))
        value.sum().backward()
        return value.item(), t.grad.flatten().numpy()

    options = {"ftol": 1e-15, "gtol": 1e-9}
    for i in range(4):
        reference = minimize(for_scipy, z[i].flatten().numpy(), (i,), "L-BFGS-B", jac=True, options=options).fun
        # Rosenbrock's function has a second minimum near 4, where either may end
        assert found.value[i] < max(1e-6, 1.01 * reference)


@pytest.mark.parametrize("scale", [2.0, 5.0])
def test_lbfgs_does_not_stop_on_a_slope(scale):
    z = scale * torch.randn(64, *SHAPE, generator=torch.Generator().manual_seed(7), dtype=torch.float64)
    found = lbfgs_search(lambda z, which: rosenbrock(z, which % 4), z, 800, tolerance=0.0)
    _, gradient = value_and_gradient(lambda z, which: rosenbrock(z, which % 4), found.z, torch.arange(64))
    assert gradient.abs().max() < 1e-3


def test_lbfgs_solves_a_quadratic_in_float32():
    objective = Quadratics()
    objective.hessians, objective.centres = objective.hessians.float(), objective.centres.float()
    assert lbfgs_search(objective, start().float(), 200, tolerance=0.0).value.max() < 1e-4


def test_progress_is_told_after_each_step():
    told = []
    found = lbfgs_search(rosenbrock, start(), 15, on_step=lambda: told.append(1))
    assert len(told) == len(found.trace)
    told.clear()
    found = adam_search(rosenbrock, start(), 15, 0.1, on_step=lambda: told.append(1))
    assert len(told) == len(found.trace) == 15


@pytest.mark.parametrize("search", [lambda f, z: adam_search(f, z, 0, 0.1), lambda f, z: lbfgs_search(f, z, 0)])
def test_no_steps_change_nothing(search):
    found = search(rosenbrock, start())
    assert torch.equal(found.z, start())
    assert found.trace.shape == (0, 4)


def test_search_works_where_gradients_are_switched_off():
    with torch.no_grad():
        found = lbfgs_search(Quadratics(), start(), 30)
    assert bool((found.value < Quadratics()(start(), torch.arange(4))).all())
    assert not found.z.requires_grad
