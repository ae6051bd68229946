import numpy as np
import pytest

from latentct.workflow.describe import volume_statement
from latentct.workflow.volumes import VolumeResult


@pytest.mark.parametrize(("residual", "explains"), [(0.03, True), (0.42, False)])
def test_a_volume_that_does_not_explain_its_views_says_so(residual, explains):
    found = VolumeResult(np.zeros((1, 1, 1), np.float32), np.eye(4), None, residual, "All was imagined.")
    sentence = volume_statement(found)
    assert sentence.startswith("All was imagined.")
    assert ("residual 0.42" not in sentence) == explains
