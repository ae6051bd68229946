"""Ignite handlers that record MONAI engines in MLflow.

MONAI's own MLFlowHandler continues whatever run was left open, never marks one as failed, and writes every iteration
at once. Put the tracker first among the handlers: StatsHandler raises the error again, and handlers behind it do not
hear of it.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ignite.engine import Engine, Events

from latentct.errors import InputError, root_cause
from latentct.tracking.images import comparison_panel
from latentct.tracking.provenance import calling_config
from latentct.tracking.run import TrackedRun, open_run
from latentct.units import x_to_hu


def iteration_scalars(engine: Engine) -> dict[str, float]:
    """Return every number in the engine's output, e.g. `{"loss": 0.1}`; of a decollated output, of its first item."""
    output = engine.state.output
    first = output[0] if isinstance(output, Sequence) and output else output
    if not isinstance(first, Mapping):
        return {}
    return {str(key): float(value) for key, value in first.items() if _is_scalar(value)}


class MLflowTracker:
    """Own the MLflow run of one engine, usually the trainer: from its start to COMPLETED, or to the error.

    The run is opened after the first iteration, or when something breaks before: bad input, which shows in the first
    iteration, leaves nothing behind.

    Metrics are `<stage>/<name>` per iteration (with `<stage>/lr`) and `<stage>_epoch/<name>` per epoch. Only the first
    process of a distributed job records. Parameters, tags and files may be added through `run` while the engine runs
    and after it.

    Args:
        output_dir: folder of the results, see `latentct.tracking.open_run`.
        experiment_name: MLflow experiment.
        run_name: name of the run; default stage, date and process number.
        params: further parameters, nested or flat.
        manifest: data manifest whose SHA-256 is kept.
        resume: continue the run noted in `output_dir`.
        stage: prefix of the metrics and tag of the run.
        log_every: iterations between two points of the curves, which begin with the first.
        scalars: gives the numbers of an iteration from the engine.
    """

    def __init__(
        self,
        output_dir: str | Path,
        experiment_name: str,
        run_name: str | None = None,
        params: Mapping[str, Any] | None = None,
        manifest: str | Path | None = None,
        resume: bool = False,
        stage: str = "train",
        log_every: int = 10,
        scalars: Callable[[Engine], Mapping[str, float]] = iteration_scalars,
    ) -> None:
        self.output_dir = output_dir
        self.experiment_name = experiment_name
        self.run_name = run_name
        self.params = dict(params or {})
        self.manifest = manifest
        self.resume = resume
        self.stage = stage
        self.log_every = log_every
        self.scalars = scalars
        self.run: TrackedRun | None = None
        self._started_at = time.time()
        self._config = calling_config()

    def attach(self, engine: Engine) -> None:
        """Follow an engine; on other processes than the first, do nothing."""
        if _process_rank() > 0:
            return
        engine.add_event_handler(Events.STARTED, self._start)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._open)
        engine.add_event_handler(Events.ITERATION_COMPLETED(event_filter=self._is_point), self._iteration)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self._epoch)
        engine.add_event_handler(Events.COMPLETED, self._complete)
        engine.add_event_handler(Events.EXCEPTION_RAISED, self._fail)

    def _start(self) -> None:
        self.run = None
        self._started_at = time.time()

    def _open(self, engine: Engine) -> None:
        if self.run is not None:
            return
        lengths = {"max_epochs": engine.state.max_epochs, "epoch_length": engine.state.epoch_length}
        self.run = open_run(
            self.output_dir,
            self.experiment_name,
            self.run_name,
            stage=self.stage,
            params={**lengths, **self.params},
            manifest=self.manifest,
            config=self._config,
            resume=self.resume,
            started_at=self._started_at,
        )

    def _is_point(self, engine: Engine, iteration: int) -> bool:
        return iteration == 1 or iteration % self.log_every == 0

    def _iteration(self, engine: Engine) -> None:
        if self.run is not None:
            numbers = {**self.scalars(engine), **_learning_rate(engine)}
            self.run.log_metrics(
                {f"{self.stage}/{name}": value for name, value in numbers.items()}, engine.state.iteration
            )

    def _epoch(self, engine: Engine) -> None:
        if self.run is not None:
            self.run.log_metrics(_named(engine.state.metrics, f"{self.stage}_epoch"), engine.state.epoch)

    def _complete(self) -> None:
        if self.run is not None:
            self.run.finish()

    def _fail(self, engine: Engine, error: BaseException) -> None:
        cause = root_cause(error)
        if not isinstance(cause, InputError):
            self._open(engine)
        if self.run is not None:
            self.run.fail(cause)
        raise error


