"""`clsdm_sparse_view` with its smoke layer, as a user starts it: stages, evaluation, inference, and what is refused."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from mlflow import MlflowClient
from monai.bundle import verify_net_in_out
from monai.utils import set_determinism
from PIL import Image

from latentct.cli.main import main
from latentct.engines import load_weights
from latentct.geometry import ConeBeam, Grid
from latentct.io.manifest_builder import VolumeDefaults, build_manifest, write_manifest
from latentct.io.nifti import read_volume, write_volume
from latentct.io.projections import Projections, write_projections
from latentct.io.scan_geometry import ScanGeometry
from latentct.projectors import make_projector

from .. import checks
from .conftest import DataSet, Run, finish, monai_command, read_json, succeed

pytestmark = pytest.mark.slow

BUNDLE = checks.ROOT / "bundles" / "clsdm_sparse_view"
CONFIGS = BUNDLE / "configs"
STAGES = ("autoencoder", "alignment", "diffusion")
SPLITS = ("training",) * 4 + ("validation",) + ("test",) * 2
SHAPE, SPACING_MM = (12, 40, 56), (16.0, 8.0, 8.0)
GRID = Grid((32, 32, 32), (8.0, 14.0, 14.0))
SCAN = ConeBeam((0.0, 0.7, 1.8), (40, 48), (15.0, 16.0), 750.0, 1150.0, (0.0, 12.0))
SHORT = ["--n_samples", "2", "--steps", "2"]


def patient_hu(number: int) -> np.ndarray:
    """A body of 300 x 220 mm or so with a lung and a spine, in HU (D, H, W)."""
    generator = np.random.default_rng(number)
    axes_mm = ((np.arange(n) - (n - 1) / 2) * step for n, step in zip(SHAPE, SPACING_MM, strict=True))
    z, y, x = np.meshgrid(*axes_mm, indexing="ij")
    x_hu = np.full(SHAPE, -1000.0)
    x_hu[(y / 110) ** 2 + (x / 150) ** 2 < 1 + 0.1 * generator.uniform(-1, 1)] = 40
    x_hu[(y / 50) ** 2 + ((x - 60) / 40) ** 2 + (z / 70) ** 2 < 1] = -800
    x_hu[((y - 70) / 20) ** 2 + (x / 20) ** 2 < 1] = 500
    return x_hu + generator.normal(0, 5, SHAPE)


@pytest.fixture(scope="module")
def volumes(tmp_path_factory: pytest.TempPathFactory) -> DataSet:
    """Four patients to train on, one to validate, two to test."""
    folder = tmp_path_factory.mktemp("volumes")
    affine_lps_mm = np.zeros((4, 4))
    affine_lps_mm[[2, 1, 0, 3], [0, 1, 2, 3]] = (*SPACING_MM, 1.0)
    affine_lps_mm[:3, 3] = (10.0, 20.0, 30.0)
    rows = []
    for number, split in enumerate(SPLITS):
        write_volume(folder / f"p{number}.nii.gz", patient_hu(number), affine_lps_mm)
        rows.append({"file": f"p{number}.nii.gz", "id": f"v{number}", "patient": f"patient_{number}", "split": split})
    defaults = VolumeDefaults(split="test", group="body", source="synthetic", licence="CC0-1.0")
    write_manifest(build_manifest(folder, defaults, "synthetic", rows=rows), folder / "synthetic.json")
    return DataSet(folder, folder / "synthetic.json")


@pytest.fixture(scope="module")
def projections(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with three views of a cylinder of water."""
    _, y, x = np.meshgrid(*(GRID.coordinates_mm(axis) for axis in range(3)), indexing="ij")
    x_mu = torch.from_numpy(np.where(np.hypot(y, x) < 120, 0.02, 0.0))[None, None].float()
    folder = tmp_path_factory.mktemp("projections") / "views"
    measured = make_projector(GRID, SCAN)(x_mu)[0, 0].numpy()
    write_projections(folder, Projections(measured, ScanGeometry(SCAN, 0.02, isocenter_mm=(1.0, 2.0, 3.0))))
    return folder


