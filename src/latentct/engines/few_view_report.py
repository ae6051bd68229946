"""What a few-view reconstruction leaves behind: volumes with their place in space, a figure, and errors if known."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from ignite.engine import Engine, Events
from monai.engines.utils import IterationEvents
from monai.inferers import Inferer
from numpy.typing import NDArray
from torch import Tensor

from latentct import keys as K
from latentct.engines.few_view import COLUMNS, bodies
from latentct.engines.few_view_scan import FewViewScan, PatientPrepareBatch
from latentct.engines.measurement import FrozenOutputs
from latentct.engines.results import strict, text_table
from latentct.engines.scoring import volume_scores
from latentct.geometry import Grid
from latentct.inferers import FewViewInferer, FewViewReconstruction
from latentct.io.files import whole_file
from latentct.io.nifti import write_volume
from latentct.networks import FewViewModel
from latentct.projectors import Projector
from latentct.recon import Reconstructor
from latentct.units import mu_to_hu


@dataclass(frozen=True)
class VolumeExample:
    """One volume as every method shows it, for figures.

    Attributes:
        grid: where the voxels are.
        methods_hu: what each method shows, by name, (D, H, W).
        reference_hu: the true volume, (D, H, W); None where it is not known.
        std_hu: standard deviation of the samples, (D, H, W); None of a single one.
    """

    grid: Grid
    methods_hu: dict[str, NDArray[np.float32]]
    reference_hu: NDArray[np.float32] | None = None
    std_hu: NDArray[np.float32] | None = None


class LastResult(Inferer):
    """Reconstruct with another inferer and keep its newest result whole, which an engine has no place for.

    Args:
        inferer: the other inferer.
    """

    def __init__(self, inferer: FewViewInferer) -> None:
        super().__init__()
        self.inferer = inferer
        self.last: FewViewReconstruction | None = None

    def __call__(
        self, inputs: Tensor, network: FewViewModel, *, projector: Projector, ray_mask: Tensor | None = None
    ) -> Tensor:
        """Return volumes (B, 1, D, H, W) in 1/mm; arguments as of the other inferer."""
        self.last = self.inferer.reconstruct(inputs, network, projector=projector, ray_mask=ray_mask)
        return self.last.x_mu


class FewViewReport:
    """Write the volumes, the figure and the errors of every patient that an evaluator reconstructs.

    A handler of an Ignite evaluator whose inferer is a `LastResult` and whose `prepare_batch` a `PatientPrepareBatch`.
    Rivals get copies of the same line integrals; only when all results are frozen is the reference opened. For patient
    P, `P_<method>.nii.gz` holds the mean of the samples, `P_<method>_std.nii.gz` their standard deviation, both in HU,
    and `P.png` the figure.

    Args:
        inferer: the inferer of the evaluator.
        prepare_batch: that of the evaluator.
        output_dir: where the files and `metrics.json` go.
        figure: draws a `VolumeExample` to a file.
        rivals: further methods by name, `(y, projector, ray_mask) -> x_mu`; scored and drawn, not written.
        method: name of the inferer's method.
        hu_range: lower and upper end of the range of PSNR and SSIM, over the whole volume.
        publish: called with the summary and the folder once all is written, e.g. to record them.
    """

    def __init__(
        self,
        inferer: LastResult,
        prepare_batch: PatientPrepareBatch,
        output_dir: str | Path,
        figure: Callable[[VolumeExample, Path], None],
        rivals: Mapping[str, Reconstructor] | None = None,
        method: str = "clsdm",
        hu_range: tuple[float, float] = (-1000.0, 1000.0),
        publish: Callable[[Mapping[str, Any], Path], None] | None = None,
    ) -> None:
        self.inferer = inferer
        self.prepare_batch = prepare_batch
        self.output_dir = Path(output_dir)
        self.figure = figure
        self.rivals = dict(rivals or {})
        self.method = method
        self.hu_min, self.hu_max = hu_range
        self.publish = publish
        self.patients: list[dict[str, Any]] = []

    def attach(self, engine: Engine) -> None:
        """Follow an evaluator."""
        engine.add_event_handler(Events.STARTED, self.patients.clear)
        engine.add_event_handler(IterationEvents.FORWARD_COMPLETED, self._report)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self._finish)

    def _report(self) -> None:
        """Write and score one patient."""
        found, scan = self.inferer.last, self.prepare_batch.scan
        assert found is not None and scan is not None
        results = {name: scan.measurement.solve(rival) for name, rival in self.rivals.items()}
        frozen = FrozenOutputs({**results, self.method: found.x_mu})
        mu_water = self.prepare_batch.mu_water
        volumes_mu = {name: frozen[name].float() for name in frozen}
        volumes_hu = {name: mu_to_hu(x_mu, mu_water) for name, x_mu in volumes_mu.items()}
        std_hu = None if found.x_std_mu is None else 1000 * found.x_std_mu.float().cpu() / mu_water
        self._write(scan, volumes_hu[self.method], std_hu)
        reference_hu = scan.held_back.open(frozen).get(K.IMAGE)
        body = None if reference_hu is None else bodies(reference_hu, scan.measurement.projector.grid)
        truth = (mu_water, (self.hu_min, self.hu_max), reference_hu, body)
        scores = {name: _floats(volume_scores(x_mu, scan.measurement, *truth)) for name, x_mu in volumes_mu.items()}
        scores[self.method]["residual_sampled"] = float(found.residual_sampled)
        self.patients.append({"name": scan.name, "n_views": scan.measurement.y.shape[2], "methods": scores})
        example = VolumeExample(
            scan.measurement.projector.grid,
            {name: _array(x_hu) for name, x_hu in volumes_hu.items()},
            None if reference_hu is None else _array(reference_hu),
            None if std_hu is None else _array(std_hu),
        )
        self.figure(example, self.output_dir / f"{scan.name}.png")

    def _write(self, scan: FewViewScan, x_hu: Tensor, std_hu: Tensor | None) -> None:
        stem = self.output_dir / f"{scan.name}_{self.method}"
        write_volume(f"{stem}.nii.gz", _array(x_hu), scan.affine_lps_mm)
        if std_hu is not None:
            write_volume(f"{stem}_std.nii.gz", _array(std_hu), scan.affine_lps_mm)

    def _finish(self) -> None:
        """Write `metrics.json` and print the means."""
        names = [self.method, *self.rivals]
        means = {name: _means([patient["methods"][name] for patient in self.patients]) for name in names}
        summary = {"psnr_ssim_range_hu": [self.hu_min, self.hu_max], "methods": means, "patients": self.patients}
        with whole_file(self.output_dir / "metrics.json") as partial:
            partial.write_text(json.dumps(strict(summary), indent=1, allow_nan=False))
        print(text_table(means, COLUMNS))
        if self.publish is not None:
            self.publish(summary, self.output_dir)


def _floats(scores: Mapping[str, Tensor]) -> dict[str, float]:
    return {name: float(value) for name, value in scores.items()}


def _means(scores: list[dict[str, float]]) -> dict[str, float]:
    return {metric: float(np.mean([score[metric] for score in scores])) for metric in scores[0]}


def _array(volume: Tensor) -> NDArray[np.float32]:
    """Return a volume (1, 1, D, H, W) as an array (D, H, W)."""
    return volume[0, 0].cpu().numpy()
