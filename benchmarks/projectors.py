"""Our projectors on the CPU against those of other packages, side by side in one run.

    python benchmarks/projectors.py --json benchmarks/results/projectors.json [--threads 2] [--peers astra-toolbox]

Forward projection and transpose of 256 x 256 slices, 360 views of 384 bins, parallel and flat fan, one slice and 32 in
a batch; a cone beam of 128^3 voxels and 16 views of 128 x 128 pixels, one volume and a batch of 8; filtered
back-projection of the same; and the first call of a fresh process. Everybody gets the same number of threads. All are
warmed up, then run in turn, and the fastest run counts (the median is in the file). That a peer projects the same is
checked: the table has the relative differences of its projections and back-projections of a smooth object to ours in
the geometry that it really has. Peers are optional (`pip install 'latentct[peers]'`); one that is absent is named with
the reason.

`ratio` is the time of the best peer, forward and transpose, over ours, per slice; the file has the smaller one of
parallel and fan. The share of the peak is (4 operations per step of a ray and slice, which is what Joseph's method
needs: two multiply-adds) / time / the operations per second of a multiply-add loop, or (image and projections moved
once) / time / the bandwidth of a copy, whichever is larger: the one that binds. mbirtorch compiles at the first run on
a machine, which adds minutes once.
"""

from __future__ import annotations

import argparse
import json
import math
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numba
from torch import Tensor

from latentct.geometry import Grid, Scan
from latentct.io.files import whole_file
from latentct.projectors import make_projector
from latentct.projectors.rays import ray_table
from latentct.recon import fbp, fdk

sys.path.insert(0, str(Path(__file__).parents[1]))  # a script sees its own folder only, but these are one package

from benchmarks.peers import PLANE, Absent, Case, Rival, versions
from benchmarks.peers_analytic import FBP, FDK
from benchmarks.peers_cone import rtk_or_torch, torch_rivals
from benchmarks.projector_cases import cone_case, plane_cases, smooth_object
from benchmarks.projectors_report import ratios, text_report

from benchmarks import machine

PEERS = ("astra-toolbox", "scikit-image", "mbirtorch", "itk-rtk")
LIBRARIES = ("numba", "numpy", "torch")
FIRST_CALL = Path(__file__).with_name("first_call.py")


def case_of(grid: Grid, scan: Scan, n: int, threads: int) -> Case:
    """Return a case of `n` slices or volumes."""
    x = smooth_object(grid, n)
    return Case(grid, scan, x, make_projector(grid, scan)(x), threads)


def race(case: Case, peers: Mapping[str, Callable[[Case], list[Rival]]], repeats: int) -> dict[str, Any]:
    """Time our projector and the peers on one case.

    Returns:
        `rows`: per projector the time per slice in ms of forward and adjoint, minimum and median, and how far its
        results are from ours; `absent`: reasons.
    """
    projector = make_projector(case.grid, case.scan)
    n = len(case.x)
    own = Rival("latentct", n, partial(projector, case.x), partial(projector.adjoint, case.y), _stack, _stack)
    rivals, absent = [own], {}
    for package, build in peers.items():
        try:
            rivals += build(case)
        except Absent as reason:
            absent[package] = str(reason)
    checked = {rival.name: differences(rival, case) for rival in rivals}
    works = {f"{r.name}/{way}": getattr(r, way) for r in rivals for way in ("forward", "adjoint")}
    seconds = machine.interleaved(works, repeats)
    rows = {}
    for rival in rivals:
        row: dict[str, Any] = {"slices": rival.n, "note": rival.note, **checked[rival.name]}
        for way in ("forward", "adjoint"):
            figures = seconds[f"{rival.name}/{way}"]
            row |= {f"{way}_ms": 1e3 * figures["minimum_s"] / rival.n}
            row |= {f"{way}_median_ms": 1e3 * figures["median_s"] / rival.n}
        rows[rival.name] = row
    return {"rows": rows, "absent": absent}


def differences(rival: Rival, case: Case) -> dict[str, float]:
    """Return the relative differences of a rival's projections and back-projections to ours in its geometry."""
    projector = make_projector(rival.grid or case.grid, rival.scan or case.scan)
    y = projector(case.x[: rival.n])
    x = projector.adjoint(y)
    return {
        "forward_difference": _relative(rival.projections(rival.forward()), _stack(y)),
        "adjoint_difference": _relative(rival.images(rival.adjoint()), _stack(x)),
    }


def shares(case: Case, row: Mapping[str, float], peaks: machine.Peaks) -> dict[str, Any]:
    """Return the shares of the peak of our projector on a plane case, and what binds."""
    table = ray_table(case.grid, case.scan)  # type: ignore[arg-type]
    flops = 4.0 * float((table.stop - table.start).sum())
    n_bytes = 4.0 * (math.prod(case.grid.shape) + math.prod(case.scan.sinogram_shape))
    found = {way: peaks.share(flops, n_bytes, row[f"{way}_ms"] / 1e3) for way in ("forward", "adjoint")}
    return {f"{way}_{key}": v for way, pair in found.items() for key, v in zip(("share", "binds"), pair, strict=True)}


