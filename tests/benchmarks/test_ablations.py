"""The script of the ablations: what is trained with which settings, what is shared and kept, and the table."""

import json
from pathlib import Path
from typing import Any

import pytest
from benchmarks.ablations import BUNDLE, COMPRESSIONS, ROOT, VARIANTS, home_of

from benchmarks import ablations
from latentct.bundle.configs import config_files
from latentct.bundle.overrides import refuse_unknown_keys

FIGURE = {"mean": 0.5, "ci95": [0.25, 0.75], "n_patients": 3}
SHIPPED = next(name for name in COMPRESSIONS if ablations._is_shipped(name))
(OTHER,) = set(COMPRESSIONS) - {SHIPPED}
FILES = {"training_autoencoder": "autoencoder.pt", "training_alignment": "alignment/last.pt"}


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, dict[str, str]]]:
    """Every command with its options; none really runs, but each leaves what it would."""
    calls: list[tuple[str, dict[str, str]]] = []

    def run(arguments: list[str], title: str) -> None:
        pairs = [word.removeprefix("--").split("=", 1) for word in arguments if word.startswith("--") and "=" in word]
        options = dict(pairs)
        if arguments[0] != "-m":
            path = Path(arguments[arguments.index("--json") + 1])
            options["out"] = arguments[arguments.index("--output_dir") + 1]
            calls.append(("few_view", options))
            views = {"4": {"clsdm": dict.fromkeys(("psnr", "ssim", "mae_hu", "residual"), FIGURE)}}
            path.write_text(json.dumps(views))
            return
        stage = arguments[4]
        calls.append((stage, options))
        left = Path(options["output_dir"]) / FILES.get(stage, "model.pt")
        left.parent.mkdir(parents=True, exist_ok=True)
        left.touch()

    monkeypatch.setattr(ablations, "_run", run)
    monkeypatch.setattr(ablations, "export_half", lambda checkpoint, path, key: Path(path).write_text(key))
    return calls


def ablate(folder: Path, *arguments: str) -> dict[str, Any]:
    path = folder / "ablations.json"
    ablations.main(["--json", str(path), "--epochs", "8", "2", "3", "--output_dir", str(folder / "out"), *arguments])
    return json.loads(path.read_text())


def test_every_variant_is_scored_and_the_table_is_printed(started, tmp_path, capsys):
    results = ablate(tmp_path)
    assert list(results) == list(VARIANTS)
    assert set(results["full"]) == {"minutes", "views"}
    assert results["steps_5"]["views"]["4"]["clsdm"]["psnr"] == FIGURE
    assert "no_contrast          4  clsdm" in capsys.readouterr().out


def test_variants_differ_in_one_setting_and_share_the_rest(started, tmp_path):
    ablate(tmp_path)
    trained = [(stage, Path(options["output_dir"]).name) for stage, options in started if stage != "few_view"]
    alignments = ["full", "no_contrast", "no_regression", OTHER]
    assert [home for stage, home in trained if stage == "training_autoencoder"] == ["full", OTHER]
    assert [home for stage, home in trained if stage == "training_alignment"] == alignments
    assert [home for stage, home in trained if stage == "training_diffusion"] == alignments
    options = {Path(o["output_dir"]).name: o for stage, o in started if stage == "training_alignment"}
    keys = {"contrastive_weight", "regression_weight"}
    settings = {home: {k: v for k, v in o.items() if k in keys} for home, o in options.items()}
    assert settings["no_contrast"] == {"contrastive_weight": "0"} and settings["full"] == {}
    assert settings["no_regression"] == {"regression_weight": "0"}
    assert {o["epochs"] for o in options.values()} == {"2"}
    assert {Path(o["autoencoder_path"]).parent.name for o in options.values()} == {"full", OTHER}


def test_what_is_there_is_not_trained_again(started, tmp_path):
    ablate(tmp_path, "--variants", "full", "no_contrast")
    started.clear()
    results = ablate(tmp_path, "--variants", "no_contrast", "steps_50")
    assert [stage for stage, _ in started] == ["few_view", "few_view"]
    assert list(results) == ["full", "no_contrast", "steps_50"]
    assert started[1][1]["steps"] == "50" and "steps" not in started[0][1]
    assert started[0][1]["out"] != started[1][1]["out"]


def test_the_conditioner_is_the_averaged_one_of_the_last_epoch(started, tmp_path):
    ablate(tmp_path, "--variants", "full")
    assert next((tmp_path / "out").rglob("conditioner.pt")).read_text() == "ema"
    assert dict(started)["training_autoencoder"]["critic_epoch"] == "6"


def test_the_other_compression_has_metadata_of_its_own(started, tmp_path):
    ablate(tmp_path, "--variants", OTHER, SHIPPED)
    metadata = json.loads(next((tmp_path / "out").rglob("metadata.json")).read_text())
    assert metadata["autoencoder"]["channels"] == COMPRESSIONS[OTHER]["autoencoder"]["channels"]
    assert metadata["scan"] == json.loads((ROOT / BUNDLE / "configs" / "metadata.json").read_text())["scan"]
    assert home_of(SHIPPED) == "full" and home_of("steps_10") == "full"


def test_settings_of_the_stages_are_keys_of_their_configs(started, tmp_path, monkeypatch):
    ablate(tmp_path, "--variants", "full", "no_contrast", "no_regression")
    monkeypatch.chdir(ROOT)
    for stage, options in started:
        if stage != "few_view":
            refuse_unknown_keys(options, config_files(BUNDLE, stage, []))
