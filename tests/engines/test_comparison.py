"""The evaluation loop on tiny phantoms, with a linear prior and with an oracle in place of the search."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from monai.data import DataLoader, Dataset, MetaTensor
from monai.engines import SupervisedEvaluator

from latentct.correction import zero_fill
from latentct.engines import Example, MethodComparison, ScanPrepareBatch, truncation_corrections
from latentct.errors import InputError
from latentct.geometry import Grid, ParallelBeam
from latentct.inferers import LatentReconstruction, LatentReconstructionInferer
from latentct.metrics import summarise
from latentct.recon import fbp
from latentct.transforms import SimulateTruncationd
from latentct.units import mu_to_hu

from ..inferers.cases import HU_MAX, HU_MIN, MU_WATER, PRIOR_GRID, LinearPrior

SCAN = ParallelBeam.equally_spaced(60, math.pi, 80, 6.0)
GRID = Grid((60, 60), (6.0, 6.0))
DIAMETER_MM = 160.0
# the PSNR of an oracle is infinite, and so its spread is not a number
pytestmark = pytest.mark.filterwarnings("ignore:invalid value encountered:RuntimeWarning")
METRICS = {
    "mae_inside_hu",
    "mae_outside_hu",
    "mae_sinogram",
    "mae_inside_image_hu",
    "mae_outside_image_hu",
    "psnr_body",
    "ssim_body",
}
METHODS = ["uncorrected", "cosine", "water_cylinder", "adt", "lsr"]


def body_hu(scale: float) -> np.ndarray:
    """A body of about 280 x 220 mm with two lungs, two equal slices."""
    y, x = (GRID.coordinates_mm(a) for a in (0, 1))
    inside = np.hypot(y[:, None] / (110 * scale), x[None, :] / (140 * scale)) <= 1
    lungs = np.hypot(y[:, None] / 50, (np.abs(x[None, :]) - 60) / 35) <= 1
    slice_hu = np.where(lungs, -700.0, np.where(inside, 40.0, -1000.0))
    return np.stack([slice_hu, slice_hu])


def item(patient: str, sha256: str, scale: float = 1.0) -> dict[str, Any]:
    affine = np.zeros((4, 4))
    affine[[2, 1, 0, 3], [0, 1, 2, 3]] = (5.0, *GRID.spacing_mm, 1.0)
    volume = MetaTensor(torch.as_tensor(body_hu(scale), dtype=torch.float32)[None], affine=affine)
    return {"image": volume, "patient": patient, "sha256": sha256}


PATIENTS = [item("Jane Doe", "a" * 64), item("Jane Doe", "b" * 64, 1.05), item("John Roe", "c" * 64, 0.9)]


class Oracle:
    """An inferer that is given the complete scan behind the loop's back, off by `error` on the missing rays."""

    def __init__(self, error: float = 0.0) -> None:
        self.error = error
        self.complete = iter([simulate(patient)["sinogram"] for patient in PATIENTS])
        self.last: LatentReconstruction | None = None

    def __call__(self, inputs: torch.Tensor, network: Any, *, projector: Any, ray_mask: torch.Tensor) -> Any:
        y = next(self.complete)[0][:, None]
        assert torch.equal(inputs[0, 0], zero_fill(y, ray_mask)[:, 0])
        y_hat = torch.where(ray_mask, y, y + self.error)
        x_mu, nothing = fbp(y_hat, projector.grid, projector.scan), torch.zeros(len(y))
        self.last = LatentReconstruction(x_mu, y_hat, x_mu, nothing, nothing, torch.ones(3, len(y)))
        return x_mu[:, 0][None, None]


def simulate(patient: dict[str, Any]) -> dict[str, Any]:
    return SimulateTruncationd("image", SCAN, DIAMETER_MM, MU_WATER)(patient)


def linear_search(**settings: Any) -> LatentReconstructionInferer:
    quick = {"rounds": (10,), "lbfgs_steps": 10, "mu_water": MU_WATER, "progress": False}
    return LatentReconstructionInferer(PRIOR_GRID, HU_MIN, HU_MAX, **quick | settings)


