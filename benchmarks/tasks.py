"""Every method on every task, on the same simulated scans: the numbers behind the tables of the documents.

    LATENTCT_DATA=/path/to/ct python benchmarks/tasks.py --json benchmarks/results/tasks.json
    python benchmarks/readme_table.py benchmarks/results/tasks.json

Runs `evaluating` of the task's bundle, one task after the other, and writes

    {task: {method: {metric: {mean, sd, ci95, n_patients}}}}

to the file after each, whole or not at all; for metal also by size and by material, as `metal_size_1` and
`metal_titanium`. Rivals have `lsr_minus` beside these figures: the paired difference of the latent search to them.
Tasks that are in the file already are kept unless `--overwrite` is given, so that an interrupted run goes on where it
stopped, and several processes may fill one file, each with tasks of its own. Options that are not named below are
passed on, e.g. `--slices_per_volume 1 --rounds "[20]"`.
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

from latentct.engines.comparison import COLUMNS
from latentct.engines.results import text_table
from latentct.io.files import whole_file
from latentct.tracking import track_run

ROOT = Path(__file__).parents[1]
TASKS: dict[str, tuple[str, dict[str, str]]] = {
    "truncation": ("lsr_truncation", {}),
    "metal": ("lsr_metal", {}),
    "limited_angle_120": ("lsr_limited_angle", {"arc_rad": "2.0943951023931953"}),
    "limited_angle_90": ("lsr_limited_angle", {"arc_rad": "1.5707963267948966"}),
    "sparse_view_32": ("lsr_sparse_view", {"n_views": "32"}),
    "sparse_view_64": ("lsr_sparse_view", {"n_views": "64", "tv_weight": "0.002"}),
}
"""Task to its bundle and what to change in it."""
EXPERIMENT = "benchmarks"


def main(arguments: Sequence[str] | None = None) -> None:
    """Read the arguments, run what is missing, print the tables."""
    given, passed_on = _parser().parse_known_args(arguments)
    options = ["manifest", "dataset_dir", "split", "limit"]
    shared = [word for name in options if getattr(given, name) for word in (f"--{name}", str(getattr(given, name)))]
    os.environ.setdefault("MLFLOW_TRACKING_URI", f"sqlite:///{_made(given.output_dir / 'mlflow').resolve()}/mlruns.db")
    names = chosen_tasks(given.tasks)
    for name in names:
        if name not in read(given.json) or given.overwrite:
            summary = run_task(name, given.output_dir / name, [*shared, *passed_on])
            put(name, results_of(summary, name), given.json)
        else:
            print(f"{name}: kept from {given.json}; --overwrite runs it again")
    done = read(given.json)
    record(done, given.json, given.output_dir)
    for name in done:
        if any(_belongs(name, task) for task in names):
            print("", name, text_table(done[name], COLUMNS), *paired_lines(done[name]), sep="\n")


def chosen_tasks(names: Sequence[str]) -> list[str]:
    """Return the tasks that are meant by names of tasks or of their groups, in the order of `TASKS`.

    Raises:
        SystemExit: a name is neither.
    """
    groups = {task.rsplit("_", 1)[0] for task in TASKS if task[-1].isdigit()}
    unknown = [name for name in names if name not in TASKS and name not in groups]
    if unknown:
        raise SystemExit(f"tasks {', '.join(unknown)} are unknown; choose among {', '.join([*TASKS, *sorted(groups)])}")
    return [task for task in TASKS if not names or task in names or task.rsplit("_", 1)[0] in names]


def run_task(name: str, output_dir: Path, options: Sequence[str]) -> dict[str, Any]:
    """Run `evaluating` for a task and return its `metrics.json`.

    Raises:
        SystemExit: it failed; its own message stands above.
    """
    bundle, settings = TASKS[name]
    changes = {**settings, "output_dir": str(output_dir), "overwrite": "True"}
    changes |= {"experiment_name": EXPERIMENT, "run_name": name}
    words = [word for key, value in changes.items() for word in (f"--{key}", value)]
    command = [sys.executable, "-m", "latentct.cli.main", "run", f"bundles/{bundle}", "evaluating", *words, *options]
    print(f"{name}: {bundle} evaluating", flush=True)
    code = subprocess.run(command, cwd=ROOT, env=os.environ | {"PYTHONPATH": _python_path()}, check=False).returncode
    if code:
        raise SystemExit(f"{name} failed with code {code}; what was finished before is kept")
    return json.loads((output_dir / "metrics.json").read_text())


def results_of(summary: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Return {task: {method: {metric: figures}}} of an evaluation, with its groups as tasks of their own."""
    tables = {name: summary, **summary["groups"]}
    return {key: _with_differences(table["methods"], table["lsr_against"]) for key, table in tables.items()}


