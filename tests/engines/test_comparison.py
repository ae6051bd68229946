"""The evaluation loop on tiny phantoms, with a linear prior and with an oracle in place of the search."""

import json
import math
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from monai.data import DataLoader, Dataset, MetaTensor
from monai.engines import SupervisedEvaluator

from latentct.correction import adaptive_detruncation, zero_fill
from latentct.engines import Example, FoundBySearch, FrozenOutputs, HeldBack, MethodComparison, ScanPrepareBatch
from latentct.geometry import Grid, ParallelBeam
from latentct.inferers import LatentReconstruction, LatentReconstructionInferer
from latentct.metrics import paired_comparison, summarise
from latentct.projectors import make_projector
from latentct.recon import Sirt, fbp
from latentct.simulate import make_scanner
from latentct.tasks import CorrectionFBP, LimitedAngle, LinearInterpolation, Metal, Task, Truncation
from latentct.transforms import RandImplants, SimulateScand
from latentct.units import mu_to_hu

from ..inferers.cases import HU_MAX, HU_MIN, MU_WATER, PRIOR_GRID, LinearPrior

SCAN = ParallelBeam.equally_spaced(60, math.pi, 80, 6.0)
GRID = Grid((60, 60), (6.0, 6.0))
DIAMETER_MM = 160.0
# the PSNR of an oracle is infinite, and so its spread is not a number
pytestmark = pytest.mark.filterwarnings("ignore:invalid value encountered:RuntimeWarning")
BODY_METRICS = {"rmse_hu", "mae_hu", "psnr", "ssim", "honest_x2ct_psnr", "legacy_x2ct_psnr"}
FIELD_METRICS = {"mae_inside_hu", "mae_outside_hu", "mae_sinogram", "mae_inside_image_hu", "mae_outside_image_hu"}
METRICS = BODY_METRICS | FIELD_METRICS
METHODS = ["uncorrected", "adt", "sirt", "lsr"]
TRUNCATION = Truncation(DIAMETER_MM)


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
    return SimulateScand("image", SCAN, TRUNCATION, MU_WATER)(patient)


def rivals() -> dict[str, Any]:
    adt = CorrectionFBP(partial(adaptive_detruncation, scan=SCAN, mu_water=MU_WATER))
    return {"uncorrected": None, "adt": adt, "sirt": Sirt(3)}


def linear_search(**settings: Any) -> LatentReconstructionInferer:
    quick = {"rounds": (20,), "mu_water": MU_WATER, "progress": False}
    return LatentReconstructionInferer(PRIOR_GRID, HU_MIN, HU_MAX, **quick | settings)


class Evaluation:
    """One run of the loop, and what it drew and published."""

    def __init__(
        self,
        output_dir: Path,
        inferer: Any = None,
        patients: Any = PATIENTS,
        decollate: bool = False,
        methods: Any = None,
        task: Task = TRUNCATION,
        simulation: Any = None,
        **options: Any,
    ) -> None:
        self.drawn: dict[str, Example] = {}
        self.published: list[tuple[dict[str, Any], list[str]]] = []
        self.output_dir = output_dir
        inferer = inferer or Oracle()
        prepare_batch = ScanPrepareBatch(SCAN, task)
        self.comparison = MethodComparison(
            rivals() if methods is None else methods,
            inferer,
            prepare_batch,
            MU_WATER,
            output_dir,
            figure=self._draw,
            publish=self._publish,
            **options,
        )
        self.evaluator = SupervisedEvaluator(
            device=torch.device("cpu"),
            val_data_loader=DataLoader(Dataset(patients, simulation or simulate), batch_size=1),
            network=LinearPrior(),
            inferer=inferer,
            prepare_batch=prepare_batch,
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
    for metric in ("mae_inside_hu", "mae_outside_hu", "mae_sinogram", "rmse_hu", "mae_hu"):
        assert lsr[metric]["mean"] == 0
    assert lsr["ssim"]["mean"] == pytest.approx(1, abs=1e-5)
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
    body = image_hu > -1000  # lungs included: they lie inside
    assert row["rmse_hu"] == pytest.approx(np.sqrt(((truncated - reference)[body] ** 2).mean()), rel=0.02)
    assert row["mae_sinogram"] == pytest.approx(y[..., ~torch.from_numpy(u)].abs().mean().item(), rel=1e-4)
    assert row["legacy_x2ct_psnr"] - row["honest_x2ct_psnr"] == pytest.approx(20 * math.log10(4095 / 2500), abs=1e-4)


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
    measured = example.ray_mask
    for name, sinogram in example.methods_sinogram.items():
        assert np.array_equal(sinogram[measured], example.sinogram[measured]), name
    shown = torch.as_tensor(example.methods_hu["sirt"], dtype=torch.float32)[None, None]
    projected = make_projector(GRID, SCAN)((shown / 1000 + 1) * MU_WATER)[0, 0].numpy()
    assert example.methods_sinogram["sirt"][~measured] == pytest.approx(projected[~measured], abs=1e-3)


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
        assert all(isinstance(figure, float) for name, figure in figures.items() if "psnr" not in name)
    table = capsys.readouterr().out
    adt = run.metrics["methods"]["adt"]
    assert f"{adt['mae_inside_hu']:.1f}" in table
    assert [line.split()[0] for line in table.splitlines()[:5]] == ["method", *METHODS]
    assert str(tmp_path / "figure.png") in table


def test_evaluators_that_take_the_batch_apart_are_scored_as_well(oracle, tmp_path):
    apart = Evaluation(tmp_path, decollate=True).metrics
    assert apart["methods"]["adt"] == oracle.metrics["methods"]["adt"]


def test_table_with_intervals(tmp_path, capsys):
    figure = Evaluation(tmp_path).metrics["methods"]["adt"]["mae_outside_hu"]
    line = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("adt"))
    low, high = figure["ci95"]
    assert f"{figure['mean']:.1f} [{low:.1f}, {high:.1f}]" in line