class Evaluation:
    """One run of the loop, and what it drew and published."""

    def __init__(
        self, output_dir: Path, inferer: Any = None, patients: Any = PATIENTS, decollate: bool = False, **options: Any
    ) -> None:
        self.drawn: dict[str, Example] = {}
        self.published: list[tuple[dict[str, Any], list[str]]] = []
        self.output_dir = output_dir
        inferer = inferer or Oracle()
        self.comparison = MethodComparison(
            truncation_corrections(SCAN, MU_WATER),
            inferer,
            SCAN,
            DIAMETER_MM,
            MU_WATER,
            output_dir,
            figure=self._draw,
            publish=self._publish,
            **options,
        )
        dataset = Dataset(patients, SimulateTruncationd("image", SCAN, DIAMETER_MM, MU_WATER))
        self.evaluator = SupervisedEvaluator(
            device=torch.device("cpu"),
            val_data_loader=DataLoader(dataset, batch_size=1),
            network=LinearPrior(),
            inferer=inferer,
            prepare_batch=ScanPrepareBatch(SCAN),
            val_handlers=[self.comparison],
            decollate=decollate,
        )
        self.evaluator.run()
        self.metrics = json.loads((output_dir / "metrics.json").read_text())

    def _draw(self, example: Example, path: Path) -> None:
        path.touch()
        self.drawn[path.name] = example

    def _publish(self, summary: dict[str, Any], folder: Path) -> None:
        self.published.append((summary, sorted(file.name for file in folder.iterdir())))


@pytest.fixture(scope="module")
def oracle(tmp_path_factory: pytest.TempPathFactory) -> Evaluation:
    return Evaluation(tmp_path_factory.mktemp("oracle"))


def test_keys(oracle):
    metrics = oracle.metrics
    assert list(metrics["methods"]) == METHODS
    for figures in metrics["methods"].values():
        assert set(figures) == METRICS
        assert all(set(figure) == {"mean", "sd", "ci95", "n_patients"} for figure in figures.values())
        assert figures["mae_inside_hu"]["n_patients"] == 2
    assert metrics["diameter_mm"] == DIAMETER_MM
    assert metrics["task"] == "truncation"
    assert metrics["psnr_ssim_range_hu"] == [-1000, 1000]
    assert (metrics["n_patients"], metrics["n_slices"]) == (2, 6)
    assert len(metrics["slices"]) == 6 * len(METHODS)


def test_the_complete_scan_is_without_error(oracle):
    lsr = oracle.metrics["methods"]["lsr"]
    for metric in ("mae_inside_hu", "mae_outside_hu", "mae_sinogram"):
        assert lsr[metric]["mean"] == 0
    assert lsr["ssim_body"]["mean"] == pytest.approx(1, abs=1e-5)
    assert lsr["mae_outside_image_hu"]["mean"] > 5  # the FBP of a coarse scan is not the image


def test_error_of_the_missing_rays(tmp_path):
    found = Evaluation(tmp_path, Oracle(error=0.25)).metrics["methods"]["lsr"]
    assert found["mae_sinogram"]["mean"] == pytest.approx(0.25, rel=1e-4)
    assert found["mae_outside_hu"]["mean"] > 1


def test_a_rival_by_hand(oracle):
    """Uncorrected FBP of the second patient, with region and reference written out."""
    y = simulate(PATIENTS[2])["sinogram"][0][:1, None]
    u = np.abs(SCAN.u_mm()) <= DIAMETER_MM / 2
    reference, truncated = (mu_to_hu(fbp(v, GRID, SCAN), MU_WATER)[0, 0].numpy() for v in (y, y * torch.from_numpy(u)))
    radius = np.hypot(*np.meshgrid(GRID.coordinates_mm(0), GRID.coordinates_mm(1), indexing="ij"))
    inside = radius <= DIAMETER_MM / 2
    image_hu = body_hu(0.9)[0]
    (row,) = [r for r in oracle.metrics["slices"] if r["method"] == "uncorrected" and r["volume"] == "c" * 12][:1]
    assert row["mae_inside_hu"] == pytest.approx(np.abs(truncated - reference)[inside].mean(), rel=1e-4)
    assert row["mae_inside_image_hu"] == pytest.approx(np.abs(truncated - image_hu)[inside].mean(), rel=1e-4)
    outside = (image_hu > -1000) & ~inside  # the body without its lungs, which lie inside
    assert row["mae_outside_hu"] == pytest.approx(np.abs(truncated - reference)[outside].mean(), rel=0.02)
    assert row["mae_sinogram"] == pytest.approx(y[..., ~torch.from_numpy(u)].abs().mean().item(), rel=1e-4)


