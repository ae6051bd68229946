"""The evaluation loop: every method on the same simulated scans, frozen, then scored in the same regions."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ignite.engine import Engine, Events
from monai.engines.utils import IterationEvents
from torch import Tensor

from latentct import keys as K
from latentct.correction.metal import reinsert_metal
from latentct.engines.measurement import FrozenOutputs, Measurement, ScanPrepareBatch
from latentct.engines.results import PairedTest, ScoreTable, strict, text_table
from latentct.engines.scoring import (
    METAL_MARGIN_MM,
    METAL_MARGIN_PX,
    Truth,
    image_scores,
    metal_scores,
    truncation_scores,
    truth_of,
)
from latentct.inferers import LatentReconstructionInferer
from latentct.inferers.unet import UNetExtrapolation
from latentct.io.files import whole_file
from latentct.projectors import make_projector
from latentct.recon import Reconstructor, fbp
from latentct.tasks import Metal
from latentct.tasks.reconstructors import CorrectionFBP
from latentct.units import mu_to_hu

COLUMNS = {
    "mae_inside_hu": ("MAE inside [HU]", 1),
    "mae_outside_hu": ("MAE outside [HU]", 1),
    "mae_sinogram": ("MAE missing rays", 3),
    "rmse_hu": ("RMSE body [HU]", 1),
    "mae_hu": ("MAE body [HU]", 1),
    "psnr": ("PSNR body [dB]", 1),
    "ssim": ("SSIM body", 3),
    "ct_mar_total": ("CT-MAR score (0 best)", 2),
    "honest_x2ct_psnr": ("PSNR slice [dB]", 1),
    "legacy_x2ct_psnr": ("legacy X2CT PSNR", 1),
}
"""What the printed table shows, as far as the task has it."""


@dataclass(frozen=True)
class Example:
    """One slice as every method shows it, for figures.

    Attributes:
        image_hu: the image that was scanned, (H, W).
        reference_hu: what the complete, undisturbed scan shows, (H, W).
        methods_hu: what each method shows, by name, (H, W).
        sinogram: complete line integrals, (A, U).
        methods_sinogram: line integrals by name, the missing ones as the method has them, (A, U).
        ray_mask: measured rays, (A, U).
        extent_mm: height and width of the slice.
        diameter_mm: diameter of the field of measurement; None without one.
        uncertainty_hu: spread of the latent search over several starts, (H, W); None of a single start.
    """

    image_hu: np.ndarray
    reference_hu: np.ndarray
    methods_hu: dict[str, np.ndarray]
    sinogram: np.ndarray
    methods_sinogram: dict[str, np.ndarray]
    ray_mask: np.ndarray
    extent_mm: tuple[float, ...]
    diameter_mm: float | None = None
    uncertainty_hu: np.ndarray | None = None


class MethodComparison:
    """Score a latent search and its rivals on the scans that an evaluator goes through.

    A handler of an Ignite evaluator whose inferer is the latent search and whose `prepare_batch` holds everything back
    that a method must not see. All methods get copies of the measured rays, the projector and the mask. Where the task
    is metal, the metal found in the uncorrected reconstruction is put back into every result alike. Then the results
    are frozen; only after that the reference is opened and they are scored in HU within the body, away from metal, for
    truncation inside and outside the field of measurement too. Every figure is a mean over the slices of a patient and
    then over patients.

    Args:
        methods: the rivals by name, `(y, projector, ray_mask) -> x_mu`; None stands for the FBP of the rays as the
            machine gave them, corrupt ones included and missing ones zero.
        inferer: the inferer of the evaluator, scored as `lsr`.
        prepare_batch: that of the evaluator, which knows the task.
        mu_water: attenuation of water in 1/mm at the energy of the scans.
        output_dir: where `metrics.json` and the figures go.
        figure: draws an `Example` to a file.
        publish: called with the summary and the folder once both are written, e.g. to record them.
        paired_test: compares the latent search with a rival, patient by patient; None leaves that out.
        hu_range: lower and upper end of the range of PSNR and SSIM.
        intervals: report mean, SD and bootstrap interval over patients; otherwise the mean alone.
        filter_name: ramp filter of the uncorrected reconstruction.
    """

    def __init__(
        self,
        methods: Mapping[str, Reconstructor | None],
        inferer: LatentReconstructionInferer,
        prepare_batch: ScanPrepareBatch,
        mu_water: float,
        output_dir: str | Path,
        figure: Callable[[Example, Path], None],
        publish: Callable[[Mapping[str, Any], Path], None] | None = None,
        paired_test: PairedTest | None = None,
        hu_range: tuple[float, float] = (-1000.0, 1000.0),
        intervals: bool = True,
        filter_name: str = "ram-lak",
    ) -> None:
        self.methods = dict(methods)
        self.inferer = inferer
        self.prepare_batch = prepare_batch
        self.task = prepare_batch.task
        self.mu_water = mu_water
        self.output_dir = Path(output_dir)
        self.figure = figure
        self.publish = publish
        self.paired_test = paired_test
        self.hu_min, self.hu_max = hu_range
        self.filter_name = filter_name
        self.table = ScoreTable(intervals)
        self.summary: dict[str, Any] = {}
        self._examples: dict[str, Example] = {}

    @property
    def diameter_mm(self) -> float | None:
        """Diameter of the field of measurement; None where the task has none."""
        return getattr(self.task, "diameter_mm", None)

    def attach(self, engine: Engine) -> None:
        """Follow an evaluator."""
        engine.add_event_handler(Events.STARTED, self._begin)
        engine.add_event_handler(IterationEvents.FORWARD_COMPLETED, self._compare)  # before the batch is taken apart
        engine.add_event_handler(Events.EPOCH_COMPLETED, self._finish)

    def _begin(self) -> None:
        self.table.rows.clear()
        self._examples = {}

    def _compare(self, engine: Engine) -> None:
        """Run the rivals on one volume, freeze all results, and only then score them."""
        found, measurement = self.inferer.last, self.prepare_batch.measurement
        assert found is not None and measurement is not None
        first_mu = self._first(measurement)
        results = {name: first_mu if m is None else measurement.solve(m) for name, m in self.methods.items()}
        results["lsr"] = found.x_mu
        rays = FrozenOutputs({name: self._rays(name, x_mu, measurement) for name, x_mu in results.items()})
        put_back = self._metal(measurement, first_mu)
        results = {name: x_mu if self._is_uncorrected(name) else put_back(x_mu) for name, x_mu in results.items()}
        frozen = FrozenOutputs(results)
        engine.state.output[K.PRED] = frozen["lsr"].reshape(engine.state.output[K.PRED].shape)
        contents = self.prepare_batch.held_back.open(frozen)
        truth = truth_of(contents, measurement.projector.grid, self.diameter_mm)
        self._score(engine.state.batch, frozen, rays, measurement, truth, first_mu)

    def _first(self, measurement: Measurement) -> Tensor:
        as_measured = self.prepare_batch.as_measured
        assert as_measured is not None
        return fbp(as_measured, measurement.projector.grid, self.prepare_batch.scan, self.filter_name)

    def _is_uncorrected(self, name: str) -> bool:
        return name in self.methods and self.methods[name] is None

    def _metal(self, measurement: Measurement, first_mu: Tensor) -> Callable[[Tensor], Tensor]:
        """Return what puts the metal of the uncorrected reconstruction into a result, or leaves it as it is."""
        if not isinstance(self.task, Metal):
            return lambda x_mu: x_mu
        assert self.prepare_batch.as_measured is not None
        metal = self.task.metal_mask(self.prepare_batch.as_measured, measurement.projector)
        return lambda x_mu: reinsert_metal(x_mu, metal.to(x_mu.device), first_mu.to(x_mu))

    def _score(
        self,
        batch: Mapping[str, Any],
        images: FrozenOutputs,
        rays: FrozenOutputs,
        measurement: Measurement,
        truth: Truth,
        first_mu: Tensor,
    ) -> None:
        patient, volume = (str(batch[key][0]) for key in ("patient", "sha256"))
        groups = slice_groups(batch, len(truth.body))
        ray_mask, first_hu = measurement.ray_mask.cpu(), mu_to_hu(first_mu.cpu(), self.mu_water)
        methods_hu, sinograms = {}, {}
        for name in images:
            x_hu = methods_hu[name] = mu_to_hu(images[name], self.mu_water)
            y_hat = sinograms[name] = rays[name]
            scores = image_scores(x_hu, truth, self.hu_min, self.hu_max)
            if truth.inside is not None:
                scores = truncation_scores(x_hu, y_hat, ray_mask, truth) | scores
            if truth.metal is not None:
                scores |= metal_scores(x_hu, first_hu, truth, measurement.projector.grid)
            self.table.add(name, patient, volume, groups, scores)
        self._examples[patient] = self._example(truth, methods_hu, sinograms, measurement)

    def _rays(self, name: str, x_mu: Tensor, measurement: Measurement) -> Tensor:
        """Return the rays as measured, the missing ones as the method has them: filled in, or those of its image."""
        method = self.methods.get(name)
        if name == "lsr":
            assert self.inferer.last is not None
            return self.inferer.last.y_hat.cpu()
        if self._is_uncorrected(name):
            assert self.prepare_batch.as_measured is not None
            return self.prepare_batch.as_measured.cpu()
        if isinstance(method, UNetExtrapolation):
            return measurement.solve(method.fill).cpu()
        if isinstance(method, CorrectionFBP):
            return method.correction(measurement.y.clone(), measurement.ray_mask.clone()).cpu()
        projector = make_projector(measurement.projector.grid, self.prepare_batch.scan, "auto")
        return torch.where(measurement.ray_mask.cpu(), measurement.y.cpu(), projector(x_mu.cpu()))

    def _example(
        self, truth: Truth, methods_hu: Mapping[str, Tensor], sinograms: Mapping[str, Tensor], measurement: Measurement
    ) -> Example:
        i = len(truth.body) // 2
        ray_mask = measurement.ray_mask.cpu()
        spread = getattr(self.inferer.last, "x_std_mu", None)
        return Example(
            truth.image_hu[i, 0].numpy(),
            truth.reference_hu[i, 0].numpy(),
            {name: x_hu[i, 0].numpy() for name, x_hu in methods_hu.items()},
            truth.y[i, 0].numpy(),
            {name: y_hat[i, 0].numpy() for name, y_hat in sinograms.items()},
            (ray_mask if ray_mask.ndim == 2 else ray_mask[i, 0]).numpy(),
            measurement.projector.grid.extent_mm,
            self.diameter_mm,
            None if spread is None else (1000 * spread[i, 0].cpu() / self.mu_water).numpy(),
        )

    def _finish(self) -> None:
        """Write the figures and `metrics.json`, and print the table."""
        self.output_dir.mkdir(parents=True, exist_ok=True)
        figures = self._draw()
        self.summary = strict(self._summarise())
        with whole_file(self.output_dir / "metrics.json") as partial_file:
            partial_file.write_text(json.dumps(self.summary, indent=1, allow_nan=False))
        print(text_table(self.summary["methods"], COLUMNS), *figures, sep="\n")
        if self.publish is not None:
            self.publish(self.summary, self.output_dir)

    def _summarise(self) -> dict[str, Any]:
        table, test = self.table, self.paired_test
        metrics = [metric for metric in table.metrics if metric in COLUMNS]
        summary: dict[str, Any] = {
            "task": self.task.name,
            "settings": {k: v for k, v in vars(self.task).items() if isinstance(v, str | int | float)},
            "reference": f"FBP of the complete scan on the same grid, without noise and metal ({self.filter_name})",
            "region": f"body, farther from metal than {METAL_MARGIN_MM:g} mm and {METAL_MARGIN_PX:g} pixels",
            "psnr_ssim_range_hu": [self.hu_min, self.hu_max],
            "n_patients": table.n_patients(),
            "n_slices": table.n_slices(),
            "methods": table.summary(),
        }
        if self.diameter_mm is not None:
            summary["diameter_mm"] = self.diameter_mm
        if test is not None:
            summary["lsr_against"] = table.paired("lsr", test, metrics)
        groups: dict[str, Any] = {}
        for group in table.groups:
            counts = {"n_patients": table.n_patients(group), "n_slices": table.n_slices(group)}
            groups[group] = {**counts, "methods": table.summary(group)}
            if test is not None:
                groups[group]["lsr_against"] = table.paired("lsr", test, metrics, group)
        return {**summary, "groups": groups, "slices": table.slices()}

    def _draw(self) -> list[Path]:
        """Draw the best, the median and the worst patient, or the only one."""
        metric = "mae_outside_hu" if self.diameter_mm is not None else "rmse_hu"
        error = self.table.per_patient("lsr", metric)
        ranked = sorted(self._examples, key=lambda patient: np.nan_to_num(error[patient], nan=-1.0))
        chosen = {"figure.png": ranked[0]}
        if self.table.intervals:
            chosen = {"figure_best.png": ranked[0], "figure_median.png": ranked[len(ranked) // 2]}
            chosen["figure_worst.png"] = ranked[-1]
        for name, patient in chosen.items():
            self.figure(self._examples[patient], self.output_dir / name)
        return [self.output_dir / name for name in chosen]


def slice_groups(batch: Mapping[str, Any], n_slices: int) -> list[list[str]]:
    """Return the groups that each slice of a batch of one volume belongs to: size and material of its metal."""
    sizes = [f"metal_size_{int(v)}" for v in _one_a_slice(batch, K.METAL_SIZE)]
    materials = [f"metal_{v}" for v in _one_a_slice(batch, K.METAL_MATERIAL)]
    return [[names[i] for names in (sizes, materials) if names] for i in range(n_slices)]


def _one_a_slice(batch: Mapping[str, Any], key: str) -> list[Any]:
    """Return a list of one value a slice, which a data loader gives back with each value in a batch of one."""
    return [v[0] if isinstance(v, list | tuple) or getattr(v, "ndim", 0) > 0 else v for v in batch.get(key, [])]