class ValidationTracker:
    """Record an evaluator in the run of a tracker: metrics as `val/<name>` and slices, at the trainer's epoch.

    MONAI's evaluator counts with the trainer: its `state.epoch` is the epoch of the trainer that called it. Slices are
    those of the first batch, always the same ones, as columns image | reconstruction | difference.

    Args:
        tracker: tracker attached to the trainer.
        hu_min: HU at network value 0.
        hu_max: HU at network value 1.
        window_hu: HU shown as black and white in image and reconstruction.
        difference_hu: HU shown as black and white, with either sign, in the difference; 0 is mid grey.
        image_key: key of the image in the evaluator's output.
        pred_key: key of the reconstruction there.
        n_images: slices in a panel, 0 for none.
        every: validations between two panels.
    """

    def __init__(
        self,
        tracker: MLflowTracker,
        hu_min: float,
        hu_max: float,
        window_hu: Sequence[float],
        difference_hu: float,
        image_key: str = "image",
        pred_key: str = "pred",
        n_images: int = 4,
        every: int = 1,
    ) -> None:
        self.tracker = tracker
        self.hu_min, self.hu_max = hu_min, hu_max
        self.window_hu = (float(window_hu[0]), float(window_hu[1]))
        self.difference_hu = difference_hu
        self.image_key, self.pred_key = image_key, pred_key
        self.n_images = n_images
        self.every = every
        self._validations = 0
        self._pairs_hu: list[tuple[np.ndarray, np.ndarray]] = []

    def attach(self, engine: Engine) -> None:
        """Follow an evaluator; on other processes than the first, do nothing."""
        if _process_rank() > 0:
            return
        engine.add_event_handler(Events.EPOCH_STARTED, self._start)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._iteration)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self._epoch)

    def _start(self) -> None:
        self._pairs_hu = []

    def _iteration(self, engine: Engine) -> None:
        wanted = self.n_images - len(self._pairs_hu) if self._validations % self.every == 0 else 0
        if self.tracker.run is None or wanted <= 0:
            return
        output = engine.state.output
        if isinstance(output, Mapping):
            images, predictions = list(output[self.image_key]), list(output[self.pred_key])
        else:
            images, predictions = [[item[key] for item in output] for key in (self.image_key, self.pred_key)]
        pairs = list(zip(images, predictions, strict=True))[:wanted]
        self._pairs_hu += [(self._to_hu(image), self._to_hu(prediction)) for image, prediction in pairs]

    def _epoch(self, engine: Engine) -> None:
        run = self.tracker.run
        if run is None:
            return
        run.log_metrics(_named(engine.state.metrics, "val"), engine.state.epoch)
        if self._pairs_hu:
            panel = comparison_panel(self._pairs_hu, self.window_hu, self.difference_hu)
            run.log_image(panel, f"slices/epoch_{engine.state.epoch:05d}.png")
        self._validations += 1
        run.flush()

    def _to_hu(self, x: torch.Tensor) -> np.ndarray:
        array = torch.as_tensor(x).detach().to("cpu", torch.float32).numpy()
        return np.asarray(x_to_hu(array, self.hu_min, self.hu_max))


def _is_scalar(value: Any) -> bool:
    if isinstance(value, torch.Tensor | np.ndarray):
        return bool(value.ndim == 0 or (value.ndim == 1 and value.shape[0] == 1))
    return isinstance(value, int | float) and not isinstance(value, bool)


def _learning_rate(engine: Engine) -> dict[str, float]:
    optimizer = getattr(engine, "optimizer", None)
    return {} if optimizer is None else {"lr": float(optimizer.param_groups[0]["lr"])}


def _named(metrics: Mapping[str, Any], prefix: str) -> dict[str, float]:
    """Prefix the numbers among an engine's metrics, without saying the prefix twice (`val_mae` becomes `val/mae`)."""
    numbers = {name: float(value) for name, value in metrics.items() if _is_scalar(value)}
    return {f"{prefix}/{name.removeprefix(prefix.split('_')[0] + '_')}": value for name, value in numbers.items()}


def _process_rank() -> int:
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        return torch.distributed.get_rank()
    return int(os.environ.get("RANK", "0"))