def paired_lines(methods: Mapping[str, Any]) -> list[str]:
    """Return what the latent search does better or worse than its rivals, for people."""
    lines = ["", "LSR minus rival, paired over patients [95 % interval], Wilcoxon's p:"]
    for rival, figures in methods.items():
        differences = {m: f["lsr_minus"] for m, f in figures.items() if f.get("lsr_minus") and m in COLUMNS}
        cells = [
            f"{COLUMNS[m][0]} {_signed(d, COLUMNS[m][1])}"
            for m, d in differences.items()
            if d["mean_difference"] is not None
        ]
        if cells:
            lines.append(f"{rival:<20}" + "; ".join(cells))
    return lines


def read(path: Path) -> dict[str, Any]:
    """Return the results in the file, none if there is no file."""
    return json.loads(path.read_text()) if path.exists() else {}


def put(task: str, found: Mapping[str, Any], path: Path) -> None:
    """Replace the results of a task and its groups in the file, whole or not at all; others may write to it too."""
    _made(path.parent)
    with FileLock(f"{path}.lock"):
        kept = {key: value for key, value in read(path).items() if not _belongs(key, task)}
        results = {key: value for name in TASKS for key, value in {**kept, **found}.items() if _belongs(key, name)}
        with whole_file(path) as partial:
            partial.write_text(json.dumps(results, indent=1, allow_nan=False) + "\n")


def record(results: Mapping[str, Any], path: Path, output_dir: Path) -> None:
    """Keep the whole table as an MLflow run beside those of its tasks."""
    means = {
        f"{task}/{method}/{metric}": figures["mean"]
        for task, methods in results.items()
        for method, scores in methods.items()
        for metric, figures in scores.items()
    }
    with track_run(output_dir, EXPERIMENT, "tasks", stage="evaluate") as run:
        run.log_metrics(means)
        run.log_artifact(path, "results")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("--json", type=Path, required=True, help="file of the results")
    parser.add_argument("--tasks", nargs="*", default=[], metavar="TASK", help=f"of {', '.join(TASKS)}; default all")
    parser.add_argument("--manifest", help="by default that of the bundles")
    parser.add_argument("--dataset_dir", help="folder its paths start from; by default LATENTCT_DATA")
    parser.add_argument("--split", help="by default test")
    parser.add_argument("--limit", type=int, help="number of volumes; by default all")
    parser.add_argument("--output_dir", type=Path, default=Path("out/benchmarks"), help="figures and MLflow")
    parser.add_argument("--overwrite", action="store_true", help="run tasks again that are in the file")
    return parser


def _belongs(key: str, task: str) -> bool:
    """Tell whether an entry of the results is a task's own or that of one of its groups."""
    return key == task or (key not in TASKS and key.startswith(f"{task}_"))


def _with_differences(methods: Mapping[str, Any], against: Mapping[str, Any]) -> dict[str, Any]:
    def figures(method: str, metric: str) -> dict[str, Any]:
        difference = against.get(method, {}).get(metric)
        return methods[method][metric] | ({"lsr_minus": difference} if difference else {})

    return {method: {metric: figures(method, metric) for metric in scores} for method, scores in methods.items()}


def _signed(difference: Mapping[str, Any], digits: int) -> str:
    low, high = difference["interval"]
    mean, p = difference["mean_difference"], difference["p_wilcoxon"]
    return f"{mean:+.{digits}f} [{low:+.{digits}f}, {high:+.{digits}f}] p={p:.2g}"


def _python_path() -> str:
    return os.pathsep.join(filter(None, [str(ROOT / "src"), os.environ.get("PYTHONPATH", "")]))


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


if __name__ == "__main__":
    main()
