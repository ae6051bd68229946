"""What the search and what follows it are set to for each task, as the bundles evaluate them."""

from __future__ import annotations

import copy
from dataclasses import dataclass

from latentct.engines import WithNetwork
from latentct.inferers import LatentPriorTV, LatentReconstructionInferer
from latentct.serving.slices import SliceCorrector

FEW_VIEWS = 32
STEEPNESS = 1.58
"""Of the best weight of the total variation against the number of views: a third as much for twice as many."""
PIXEL_MM = 4.0
"""Pixels that weights are given for. The misfit of an image counts by its area and its edges by their length, so that a
weight for pixels half as wide is twice as large; on slices of patients in pixels of 1 to 2 mm that lowered the error of
few views by up to a fifth, and of a short arc by little."""


@dataclass(frozen=True)
class Refinement:
    """The total variation that has the last word, see `latentct.inferers.LatentPriorTV`.

    Attributes:
        weight: For pixels of `PIXEL_MM`; of few views, for `FEW_VIEWS` of them over the half turn.
        n_iterations: Steps.
        prior_share: Share of the difference's variation.
    """

    weight: float
    n_iterations: int
    prior_share: float


@dataclass(frozen=True)
class SearchSettings:
    """What differs from the search that the prior's own bundle describes.

    Attributes:
        rounds: Steps of each round; None leaves the bundle's.
        prior_weight: Weight of the prior; None leaves the bundle's.
        refinement: None where the search has the last word.
    """

    rounds: tuple[int, ...] | None = None
    prior_weight: float | None = None
    refinement: Refinement | None = None


SETTINGS = {
    None: SearchSettings(),
    "truncation": SearchSettings(),
    "metal": SearchSettings(),
    "limited-angle": SearchSettings((24, 16), 1e-3, Refinement(0.003, 30, 0.5)),
    "sparse-view": SearchSettings(refinement=Refinement(0.003, 100, 0.0)),
}
"""By task; tests hold them equal to `bundles/lsr_*`."""


def inferer_for(task: str | None, corrector: SliceCorrector) -> LatentReconstructionInferer:
    """Return the search of a bundle, set for a task and silent."""
    settings, inferer = SETTINGS[task], copy.copy(corrector.inferer)
    inferer.progress = False
    if settings.rounds is not None:
        inferer.rounds = settings.rounds
    if settings.prior_weight is not None:
        inferer.prior_weight = settings.prior_weight
    return inferer


def refinement_for(
    task: str | None, n_views: float, pixel_mm: float, inferer: LatentReconstructionInferer, corrector: SliceCorrector
) -> LatentPriorTV | None:
    """Return what refines the result of a search for a task, None where nothing does.

    Args:
        task: One of `SETTINGS`.
        n_views: Measured views on a half turn, were it all covered.
        pixel_mm: Width of the pixels that it works on.
        inferer: The search.
        corrector: The network's.
    """
    settings = SETTINGS[task].refinement
    if settings is None:
        return None
    weight = settings.weight * PIXEL_MM / pixel_mm
    if task == "sparse-view":
        weight *= (FEW_VIEWS / n_views) ** STEEPNESS
    return LatentPriorTV(
        WithNetwork(inferer, corrector.network),
        weight,
        settings.n_iterations,
        settings.prior_share,
        inferer.mu_water,
        inferer.filter_name,
    )
