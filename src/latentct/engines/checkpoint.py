"""The state of a training run, so that a killed one goes on where it stopped."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from ignite.engine import Engine, Events
from ignite.handlers import EMAHandler
from torch import nn

from latentct.engines.weights import refuse_overwriting, save_whole
from latentct.errors import InputError


class TrainingCheckpoint:
    """Save everything that training changes after each epoch, in one file that is always whole.

    With `SeededEpochs`, and with all that has a state among the objects, a resumed training goes on as if it had never
    been stopped. Ignite's handler names the file after the epoch and keeps the length of the run inside; this one has
    one name, and the length stays with the configuration, so that a resumed run may be made longer or shorter.

    Args:
        path: file of the checkpoint.
        objects: what has a `state_dict`, by name: network, average, optimizer, scheduler, loss, early stop.
        resume: load `path` before the first epoch.
        overwrite: without `resume`, a checkpoint that is there already may be replaced.

    Raises:
        InputError: on attaching, if `resume` is set and there is no checkpoint, none that can be read, or one of
            another configuration; if neither is set and there is one.
    """

    def __init__(
        self, path: str | Path, objects: Mapping[str, Any], resume: bool = False, overwrite: bool = False
    ) -> None:
        self.path = Path(path)
        self.objects = dict(objects)
        self.resume = resume
        self.overwrite = overwrite

    def attach(self, engine: Engine) -> None:
        """Follow a trainer."""
        if not self.resume:
            refuse_overwriting(self.path.parent, self.path.name, self.overwrite)
        else:
            engine.add_event_handler(Events.STARTED, self._go_on, self._load())
        if _is_first_process():
            engine.add_event_handler(Events.EPOCH_COMPLETED, self._save)

    def _load(self) -> int:
        if not self.path.is_file():
            raise InputError(f"there is no checkpoint {self.path} to resume; train without `resume` first.")
        try:
            state = dict(torch.load(self.path, map_location="cpu", weights_only=True))
        except Exception as error:  # torch raises many kinds for a file that is not its own
            raise InputError(
                f"{self.path} cannot be read as a checkpoint ({type(error).__name__}); train anew in another "
                "output_dir."
            ) from error
        try:
            for name, item in self.objects.items():
                item.load_state_dict(state[name])
            return int(state["epoch"])
        except (KeyError, RuntimeError, TypeError, ValueError) as error:
            raise InputError(
                f"checkpoint {self.path} is of another configuration ({str(error).splitlines()[0]}); resume with the "
                "one it was made with, or train anew in another output_dir."
            ) from error

    def _go_on(self, engine: Engine, epoch: int) -> None:
        engine.state.epoch = epoch
        engine.state.iteration = epoch * (engine.state.epoch_length or 0)

    def _save(self, engine: Engine) -> None:
        state = {name: item.state_dict() for name, item in self.objects.items()}
        save_whole({**state, "epoch": engine.state.epoch}, self.path)


class AverageState:
    """The state of Ignite's `EMAHandler`: the averaged weights, and how often they were updated.

    The momentum of the average depends on the number of updates while it warms up. Ignite's own state of it holds an
    object, which is not read back with `weights_only=True`.

    Args:
        handler: the handler, with a warm-up, attached before the state is asked for.
    """

    def __init__(self, handler: EMAHandler) -> None:
        self.handler = handler

    def state_dict(self) -> dict[str, Any]:
        """Return the averaged weights as `model` and the number of updates as `updates`."""
        return {"model": self.handler.ema_model.state_dict(), "updates": self.handler.momentum_scheduler.event_index}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from the average of an earlier run."""
        self.handler.ema_model.load_state_dict(state["model"])
        self.handler.momentum_scheduler.event_index = int(state["updates"])


class BestWeights:
    """Keep the weights of the validation with the lowest figure, in a file; a resumed training remembers that figure.

    Args:
        path: file of the weights, replaced at every better validation.
        network: module whose weights are kept.
        metric: name of the figure among the evaluator's metrics.
    """

    def __init__(self, path: str | Path, network: nn.Module, metric: str) -> None:
        self.path = Path(path)
        self.network = network
        self.metric = metric
        self.best = math.inf

    def attach(self, engine: Engine) -> None:
        """Follow an evaluator."""
        engine.add_event_handler(Events.EPOCH_COMPLETED, self)

    def __call__(self, engine: Engine) -> None:
        """Keep the weights if the validation just finished is the best."""
        figure = float(engine.state.metrics[self.metric])
        if figure >= self.best:
            return
        self.best = figure
        if _is_first_process():
            save_whole(self.network.state_dict(), self.path)

    def state_dict(self) -> dict[str, float]:
        """Return the best figure so far."""
        return {"best": self.best}

    def load_state_dict(self, state: Mapping[str, float]) -> None:
        """Go on from the best figure of an earlier run."""
        self.best = float(state["best"])


def _is_first_process() -> bool:
    return not torch.distributed.is_initialized() or torch.distributed.get_rank() == 0