def test_no_patient_in_what_is_written(oracle):
    text = (oracle.output_dir / "metrics.json").read_text()
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


def test_no_method_can_see_what_was_not_measured(tmp_path):
    def tampered(patient: Any) -> Any:
        d = simulate(patient)
        return d | {"sinogram": torch.where(d["ray_mask"], d["sinogram"], 100.0)}

    found = []
    for name, simulation in (("true", simulate), ("tampered", tampered)):
        inferer = linear_search()
        run = Evaluation(tmp_path / name, inferer, PATIENTS[:1], simulation=simulation)
        found.append((inferer.last, run.drawn["figure_best.png"].methods_hu))
    assert torch.equal(found[0][0].x_mu, found[1][0].x_mu)
    for method in METHODS:
        assert np.array_equal(found[0][1][method], found[1][1][method]), method


# The reference stays closed until everything is frozen.


def peek_into_the_batch(run: dict[str, Any]) -> Any:
    return run["evaluator"].state.batch["reference"]


def peek_at_the_scanned_image(run: dict[str, Any]) -> Any:
    return run["evaluator"].state.batch["image"]


def peek_at_the_complete_scan(run: dict[str, Any]) -> Any:
    return run["evaluator"].state.batch["sinogram"]


def open_the_lock_early(run: dict[str, Any]) -> Any:
    return run["comparison"].prepare_batch.held_back.open(None)


@pytest.mark.parametrize(
    ("peek", "error"),
    [
        (peek_into_the_batch, KeyError),
        (peek_at_the_scanned_image, KeyError),
        (peek_at_the_complete_scan, KeyError),
        (open_the_lock_early, RuntimeError),
    ],
)
def test_a_method_that_looks_for_the_reference_finds_none(tmp_path, monkeypatch, peek, error):
    run: dict[str, Any] = {}
    peeked: list[type] = []

    def spy(y: torch.Tensor, projector: Any, ray_mask: torch.Tensor) -> torch.Tensor:
        with pytest.raises(error):
            peek(run)
        peeked.append(error)
        return fbp(y, projector.grid, projector.scan)

    begin = MethodComparison.attach

    def attach(comparison: MethodComparison, engine: Any) -> None:
        run.update(comparison=comparison, evaluator=engine)
        begin(comparison, engine)

    monkeypatch.setattr(MethodComparison, "attach", attach)
    Evaluation(tmp_path, patients=PATIENTS[:1], methods={"spy": spy})
    assert peeked == [error]


def test_the_engine_itself_gets_the_place_of_the_image_and_no_value(tmp_path):
    label = Evaluation(tmp_path, patients=PATIENTS[:1]).evaluator.state.output["label"]
    assert bool(torch.isnan(torch.as_tensor(label)).all())
    assert np.allclose(label.affine, PATIENTS[0]["image"].affine)


def test_a_method_that_changes_its_input_changes_nobody_elses(tmp_path):
    def vandal(y: torch.Tensor, projector: Any, ray_mask: torch.Tensor) -> torch.Tensor:
        y.fill_(9.0)
        ray_mask.fill_(True)
        return fbp(y, projector.grid, projector.scan)

    with_vandal = Evaluation(tmp_path / "a", methods={"vandal": vandal, **rivals()}).metrics
    without = Evaluation(tmp_path / "b").metrics
    for method in METHODS:
        assert with_vandal["methods"][method] == without["methods"][method], method


