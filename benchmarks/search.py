"""What a step of the latent search costs, how many steps each way to search needs, and what volumes gain.

    LATENTCT_DATA=/path/to/ct python benchmarks/search.py --json benchmarks/results/search.json [--threads 2]

Slices of the 15 cm truncation task, one a patient, with the settings of the bundle. Tables:

* the time of a step (decode, project, misfit, back-project, decoder backward, update) over that of the decoder's
  forward and backward alone, at batch 16 on the prior's grid (`step_ratio`);
* for each way to search: calls of the decoder (forward and backward) and seconds until the mean misfit is within 1 % of
  what the paper's 500 steps of Adam from N(0, I) converge to, and of what the default converges to with 200 steps more;
  all calls and seconds; the misfit and the error in HU within the body, inside and outside the field of measurement;
* neighbouring slices of one volume, a wave after the other: starts at the neighbour's latents, and weights of the term
  that holds neighbouring latents together;
* with `--parts whole`, some minutes: the wall time of all slices of the split, patient by patient and in waves that
  hold the slices of several patients.

The learning rate of the paper's search is the one of 0.02, 0.05 and 0.2 with the lowest misfit on validation slices.
"""

from __future__ import annotations

import argparse
import copy
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numba
import torch
from torch import Tensor

from latentct.inferers.search import lbfgs_search
from latentct.io.files import whole_file
from latentct.projectors import make_projector

sys.path.insert(0, str(Path(__file__).parents[1]))  # a script sees its own folder only, but these are one package

from benchmarks.search_cases import Case, neighbouring_slices, patients_apart, whole_split
from benchmarks.search_report import text_report

from benchmarks import search_methods as ways

METHODS: dict[str, ways.Method] = {
    "Adam from N(0, I), 500 steps (paper)": ways.paper(0.2),
    "Adam from the encoder": ways.adam_from_encoder,
    "L-BFGS from the encoder": ways.lbfgs_from_encoder,
    "Gauss-Newton from the encoder": ways.gauss_newton,
    "scaled L-BFGS from the encoder": ways.scaled_lbfgs,
    "default: scaled L-BFGS, encoded again": ways.default,
    "default and 200 steps more": ways.long_default,
}
NEIGHBOURS: dict[str, dict[str, Any]] = {
    "default": {},
    "starts: encoder or neighbour": {"starts": ("encoder", "neighbour")},
    "starts: neighbour": {"starts": ("neighbour",)},
    "coherence weight 1e-4": {"coherence_weight": 1e-4},
    "coherence weight 1e-3": {"coherence_weight": 1e-3},
    "coherence weight 1e-2": {"coherence_weight": 1e-2},
}
PARTS = ("step", "methods", "neighbours")
PAPER, CONVERGED = "Adam from N(0, I), 500 steps (paper)", "default and 200 steps more"


def step_cost(case: Case, batch: int = 16) -> dict[str, float]:
    """Return seconds of the decoder's forward and backward alone, of a step, and their ratio, fastest of several."""
    wave = replace(case, y=case.y[torch.arange(batch) % len(case.y)]).wave()
    z = wave.encoded_start()
    scale, calls = wave.scale(z), [0.0]
    objective = wave.objective()

    def counted(z: Tensor, which: Tensor) -> Tensor:
        calls[0] += len(which) / batch
        return objective(z, which)

    def decoder() -> None:
        latents = z.detach().requires_grad_()
        torch.autograd.grad(wave.problem.network.decode(latents).sum(), latents)

    def steps() -> float:
        calls[0], began = 0.0, time.perf_counter()
        lbfgs_search(counted, z, 6, 0.0, scale=scale)
        return (time.perf_counter() - began) / calls[0]

    alone, step = [], []
    for _ in range(7):
        began = time.perf_counter()
        decoder()
        alone.append(time.perf_counter() - began)
        step.append(steps())
    return {"decoder_s": min(alone), "step_s": min(step), "step_ratio": min(step) / min(alone)}


