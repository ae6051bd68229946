"""The card of a trained model."""

from pathlib import Path

import pytest
from monai.bundle import ConfigParser

from latentct.errors import InputError
from latentct.tracking.model_card import model_card

from .conftest import FailingLoss, artifact_path, artifacts, make_trainer, points, runs

META = {
    "name": "LSR truncation",
    "version": "0.1.0",
    "description": "Searches a latent space.",
    "intended_use": "Research only; not a medical device.",
    "references": ["Kabelac et al., 2025"],
}


def tracker(tmp_path: Path, manifest: Path, **options: object) -> object:
    """A tracker made by a bundle's configuration."""
    target = {
        "_target_": "latentct.tracking.MLflowTracker",
        "output_dir": str(tmp_path),
        "experiment_name": "exp",
        "manifest": str(manifest),
        **options,
    }
    return ConfigParser({"_meta_": META, "tracker": target}).get_parsed_content("tracker")


def test_a_finished_training_leaves_a_card(tmp_path: Path, manifest: Path) -> None:
    make_trainer(tracker(tmp_path, manifest), epochs=3).run()
    (run,) = runs()
    card = artifact_path(run.info.run_id, "model_card.md").read_text()
    assert card.startswith("# LSR truncation 0.1.0\n\nSearches a latent space.\n")
    assert "Research only; not a medical device." in card
    assert "- 1 volumes of 1 patients: made up (CC0-1.0)" in card
    best = min(value for _, value in points(run.info.run_id, "val/mae"))
    assert f"- mae: {best:.6g}\n" in card
    assert f"- git.commit: {run.data.tags['git.commit']}\n" in card
    assert "- Kabelac et al., 2025\n" in card
    assert "JaneDoe" not in card


def test_a_failed_training_leaves_none(tmp_path: Path, manifest: Path) -> None:
    with pytest.raises(RuntimeError):
        make_trainer(tracker(tmp_path, manifest), loss=FailingLoss(RuntimeError("x"), call=2)).run()
    (run,) = runs()
    assert "model_card.md" not in artifacts(run.info.run_id)


def test_best_figures_are_those_of_the_best_epoch_also_of_a_resumed_run(tmp_path: Path, manifest: Path) -> None:
    make_trainer(tracker(tmp_path, manifest), epochs=3).run()
    (run,) = runs()
    losses = dict(points(run.info.run_id, "val/mae"))
    best = points(run.info.run_id, "val_best/mae")
    assert best[0] == (1, losses[1])
    assert [value for _, value in best] == sorted({value for _, value in best}, reverse=True)
    assert best[-1][1] == min(losses.values())

    worse = make_trainer(tracker(tmp_path, manifest, resume=True), epochs=4, loss=Worse())
    worse.state.epoch = 3
    worse.run()
    assert len(points(run.info.run_id, "val/mae")) > 3
    assert points(run.info.run_id, "val_best/mae") == best


def test_what_is_missing_is_said() -> None:
    card = model_card({}, [], {}, {})
    assert card.startswith("# Model\n\n## Intended use\n\nNot stated")
    assert "the training named no manifest" in card
    assert "There was none." in card


class Worse(FailingLoss):
    """A loss that drives the output away from the label."""

    def __init__(self) -> None:
        super().__init__(InputError("never"), call=-1)

    def forward(self, prediction: object, label: object) -> object:
        return -10 * super().forward(prediction, label)
