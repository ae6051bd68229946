"""What the record of a training costs: time in the tracker's handlers as a share of the training of `lsr_truncation`.

    python benchmarks/tracking.py --json benchmarks/results/tracking.json [--iterations 30] [--device cuda:0]

Writes `{points: {share, handler_ms, iteration_ms, once_s}}` and prints a table, with a point of the curves every 10
iterations, as the bundle has it, and with one in every iteration. Network, loss, optimizer and the corruption of the
batch are the bundle's; the images are noise, which changes no cost. An epoch is one measurement: `share` is the time
in the handlers of iterations and epoch, the write to an SQLite store with it, over the time of the epoch, and the best
of the repeats counts. Opening and closing the run, once a training, are apart. Meanwhile the machine's load is watched.
"""

from __future__ import annotations

import argparse
import functools
import json
import os
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from ignite.engine import Engine
from monai.bundle import ConfigParser

from latentct.io.files import whole_file
from latentct.tracking import MLflowTracker

ROOT = Path(__file__).parents[1]
CONFIGS = ROOT / "bundles" / "lsr_truncation" / "configs"
ONCE = ("_start", "_open", "_complete")
HANDLERS = ["@train::tracker", "@clipping", "@schedule"]


class Stopwatch:
    """Stands for an engine before a handler that attaches itself, and adds up the seconds its functions take.

    Args:
        engine: the engine that gets the functions.
    """

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.seconds: dict[str, float] = {}

    def add_event_handler(self, event: Any, handler: Callable[..., None], *arguments: Any) -> None:
        """Add a function whose time is taken."""

        @functools.wraps(handler)
        def timed(*given: Any) -> None:
            start = time.perf_counter()
            handler(*given)
            self.seconds[handler.__name__] = self.seconds.get(handler.__name__, 0.0) + time.perf_counter() - start

        self.engine.add_event_handler(event, timed, *arguments)


class TimedTracker(MLflowTracker):
    """A tracker that knows how long it took."""

    def attach(self, engine: Engine) -> None:
        """Follow an engine with a stopwatch."""
        self.stopwatch = Stopwatch(engine)
        super().attach(self.stopwatch)


@dataclass(frozen=True)
class Cost:
    """What the record of an epoch takes.

    Attributes:
        share: of the epoch's time, in [0, 1].
        handler_ms: in the tracker's handlers, an iteration.
        iteration_ms: of all, an iteration.
        once_s: to open and close the run, once a training.
    """

    share: float
    handler_ms: float
    iteration_ms: float
    once_s: float


def measure(log_every: int, iterations: int, device: str, layers: Sequence[str]) -> Cost:
    """Train an epoch with a point of the curves every so many iterations."""
    with tempfile.TemporaryDirectory() as folder:
        os.environ["MLFLOW_TRACKING_URI"] = f"sqlite:///{folder}/mlruns.db"
        trainer, tracker = training(log_every, iterations, device, layers, Path(folder))
        trainer.run()
        once_s = sum(tracker.stopwatch.seconds.pop(name) for name in ONCE)
        total_s = trainer.state.times["COMPLETED"] - once_s
    handlers_s = sum(tracker.stopwatch.seconds.values())
    return Cost(handlers_s / total_s, 1e3 * handlers_s / iterations, 1e3 * total_s / iterations, once_s)


def training(
    log_every: int, iterations: int, device: str, layers: Sequence[str], folder: Path
) -> tuple[Engine, TimedTracker]:
    """Return the bundle's trainer on images of noise, with its tracker and what its iterations need."""
    parser = ConfigParser(ConfigParser.load_config_files([str(CONFIGS / f"{n}.yaml") for n in ("train", *layers)]))
    parser.read_meta(str(CONFIGS / "metadata.json"))
    shape, batch_size = parser.get_parsed_content("grid").shape, parser.get_parsed_content("batch_size")
    images = torch.rand(batch_size, 1, *shape, generator=torch.Generator().manual_seed(0))
    parser.update(
        {
            "device": f"$torch.device('{device}')",
            "output_dir": str(folder),
            "epochs": 1,
            "slices_per_epoch": iterations * batch_size,
            "train::dataloader": [{"image": images}] * iterations,
            "train::tracker::_target_": f"{__name__}.{TimedTracker.__name__}",
            "train::tracker::manifest": None,
            "train::tracker::splits": [],
            "train::tracker::log_every": log_every,
            "clipping": parser["train::handlers"][2],
            "schedule": parser["train::handlers"][3],
            "train::handlers": HANDLERS,
        }
    )
    return parser.get_parsed_content("train::trainer"), parser.get_parsed_content("train::tracker")


def text_table(costs: dict[str, Cost]) -> str:
    """Return the table for people."""
    lines = [f"{'a point every':<16}{'share':>9}{'handlers [ms]':>16}{'iteration [ms]':>17}{'once [s]':>12}"]
    for name, cost in costs.items():
        lines.append(
            f"{name:<16}{100 * cost.share:>7.2f} %{cost.handler_ms:>16.3f}{cost.iteration_ms:>17.1f}"
            f"{cost.once_s:>12.2f}"
        )
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> None:
    """Read the arguments, measure, write the file and print the table."""
    given = _parser().parse_args(arguments)
    costs = {}
    for name, log_every in {"10 iterations": 10, "iteration": 1}.items():
        tries = [measure(log_every, given.iterations, given.device, given.layer) for _ in range(given.repeats + 1)]
        costs[name] = min(tries[1:], key=lambda cost: cost.share)
    given.json.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(given.json) as partial:
        partial.write_text(json.dumps({name: vars(cost) for name, cost in costs.items()}, indent=1) + "\n")
    threads = f"{torch.get_num_threads()} CPU threads" if given.device == "cpu" else torch.cuda.get_device_name()
    print(f"{given.iterations} iterations an epoch, {threads}", text_table(costs), sep="\n")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, required=True, help="file of the results")
    parser.add_argument("--iterations", type=int, default=30, help="length of an epoch")
    parser.add_argument("--repeats", type=int, default=3, help="measured epochs, behind one to warm up")
    parser.add_argument("--layer", nargs="*", default=[], help="configs of the bundle on top, e.g. smoke")
    parser.add_argument("--device", default="cpu", help="where to train")
    return parser


if __name__ == "__main__":
    main()
