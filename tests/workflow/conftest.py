"""The prior of the package, loaded once."""

import copy
from dataclasses import replace

import pytest

from latentct.bundle import stage_bundle
from latentct.serving import Corrector, load_corrector

from ..checks import ROOT


@pytest.fixture(scope="session")
def prior(tmp_path_factory: pytest.TempPathFactory) -> Corrector:
    folder = tmp_path_factory.mktemp("staged") / "lsr_truncation"
    corrector = load_corrector(stage_bundle(ROOT / "bundles" / "lsr_truncation", folder).root, "cpu")
    corrector.method.inferer.progress = False
    return corrector


@pytest.fixture(scope="session")
def hasty(prior: Corrector) -> Corrector:
    """The same with a search of one step, where the quality of the result does not matter."""
    method = copy.copy(prior.method)
    method.inferer = copy.copy(method.inferer)
    method.inferer.rounds = (1,)
    return replace(prior, method=method)
