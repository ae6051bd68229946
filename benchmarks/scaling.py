"""How time and memory grow with the number of slices, of views, of pixels and of threads.

    python benchmarks/scaling.py --json benchmarks/results/scaling.json [--threads 2] [--works projector fbp]

One line of the table is one setting of one work: the fastest of some runs, per slice; the highest resident memory in
MiB of a process that does nothing else, torch included; and how far its run raised that. From one line to the next of
a series one number changes, the others are those of `Setting`; the lines of a series are timed in turn. `growth_<work>`
is the largest ratio of the time per slice to that of any smaller number of slices: at most 1 where it falls or stays,
up to the noise of the machine.

The search runs with the shipped prior and few steps, which does not change what grows. `correction_resident_mib` is the
highest resident memory while a scan of 100 slices of 512 x 512 pixels is corrected from and to files on disk.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numba
import numpy as np
import torch
from numpy.lib.format import open_memmap

from latentct.geometry import truncation_ray_mask
from latentct.io.files import whole_file
from latentct.projectors import make_projector
from latentct.recon import fbp

sys.path.insert(0, str(Path(__file__).parents[1]))  # a script sees its own folder only, but these are one package

from benchmarks.projector_cases import plane_cases, smooth_object

from benchmarks import machine

STATUS = Path("/proc/self/status")
REPEATS = {"projector": 9, "fbp": 9, "search": 2}
BUNDLE = Path("bundles/lsr_truncation")


@dataclass(frozen=True)
class Setting:
    """What is measured.

    Attributes:
        slices: slices of a batch.
        views: views of the parallel scan; a slice of `size` pixels has 3 / 2 as many bins.
        size: pixels of a slice along an axis.
        threads: threads of numba and torch.
    """

    slices: int = 32
    views: int = 360
    size: int = 256
    threads: int = 1


Work = Callable[[], object]


def projector_work(setting: Setting) -> Work:
    """Return a projection and its transpose."""
    grid, scan = plane_cases(setting.size, setting.views, 3 * setting.size // 2)["parallel"]
    projector, x = make_projector(grid, scan), smooth_object(grid, setting.slices)
    return lambda: projector.adjoint(projector(x))


def fbp_work(setting: Setting) -> Work:
    """Return a filtered back-projection."""
    grid, scan = plane_cases(setting.size, setting.views, 3 * setting.size // 2)["parallel"]
    y = torch.rand(setting.slices, 1, *scan.sinogram_shape, generator=torch.Generator().manual_seed(0))
    return partial(fbp, y, grid, scan)


def search_work(setting: Setting) -> Work:
    """Return a latent search of few steps on slices of a truncated scan."""
    grid, scan = plane_cases(setting.size, setting.views, 3 * setting.size // 2)["parallel"]
    inferer, network = shipped_search(rounds=(1,), progress=False)
    projector = make_projector(grid, scan)
    ray_mask = torch.from_numpy(truncation_ray_mask(scan, grid.extent_mm[0] / 2))
    y = projector(smooth_object(grid, setting.slices)) * ray_mask
    return partial(inferer.reconstruct, y, network, projector=projector, ray_mask=ray_mask)


def correction_memory(shape: Sequence[int], views: int, threads: int) -> dict[str, float]:
    """Return the highest resident memory, and the seconds, of correcting a volume on disk with the shipped search."""
    from latentct.inferers import correct_volume

    machine.use_threads(threads)
    grid, scan = plane_cases(shape[-1], views, 3 * shape[-1] // 2)["parallel"]
    inferer, network = shipped_search()
    projector = make_projector(grid, scan)
    ray_mask = torch.from_numpy(truncation_ray_mask(scan, grid.extent_mm[0] / 2))
    with tempfile.TemporaryDirectory() as folder:
        y = open_memmap(Path(folder) / "y.npy", "w+", np.float32, (shape[0], 1, *scan.sinogram_shape))
        for i in range(shape[0]):  # one by one, so that the making takes no memory
            y[i] = (projector(smooth_object(grid, 1)) * ray_mask)[0].numpy()
        x_mu = open_memmap(Path(folder) / "x.npy", "w+", np.float32, (shape[0], 1, *grid.shape))
        began = time.perf_counter()
        correct_volume(inferer, network, y, projector=projector, ray_mask=ray_mask, x_mu=x_mu)
    return {"resident_mib": _resident_mib(), "seconds": time.perf_counter() - began}


def shipped_search(**changes: Any) -> tuple[Any, torch.nn.Module]:
    """Return the search of the bundle, changed, and its prior."""
    from monai.bundle import ConfigParser  # here, so that the processes of the other works start without it

    parser = ConfigParser(ConfigParser.load_config_file(str(BUNDLE / "configs/inference.yaml")))
    parser.read_meta(str(BUNDLE / "configs/metadata.json"))
    parser["device"] = "$torch.device('cpu')"
    inferer = parser.get_parsed_content("inferer")
    vars(inferer).update(changes)
    return inferer, parser.get_parsed_content("network")


WORKS: dict[str, Callable[[Setting], Work]] = {"projector": projector_work, "fbp": fbp_work, "search": search_work}
"""What is measured, by name: from a setting to what a run does, data included."""
SERIES: dict[str, tuple[int, ...]] = {
    "slices": (1, 4, 16, 32, 64, 128, 256),
    "views": (90, 360, 720),
    "size": (128, 256, 512),
}
"""Numbers that each attribute of a setting takes in turn; those of the threads follow from the machine."""


def search_numbers(numbers: Mapping[str, Sequence[int]]) -> dict[str, Sequence[int]]:
    """Return what varies for the search: every other number of slices, since it takes a hundred times as long."""
    return {"slices": numbers["slices"][::2]}


def times(name: str, settings: Sequence[Setting]) -> list[float]:
    """Return the ms per slice of a work in every setting: the fastest of runs that take turns."""
    works = {str(setting): partial(_run, WORKS[name](setting), setting.threads) for setting in settings}
    seconds = machine.interleaved(works, REPEATS[name])
    return [1e3 * seconds[str(setting)]["minimum_s"] / setting.slices for setting in settings]


def memory(name: str, setting: Setting) -> dict[str, float]:
    """Return `resident_mib`, the highest of this process, which should be a fresh one, and how far one run raised it.

    The second figure, `rise_mib`, is above the memory with the data in place.
    """
    work = WORKS[name](setting)
    before = _resident_mib()
    _run(work, setting.threads)
    after = _resident_mib()
    return {"resident_mib": after, "rise_mib": after - before}


def series(works: Sequence[str], numbers: Mapping[str, Sequence[int]], base: Setting) -> list[dict[str, Any]]:
    """Measure every work along every series: its times together, its memory in a process for each line."""
    context = multiprocessing.get_context("spawn")
    rows = []
    for name in works:
        for varied, values in (search_numbers(numbers) if name == "search" else numbers).items():
            settings = [replace(base, **{varied: value}) for value in values]
            for setting, ms_per_slice in zip(settings, times(name, settings), strict=True):
                with ProcessPoolExecutor(1, mp_context=context) as pool:
                    taken = pool.submit(memory, name, setting).result()
                rows.append({"work": name, "varied": varied, **asdict(setting), "ms_per_slice": ms_per_slice, **taken})
    return rows


def growth(rows: Sequence[Mapping[str, Any]], work: str) -> float:
    """Return the largest ratio of the time per slice to that of a smaller number of slices."""
    found = [row["ms_per_slice"] for row in rows if (row["work"], row["varied"]) == (work, "slices")]
    return max((found[i] / min(found[:i]) for i in range(1, len(found))), default=1.0)


def text_table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return the table for people."""
    titles = (  # and the width of each
        ("slices", 8),
        ("views", 7),
        ("size", 6),
        ("threads", 9),
        ("ms/slice", 11),
        ("memory, MiB", 14),
        ("rise, MiB", 12),
    )
    lines = [" " * 12 + "".join(f"{title:>{width}}" for title, width in titles)]
    last = None
    for row in rows:
        if last not in (None, (row["work"], row["varied"])):
            lines.append("")
        last = row["work"], row["varied"]
        lines.append(
            f"{row['work']:<12}{row['slices']:>8}{row['views']:>7}{row['size']:>6}{row['threads']:>9}"
            f"{row['ms_per_slice']:>11.2f}{row['resident_mib']:>14.0f}{row['rise_mib']:>12.0f}"
        )
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> None:
    """Read the arguments, measure, write the file and print the table."""
    given = _parser().parse_args(arguments)
    numbers = {"slices": given.slices, "views": given.views, "size": given.sizes}
    numbers["threads"] = tuple(range(1, given.threads + 1))
    rows = series(given.works, numbers, Setting(threads=given.threads))
    figures = {f"growth_{work}": growth(rows, work) for work in given.works}
    if given.correction:
        with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
            taken = pool.submit(correction_memory, given.correction, 720, given.threads).result()
        figures |= {f"correction_{name}": value for name, value in taken.items()}
    content = {**figures, "rows": rows, "cpu": machine.cpu_name(), "threads": given.threads}
    with whole_file(given.json) as partial_file:
        partial_file.write_text(json.dumps(content, indent=1) + "\n")
    print(content["cpu"], text_table(rows), *(f"{name}: {value:.2f}" for name, value in figures.items()), sep="\n")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, required=True, help="file of the results")
    parser.add_argument("--works", nargs="+", choices=WORKS, default=list(WORKS), help="what to measure")
    parser.add_argument("--threads", type=int, default=numba.get_num_threads(), help="most threads")
    parser.add_argument("--slices", type=int, nargs="+", default=SERIES["slices"], help="numbers of slices")
    parser.add_argument("--views", type=int, nargs="+", default=SERIES["views"], help="numbers of views")
    parser.add_argument("--sizes", type=int, nargs="+", default=SERIES["size"], help="numbers of pixels along an axis")
    parser.add_argument("--correction", type=int, nargs=3, default=(100, 512, 512), help="volume that is corrected")
    parser.add_argument("--no-correction", action="store_const", const=None, dest="correction")
    return parser


def _run(work: Work, threads: int) -> None:
    machine.use_threads(threads)
    work()


def _resident_mib() -> float:
    """Return the highest resident memory of this process so far."""
    if (
        STATUS.exists()
    ):  # what the system call tells on Linux begins with the memory of the process that started this one
        line = next(line for line in STATUS.read_text().splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) / 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


if __name__ == "__main__":
    main()
