"""What each part of CLS-DM brings: trained without it in the same small budget, scored on validation volumes.

    LATENTCT_DATA=/path/to/ct python benchmarks/ablations.py --json benchmarks/results/ablations.json --epochs 16 10 40

Writes `{variant: {minutes, views: {views: {method: {psnr, ssim, mae_hu, residual}}}}}` and prints one table. All
variants are trained from the start for as many epochs of the autoencoder, the alignment and the diffusion; each differs
from `full` in one setting. Variants of the alignment share the autoencoder of `full`, and the steps of the sampling are
varied with the weights of `full`. The epochs are best multiples of 2, 2 and 4: only then does a stage validate and keep
weights. What a folder holds already is not trained again; the epochs are part of its name.
Options that are not named below are passed on to every stage, e.g. `--num_workers 0`.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from latentct.engines import export_half
from latentct.io.files import whole_file

ROOT = Path(__file__).parents[1]
BUNDLE = Path("bundles/clsdm_sparse_view")
STAGES = ("autoencoder", "alignment", "diffusion")
ALIGNMENT: dict[str, dict[str, str]] = {
    "full": {},
    "no_contrast": {"contrastive_weight": "0"},
    "no_regression": {"regression_weight": "0"},
}
"""Variant to the settings of its alignment."""
COMPRESSIONS: dict[str, dict[str, dict[str, Any]]] = {
    "compression_4": {
        "autoencoder": {"channels": [32, 64], "num_res_blocks": [1, 2]},
        "denoiser": {
            "channels": [32, 64, 64],
            "num_res_blocks": [1, 1, 1],
            "attention_levels": [False, False, True],
            "num_head_channels": 32,
        },
    },
    "compression_8": {
        "autoencoder": {"channels": [32, 64, 96], "num_res_blocks": [1, 1, 1]},
        "denoiser": {
            "channels": [48, 64],
            "num_res_blocks": [1, 1],
            "attention_levels": [False, True],
            "num_head_channels": 8,
        },
    },
}
"""Variant to the sizes in the metadata; the one that the bundle has itself is `full`."""
STEPS = {f"steps_{n}": n for n in (5, 10, 25, 50)}
VARIANTS = (*ALIGNMENT, *COMPRESSIONS, *STEPS)
METHODS = ("clsdm", "clsdm_consistent")
SHOWN = {"psnr": ("PSNR", 2), "ssim": ("SSIM", 3), "mae_hu": ("MAE", 1)}
MINUTES = "minutes.json"
"""File beside the weights that says how long each stage took."""
CRITIC_SHARE = 0.75
"""Share of the autoencoder's epochs before the critic starts."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Read the arguments, train and score what is missing, write the file, print the table."""
    given, passed_on = _parser().parse_known_args(arguments)
    folder = given.output_dir.resolve() / ("epochs_" + "_".join(map(str, given.epochs)))
    shared = [f"--{k}={v}" for k in ("manifest", "dataset_dir") if (v := getattr(given, k))]
    shared += [word for layer in given.layer for word in ("--layer", layer)]
    for name in given.variants:
        home = folder / home_of(name)
        meta_file = train(home_of(name), folder, given.epochs, [*shared, *passed_on])
        views = evaluate(name, home, meta_file, given, shared)
        put({"minutes": minutes(home_of(name), folder), "views": views}, name, given.json)
    print(text_table(read(given.json)))


def home_of(variant: str) -> str:
    """Return the variant whose weights a variant uses: that of `full` where only the sampling differs."""
    own = variant in ALIGNMENT or (variant in COMPRESSIONS and not _is_shipped(variant))
    return variant if own else "full"


def train(variant: str, folder: Path, epochs: Sequence[int], passed_on: Sequence[str]) -> Path:
    """Train what is missing of a variant and return the metadata it was trained with.

    The conditioner is that of the last epoch, averaged: its best one by the error of the regression would mean nothing
    where there is no regression.
    """
    home = folder / variant
    meta_file = metadata_of(variant, home)
    shared = variant if variant in COMPRESSIONS else "full"
    paths = {"autoencoder_path": folder / shared / "autoencoder.pt", "conditioner_path": home / "conditioner.pt"}
    common = {"output_dir": str(home), "overwrite": "True", "meta_file": str(meta_file), "experiment_name": "ablations"}
    if not paths["autoencoder_path"].exists():
        late = {"critic_epoch": str(round(CRITIC_SHARE * epochs[0])), "epochs": str(epochs[0])}
        run_stage("autoencoder", common | late | {"output_dir": str(folder / shared)}, passed_on)
    if not paths["conditioner_path"].exists():
        settings = {"epochs": str(epochs[1]), "autoencoder_path": str(paths["autoencoder_path"])}
        partial = {"export_path": str(home / "best_conditioner.pt")}
        run_stage("alignment", common | settings | partial | ALIGNMENT.get(variant, {}), passed_on)
        export_half(home / "alignment" / "last.pt", paths["conditioner_path"], key="ema")
    if not (home / "model.pt").exists():
        settings = {"epochs": str(epochs[2]), **{key: str(path) for key, path in paths.items()}}
        run_stage("diffusion", common | settings, passed_on)
    return meta_file


def minutes(variant: str, folder: Path) -> float:
    """Return how long the training of a variant took in minutes, with the autoencoder it shares."""
    shared = variant if variant in COMPRESSIONS else "full"
    taken = {**read(folder / shared / MINUTES), **read(folder / variant / MINUTES)}
    return round(sum(taken.values()), 1)