def test_slices_are_averaged_within_a_patient_first(oracle):
    rows = [r for r in oracle.metrics["slices"] if r["method"] == "adt"]
    jane, john = ([row["mae_outside_hu"] for row in rows if row["volume"][0] in volumes] for volumes in ("ab", "c"))
    assert (len(jane), len(john)) == (4, 2)
    expected, found = summarise([np.mean(jane), np.mean(john)]), oracle.metrics["methods"]["adt"]["mae_outside_hu"]
    assert found["mean"] == pytest.approx(expected["mean"])
    assert found["sd"] == pytest.approx(expected["sd"])
    assert found["ci95"] == pytest.approx(expected["ci95"])


def test_figures_of_best_median_and_worst(oracle):
    assert sorted(oracle.drawn) == ["figure_best.png", "figure_median.png", "figure_worst.png"]
    example = oracle.drawn["figure_worst.png"]
    assert set(example.methods_hu) == set(example.methods_sinogram) == set(METHODS)
    assert example.image_hu.shape == example.reference_hu.shape == GRID.shape
    assert example.sinogram.shape == example.ray_mask.shape == SCAN.sinogram_shape
    assert example.extent_mm == (360.0, 360.0)
    assert np.array_equal(example.methods_sinogram["uncorrected"], example.sinogram * example.ray_mask)


def test_patients_are_ranked_by_the_search_outside(tmp_path):
    class Worse(Oracle):
        """Wrong for the second volume, which is the first patient's."""

        def __call__(self, inputs: torch.Tensor, *args: Any, **kwargs: Any) -> Any:
            self.error = 0.5 if inputs.max() == self.largest else 0.0
            return super().__call__(inputs, *args, **kwargs)

    inferer = Worse()
    sinogram = simulate(PATIENTS[1])
    inferer.largest = (sinogram["sinogram"] * sinogram["ray_mask"]).max()
    drawn = Evaluation(tmp_path, inferer).drawn
    first, second = (drawn[f"figure_{name}.png"].image_hu for name in ("worst", "best"))
    assert np.array_equal(first, body_hu(1.05)[1])
    assert np.array_equal(second, body_hu(0.9)[1])


def test_published_once_everything_is_written(oracle):
    ((summary, files),) = oracle.published
    assert files == ["figure_best.png", "figure_median.png", "figure_worst.png", "metrics.json"]
    assert json.loads(json.dumps(summary)) == oracle.metrics


def test_without_intervals_figures_are_plain_numbers(tmp_path, capsys):
    run = Evaluation(tmp_path, patients=PATIENTS[:1], intervals=False)
    assert list(run.drawn) == ["figure.png"]
    for figures in run.metrics["methods"].values():
        assert set(figures) == METRICS
        assert all(isinstance(figure, float) for name, figure in figures.items() if name != "psnr_body")
    table = capsys.readouterr().out
    adt = run.metrics["methods"]["adt"]
    assert f"{adt['mae_inside_hu']:.1f}" in table
    assert [line.split()[0] for line in table.splitlines()[:6]] == ["method", *METHODS]
    assert str(tmp_path / "figure.png") in table


def test_evaluators_that_take_the_batch_apart_are_scored_as_well(oracle, tmp_path):
    apart = Evaluation(tmp_path, decollate=True).metrics
    assert apart["methods"]["adt"] == oracle.metrics["methods"]["adt"]


