"""Every few-view method at every number of views, on the same simulated scans: the numbers behind the tables.

    LATENTCT_DATA=/path/to/ct python benchmarks/few_view.py --json benchmarks/results/few_view.json
    python benchmarks/readme_table.py benchmarks/results/tasks.json benchmarks/results/few_view.json

Runs `evaluating` of the bundle and writes

    {views: {method: {psnr, ssim, mae_hu, residual}}}

with `mean`, `sd`, `ci95` and `n_patients` of each, whole or not at all. Rivals have `clsdm_consistent_minus` beside
these: the paired difference of CLS-DM with consistency to them. Scores of every volume are kept in the output folder,
and what is there, of the same scans, settings and weights, is not computed again: an interrupted run goes on where it
stopped, methods can be run one after the other or side by side (`--methods fdk sirt tv`), and a last run with none
missing writes the table of all. With `--held_out` the scans are of kinds that training never saw, e.g. over 120
degrees, on a tilted orbit or with the panel displaced. Options that are not named below are passed on, e.g.
`--batch_size 4 --n_samples 2`.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from filelock import FileLock

from latentct.engines.few_view import COLUMNS, METHODS
from latentct.engines.results import text_table
from latentct.io.files import whole_file

ROOT = Path(__file__).parents[1]
BUNDLE = Path("bundles/clsdm_sparse_view")
EXPERIMENT = "benchmarks"
NOT_FOR_TILTED = ("fdk",)
"""Methods that need a circular orbit about z."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Read the arguments, run what is missing, write the file, print the tables."""
    given, passed_on = _parser().parse_known_args(arguments)
    shared = [f"--{k}={v}" for k in ("manifest", "dataset_dir", "split", "limit") if (v := getattr(given, k))]
    options = {
        "output_dir": str(given.output_dir.resolve()),
        "experiment_name": EXPERIMENT,
        "run_name": "few_view_held_out" if given.held_out else "few_view",
    }
    options |= {"overwrite": str(given.overwrite), "methods": str({name: f"@{name}" for name in given.methods})}
    options |= {"meta_file": str(given.meta_file), **conditions(given.views, given.held_out)}
    views = evaluate(options, [*shared, *passed_on])["views"]
    put(views, given.json)
    for name, methods in views.items():
        print("", f"{name} views" if name.isdigit() else name, text_table(methods, COLUMNS), sep="\n")


def conditions(views: Sequence[int], held_out: bool) -> dict[str, str]:
    """Return the settings of the scans: by number of views, or those of kinds that training never saw."""
    if not held_out:
        return {"view_counts": str(list(views))}
    return {"scans": "$held_out_scans(@machine)", "left_out": str({"8_views_tilted": list(NOT_FOR_TILTED)})}


def evaluate(options: Mapping[str, str], passed_on: Sequence[str]) -> dict[str, Any]:
    """Run `evaluating` of the bundle and return its `metrics.json`.

    Raises:
        SystemExit: it failed; its own message stands above.
    """
    settings = [f"--{key}={value}" for key, value in options.items()]
    command = [sys.executable, "-m", "latentct.cli.main", "run", str(BUNDLE), "evaluating"]
    folder = Path(options["output_dir"])
    store = f"sqlite:///{folder}/mlflow/mlruns.db"
    (folder / "mlflow").mkdir(parents=True, exist_ok=True)
    environment = {"MLFLOW_TRACKING_URI": store, **os.environ, "PYTHONPATH": _python_path()}
    code = subprocess.run([*command, *settings, *passed_on], cwd=ROOT, env=environment, check=False).returncode
    if code:
        raise SystemExit(f"evaluating failed with code {code}; the scores of finished volumes are kept")
    return json.loads((folder / "metrics.json").read_text())


def put(views: Mapping[str, Any], path: Path) -> None:
    """Replace the methods found in the file, whole or not at all; other views and methods in it are kept."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{path}.lock"):
        content = json.loads(path.read_text()) if path.exists() else {}
        for condition, methods in views.items():
            merged = content.get(condition, {}) | methods
            content[condition] = {name: merged[name] for name in sorted(merged, key=_place)}
        with whole_file(path) as partial:
            partial.write_text(json.dumps(content, indent=1, allow_nan=False) + "\n")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("--json", type=Path, required=True, help="file of the results")
    parser.add_argument("--views", type=int, nargs="+", default=[2, 4, 8, 16], help="numbers of views")
    parser.add_argument("--manifest", help="by default that of the bundle")
    parser.add_argument("--dataset_dir", help="folder its paths start from; by default LATENTCT_DATA")
    parser.add_argument("--split", help="by default test")
    parser.add_argument("--limit", type=int, help="number of volumes; by default all")
    parser.add_argument("--methods", nargs="*", default=list(METHODS), choices=METHODS, help="rows to compute")
    parser.add_argument("--held_out", action="store_true", help="scans of kinds that training never saw")
    parser.add_argument("--output_dir", type=Path, default=Path("out/benchmarks/few_view"), help="scores and MLflow")
    parser.add_argument("--meta_file", type=Path, default=BUNDLE / "configs" / "metadata.json", help="sizes and scan")
    parser.add_argument("--overwrite", action="store_true", help="compute rows again that have scores")
    return parser


def _place(method: str) -> int:
    return METHODS.index(method) if method in METHODS else len(METHODS)


def _python_path() -> str:
    return os.pathsep.join(filter(None, [str(ROOT / "src"), os.environ.get("PYTHONPATH", "")]))


if __name__ == "__main__":
    main()
