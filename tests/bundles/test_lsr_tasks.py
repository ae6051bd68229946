"""Evaluation and inference of metal, limited angle and sparse view on small patients, with untrained networks."""

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from monai.utils import set_determinism

from latentct.cli.main import main

from .. import checks
from .conftest import DataSet, monai_command, read_json, succeed

pytestmark = pytest.mark.slow

BODY = {"rmse_hu", "mae_hu", "psnr", "ssim"}
LEARNED = {"unet", "unet_extrapolation", "lsr"}
METHODS = {
    "lsr_metal": {"uncorrected", "li", "nmar", "tv", "tv_filled", *LEARNED},
    "lsr_limited_angle": {"fbp", "sirt", "tv", "tv_filled", "lsr_tv", *LEARNED},
    "lsr_sparse_view": {"fbp", "sirt", "tv", "tv_filled", "lsr_tv", *LEARNED},
}
each_bundle = pytest.mark.parametrize("name", METHODS)
SHORT = ["--rounds", "[2]"]


@pytest.fixture(scope="module")
def prior_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = checks.ROOT / "bundles" / "lsr_truncation" / "configs"
    torch.manual_seed(0)
    network = checks.parse([folder / "train.yaml", folder / "smoke.yaml"]).get_parsed_content("network_def")
    path = tmp_path_factory.mktemp("weights") / "model.pt"
    torch.save({name: value.half() for name, value in network.state_dict().items()}, path)
    return path


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Commands in this process find the project's root and leave no trace."""
    monkeypatch.chdir(checks.ROOT)
    monkeypatch.delenv("LATENTCT_DATA", raising=False)
    monkeypatch.setattr(logging.getLogger(), "handlers", [])
    yield
    set_determinism(None)


@pytest.fixture
def latentct_run(here: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    """`latentct run` in this process; fails with what it said."""

    def run(*words: object) -> str:
        monkeypatch.setattr("sys.argv", ["latentct", "run", *map(str, words), "--logging_file", "False"])
        with pytest.raises(SystemExit) as stop:
            main()
        said = capsys.readouterr()
        assert stop.value.code == 0, said.err[-3000:]
        return said.out

    return run


@each_bundle
def test_evaluation(
    name: str, latentct_run: Any, data_set: DataSet, prior_weights: Path, unet_weights: Path, tmp_path: Path
) -> None:
    """Every method of the bundle in every figure; nested keys of shared entries can be overridden."""
    weights = ["--ckpt_path", prior_weights, "--unet_path", unet_weights]
    quick = [*SHORT, "--validate::thinning::at_most", "1", "--simulation::seed", "3"]
    words = ["--layer", "smoke", *data_set.options(), *weights, *quick, "--output_dir", tmp_path]
    table = latentct_run(checks.ROOT / "bundles" / name, "evaluating", *words)
    metrics = read_json(tmp_path / "metrics.json")
    assert set(metrics["methods"]) == METHODS[name]
    assert metrics["task"] == name.removeprefix("lsr_")
    assert metrics["n_slices"] == 2
    for method, figures in metrics["methods"].items():
        assert set(figures) >= BODY, method
        assert all(figures[metric]["n_patients"] == 2 for metric in BODY), method
        assert 0 < figures["rmse_hu"]["mean"] < 3000, method
        assert f"\n{method} " in table
    assert set(metrics["lsr_against"]) == METHODS[name] - {"lsr"}
    assert (tmp_path / "figure_worst.png").stat().st_size > 10000


def test_a_plain_monai_command_evaluates_metal_by_size(
    data_set: DataSet, prior_weights: Path, unet_weights: Path, tmp_path: Path
) -> None:
    command = monai_command(checks.ROOT / "bundles" / "lsr_metal", "evaluating", "train", "evaluate", "smoke")
    weights = ["--ckpt_path", str(prior_weights), "--unet_path", str(unet_weights)]
    succeed([*command, *data_set.options(), *weights, *SHORT, "--slices_per_volume", "3"], tmp_path)
    metrics = read_json(tmp_path / "metrics.json")
    assert sum(group["n_slices"] for name, group in metrics["groups"].items() if "size" in name) == 6
    lsr, uncorrected = (metrics["methods"][method] for method in ("lsr", "uncorrected"))
    assert uncorrected["ct_mar_rmse"]["mean"] == pytest.approx(4)
    assert lsr["ct_mar_metal"]["mean"] == pytest.approx(uncorrected["ct_mar_metal"]["mean"], abs=2)
    import mlflow

    client = mlflow.MlflowClient(tracking_uri=f"sqlite:///{tmp_path}/mlflow/mlruns.db")
    (run,) = client.search_runs([item.experiment_id for item in client.search_experiments()])
    assert run.info.status == "FINISHED"
    assert client.get_experiment(run.info.experiment_id).name == "lsr_metal"
    assert run.data.metrics["lsr/rmse_hu"] == pytest.approx(lsr["rmse_hu"]["mean"])


@pytest.mark.parametrize(
    ("name", "option", "measured"),
    [("lsr_limited_angle", ["--arc_rad", "1.5707963267948966"], 90), ("lsr_sparse_view", ["--n_views", "64"], 64)],
)
def test_how_much_is_missing_can_be_chosen(name: str, option: list[str], measured: int) -> None:
    parser = checks.parse([checks.ROOT / "bundles" / name / "configs" / "inference.yaml"])
    parser[option[0].removeprefix("--")] = float(option[1]) if "." in option[1] else int(option[1])
    parser.parse(True)
    task, scan = parser.get_parsed_content("task"), parser.get_parsed_content("scan")
    assert int(task.mask_of(scan).any(dim=1).sum()) == measured


@each_bundle
def test_inference(name: str, latentct_run: Any, data_set: DataSet, prior_weights: Path, tmp_path: Path) -> None:
    """The prediction is written for every volume, without any U-Net."""
    small = checks.plain_content(smoke_network(), "network_def")
    network = [f"--network_def::{key}={small[key]}" for key in small if key not in ("_target_", "in_channels")]
    options = [*data_set.options(), "--ckpt_path", prior_weights, *network, *SHORT, "--output_dir", tmp_path]
    latentct_run(checks.ROOT / "bundles" / name, "inference", *options)
    metrics = read_json(tmp_path / "metrics.json")
    assert set(metrics["methods"]) < METHODS[name]
    assert {"lsr", "fbp"} <= set(metrics["methods"]) or {"lsr", "nmar", "li"} <= set(metrics["methods"])
    assert len(list(tmp_path.glob("*_lsr.nii.gz"))) == 2


def smoke_network() -> Any:
    folder = checks.ROOT / "bundles" / "lsr_truncation" / "configs"
    return checks.parse([folder / "train.yaml", folder / "smoke.yaml"])
