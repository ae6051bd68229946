"""The record of a validation in the run of its training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from ignite.engine import Engine, Events

from latentct.tracking.images import comparison_panel
from latentct.tracking.logging import BEST, MLflowTracker, named_numbers, process_rank
from latentct.tracking.writer import TrackedRun
from latentct.units import x_to_hu


class ValidationTracker:
    """Record an evaluator in the run of a tracker: metrics as `val/<name>` and slices, at the trainer's epoch.

    MONAI's evaluator counts with the trainer: its `state.epoch` is the epoch of the trainer that called it. The figures
    of the best validation so far, by the evaluator's key metric, stand as `val_best/<name>` as well. Slices are
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
        self._run: TrackedRun | None = None
        self._best: float | None = None
        self._pairs_hu: list[tuple[np.ndarray, np.ndarray]] = []

    def attach(self, engine: Engine) -> None:
        """Follow an evaluator; on other processes than the first, do nothing."""
        if process_rank() > 0:
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
        figures = named_numbers(engine.state.metrics, "val")
        run.log_metrics(figures, engine.state.epoch)
        if self._is_best(engine, run, figures):
            best = {BEST + name.removeprefix("val/"): value for name, value in figures.items()}
            run.log_metrics(best, engine.state.epoch)
        if self._pairs_hu:
            panel = comparison_panel(self._pairs_hu, self.window_hu, self.difference_hu)
            run.log_image(panel, f"slices/epoch_{engine.state.epoch:05d}.png")
        self._validations += 1
        run.flush()

    def _is_best(self, engine: Engine, run: TrackedRun, figures: Mapping[str, float]) -> bool:
        """Tell whether the key metric is the best so far, also of what a resumed run had before."""
        (name,) = named_numbers({engine.state.key_metric_name: 0.0}, "val") if engine.state.key_metric_name else ("",)
        if name not in figures:
            return False
        if self._run is not run:
            self._run, self._best = run, run.known_metric(BEST + name.removeprefix("val/"))
        if self._best is not None and not engine.metric_cmp_fn(figures[name], self._best):
            return False
        self._best = figures[name]
        return True

    def _to_hu(self, x: torch.Tensor) -> np.ndarray:
        array = torch.as_tensor(x).detach().to("cpu", torch.float32).numpy()
        return np.asarray(x_to_hu(array, self.hu_min, self.hu_max))
