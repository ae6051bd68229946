"""Evaluation and inference of `lsr_truncation` on small patients, and what they refuse.

The network is the smoke layer's, with random weights: everything shows but the quality of the correction. That one is
tested with the shipped weights on the shipped sample.
"""

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import torch
import yaml
from monai.utils import set_determinism

from latentct import sample
from latentct.cli.main import main
from latentct.io.manifest import file_sha256

from .. import checks
from .conftest import DataSet, Run, finish, monai_command, read_json, succeed

pytestmark = pytest.mark.slow

BUNDLE = checks.ROOT / "bundles" / "lsr_truncation"
METHODS = ("uncorrected", "water_cylinder", "adt", "lsr")
RIVALS_IN_EVALUATION = ("tv", "tv_filled", "unet", "unet_extrapolation")
METRICS = ("mae_inside_hu", "mae_outside_hu", "mae_sinogram")
SHORT_SEARCH = ["--rounds", "[2]"]  # two steps instead of tens


def small_network() -> dict[str, Any]:
    """What the smoke layer makes of the network, as overrides that inference takes too."""
    smoke = yaml.safe_load((BUNDLE / "configs" / "smoke.yaml").read_text())
    return {key: value for key, value in smoke.items() if key.startswith("network_def::")}


def as_options(overrides: dict[str, Any]) -> list[str]:
    return [word for key, value in overrides.items() for word in (f"--{key}", json.dumps(value).replace(" ", ""))]


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Random weights of the smoke layer's network, in half precision as they are shipped."""
    folder = BUNDLE / "configs"
    torch.manual_seed(0)
    network = checks.parse([folder / "train.yaml", folder / "smoke.yaml"]).get_parsed_content("network_def")
    path = tmp_path_factory.mktemp("weights") / "model.pt"
    torch.save({name: value.half() for name, value in network.state_dict().items()}, path)
    return path