def race(case: Case) -> dict[str, dict[str, Any]]:
    """Run every way to search and return what it spent and reached."""
    watches, rows = {}, {}
    for name, method in METHODS.items():
        wave = case.wave()
        watch = ways.Watch(wave)
        z = method(wave, watch)
        watches[name] = watch
        x_mu = wave.problem.reconstruct(wave.problem.complete(wave.y, wave.generate(z), wave.ray_mask))
        misfit = wave.mean_square(wave.generate(z), torch.arange(len(z))).sqrt()
        spent = {"calls": watch.calls[-1], "seconds": watch.seconds[-1], "misfit": float(misfit.mean())}
        rows[name] = spent | case.errors_hu(x_mu)
        print(name, {k: round(v, 4) for k, v in rows[name].items()}, flush=True)
    for goal, source in (("paper", PAPER), ("converged", CONVERGED)):
        for name, watch in watches.items():
            reached = watch.until(1.01 * watches[source].misfit[-1])
            rows[name] |= {f"calls_to_{goal}": reached and reached[0], f"seconds_to_{goal}": reached and reached[1]}
    return rows


def in_waves(case: Case) -> dict[str, dict[str, float]]:
    """Return what neighbouring slices gain from each other, a quarter of them in a wave."""
    batch_size = max(1, len(case.y) // 4)
    rows = {}
    for name, settings in NEIGHBOURS.items():
        inferer = copy.copy(case.inferer)
        vars(inferer).update(settings | {"batch_size": batch_size})
        projector = make_projector(inferer.prior_grid, case.scan)
        began = time.perf_counter()
        measured = torch.where(case.ray_mask, case.y, 0.0)
        found = inferer.reconstruct(measured, case.network, projector=projector, ray_mask=case.ray_mask)
        spent = {"seconds": time.perf_counter() - began, "misfit": float(found.misfit.mean())}
        rows[name] = spent | case.errors_hu(found.x_mu)
        print(name, {k: round(v, 4) for k, v in rows[name].items()}, flush=True)
    return rows


def whole(case: Case, volumes: Sequence[int]) -> dict[str, dict[str, float]]:
    """Return what all slices take, patient by patient and with the slices of all patients in common waves."""
    rows = {}
    for name, parts in (("patient by patient", volumes), ("patients together", [len(case.y)])):
        projector = make_projector(case.inferer.prior_grid, case.scan)
        search = partial(case.inferer.reconstruct, network=case.network, projector=projector, ray_mask=case.ray_mask)
        began = time.perf_counter()
        found = [search(torch.where(case.ray_mask, y, 0.0)) for y in case.y.split(list(parts))]
        spent = {"seconds": time.perf_counter() - began, "misfit": float(torch.cat([f.misfit for f in found]).mean())}
        rows[name] = spent | case.errors_hu(torch.cat([f.x_mu for f in found]))
        print(name, {k: round(v, 4) for k, v in rows[name].items()}, flush=True)
    return rows


def main(arguments: Sequence[str] | None = None) -> None:
    """Read the arguments, measure, print and write."""
    given = _parser().parse_args(arguments)
    torch.set_num_threads(given.threads)
    numba.set_num_threads(given.threads)
    apart = patients_apart(given)
    found: dict[str, Any] = json.loads(given.json.read_text()) if given.json.exists() else {}
    found |= {"threads": given.threads, "split": given.split}
    if "step" in given.parts:
        found |= step_cost(apart)
    if "methods" in given.parts:
        found |= {"slices": len(apart.y), "methods": race(apart)}
    if "neighbours" in given.parts:
        neighbours = neighbouring_slices(given, apart)
        found |= {"neighbouring_slices": len(neighbours.y), "neighbours": in_waves(neighbours)}
    if "whole" in given.parts:
        case, volumes = whole_split(given, apart)
        found |= {"whole_slices": len(case.y), "whole": whole(case, volumes)}
    print(text_report(found))
    with whole_file(given.json) as path:
        path.write_text(json.dumps(found, indent=1) + "\n")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, required=True, help="file of the results; parts not measured are kept")
    parser.add_argument("--parts", nargs="+", choices=(*PARTS, "whole"), default=PARTS, help="what to measure")
    parser.add_argument("--threads", type=int, default=numba.get_num_threads())
    parser.add_argument("--slices", type=int, default=12, help="number of patients, one slice each")
    parser.add_argument("--neighbours", type=int, default=32, help="number of neighbouring slices")
    parser.add_argument("--manifest")
    parser.add_argument("--dataset_dir")
    parser.add_argument("--split", default="test")
    return parser


if __name__ == "__main__":
    main()
