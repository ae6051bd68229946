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
from latentct.tracking.model_card import model_card
from latentct.tracking.provenance import calling_config
from latentct.tracking.run import open_run
from latentct.tracking.writer import TrackedRun

#: Prefix of the figures of the best validation.
BEST = "val_best/"


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
        manifest: data manifest, see `latentct.tracking.open_run`.
        splits: its splits that are used.
        resume: continue the run noted in `output_dir`.
        stage: prefix of the metrics and tag of the run.
        log_every: iterations between two points of the curves, which begin with the first.
        scalars: gives the numbers of an iteration from the engine.
        system_every_s: seconds between two points of the machine's load, `system/...`; 0: none.
    """

    def __init__(
        self,
        output_dir: str | Path,
        experiment_name: str,
        run_name: str | None = None,
        params: Mapping[str, Any] | None = None,
        manifest: str | Path | None = None,
        splits: Sequence[str] = (),
        resume: bool = False,
        stage: str = "train",
        log_every: int = 10,
        scalars: Callable[[Engine], Mapping[str, float]] = iteration_scalars,
        system_every_s: float = 10.0,
    ) -> None:
        self.output_dir = output_dir
        self.experiment_name = experiment_name
        self.run_name = run_name
        self.params = dict(params or {})
        self.manifest = manifest
        self.splits = splits
        self.resume = resume
        self.stage = stage
        self.log_every = log_every
        self.scalars = scalars
        self.system_every_s = system_every_s
        self.run: TrackedRun | None = None
        self._started_at = time.time()
        self._config = calling_config()

    def attach(self, engine: Engine) -> None:
        """Follow an engine; on other processes than the first, do nothing."""
        if process_rank() > 0:
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
            splits=self.splits,
            config=self._config,
            resume=self.resume,
            started_at=self._started_at,
        )
        if self.system_every_s > 0:
            self.run.watch_system(self.system_every_s)

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
            self.run.log_metrics(named_numbers(engine.state.metrics, f"{self.stage}_epoch"), engine.state.epoch)
            self.run.flush()  # before the checkpoint, or a killed training would miss points behind it

    def _complete(self, engine: Engine) -> None:
        if self.run is None:
            return
        if self._config and "_meta_" in self._config and _trains(engine):
            self._write_model_card(self.run, self._config["_meta_"])
        self.run.finish()

    def _write_model_card(self, run: TrackedRun, meta: Mapping[str, Any]) -> None:
        run.flush()
        kept = run.client.get_run(run.run_id).data
        best = {name.removeprefix(BEST): value for name, value in kept.metrics.items() if name.startswith(BEST)}
        run.log_text(model_card(meta, run.licences, best, kept.tags), "model_card.md")

    def _fail(self, engine: Engine, error: BaseException) -> None:
        cause = root_cause(error)
        if not isinstance(cause, InputError):
            self._open(engine)
        if self.run is not None:
            self.run.fail(cause)
        raise error


def _is_scalar(value: Any) -> bool:
    if isinstance(value, torch.Tensor | np.ndarray):
        return bool(value.ndim == 0 or (value.ndim == 1 and value.shape[0] == 1))
    return isinstance(value, int | float) and not isinstance(value, bool)


def _trains(engine: Engine) -> bool:
    return getattr(engine, "optimizer", None) is not None


def _learning_rate(engine: Engine) -> dict[str, float]:
    optimizer = getattr(engine, "optimizer", None)
    return {} if optimizer is None else {"lr": float(optimizer.param_groups[0]["lr"])}


def named_numbers(metrics: Mapping[str, Any], prefix: str) -> dict[str, float]:
    """Prefix the numbers among an engine's metrics, without saying the prefix twice (`val_mae` becomes `val/mae`)."""
    numbers = {name: float(value) for name, value in metrics.items() if _is_scalar(value)}
    return {f"{prefix}/{name.removeprefix(prefix.split('_')[0] + '_')}": value for name, value in numbers.items()}


def process_rank() -> int:
    """Return the number of this process in a distributed job, 0 without one."""
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        return torch.distributed.get_rank()
    return int(os.environ.get("RANK", "0"))
