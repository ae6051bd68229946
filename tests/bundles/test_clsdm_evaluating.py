"""`evaluating` of the few-view bundle with tiny networks that have learned nothing: all rows, on the same scans."""

import json
from pathlib import Path

import pytest
import torch
from monai.bundle import ConfigWorkflow

from latentct.engines.few_view import METHODS
from latentct.errors import InputError, root_cause

from .. import checks

BUNDLE = checks.ROOT / "bundles" / "clsdm_sparse_view"
LAYERS = ("train_autoencoder", "evaluate", "smoke")


def workflow(data_set, folder: Path, **overrides) -> ConfigWorkflow:
    """The workflow of `evaluating` on the synthetic patients, its networks small and random."""
    made = ConfigWorkflow(
        config_file=[str(BUNDLE / "configs" / f"{name}.yaml") for name in LAYERS],
        meta_file=str(BUNDLE / "configs" / "metadata.json"),
        logging_file=False,
        run_id="evaluating",
        bundle_root=str(BUNDLE),
    )
    settings = {"manifest": str(data_set.manifest), "dataset_dir": str(data_set.folder), "output_dir": str(folder)}
    weights = {name: str(folder / f"{name}.pt") for name in ("ckpt_path", "ldm_path")}
    small = {"view_counts": [2, 3], "least_mm": 10.0, "steps": 2, "n_samples": 2, "tv_iterations": 2}
    made.parser.update({**settings, **weights, **small, "trained_on": str(data_set.manifest), **overrides})
    return made


def write_weights(data_set, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    network = workflow(data_set, folder).parser.get_parsed_content("clsdm_def")
    for name in ("ckpt_path", "ldm_path"):
        half = {key: v.half() if v.is_floating_point() else v for key, v in network.state_dict().items()}
        torch.save(half, folder / f"{name}.pt")


def evaluated(data_set, folder: Path, **overrides) -> dict:
    run = workflow(data_set, folder, **overrides)
    run.initialize()
    run.run()
    return json.loads((folder / "metrics.json").read_text())


@pytest.fixture(scope="module", autouse=True)
def at_the_root(request):
    """Paths of configs start at the project's root."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(checks.ROOT)
        yield


def test_every_row_has_every_metric_and_runs_merge(data_set, tmp_path):
    write_weights(data_set, tmp_path)
    classical = evaluated(data_set, tmp_path, methods={name: f"@{name}" for name in ("fdk", "sirt", "tv")})
    assert list(classical["views"]["2"]) == ["fdk", "sirt", "tv"]
    summary = evaluated(data_set, tmp_path)
    assert list(summary["views"]) == ["2", "3"]
    for methods in summary["views"].values():
        assert list(methods) == list(METHODS)
        for figures in methods.values():
            counts = {name: figure["n_patients"] for name, figure in figures.items()}
            assert counts == {"psnr": 2, "ssim": 2, "mae_hu": 2, "residual": 2}
    assert summary["views"]["2"]["fdk"]["psnr"]["mean"] == classical["views"]["2"]["fdk"]["psnr"]["mean"]
    residual = {name: figures["residual"]["mean"] for name, figures in summary["views"]["3"].items()}
    assert residual["clsdm_consistent"] < residual["clsdm"]


def test_held_out_scans_run_by_one_setting(data_set, tmp_path):
    write_weights(data_set, tmp_path)
    rows = {"methods": {"fdk": "@fdk", "sirt": "@sirt"}, "left_out": {"8_views_tilted": ["fdk"]}, "finer": 2}
    summary = evaluated(data_set, tmp_path, scans="$held_out_scans(@machine)", limit=1, **rows)
    assert list(summary["views"]["8_views_tilted"]) == ["sirt"]
    assert list(summary["views"]["10_views_120"]) == ["fdk", "sirt"]


def test_volumes_that_were_trained_on_are_refused(data_set, tmp_path):
    leaking = json.loads(data_set.manifest.read_text())
    for entry in leaking["volumes"]:
        entry["split"] = "training"
    path = tmp_path / "leaking.json"
    path.write_text(json.dumps(leaking))
    run = workflow(data_set, tmp_path, methods={"fdk": "@fdk"}, trained_on=str(path))
    with pytest.raises(RuntimeError) as raised:
        run.initialize()
    cause = root_cause(raised.value)
    assert isinstance(cause, InputError) and "seen in training" in str(cause)
