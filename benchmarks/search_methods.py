"""Ways to search a latent, all on the same slices: what `search.py` compares."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from tqdm import tqdm

from latentct.inferers.search import Objective, adam_search, lbfgs_search, value_and_gradient
from latentct.inferers.wave import Wave

PAPER_STEPS = 500
CG_STEPS = 5
"""Products with the Gauss-Newton matrix that a step takes."""


@dataclass
class Watch:
    """What a search has spent and reached, call by call.

    Attributes:
        wave: the slices.
        calls: decoder calls with gradient so far, mean over the slices; those of a part of them count as that part.
        seconds: since the watch began.
        misfit: lowest root mean squared misfit of each slice so far, (S,).
    """

    wave: Wave
    calls: list[float] = field(default_factory=lambda: [0.0])
    seconds: list[float] = field(default_factory=lambda: [0.0])
    misfit: list[Tensor] = field(default_factory=list)
    began: float = field(default_factory=time.perf_counter)

    def __post_init__(self) -> None:
        self.misfit.append(torch.full((len(self.wave.y),), torch.inf))

    def objective(self) -> Objective:
        """Return the objective of the search, which notes each call."""
        weight = self.wave.settings.prior_weight

        def objective(z: Tensor, which: Tensor) -> Tensor:
            square = self.wave.mean_square(self.wave.problem.decode(z), which)
            self.note(len(which) / len(self.wave.y), square.detach().sqrt(), which)
            return square + weight * z.square().flatten(1).mean(dim=1)

        return objective

    def note(self, calls: float, misfit: Tensor, which: Tensor) -> None:
        """Add a line."""
        best = self.misfit[-1].clone()
        best[which] = torch.minimum(best[which], misfit)
        self.misfit.append(best)
        self.calls.append(self.calls[-1] + calls)
        self.seconds.append(time.perf_counter() - self.began)

    def spend(self, calls: float) -> None:
        """Count what another product with the decoder cost."""
        self.calls[-1] += calls

    def until(self, misfit: Tensor) -> tuple[float, float] | None:
        """Return calls and seconds until the mean misfit was no larger than that of `misfit` (S,); None: never."""
        wanted = float(misfit.mean())
        for calls, seconds, reached in zip(self.calls, self.seconds, self.misfit, strict=True):
            if float(reached.mean()) <= wanted:
                return calls, seconds
        return None


Method = Callable[[Wave, Watch], Tensor]
"""From the slices to their latents; all calls of the decoder go through the watch."""


def paper(learning_rate: float) -> Method:
    """Adam from N(0, I), as Kabelac et al. 2025 search."""

    def search(wave: Wave, watch: Watch) -> Tensor:
        z = wave.problem.random_latents(len(wave.y))
        return adam_search(watch.objective(), z, PAPER_STEPS, learning_rate).z

    return search


def adam_from_encoder(wave: Wave, watch: Watch) -> Tensor:
    """Adam from the encoder's start."""
    return adam_search(watch.objective(), wave.encoded_start(), 150, 0.05).z


def lbfgs_from_encoder(wave: Wave, watch: Watch) -> Tensor:
    """L-BFGS from the encoder's start, all latents in their own unit."""
    return lbfgs_search(watch.objective(), wave.encoded_start(), 60, 0.0).z


def scaled_lbfgs(wave: Wave, watch: Watch) -> Tensor:
    """L-BFGS from the encoder's start in units of equal curvature, without a second encoding."""
    z = wave.encoded_start()
    watch.spend(1)
    return lbfgs_search(watch.objective(), z, sum(wave.settings.rounds), 0.0, scale=wave.scale(z)).z


def default(wave: Wave, watch: Watch) -> Tensor:
    """The search as it is shipped, its units and its second encoding included."""
    wave.objective = lambda *args, **kwargs: watch.objective()  # type: ignore[method-assign]
    watch.spend(2)  # the units: a call; the encoding between the rounds and the image it needs: about one more
    return wave.solve(None, tqdm(disable=True)).z


def long_default(wave: Wave, watch: Watch) -> Tensor:
    """Two hundred more steps after the default: where it converges to."""
    z = default(wave, watch)
    return lbfgs_search(watch.objective(), z, 200, 0.0, history=20, scale=wave.scale(z)).z


