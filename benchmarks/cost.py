"""Time and memory of a few-view reconstruction of one volume, by method, by stage and by number of sampling steps.

    python benchmarks/cost.py --json benchmarks/results/cost.json [--views 8] [--steps 5 10 25 50] [--device cuda:0]

Writes `{row: {seconds, projector_share, memory_mib}}` and prints a table: the median of `--repeats` runs after a first
one, the share of them spent in the projector and its transpose, and how far memory rose above what weights and data
take. The scanned volume is a synthetic body, and the weights need not be trained: neither changes the cost. Stages are
the conditioner, the samples (K of them, by steps), the decoder, and the two steps of the consistency; methods are the
rows of `few_view.py`, in the settings of its configuration. The projections inside the conditioner's first look count
as the conditioner's own work, not as the projector's.
"""

from __future__ import annotations

import argparse
import ctypes
import gc
import json
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.bundle import ConfigParser
from torch import Tensor

from latentct.geometry import Grid, Scan
from latentct.io.files import whole_file
from latentct.projectors import Projector, make_projector
from latentct.units import hu_to_mu, x_to_hu

ROOT = Path(__file__).parents[1]
CONFIGS = ROOT / "bundles" / "clsdm_sparse_view" / "configs"
LAYERS = ("train_autoencoder", "evaluate")
CLASSICAL = ("fdk", "sirt", "tv")
STATUS, CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")


class TimedProjector(Projector):
    """A projector that adds up the seconds it takes.

    Args:
        projector: the projector that does the work.
    """

    def __init__(self, projector: Projector) -> None:
        super().__init__(projector.grid, projector.scan)
        self.dtypes = projector.dtypes
        self.seconds = 0.0
        self._projector = projector

    def _project(self, x: Tensor) -> Tensor:
        return self._timed(self._projector._project, x)

    def _backproject(self, y: Tensor) -> Tensor:
        return self._timed(self._projector._backproject, y)

    def _timed(self, apply: Callable[[Tensor], Tensor], data: Tensor) -> Tensor:
        start = _now(data.device)
        result = apply(data)
        self.seconds += _now(data.device) - start
        return result


@dataclass(frozen=True)
class Cost:
    """What one row of the table takes.

    Attributes:
        seconds: time of one volume.
        projector_share: share of it in the projector and its transpose, in [0, 1].
        memory_mib: highest memory above that at the start in MiB; None where it cannot be measured.
    """

    seconds: float
    projector_share: float
    memory_mib: float | None


def measure(work: Callable[[], object], projector: TimedProjector, repeats: int, device: torch.device) -> Cost:
    """Return the cost of some work: the first run gives the memory and warms up, the others the time."""
    with torch.no_grad():
        memory_mib = peak_mib(work, device)
        seconds, shares = [], []
        for _ in range(repeats):
            projector.seconds, start = 0.0, _now(device)
            work()
            seconds.append(_now(device) - start)
            shares.append(projector.seconds / seconds[-1])
    return Cost(statistics.median(seconds), statistics.median(shares), memory_mib)