@pytest.fixture(scope="module")
def trained(volumes: DataSet, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """The three stages, one after the other."""
    command = monai_command(BUNDLE, "training", "train", "smoke")
    return succeed([*command, *volumes.options()], tmp_path_factory.mktemp("trained"))


@pytest.fixture(scope="module")
def inferred(volumes: DataSet, trained: Run, tmp_path_factory: pytest.TempPathFactory) -> Run:
    command = monai_command(BUNDLE, "inference", "inference", "smoke")
    options = [*volumes.options(), "--limit", "1", "--view_count", "3", *weights_of(trained), *SHORT]
    return succeed([*command, *options], tmp_path_factory.mktemp("inferred"))


def weights_of(trained: Run) -> list[str]:
    return ["--ckpt_path", str(trained.output_dir / "model.pt")]


def test_every_stage_leaves_weights_and_one_file_holds_all(trained: Run) -> None:
    for name in ("autoencoder", "conditioner", "model"):
        state = torch.load(trained.output_dir / f"{name}.pt", weights_only=True)
        assert all(bool(value.isfinite().all()) for value in state.values())
    parser = checks.parse([CONFIGS / "inference.yaml", CONFIGS / "smoke.yaml"])
    network = load_weights(parser.get_parsed_content("network_def"), trained.output_dir / "model.pt")
    alone = torch.load(trained.output_dir / "autoencoder.pt", weights_only=True)
    for name, value in alone.items():
        assert torch.equal(network.autoencoder.state_dict()[name], value.to(network.autoencoder.state_dict()[name]))


def test_stages_are_runs_below_that_of_the_training(trained: Run) -> None:
    client = MlflowClient(tracking_uri=f"sqlite:///{trained.output_dir}/mlflow/mlruns.db")
    runs = client.search_runs([item.experiment_id for item in client.search_experiments()])
    stages = {run.data.tags["stage"]: run for run in runs}
    assert set(stages) == {"pipeline", *STAGES}
    assert {run.info.status for run in runs} == {"FINISHED"}
    parent = stages.pop("pipeline").info.run_id
    assert {run.data.tags["mlflow.parentRunId"] for run in stages.values()} == {parent}
    for run in stages.values():
        assert {item.path for item in client.list_artifacts(run.info.run_id)} >= {"config", "data", "model_card.md"}


def test_training_again_leaves_what_is_done_and_goes_on_with_the_rest(trained: Run, volumes: DataSet) -> None:
    folder = trained.output_dir
    before = {name: (folder / f"{name}.pt").stat().st_mtime_ns for name in ("autoencoder", "conditioner")}
    (folder / "model.pt").rename(folder / "kept.pt")
    run = finish([*monai_command(BUNDLE, "training", "train", "smoke"), *volumes.options()], folder)
    (folder / "model.pt").unlink(missing_ok=True)
    (folder / "kept.pt").rename(folder / "model.pt")
    assert run.code == 0, run.log[-3000:]
    states = [line.rsplit(" ", 1)[-1] for line in run.log.splitlines() if " - stage " in line]
    assert states == ["done", "done", "started"]
    assert before == {name: (folder / f"{name}.pt").stat().st_mtime_ns for name in before}


def test_evaluating_scores_every_row(trained: Run, volumes: DataSet, tmp_path: Path) -> None:
    command = monai_command(BUNDLE, "evaluating", "train_autoencoder", "evaluate", "smoke")
    options = [*volumes.options(), *weights_of(trained), "--ldm_path", str(trained.output_dir / "model.pt")]
    few = ["--view_counts", "[2]", "--tv_iterations", "2", "--trained_on", str(volumes.manifest), *SHORT]
    run = succeed([*command, *options, *few], tmp_path)
    rows = read_json(run.output_dir / "metrics.json")["views"]["2"]
    assert {"fdk", "sirt", "tv", "regression", "ldm", "clsdm", "clsdm_consistent"} <= set(rows)
    assert rows["clsdm_consistent"]["residual"]["mean"] < rows["clsdm"]["residual"]["mean"]


def test_inference_on_a_volume_leaves_volumes_in_place_a_figure_and_errors(inferred: Run, volumes: DataSet) -> None:
    x_hu, affine = read_volume(inferred.output_dir / "p5_clsdm.nii.gz")
    std_hu, affine_of_std = read_volume(inferred.output_dir / "p5_clsdm_std.nii.gz")
    source_hu, source_affine = read_volume(volumes.folder / "p5.nii.gz")
    assert x_hu.shape == std_hu.shape == GRID.shape
    assert np.allclose(affine, affine_of_std)
    middles = [a @ [*((n - 1) / 2 for n in v.shape), 1.0] for a, v in ((affine, x_hu), (source_affine, source_hu))]
    assert np.allclose(*middles, atol=1e-3)
    assert std_hu.max() > 0
    (patient,) = read_json(inferred.output_dir / "metrics.json")["patients"]
    scores = patient["methods"]["clsdm"]
    assert patient["n_views"] == 3
    assert {"psnr", "ssim", "mae_hu", "residual", "residual_sampled"} <= set(scores)
    assert scores["residual"] < scores["residual_sampled"] / 4
    with Image.open(inferred.output_dir / "p5.png") as image:
        assert len(np.unique(np.asarray(image.convert("L")))) > 50


def test_inference_on_projections(trained: Run, projections: Path, tmp_path: Path) -> None:
    command = monai_command(BUNDLE, "inference", "inference", "smoke")
    options = ["--projections", str(projections), *weights_of(trained), *SHORT]
    run = succeed([*command, *options], tmp_path / "out")
    x_hu, affine = read_volume(run.output_dir / "views_clsdm.nii.gz")
    assert np.allclose(affine @ [*((n - 1) / 2 for n in x_hu.shape), 1.0], (1, 2, 3, 1), atol=1e-3)
    inside, outside = x_hu[16, 12:20, 12:20].mean(), x_hu[16, :3].mean()
    assert abs(inside) < 300
    assert outside < -700
    scores = read_json(run.output_dir / "metrics.json")["methods"]["clsdm"]
    assert set(scores) == {"residual", "residual_sampled"}
    assert (run.output_dir / "views.png").is_file()


@pytest.fixture
def refused(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Callable[..., str]:
    """Runs `latentct run inference` in this process and returns the sentence it was refused with."""

    def run(*options: object) -> str:
        output_dir = tmp_path / "out"
        arguments = ["run", BUNDLE, "inference", "--layer", "smoke", *options, "--output_dir", output_dir]
        monkeypatch.setattr("sys.argv", ["latentct", *map(str, arguments)])
        monkeypatch.chdir(checks.ROOT)
        with pytest.raises(SystemExit) as stop:
            main()
        errors = capsys.readouterr().err
        assert stop.value.code == 2, errors
        (sentence,) = (line for line in errors.splitlines() if line.startswith("latentct: "))
        assert not (output_dir / "metrics.json").exists()
        return sentence

    yield run
    set_determinism(seed=None)


@pytest.mark.parametrize("count", [1, 17])
def test_a_view_count_outside_2_to_16_is_refused(
    refused: Callable[..., str], trained: Run, volumes: DataSet, count: int
) -> None:
    sentence = refused(*volumes.options(), *weights_of(trained), "--limit", 1, "--view_count", count)
    assert f"{count} views were found, but 2 to 16 are expected" in sentence


def test_bad_projections_are_refused(
    refused: Callable[..., str], trained: Run, projections: Path, tmp_path: Path
) -> None:
    options = ["--projections", tmp_path, *weights_of(trained)]
    assert "geometry.yaml does not exist" in refused(*options)
    text = (projections / "geometry.yaml").read_text()
    y = np.load(projections / "projections.npy")
    np.save(tmp_path / "projections.npy", y)
    (tmp_path / "geometry.yaml").write_text(text.replace("sod_mm: 750.0", "sod_mm: 7500"))
    assert "sdd_mm 1150, not more than sod_mm 7500" in refused(*options)
    (tmp_path / "geometry.yaml").write_text(text.replace("12.0", "4000.0"))
    assert "view 0 sees 0 % of the volume" in refused(*options)
    (tmp_path / "geometry.yaml").write_text(text)
    np.save(tmp_path / "projections.npy", np.where(y > 1, np.nan, y))
    assert "not finite" in refused(*options)


def test_autoencoder_has_the_metadatas_input_and_output() -> None:
    verify_net_in_out(
        net_id="network_def",
        meta_file=str(CONFIGS / "metadata.json"),
        config_file=str(CONFIGS / "train_autoencoder.yaml"),
        device="cpu",
        n=4,
    )