def analytic_race(
    case: Case, own: Callable[..., Tensor], peers: Mapping[str, Callable[[Case], Any]], repeats: int
) -> dict[str, Any]:
    """Time filtered back-projection, ours and the peers'; returns ms per slice or volume and the absent peers."""
    works: dict[str, tuple[int, Callable[[], Any]]] = {
        "latentct": (len(case.x), partial(own, case.y, case.grid, case.scan))
    }
    absent = {}
    for package, build in peers.items():
        try:
            works[package] = build(case)
        except Absent as reason:
            absent[package] = str(reason)
    seconds = machine.interleaved({name: work for name, (_, work) in works.items()}, repeats)
    return {"ms": {k: 1e3 * seconds[k]["minimum_s"] / n for k, (n, _) in works.items()}, "absent": absent}


def first_call() -> dict[str, float]:
    """Return what `first_call.py` measures: seconds of the first calls of a fresh process, machine code on disk."""
    found = subprocess.run([sys.executable, str(FIRST_CALL)], check=True, capture_output=True, text=True).stdout
    seconds: dict[str, float] = json.loads(found)
    return seconds


def all_races(given: argparse.Namespace) -> dict[str, Any]:
    """Run every case and return `cases`, `analytic` and `peaks`."""
    peaks = machine.measured_peaks()
    cases: dict[str, tuple[Case, dict[str, Any]]] = {}
    analytic: dict[str, Any] = {}
    for name, (grid, scan) in plane_cases(given.size, given.views, given.bins).items():
        for size, n in (("batch", given.batch), ("single", 1)):
            case = case_of(grid, scan, n, given.threads)
            cases[f"{name}_{size}"] = case, race(case, _chosen(PLANE, given.peers), given.repeats)
            analytic[f"fbp_{name}_{size}"] = analytic_race(case, fbp, _chosen(FBP, given.peers), given.repeats)
    one, several = (case_of(*cone_case(given.cone, given.cone_views), n, given.threads) for n in (1, given.cone_batch))
    cases["cone_single"] = (
        one,
        race(one, {"cone": rtk_or_torch if "itk-rtk" in given.peers else torch_rivals}, given.repeats),
    )
    cases["cone_batch"] = several, race(several, {}, given.repeats)
    many_views = case_of(*cone_case(given.cone, 4 * given.cone_views), 1, given.threads)
    analytic["fdk_single"] = analytic_race(many_views, fdk, _chosen(FDK, given.peers), given.repeats)
    peaks = peaks.or_better(machine.measured_peaks())
    for case, found in cases.values():
        if case.grid.ndim == 2:
            found["peak"] = shares(case, found["rows"]["latentct"], peaks)
    return {"cases": {name: found for name, (_, found) in cases.items()}, "analytic": analytic, "peaks": vars(peaks)}


def main(arguments: Sequence[str] | None = None) -> None:
    """Read the arguments, run every case, write the file and print the tables."""
    given = _parser().parse_args(arguments)
    machine.use_threads(given.threads)
    found = all_races(given)
    found |= ratios(found["cases"])
    found |= {"first_call_s": first_call(), "threads": given.threads, "cpu": machine.cpu_name()}
    found |= {
        "versions": versions((*PEERS, *LIBRARIES)),
        "settings": {k: v for k, v in vars(given).items() if k != "json"},
    }
    with whole_file(given.json) as partial_file:
        partial_file.write_text(json.dumps(found, indent=1) + "\n")
    print(text_report(found))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, required=True, help="file of the results")
    parser.add_argument("--threads", type=int, default=numba.get_num_threads(), help="threads of everybody")
    parser.add_argument("--peers", nargs="*", choices=PEERS, default=list(PEERS), help="who takes part")
    parser.add_argument("--repeats", type=int, default=7, help="timed runs of each")
    parser.add_argument("--size", type=int, default=256, help="pixels of a slice along an axis")
    parser.add_argument("--views", type=int, default=360, help="views of a plane scan")
    parser.add_argument("--bins", type=int, default=384, help="bins of a plane scan")
    parser.add_argument("--batch", type=int, default=32, help="slices of a batch")
    parser.add_argument("--cone", type=int, default=128, help="voxels and panel pixels along an axis")
    parser.add_argument("--cone-views", type=int, default=16, help="views of the cone beam")
    parser.add_argument("--cone-batch", type=int, default=8, help="volumes of a batch")
    return parser


def _chosen(table: Mapping[str, Any], peers: Sequence[str]) -> dict[str, Any]:
    return {name: build for name, build in table.items() if name in peers}


def _stack(data: Tensor) -> Tensor:
    """Return the slices or volumes of a batch without their channel."""
    return data[:, 0]


def _relative(found: Tensor, expected: Tensor) -> float:
    return float((found.double() - expected.double()).norm() / expected.double().norm())


if __name__ == "__main__":
    main()
