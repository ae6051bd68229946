"""A data set of small synthetic patients, and runs of a bundle on it as a user would start them."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch

from latentct.bundle import stage_bundle
from latentct.io.manifest_builder import VolumeDefaults, build_manifest, write_manifest
from latentct.io.nifti import write_volume

from .. import checks

Staged = Callable[[str], Path]
SPLITS = {"training": 2, "validation": 1, "test": 2}
SHAPE, SPACING_MM = (3, 40, 56), (5.0, 8.0, 8.0)


@dataclass(frozen=True)
class DataSet:
    """A folder of volumes and the manifest that lists them."""

    folder: Path
    manifest: Path

    def options(self) -> list[str]:
        return ["--manifest", str(self.manifest), "--dataset_dir", str(self.folder)]


@dataclass(frozen=True)
class Run:
    """A finished command of a bundle."""

    output_dir: Path
    code: int
    log: str


def patient_hu(number: int) -> np.ndarray:
    """A body of 320 x 240 mm or so, in HU (D, H, W): soft tissue, two lungs, a spine, noise."""
    generator = np.random.default_rng(number)
    y_mm, x_mm = np.meshgrid(
        *((np.arange(n) - (n - 1) / 2) * step for n, step in zip(SHAPE[1:], SPACING_MM[1:], strict=True)), indexing="ij"
    )
    scale = 1.0 + 0.05 * generator.uniform(-1, 1)

    def inside(center_mm: tuple[float, float], radii_mm: tuple[float, float]) -> np.ndarray:
        terms = ((y_mm - center_mm[0]) / radii_mm[0]) ** 2 + ((x_mm - center_mm[1]) / radii_mm[1]) ** 2
        return terms <= scale**2

    slice_hu = np.full(SHAPE[1:], -1000.0)
    slice_hu[inside((0, 0), (120, 160))] = 40
    slice_hu[inside((-10, -70), (60, 45))] = -800
    slice_hu[inside((-10, 70), (60, 45))] = -800
    slice_hu[inside((75, 0), (20, 20))] = 500
    return np.repeat(slice_hu[None], SHAPE[0], axis=0) + generator.normal(0, 5, SHAPE)


@pytest.fixture(scope="session")
def data_set(tmp_path_factory: pytest.TempPathFactory) -> DataSet:
    """Two patients to train on, one to validate, two to test, listed by `latentct.io`."""
    folder = tmp_path_factory.mktemp("data_set")
    affine_lps_mm = np.zeros((4, 4))
    affine_lps_mm[[2, 1, 0, 3], [0, 1, 2, 3]] = (*SPACING_MM, 1.0)
    rows = []
    for number, split in enumerate(split for split, count in SPLITS.items() for _ in range(count)):
        file = f"p{number}.nii.gz"
        write_volume(folder / file, patient_hu(number), affine_lps_mm)
        rows.append({"file": file, "id": f"volume_{number}", "patient": f"patient_{number}", "split": split})
    defaults = VolumeDefaults(split="test", group="body", source="synthetic", licence="CC0-1.0")
    manifest = build_manifest(folder, defaults, "synthetic", rows=rows)
    write_manifest(manifest, folder / "synthetic.json")
    return DataSet(folder, folder / "synthetic.json")


@pytest.fixture(scope="session")
def staged(tmp_path_factory: pytest.TempPathFactory) -> Staged:
    """Gives the staged copy of a bundle by its name, made when it is asked for."""
    folder = tmp_path_factory.mktemp("staged")

    def copy(name: str) -> Path:
        if not (folder / name).exists():
            stage_bundle(checks.ROOT / "bundles" / name, folder / name)
        return folder / name

    return copy


@pytest.fixture(scope="session")
def unet_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights of a U-Net of the bundles that has learned nothing yet, which gives back its input."""
    folder = checks.ROOT / "bundles" / "lsr_truncation" / "configs"
    network = checks.parse([folder / "train.yaml", folder / "train_unet.yaml"]).get_parsed_content("unet_def")
    path = tmp_path_factory.mktemp("unet") / "unet.pt"
    torch.save({name: value.half() for name, value in network.state_dict().items()}, path)
    return path


def monai_command(bundle: Path, run_id: str, *configs: str) -> list[str]:
    """`python -m monai.bundle run` with the configs of a bundle named without suffix."""
    files = [str(bundle.relative_to(checks.ROOT) / "configs" / f"{name}.yaml") for name in configs]
    config_file = files[0] if len(files) == 1 else repr(files)
    root = str(bundle.relative_to(checks.ROOT))
    return ["-m", "monai.bundle", "run", run_id, "--bundle_root", root, "--config_file", config_file]


def environment() -> dict[str, str]:
    """The environment of a process that runs this checkout on a few CPU threads."""
    kept = {key: value for key, value in os.environ.items() if key not in {"LATENTCT_DATA", "MLFLOW_RUN_ID"}}
    few_threads = {"OMP_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "2", "CUDA_VISIBLE_DEVICES": ""}
    return kept | few_threads | {"PYTHONPATH": str(checks.ROOT / "src")}


def start(arguments: list[str], output_dir: Path) -> subprocess.Popen[str]:
    """Start Python with arguments and an `output_dir`, from the project's root, with a store below that folder."""
    return subprocess.Popen(
        [sys.executable, *arguments, "--output_dir", str(output_dir)],
        cwd=checks.ROOT,
        env=environment() | {"MLFLOW_TRACKING_URI": f"sqlite:///{output_dir}/mlflow/mlruns.db"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def finish(arguments: list[str], output_dir: Path) -> Run:
    """Run to the end."""
    process = start(arguments, output_dir)
    log, _ = process.communicate(timeout=900)
    return Run(output_dir, process.returncode, log)


def succeed(arguments: list[str], output_dir: Path) -> Run:
    """Run to the end and fail with the log if that went wrong."""
    run = finish(arguments, output_dir)
    assert run.code == 0, run.log[-4000:]
    return run


def read_json(path: Path) -> dict:
    return json.loads(path.read_text())