def metadata_of(variant: str, home: Path) -> Path:
    """Write the bundle's metadata with the sizes of a variant, if they differ, and return the file."""
    original = ROOT / BUNDLE / "configs" / "metadata.json"
    if variant not in COMPRESSIONS:
        return original
    metadata = json.loads(original.read_text())
    for part, sizes in COMPRESSIONS[variant].items():
        metadata[part] |= sizes
    with whole_file(home / "metadata.json") as partial:
        partial.write_text(json.dumps(metadata, indent=1))
    return home / "metadata.json"


def run_stage(stage: str, settings: Mapping[str, str], passed_on: Sequence[str]) -> None:
    """Run a stage of the training and keep how long it took.

    Raises:
        SystemExit: it failed; its own message stands above.
    """
    start, home = time.monotonic(), Path(settings["output_dir"])
    options = [f"--{key}={value}" for key, value in settings.items()]
    command = ["-m", "latentct.cli.main", "run", str(BUNDLE), f"training_{stage}", *options, *passed_on]
    _run(command, f"{home.name}: {stage}")
    taken = read(home / MINUTES) | {stage: (time.monotonic() - start) / 60}
    with whole_file(home / MINUTES) as partial:
        partial.write_text(json.dumps(taken))


def evaluate(
    variant: str, home: Path, meta_file: Path, given: argparse.Namespace, passed_on: Sequence[str]
) -> dict[str, Any]:
    """Score a variant on validation volumes and return `{views: {method: {metric: figures}}}`."""
    path = home / f"{variant}.json"
    options = ["--json", str(path), "--output_dir", str(home / f"scores_{variant}"), "--split", "validation"]
    options += ["--meta_file", str(meta_file), "--methods", *METHODS, "--views", *map(str, given.views)]
    options += ["--limit", str(given.limit)] if given.limit else []
    further = [f"--ckpt_path={home / 'model.pt'}"] + ([f"--steps={STEPS[variant]}"] if variant in STEPS else [])
    _run([str(ROOT / "benchmarks" / "few_view.py"), *options, *further, *passed_on], f"{variant}: evaluating")
    return json.loads(path.read_text())


def put(result: Mapping[str, Any], variant: str, path: Path) -> None:
    """Replace the results of a variant in the file, whole or not at all."""
    merged = {**read(path), variant: result}
    with whole_file(path) as partial:
        ordered = {name: merged[name] for name in VARIANTS if name in merged}
        partial.write_text(json.dumps(ordered, indent=1, allow_nan=False) + "\n")


def read(path: Path) -> dict[str, Any]:
    """Return the results in the file, none if there is no file."""
    return json.loads(path.read_text()) if path.exists() else {}


def text_table(results: Mapping[str, Any]) -> str:
    """Return the table for people: a line a variant, view count and method."""
    titles = "".join(f"{title:>26}" for title, _ in SHOWN.values())
    lines = [f"{'variant':<16}{'views':>6}  {'method':<18}{titles}{'minutes':>9}"]
    for name, result in results.items():
        for views, methods in result["views"].items():
            for method, figures in methods.items():
                cells = "".join(f"{_cell(figures[m], digits):>26}" for m, (_, digits) in SHOWN.items())
                lines.append(f"{name:<16}{views:>6}  {method:<18}{cells}{result['minutes']:>9}")
    return "\n".join(lines)


def _cell(figure: Mapping[str, Any], digits: int) -> str:
    low, high = figure["ci95"]
    return f"{figure['mean']:.{digits}f} [{low:.{digits}f}, {high:.{digits}f}]"


def _is_shipped(variant: str) -> bool:
    """Tell whether the bundle itself has the compression of a variant."""
    metadata = json.loads((ROOT / BUNDLE / "configs" / "metadata.json").read_text())
    return len(metadata["autoencoder"]["channels"]) == len(COMPRESSIONS[variant]["autoencoder"]["channels"])


def _run(arguments: Sequence[str], title: str) -> None:
    print(title, flush=True)
    path = os.pathsep.join(filter(None, [str(ROOT / "src"), os.environ.get("PYTHONPATH", "")]))
    command = [sys.executable, *arguments]
    code = subprocess.run(command, cwd=ROOT, env=os.environ | {"PYTHONPATH": path}, check=False).returncode
    if code:
        raise SystemExit(f"{title} failed with code {code}; what was finished before is kept")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("--json", type=Path, required=True, help="file of the results")
    parser.add_argument("--epochs", type=int, nargs=3, required=True, metavar=STAGES, help="of each stage")
    parser.add_argument("--variants", nargs="+", default=list(VARIANTS), choices=VARIANTS, metavar="VARIANT")
    parser.add_argument("--manifest", help="by default that of the bundle")
    parser.add_argument("--dataset_dir", help="folder its paths start from; by default LATENTCT_DATA")
    parser.add_argument("--layer", nargs="*", default=[], help="configs of the bundle on top, e.g. smoke")
    parser.add_argument("--views", type=int, nargs="+", default=[4, 8], help="numbers of views")
    parser.add_argument("--limit", type=int, help="number of validation volumes; by default all")
    parser.add_argument("--output_dir", type=Path, default=Path("out/benchmarks/ablations"), help="weights and scores")
    return parser


if __name__ == "__main__":
    main()
