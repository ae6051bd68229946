"""The evaluation loop: every method on the same simulated scans, scored in the same regions."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from einops import rearrange
from ignite.engine import Engine, Events
from monai.engines.utils import IterationEvents, PrepareBatch
from torch import Tensor

from latentct import keys as K
from latentct.correction import adaptive_detruncation, cosine_extrapolation, water_cylinder_extrapolation, zero_fill
from latentct.errors import InputError
from latentct.geometry import Grid, Scan2D, field_of_measurement_mask
from latentct.inferers import LatentReconstructionInferer
from latentct.io.files import whole_file
from latentct.metrics import mae_hu, mae_sinogram, mean_per_patient, psnr, ssim, summarise
from latentct.projectors import make_projector
from latentct.recon import fbp
from latentct.simulate import truncate
from latentct.transforms import body_mask, slice_grid
from latentct.units import mu_to_hu

Correction = Callable[[Tensor, Tensor], Tensor]
"""`(y, ray_mask) -> y_hat`: fills the rays that were not measured."""


class ScanPrepareBatch(PrepareBatch):
    """Give a latent search what it may see of a simulated scan: the measured rays, their mask and the geometry.

    Args:
        scan: geometry the sinograms were simulated in.
    """

    def __init__(self, scan: Scan2D) -> None:
        self.scan = scan

    def __call__(
        self,
        batchdata: Mapping[str, Any],
        device: str | torch.device | None = None,
        non_blocking: bool = False,
        **kwargs: Any,
    ) -> tuple[Tensor, Tensor, tuple[()], dict[str, Any]]:
        """Return the measured line integrals (1, 1, D, A, U), zero elsewhere, the image, and the inferer's arguments.

        Raises:
            InputError: a line integral is not finite.
        """
        y, ray_mask = (torch.as_tensor(batchdata[key]).to(device) for key in (K.SINOGRAM, K.RAY_MASK))
        if not bool(torch.isfinite(y).all()):
            raise InputError(
                "the scan holds values that are not finite; replace NaN and infinity by HU, e.g. -1000 for air."
            )
        ray_mask = ray_mask[0]
        projector = make_projector(slice_grid(batchdata[K.IMAGE][0]), self.scan, "auto", str(y.device))
        return truncate(y, ray_mask), batchdata[K.IMAGE], (), {"projector": projector, "ray_mask": ray_mask}


@dataclass(frozen=True)
class Example:
    """One slice as every method shows it, for figures.

    Attributes:
        image_hu: the image that was scanned, (H, W).
        reference_hu: FBP of the complete scan, (H, W).
        methods_hu: FBP after each method, by name, (H, W).
        sinogram: complete line integrals, (A, U).
        methods_sinogram: completed line integrals by name, (A, U).
        ray_mask: measured rays, (A, U).
        diameter_mm: diameter of the field of measurement.
        extent_mm: height and width of the slice.
        trace: misfit of all slices of the volume after each step of the search, (steps, S).
    """

    image_hu: np.ndarray
    reference_hu: np.ndarray
    methods_hu: dict[str, np.ndarray]
    sinogram: np.ndarray
    methods_sinogram: dict[str, np.ndarray]
    ray_mask: np.ndarray
    diameter_mm: float
    extent_mm: tuple[float, ...]
    trace: np.ndarray


class MethodComparison:
    """Score a latent search and classical corrections on the scans that an evaluator goes through.

    The reference is the FBP of the complete scan by the same filter on the same grid; errors against the scanned image
    itself stand beside it. Regions: `inside` is the field of measurement, `outside` the body beyond it. Every figure is
    a mean over the slices of a patient and then over patients. A handler of an Ignite evaluator whose inferer is the
    latent search; its prediction is taken as it was made, before the reference is looked at.

    Args:
        corrections: the rival methods by name.
        inferer: the inferer of the evaluator, scored as `lsr`.
        scan: geometry of all scans.
        diameter_mm: diameter of the field of measurement.
        mu_water: attenuation of water in 1/mm at the energy of the scans.
        output_dir: where `metrics.json` and the figures go.
        figure: draws an `Example` to a file.
        publish: called with the summary and the folder once both are written, e.g. to record them.
        hu_min: lower end of the range of PSNR and SSIM.
        hu_max: its upper end.
        intervals: report mean, SD and bootstrap interval over patients; otherwise the mean alone.
        filter_name: ramp filter of every reconstruction.
    """

    def __init__(
        self,
        corrections: Mapping[str, Correction],
        inferer: LatentReconstructionInferer,
        scan: Scan2D,
        diameter_mm: float,
        mu_water: float,
        output_dir: str | Path,
        figure: Callable[[Example, Path], None],
        publish: Callable[[Mapping[str, Any], Path], None] | None = None,
        hu_min: float = -1000.0,
        hu_max: float = 1000.0,
        intervals: bool = True,
        filter_name: str = "ram-lak",
    ) -> None:
        self.corrections = dict(corrections)
        self.inferer = inferer
        self.scan, self.diameter_mm, self.mu_water = scan, diameter_mm, mu_water
        self.output_dir = Path(output_dir)
        self.figure = figure
        self.publish = publish
        self.hu_min, self.hu_max = hu_min, hu_max
        self.intervals = intervals
        self.filter_name = filter_name
        self.summary: dict[str, Any] = {}
        self._rows: list[dict[str, Any]] = []
        self._examples: dict[str, Example] = {}

    def attach(self, engine: Engine) -> None:
        """Follow an evaluator."""
        engine.add_event_handler(Events.STARTED, self._begin)
        engine.add_event_handler(IterationEvents.FORWARD_COMPLETED, self._score)  # before the batch is taken apart
        engine.add_event_handler(Events.EPOCH_COMPLETED, self._finish)

    def _begin(self) -> None:
        self._rows, self._examples = [], {}

    def _score(self, engine: Engine) -> None:
        """Run the rivals on one volume and score all methods slice by slice."""
        batch, found = engine.state.batch, self.inferer.last
        assert found is not None
        volume = batch[K.IMAGE][0]
        grid = slice_grid(volume)
        y = rearrange(torch.as_tensor(batch[K.SINOGRAM]), "b c d a u -> (b d) c a u")
        ray_mask = torch.as_tensor(batch[K.RAY_MASK])[0]
        measured = truncate(y, ray_mask)
        filled = {name: correct(measured, ray_mask) for name, correct in self.corrections.items()}
        filled["lsr"] = found.y_hat.to(y.device)
        methods_hu = {name: self._reconstruct(y_hat, grid) for name, y_hat in filled.items()}
        image_hu = torch.as_tensor(volume.array)[0, :, None]
        reference_hu = self._reconstruct(y, grid)
        body = torch.from_numpy(body_mask(image_hu[:, 0].numpy(), grid.spacing_mm))[:, None]
        inside = torch.from_numpy(field_of_measurement_mask(grid, self.diameter_mm)).expand(body.shape)
        patient, name = (str(batch[key][0]) for key in ("patient", "sha256"))
        for method, x_hu in methods_hu.items():
            values = {
                "mae_inside_hu": mae_hu(x_hu, reference_hu, inside),
                "mae_outside_hu": mae_hu(x_hu, reference_hu, body & ~inside),
                "mae_sinogram": mae_sinogram(filled[method], y, ray_mask),
                "mae_inside_image_hu": mae_hu(x_hu, image_hu, inside),
                "mae_outside_image_hu": mae_hu(x_hu, image_hu, body & ~inside),
                "psnr_body": psnr(x_hu, reference_hu, hu_min=self.hu_min, hu_max=self.hu_max, region=body),
                "ssim_body": ssim(x_hu, reference_hu, hu_min=self.hu_min, hu_max=self.hu_max, region=body),
            }
            self._add_rows(method, patient, name, values)
        i = len(y) // 2
        self._examples[patient] = Example(
            image_hu[i, 0].numpy(),
            reference_hu[i, 0].numpy(),
            {method: x_hu[i, 0].numpy() for method, x_hu in methods_hu.items()},
            y[i, 0].numpy(),
            {method: y_hat[i, 0].numpy() for method, y_hat in filled.items()},
            ray_mask.numpy(),
            self.diameter_mm,
            grid.extent_mm,
            found.trace.numpy(),
        )

    def _reconstruct(self, y: Tensor, grid: Grid) -> Tensor:
        return mu_to_hu(fbp(y, grid, self.scan, self.filter_name), self.mu_water)

    def _add_rows(self, method: str, patient: str, volume: str, values: Mapping[str, Tensor]) -> None:
        for i in range(len(next(iter(values.values())))):
            row = {metric: float(value[i]) for metric, value in values.items()}
            self._rows.append({"method": method, "patient": patient, "volume": volume[:12], **row})

    def _finish(self) -> None:
        """Write the figures and `metrics.json`, and print the table."""
        self.output_dir.mkdir(parents=True, exist_ok=True)
        figures = self._draw()
        methods = {name: self._summarise(name) for name in [*self.corrections, "lsr"]}
        summary = {
            "task": "truncation",
            "diameter_mm": self.diameter_mm,
            "reference": f"FBP ({self.filter_name}) of the complete scan on the same grid",
            "psnr_ssim_range_hu": [self.hu_min, self.hu_max],
            "n_patients": len(self._examples),
            "n_slices": len(self._rows) // len(methods),
            "methods": methods,
            "slices": [{k: v for k, v in row.items() if k != "patient"} for row in self._rows],
        }
        self.summary = _strict(summary)
        with whole_file(self.output_dir / "metrics.json") as partial_file:
            partial_file.write_text(json.dumps(self.summary, indent=1, allow_nan=False))
        print(self.table(), *figures, sep="\n")
        if self.publish is not None:
            self.publish(self.summary, self.output_dir)

    def _draw(self) -> list[Path]:
        """Draw the best, the median and the worst patient outside the field, or the only one."""
        outside = self._per_patient("lsr", "mae_outside_hu")
        ranked = sorted(self._examples, key=lambda patient: np.nan_to_num(outside[patient], nan=-1.0))
        chosen = {"figure.png": ranked[0]}
        if self.intervals:
            chosen = {"figure_best.png": ranked[0], "figure_median.png": ranked[len(ranked) // 2]}
            chosen["figure_worst.png"] = ranked[-1]
        for name, patient in chosen.items():
            self.figure(self._examples[patient], self.output_dir / name)
        return [self.output_dir / name for name in chosen]

    def table(self) -> str:
        """Return the main figures as a table for people."""
        lines = [f"{'method':<16}{'inside [HU]':>22}{'outside [HU]':>22}{'sinogram':>22}"]
        for name, figures in self.summary["methods"].items():
            cells = [
                _cell(figures[m], digits)
                for m, digits in (("mae_inside_hu", 1), ("mae_outside_hu", 1), ("mae_sinogram", 3))
            ]
            lines.append(f"{name:<16}" + "".join(f"{cell:>22}" for cell in cells))
        return "\n".join(lines)

    def _per_patient(self, method: str, metric: str) -> dict[str, float]:
        rows = [row for row in self._rows if row["method"] == method]
        return mean_per_patient([row[metric] for row in rows], [row["patient"] for row in rows])

    def _summarise(self, method: str) -> dict[str, Any]:
        metrics = [key for key in self._rows[0] if key not in ("method", "patient", "volume")]
        values = {metric: list(self._per_patient(method, metric).values()) for metric in metrics}
        if self.intervals:
            return {metric: summarise(v) for metric, v in values.items()}
        return {metric: float(np.nanmean(v)) for metric, v in values.items()}


def _strict(tree: Any) -> Any:
    """Return nested results with null for what is not finite, which JSON cannot hold."""
    if isinstance(tree, Mapping):
        return {key: _strict(value) for key, value in tree.items()}
    if isinstance(tree, list | tuple):
        return [_strict(value) for value in tree]
    return None if isinstance(tree, float) and not math.isfinite(tree) else tree


def _cell(figure: Any, digits: int) -> str:
    if figure is None or (isinstance(figure, Mapping) and figure["mean"] is None):
        return "-"
    if not isinstance(figure, Mapping):
        return f"{figure:.{digits}f}"
    low, high = figure["ci95"]
    return f"{figure['mean']:.{digits}f} [{low:.{digits}f}, {high:.{digits}f}]"


def truncation_corrections(scan: Scan2D, mu_water: float) -> dict[str, Correction]:
    """Return the classical corrections of lateral truncation by name, `uncorrected` among them.

    Args:
        scan: geometry of the scans.
        mu_water: attenuation of water in 1/mm at their energy.
    """
    return {
        "uncorrected": zero_fill,
        "cosine": partial(cosine_extrapolation, scan=scan),
        "water_cylinder": partial(water_cylinder_extrapolation, scan=scan, mu_water=mu_water),
        "adt": partial(adaptive_detruncation, scan=scan, mu_water=mu_water),
    }