def test_table_with_intervals(oracle):
    line = next(line for line in oracle.comparison.table().splitlines() if line.startswith("adt"))
    figure = oracle.metrics["methods"]["adt"]["mae_outside_hu"]
    low, high = figure["ci95"]
    assert f"{figure['mean']:.1f} [{low:.1f}, {high:.1f}]" in line


def test_no_patient_in_what_is_written(oracle):
    text = (oracle.output_dir / "metrics.json").read_text() + oracle.comparison.table()
    assert "Jane" not in text
    assert "Roe" not in text
    assert {len(row["volume"]) for row in oracle.metrics["slices"]} == {12}


def test_search_end_to_end(tmp_path):
    inferer = linear_search()
    run = Evaluation(tmp_path, inferer, patients=PATIENTS[:1])
    prediction = run.evaluator.state.output["pred"]
    assert prediction.shape == (1, 1, 2, *GRID.shape)
    assert torch.equal(prediction[0, 0], inferer.last.x_mu[:, 0])
    lsr, uncorrected = (run.metrics["methods"][m]["mae_outside_hu"]["mean"] for m in ("lsr", "uncorrected"))
    assert lsr < uncorrected


def test_search_cannot_see_what_was_not_measured(tmp_path):
    class Tampered(SimulateTruncationd):
        def __call__(self, data: Any) -> Any:
            d = super().__call__(data)
            d["sinogram"] = torch.where(d["ray_mask"], d["sinogram"], 100.0)
            return d

    inferer, found = linear_search(), []
    for simulation in (SimulateTruncationd, Tampered):
        dataset = Dataset(PATIENTS[:1], simulation("image", SCAN, DIAMETER_MM, MU_WATER))
        SupervisedEvaluator(
            device=torch.device("cpu"),
            val_data_loader=DataLoader(dataset, batch_size=1),
            network=LinearPrior(),
            inferer=inferer,
            prepare_batch=ScanPrepareBatch(SCAN),
            decollate=False,
        ).run()
        found.append(inferer.last)
    assert torch.equal(found[0].y_hat, found[1].y_hat)
    assert torch.equal(found[0].x_mu, found[1].x_mu)
    assert torch.equal(found[0].z, found[1].z)


def batch(**changes: Any) -> dict[str, Any]:
    (loaded,) = DataLoader(Dataset([PATIENTS[0]], simulate), batch_size=1)
    return loaded | changes


def test_scan_prepare_batch():
    loaded = batch()
    inputs, label, args, kwargs = ScanPrepareBatch(SCAN)(loaded, "cpu")
    ray_mask = kwargs["ray_mask"]
    assert inputs.shape == (1, 1, 2, *SCAN.sinogram_shape)
    assert ray_mask.shape == SCAN.sinogram_shape
    assert torch.equal(inputs[..., ray_mask], loaded["sinogram"][..., ray_mask])
    assert not inputs[..., ~ray_mask].any()
    assert label is loaded["image"]
    assert args == ()
    assert kwargs["projector"].grid == GRID
    assert kwargs["projector"].scan is SCAN


def test_scans_that_are_not_finite_are_refused():
    broken = batch()["sinogram"].clone()
    broken[0, 0, 0, 3, 4] = torch.nan
    with pytest.raises(InputError, match="the scan holds values that are not finite"):
        ScanPrepareBatch(SCAN)(batch(sinogram=broken), "cpu")


def test_corrections_by_name():
    y = simulate(PATIENTS[0])
    sinogram, ray_mask = y["sinogram"][0][:, None], y["ray_mask"]
    filled = {n: f(sinogram, ray_mask) for n, f in truncation_corrections(SCAN, MU_WATER).items()}
    assert list(filled) == METHODS[:-1]
    for y_hat in filled.values():
        assert torch.equal(y_hat[..., ray_mask], sinogram[..., ray_mask])
    assert not any(torch.allclose(filled["adt"], filled[n]) for n in METHODS[:3])