def gauss_newton(wave: Wave, watch: Watch) -> Tensor:
    """Levenberg-Marquardt from the encoder's start, each step by conjugate gradients in units of equal curvature.

    Products with the Jacobian are forward-mode, those with its transpose reverse-mode (Nocedal and Wright 2006,
    chapter 10.3, doi 10.1007/978-0-387-40065-5). Damping is halved where a step brought three quarters of what its
    linear model promised, and quadrupled where it raised the objective, which is then undone.
    """
    z = wave.encoded_start()
    watch.spend(1)
    scale, everything = wave.scale(z), torch.arange(len(z))
    objective = watch.objective()
    value, gradient = value_and_gradient(objective, z, everything)
    damping = torch.full((len(z), 1, 1, 1), 1e-2) * _curvature(wave, z, scale)
    for _ in range(8):
        step, promised = _solve(wave, watch, z, scale, scale * gradient, damping)
        new_value, new_gradient = value_and_gradient(objective, z + scale * step, everything)
        better = new_value < value
        good = (value - new_value) > 0.75 * promised
        damping = damping * torch.where(good, 0.5, torch.where(better, 1.0, 4.0))[:, None, None, None]
        keep = better[:, None, None, None]
        z, gradient = torch.where(keep, z + scale * step, z), torch.where(keep, new_gradient, gradient)
        value = torch.where(better, new_value, value)
    return z


def _solve(
    wave: Wave, watch: Watch, z: Tensor, scale: Tensor, gradient: Tensor, damping: Tensor
) -> tuple[Tensor, Tensor]:
    """Return the step that a few conjugate gradients find, in scaled units, and the fall it promises, (S,)."""
    step, residual = torch.zeros_like(z), -gradient
    direction, old = residual, _dot(residual, residual)
    product = _GaussNewton(wave, z, scale)
    for _ in range(CG_STEPS):
        image = product(direction) + damping * direction
        watch.spend(1.5)  # a forward-mode call is about two forward ones, and a backward one follows
        length = old / _dot(direction, image).clamp_min(1e-30)
        step, residual = step + length * direction, residual - length * image
        new = _dot(residual, residual)
        direction, old = residual + new / old.clamp_min(1e-30) * direction, new
    promised = -_dot(step, gradient) / 2
    return step, promised.flatten()


class _GaussNewton:
    """Products with the Gauss-Newton matrix of the misfit at z, in scaled units, the prior's term included."""

    def __init__(self, wave: Wave, z: Tensor, scale: Tensor) -> None:
        self.wave, self.z, self.scale = wave, z, scale
        self.weights = 2 * wave.weights / wave.n_rays[:, None, None, None]
        # torch's forward mode of group normalisation takes no channels-last tensors
        network = copy.deepcopy(wave.problem.network)
        for norm in (m for m in network.modules() if isinstance(m, nn.GroupNorm)):
            norm.register_forward_pre_hook(lambda _, x: (x[0].contiguous(),))
        self.forward_mode = copy.copy(wave.problem)
        self.forward_mode.network = network
        self.graph_z = z.detach().requires_grad_()
        self.rays = wave.rays(self.graph_z)

    def __call__(self, direction: Tensor) -> Tensor:
        with sdpa_kernel(SDPBackend.MATH):
            _, image = torch.func.jvp(self.forward_mode.decode, (self.z,), (self.scale * direction,))
        rays = self.wave.problem.searched_rays(image)
        (back,) = torch.autograd.grad(self.rays, self.graph_z, self.weights * rays, retain_graph=True)
        prior = 2 * self.wave.settings.prior_weight / self.z[0].numel()
        return self.scale * back + prior * self.scale.square() * direction


def _curvature(wave: Wave, z: Tensor, scale: Tensor) -> Tensor:
    """Return the mean curvature of each slice in scaled units, by one random direction."""
    direction = torch.randn(z.shape, generator=torch.Generator().manual_seed(0))
    return _dot(direction, _GaussNewton(wave, z, scale)(direction)) / z[0].numel()


def _dot(a: Tensor, b: Tensor) -> Tensor:
    return (a * b).flatten(1).sum(dim=1)[:, None, None, None]