def peak_mib(work: Callable[[], object], device: torch.device) -> float | None:
    """Do some work and return how far memory rose meanwhile: that of the device, or that of this process on Linux."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        work()
        return (torch.cuda.max_memory_allocated(device) - before) / 2**20
    before_kib = _reset_peak_kib()
    work()
    return None if before_kib is None else max(0, _status_kib("VmHWM") - before_kib) / 2**10


def rows(config: Callable[[str], Any], steps: Sequence[int], n_views: int) -> dict[str, Callable[[Case], object]]:
    """Return the work of each row.

    Args:
        config: gives the entries of the configuration.
        steps: numbers of sampling steps.
        n_views: number of views, for the title of the conditioner.
    """
    network, sampler = config("clsdm_network"), config("sampling")
    consistency, k = config("consistency"), sampler.n_samples

    def decode(z: Tensor) -> Tensor:
        with _autocast(z):
            x = network.decode(z)
        return hu_to_mu(x_to_hu(x.float(), sampler.hu_min, sampler.hu_max), sampler.mu_water)

    work: dict[str, Callable[[Case], object]] = {
        f"conditioner, {n_views} views": _conditioning(network),
        **{f"{k} samples, {n} steps": _sampling(network, k, n) for n in steps},
        f"decoder, {k} samples": lambda case: decode(case.latents(network, k)),
        f"latent search, {k} samples": lambda case: consistency.search(
            case.latents(network, k), decode, case.y.expand(k, *case.y.shape[1:]), case.projector
        ),
        "voxel step": lambda case: consistency.finish(case.x_mu.clone(), case.y, case.projector),
    }
    for name in (*CLASSICAL, "regression", "clsdm", "clsdm_consistent"):
        work[name] = _method(config(name))
    return work


@dataclass(frozen=True)
class Case:
    """One scanned volume: line integrals (1, 1, A, V, U), the volume (1, 1, D, H, W) in 1/mm and the projector."""

    y: Tensor
    x_mu: Tensor
    projector: TimedProjector

    def condition(self, network: Any) -> Tensor:
        """Return a condition (1, C', d, h, w) that says nothing."""
        shape = (1, network.cond_mean.shape[1], *network.latent_shape(self.projector.grid.shape)[1:])
        return torch.zeros(shape, device=self.y.device)

    def latents(self, network: Any, n_samples: int) -> Tensor:
        """Return latents of noise (K, C, d, h, w)."""
        shape = (n_samples, *network.latent_shape(self.projector.grid.shape))
        return torch.randn(shape, generator=torch.Generator().manual_seed(0)).to(self.y.device)


def synthetic_case(grid: Grid, scan: Scan, mu_water: float, device: torch.device) -> Case:
    """Return the scan of an ellipsoid of water with a core of bone, two thirds as long as the grid."""
    z, y, x = np.meshgrid(
        *(grid.coordinates_mm(a) / (grid.extent_mm[a] / 3) for a in range(3)), indexing="ij", sparse=True
    )
    radius = torch.from_numpy(np.sqrt(z**2 + y**2 + x**2))
    x_hu = torch.where(radius < 1, 0.0, -1000.0)
    x_hu = torch.where(radius < 0.2, 800.0, x_hu)
    x_mu = hu_to_mu(x_hu.float()[None, None].to(device), mu_water)
    projector = TimedProjector(make_projector(grid, scan, "auto", device))
    return Case(projector(x_mu), x_mu, projector)


def text_table(costs: Mapping[str, Cost]) -> str:
    """Return the table for people."""
    lines = [f"{'':<30}{'seconds':>10}{'projector':>12}{'memory [MiB]':>15}"]
    for name, cost in costs.items():
        memory = "-" if cost.memory_mib is None else f"{cost.memory_mib:.0f}"
        lines.append(f"{name:<30}{cost.seconds:>10.3f}{100 * cost.projector_share:>10.0f} %{memory:>15}")
    return "\n".join(lines)


def configuration(layers: Sequence[str], settings: Mapping[str, Any]) -> Callable[[str], Any]:
    """Return what gives entries of the configuration of `evaluating`; its networks have the weights they are born with.

    Args:
        layers: configs on top, e.g. `grid_128`.
        settings: entries to replace.
    """
    parser = ConfigParser(ConfigParser.load_config_files([str(CONFIGS / f"{n}.yaml") for n in (*LAYERS, *layers)]))
    parser.read_meta(str(CONFIGS / "metadata.json"))
    parser.update({"clsdm_weighted": "$@clsdm_def.eval()", **settings})
    return parser.get_parsed_content


def main(arguments: Sequence[str] | None = None) -> None:
    """Read the arguments, measure every row, write the file and print the table."""
    given = _parser().parse_args(arguments)
    device = torch.device(given.device)
    config = configuration(given.layer, {"device": f"$torch.device('{device}')", "view_counts": [given.views]})
    case = synthetic_case(config("grid"), config("scans")[str(given.views)], config("mu_water"), device)
    work = rows(config, given.steps, given.views)
    costs = {name: measure(lambda do=do: do(case), case.projector, given.repeats, device) for name, do in work.items()}
    with whole_file(given.json) as partial:
        partial.write_text(json.dumps({name: vars(cost) for name, cost in costs.items()}, indent=1) + "\n")
    threads = f"{torch.get_num_threads()} CPU threads" if device.type == "cpu" else torch.cuda.get_device_name(device)
    print(
        f"one volume of {case.projector.grid.shape} voxels, {given.views} views, {threads}", text_table(costs), sep="\n"
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, required=True, help="file of the results")
    parser.add_argument("--views", type=int, default=8, help="number of views")
    parser.add_argument("--steps", type=int, nargs="+", default=[5, 10, 25, 50], help="numbers of sampling steps")
    parser.add_argument("--repeats", type=int, default=3, help="timed runs of each row")
    parser.add_argument("--layer", nargs="*", default=[], help="configs of the bundle on top, e.g. grid_128")
    parser.add_argument("--device", default="cpu", help="where to compute")
    return parser


def _conditioning(network: Any) -> Callable[[Case], object]:
    def condition(case: Case) -> Tensor:
        with _autocast(case.y):
            return network.condition(case.y, case.projector.scan)

    return condition


def _sampling(network: Any, n_samples: int, steps: int) -> Callable[[Case], object]:
    def sample(case: Case) -> Tensor:
        latents = case.latents(network, n_samples)
        with _autocast(latents):
            return network.sample(case.condition(network), latents, steps)

    return sample


def _autocast(like: Tensor) -> Any:
    """Compute as the inferers do."""
    return torch.autocast(like.device.type, torch.bfloat16)


def _method(method: Any) -> Callable[[Case], object]:
    def reconstruct(case: Case) -> Tensor:
        ray_mask = torch.ones(case.y.shape[2:], dtype=torch.bool, device=case.y.device)
        return method(case.y, case.projector, ray_mask)

    return reconstruct


def _now(device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


def _reset_peak_kib() -> int | None:
    """Forget the highest memory of this process so far; return the present one, None where Linux does not tell."""
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
    try:
        CLEAR.write_text("5")
        return _status_kib("VmHWM")
    except OSError:
        return None


def _status_kib(name: str) -> int:
    line = next(line for line in STATUS.read_text().splitlines() if line.startswith(f"{name}:"))
    return int(line.split()[1])


if __name__ == "__main__":
    main()