def test_a_result_changed_after_it_was_frozen_is_an_error(tmp_path, monkeypatch):
    kept: list[torch.Tensor] = []

    def late(y: torch.Tensor, projector: Any, ray_mask: torch.Tensor) -> torch.Tensor:
        kept.append(fbp(y, projector.grid, projector.scan))
        return kept[-1]

    def opened(held_back: HeldBack, outputs: FrozenOutputs) -> dict[str, Any]:
        contents = see(held_back, outputs)
        kept[-1].copy_(torch.as_tensor(contents["reference"])[0, 0][:, None])  # its own tensor: without effect
        array = outputs.array("late")
        with pytest.raises(ValueError, match="read-only"):
            array[:] = 0
        array.setflags(write=tamper)
        if tamper:
            array[:] = 0
        return contents

    see = HeldBack.open
    monkeypatch.setattr(HeldBack, "open", opened)
    tamper = False
    honest = Evaluation(tmp_path / "a", patients=PATIENTS[:1], methods={"late": late}).metrics
    assert honest["methods"]["late"]["rmse_hu"]["mean"] > 10
    tamper = True
    with pytest.raises(RuntimeError, match="output of late was changed after it was frozen"):
        Evaluation(tmp_path / "b", patients=PATIENTS[:1], methods={"late": late})


def test_the_prediction_of_the_evaluator_is_the_frozen_one(tmp_path):
    run = Evaluation(tmp_path, patients=PATIENTS[:1])
    prediction = run.evaluator.state.output["pred"]
    shown = mu_to_hu(prediction[0, 0, 1], MU_WATER).numpy()
    assert np.array_equal(shown, run.drawn["figure_best.png"].methods_hu["lsr"])


def test_methods_may_build_on_what_the_search_found(tmp_path):
    inferer = linear_search()
    methods = {"again": FoundBySearch(inferer)}
    figures = Evaluation(tmp_path, inferer, PATIENTS[:1], methods=methods).metrics["methods"]
    assert figures["again"]["rmse_hu"] == figures["lsr"]["rmse_hu"]


def test_the_search_is_compared_with_each_rival_patient_by_patient(tmp_path):
    metrics = Evaluation(tmp_path, paired_test=partial(paired_comparison, seed=0)).metrics
    assert list(metrics["lsr_against"]) == METHODS[:-1]
    found = metrics["lsr_against"]["adt"]["mae_outside_hu"]
    assert found["n_pairs"] == 2
    adt = metrics["methods"]["adt"]["mae_outside_hu"]["mean"]
    assert found["mean_difference"] == pytest.approx(-adt)  # the oracle has no error


# Other tasks.


def test_a_limited_angle_has_no_field_of_measurement(tmp_path):
    task = LimitedAngle(2.0)
    simulation = SimulateScand("image", SCAN, task, MU_WATER)
    run = Evaluation(tmp_path, linear_search(), PATIENTS[:1], task=task, simulation=simulation, methods={"s": Sirt(2)})
    assert set(run.metrics["methods"]["lsr"]) == BODY_METRICS
    assert (run.metrics["task"], run.metrics["settings"]) == ("limited_angle", {"arc_rad": 2.0, "start_rad": 0.0})
    assert run.drawn["figure_best.png"].diameter_mm is None


@pytest.fixture(scope="module")
def metal(tmp_path_factory: pytest.TempPathFactory) -> Evaluation:
    task = Metal(mu_water=MU_WATER)
    scanner = make_scanner(120, mu_water=MU_WATER, i0_photons=None, electronic_photons=0.0)
    implants = RandImplants(sizes_mm2=(450.0, 1100.0), materials=("titanium", "iron"))
    simulation = SimulateScand("image", SCAN, task, MU_WATER, scanner, implants)
    methods = {"uncorrected": None, "li": LinearInterpolation()}
    folder = tmp_path_factory.mktemp("metal")
    return Evaluation(folder, linear_search(), PATIENTS, task=task, simulation=simulation, methods=methods)


def test_metal_has_the_eight_scores_too(metal):
    names = {name for name in metal.metrics["methods"]["lsr"] if name.startswith("ct_mar_")}
    assert len(names) == 9
    assert metal.metrics["methods"]["uncorrected"]["ct_mar_rmse"]["mean"] == pytest.approx(4)
    assert metal.metrics["methods"]["li"]["ct_mar_rmse"]["mean"] < 4


def test_metal_is_put_back_into_every_result_alike(metal):
    example = metal.drawn["figure_worst.png"]
    first_hu = example.methods_hu["uncorrected"]
    solid = first_hu > 4000
    assert solid.any()
    for name in ("li", "lsr"):
        assert np.array_equal(example.methods_hu[name][solid], first_hu[solid]), name
        assert not np.array_equal(example.methods_hu[name], first_hu), name


def test_metal_is_summarised_by_size_and_material(metal):
    groups = metal.metrics["groups"]
    assert set(groups) == {"metal_size_1", "metal_size_2", "metal_titanium", "metal_iron"}
    by_size = [groups[f"metal_size_{i}"] for i in (1, 2)]
    assert sum(group["n_slices"] for group in by_size) == metal.metrics["n_slices"] == 6
    assert set(by_size[0]["methods"]) == {"uncorrected", "li", "lsr"}
    largest, smallest = (group["methods"]["uncorrected"]["rmse_hu"]["mean"] for group in by_size[::-1])
    assert largest != smallest