@pytest.fixture(scope="module")
def evaluated(data_set: DataSet, weights: Path, unet_weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    command = monai_command(BUNDLE, "evaluating", "train", "evaluate", "smoke")
    options = [*data_set.options(), "--ckpt_path", str(weights), "--unet_path", str(unet_weights), *SHORT_SEARCH]
    return succeed([*command, *options], tmp_path_factory.mktemp("evaluated"))


@pytest.fixture(scope="module")
def inferred(data_set: DataSet, weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    command = monai_command(BUNDLE, "inference", "inference")
    options = [*data_set.options(), "--ckpt_path", str(weights), *as_options(small_network()), *SHORT_SEARCH]
    return succeed([*command, *options], tmp_path_factory.mktemp("inferred"))


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("method", [*METHODS, *RIVALS_IN_EVALUATION])
def test_evaluation_gives_mean_spread_and_interval(evaluated: Run, method: str, metric: str) -> None:
    figure = read_json(evaluated.output_dir / "metrics.json")["methods"][method][metric]
    assert figure["n_patients"] == 2
    assert figure["ci95"][0] <= figure["mean"] <= figure["ci95"][1]
    assert figure["mean"] > 0
    assert figure["sd"] >= 0


def test_classical_corrections_of_an_evaluation_help(evaluated: Run) -> None:
    methods = read_json(evaluated.output_dir / "metrics.json")["methods"]
    for method in ("water_cylinder", "adt"):
        assert methods[method]["mae_inside_hu"]["mean"] < methods["uncorrected"]["mae_inside_hu"]["mean"] / 2


def test_the_search_is_tested_against_every_rival(evaluated: Run) -> None:
    against = read_json(evaluated.output_dir / "metrics.json")["lsr_against"]
    assert {*METHODS, *RIVALS_IN_EVALUATION} - {"lsr"} <= set(against)
    assert against["adt"]["rmse_hu"]["n_pairs"] == 2


def test_evaluation_shows_the_best_median_and_worst_patient(evaluated: Run) -> None:
    for label in ("best", "median", "worst"):
        assert picture_has_content(evaluated.output_dir / f"figure_{label}.png")


def test_evaluation_prints_its_table(evaluated: Run) -> None:
    for method in METHODS:
        assert f"\n{method} " in evaluated.log


def test_evaluation_is_tracked_with_its_files(evaluated: Run) -> None:
    import mlflow

    client = mlflow.MlflowClient(tracking_uri=f"sqlite:///{evaluated.output_dir}/mlflow/mlruns.db")
    (run,) = client.search_runs([item.experiment_id for item in client.search_experiments()])
    assert (run.info.status, run.data.tags["stage"]) == ("FINISHED", "evaluate")
    mean = read_json(evaluated.output_dir / "metrics.json")["methods"]["lsr"]["mae_outside_hu"]["mean"]
    assert run.data.metrics["lsr/mae_outside_hu"] == pytest.approx(mean)
    kept = {item.path for item in client.list_artifacts(run.info.run_id, "results")}
    assert {"results/metrics.json", "results/figure_worst.png"} <= kept


def test_evaluation_files_name_no_patient(evaluated: Run) -> None:
    text = (evaluated.output_dir / "metrics.json").read_text()
    assert "patient_" not in text
    assert "volume_" not in text


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("method", METHODS)
def test_inference_gives_a_number(inferred: Run, method: str, metric: str) -> None:
    figure = read_json(inferred.output_dir / "metrics.json")["methods"][method][metric]
    assert isinstance(figure, float)
    assert figure > 0


def test_inference_writes_each_volume_in_its_place(inferred: Run, data_set: DataSet) -> None:
    for volume in (item for item in read_json(data_set.manifest)["volumes"] if item["split"] == "test"):
        source = nib.load(data_set.folder / volume["image"])
        (path,) = inferred.output_dir.glob(Path(volume["image"]).name.replace(".nii.gz", "*.nii.gz"))
        corrected = nib.load(path)
        assert corrected.shape == source.shape
        assert np.allclose(corrected.affine, source.affine)
        assert corrected.get_data_dtype() == np.int16
        assert np.ptp(corrected.dataobj) > 100


def test_inference_shows_its_result(inferred: Run) -> None:
    assert picture_has_content(inferred.output_dir / "figure.png")


def test_results_are_not_overwritten_unasked(inferred: Run, data_set: DataSet, weights: Path) -> None:
    before = (inferred.output_dir / "metrics.json").stat().st_mtime_ns
    command = ["-m", "latentct.cli.main", "run", str(BUNDLE), "inference", *data_set.options()]
    run = finish([*command, "--ckpt_path", str(weights), *as_options(small_network())], inferred.output_dir)
    assert run.code == 2
    assert "overwrite" in run.log.splitlines()[-1]
    assert (inferred.output_dir / "metrics.json").stat().st_mtime_ns == before


def test_shipped_weights_correct_the_shipped_sample_best(tmp_path: Path) -> None:
    """What `make demo` shows: a field of measurement of 15 cm, and LSR with the lowest error in all three figures."""
    succeed(monai_command(BUNDLE, "inference", "inference"), tmp_path)
    methods = read_json(tmp_path / "metrics.json")["methods"]
    for metric in METRICS:
        best = min(METHODS, key=lambda method: methods[method][metric])
        assert best == "lsr", {method: methods[method][metric] for method in METHODS}
    assert len(list(tmp_path.glob("*.nii.gz"))) == len(list(sample.FOLDER.glob("*.nii.gz")))


# What is refused: one sentence, exit code 2, nothing written.


@pytest.fixture
def refused(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Callable[..., str]:
    """Run `latentct run bundles/lsr_truncation inference` in this process; return the sentence it refuses with."""

    def run(*options: object, run_id: str = "inference") -> str:
        output_dir = tmp_path / "out"
        words = ["latentct", "run", BUNDLE, run_id, *options, "--output_dir", output_dir, "--logging_file", "False"]
        monkeypatch.setattr("sys.argv", list(map(str, words)))
        monkeypatch.setattr(logging.getLogger(), "handlers", [])
        monkeypatch.chdir(checks.ROOT)
        with pytest.raises(SystemExit) as stop:
            main()
        set_determinism(None)
        said = capsys.readouterr().err
        sentences = [line for line in said.splitlines() if line.startswith("latentct:")]
        assert stop.value.code == 2, said
        assert len(sentences) == 1, said
        assert "Traceback" not in said
        assert not output_dir.exists(), list(output_dir.rglob("*"))
        return sentences[0]

    return run


def one_volume(folder: Path, data_set: DataSet, array: np.ndarray, sha256: str | None = None) -> list[str]:
    """Options for a manifest whose only volume is this array, listed with its true hash unless one is given."""
    path = folder / "scan.nii.gz"
    nib.save(nib.Nifti1Image(array, np.diag([8.0, 8.0, 5.0, 1.0])), path)
    volume = read_json(data_set.manifest)["volumes"][-1]
    volume |= {"image": path.name, "sha256": sha256 or file_sha256(path)}
    manifest = folder / "one.json"
    manifest.write_text(json.dumps({"name": "one", "volumes": [volume]}))
    return ["--manifest", str(manifest), "--dataset_dir", str(folder)]


def network_options(weights: Path) -> list[str]:
    return ["--ckpt_path", str(weights), *as_options(small_network())]


def test_missing_manifest_is_refused(refused: Callable[..., str], weights: Path, tmp_path: Path) -> None:
    sentence = refused("--manifest", tmp_path / "absent.json", *network_options(weights))
    assert "absent.json" in sentence


def test_missing_file_is_refused(refused: Callable[..., str], weights: Path, data_set: DataSet, tmp_path: Path) -> None:
    sentence = refused("--manifest", data_set.manifest, "--dataset_dir", tmp_path, *network_options(weights))
    assert "p3.nii.gz" in sentence


@pytest.mark.parametrize("run_id", ["inference", "evaluating"])
def test_wrong_hash_is_refused(
    refused: Callable[..., str], weights: Path, data_set: DataSet, tmp_path: Path, run_id: str
) -> None:
    options = one_volume(tmp_path, data_set, np.zeros((40, 56, 3), np.int16), sha256="0" * 64)
    layers = ["--layer", "smoke", "--ckpt_path", weights] if run_id == "evaluating" else network_options(weights)
    assert "scan.nii.gz" in refused(*options, *layers, run_id=run_id)


@pytest.mark.parametrize("shape", [(40, 56), (40, 56, 3, 2), (4, 4, 3)], ids=["2-D", "4-D", "tiny"])
def test_wrong_shape_is_refused(
    refused: Callable[..., str], weights: Path, data_set: DataSet, tmp_path: Path, shape: tuple[int, ...]
) -> None:
    sentence = refused(*one_volume(tmp_path, data_set, np.zeros(shape, np.int16)), *network_options(weights))
    assert "scan.nii.gz" in sentence
    assert "shape" in sentence


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_values_that_are_not_finite_are_refused(
    refused: Callable[..., str], weights: Path, data_set: DataSet, tmp_path: Path, value: float
) -> None:
    array = np.zeros((40, 56, 3), np.float32)
    array[20, 20, 1] = value
    sentence = refused(*one_volume(tmp_path, data_set, array), *network_options(weights))
    assert "not finite" in sentence


def test_a_bad_volume_behind_good_ones_is_refused_before_any_work(
    refused: Callable[..., str], weights: Path, data_set: DataSet, tmp_path: Path
) -> None:
    options = one_volume(tmp_path, data_set, np.full((40, 56, 3), np.nan, np.float32))
    good = read_json(data_set.manifest)["volumes"][-2]
    (tmp_path / good["image"]).write_bytes((data_set.folder / good["image"]).read_bytes())
    manifest = read_json(tmp_path / "one.json")
    (tmp_path / "one.json").write_text(json.dumps(manifest | {"volumes": [good, *manifest["volumes"]]}))
    assert "scan.nii.gz" in refused(*options, *network_options(weights), *SHORT_SEARCH)


def test_a_field_of_measurement_without_a_ray_is_refused(
    refused: Callable[..., str], weights: Path, data_set: DataSet
) -> None:
    sentence = refused(*data_set.options(), *network_options(weights), "--diameter_mm", "0")
    assert "diameter_mm=0" in sentence


def test_a_patient_that_the_prior_was_trained_on_is_no_test_patient(
    refused: Callable[..., str], weights: Path, data_set: DataSet, tmp_path: Path
) -> None:
    options = one_volume(tmp_path, data_set, np.zeros((40, 56, 3), np.int16))
    seen = read_json(data_set.manifest)["volumes"][0] | {"split": "training"}
    tested = read_json(tmp_path / "one.json")
    seen["patient"] = tested["volumes"][0]["patient"]
    (tmp_path / "trained_on.json").write_text(json.dumps({"name": "trained_on", "volumes": [seen]}))
    layers = ["--layer", "smoke", "--ckpt_path", weights, "--trained_on", tmp_path / "trained_on.json"]
    assert "was seen in training" in refused(*options, *layers, run_id="evaluating")


def test_unknown_key_is_refused_with_the_nearest(refused: Callable[..., str]) -> None:
    assert "diameter_mm" in refused("--diametre_mm", "100")


def test_weights_of_another_network_are_refused(refused: Callable[..., str], weights: Path, data_set: DataSet) -> None:
    sentence = refused(*data_set.options(), "--ckpt_path", weights)
    assert str(weights) in sentence


def test_missing_weights_are_refused(refused: Callable[..., str], data_set: DataSet, tmp_path: Path) -> None:
    assert "absent.pt" in refused(*data_set.options(), "--ckpt_path", tmp_path / "absent.pt")


def test_a_file_that_is_no_weights_is_refused(refused: Callable[..., str], data_set: DataSet) -> None:
    assert data_set.manifest.name in refused(*data_set.options(), "--ckpt_path", data_set.manifest)


def test_a_split_without_volumes_is_refused(
    refused: Callable[..., str], weights: Path, data_set: DataSet, tmp_path: Path
) -> None:
    options = one_volume(tmp_path, data_set, np.zeros((40, 56, 3), np.int16))
    assert "validation" in refused(*options, *network_options(weights), "--split", "validation")


def test_a_process_refuses_with_exit_code_2(weights: Path, data_set: DataSet, tmp_path: Path) -> None:
    command = ["-m", "latentct.cli.main", "run", str(BUNDLE), "inference", *network_options(weights)]
    array = np.full((40, 56, 3), np.nan, np.float32)
    run = finish([*command, *one_volume(tmp_path, data_set, array)], tmp_path / "out")
    assert run.code == 2
    assert run.log.splitlines()[-1].startswith("latentct: ")
    assert "Traceback" not in run.log
    assert not (tmp_path / "out").exists()


def picture_has_content(path: Path) -> bool:
    from PIL import Image

    with Image.open(path) as image:
        return min(image.size) > 300 and len(np.unique(np.asarray(image.convert("L")))) > 50
