"""Staged bundles with tiny networks of random weights, and scans to send to them."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from monai.bundle import ConfigParser

from latentct.bundle import stage_bundle
from latentct.io.nifti import write_volume
from latentct.serving import Corrector, load_corrector

from ..checks import ROOT
from ..small_bundle import NETWORK

#: What `smoke.yaml` of the few-view bundle changes that its `inference.yaml` has too.
SMOKE_KEYS = ("grid", "machine", "autoencoder_def", "conditioner_def", "denoiser_def")


def stage_small(folder: Path, name: str) -> Path:
    """Stage a copy of a bundle that has the networks of its smoke layer, with random weights."""
    project = folder / "project"
    for bundle in {name, "lsr_truncation"}:
        shutil.copytree(ROOT / "bundles" / bundle, project / "bundles" / bundle)
    copy = project / "bundles" / name
    metadata = json.loads((copy / "configs" / "metadata.json").read_text())
    config = yaml.safe_load((copy / "configs" / "inference.yaml").read_text())
    if name == "clsdm_sparse_view":
        smoke = yaml.safe_load((copy / "configs" / "smoke.yaml").read_text())
        config |= {key: smoke[key] for key in SMOKE_KEYS} | {"n_samples": 2, "steps": 2, "view_count": 3}
    else:
        metadata["network"] = NETWORK
        config["rounds"] = [2, 2]
    (copy / "configs" / "metadata.json").write_text(json.dumps(metadata))
    (copy / "configs" / "inference.yaml").write_text(yaml.safe_dump(config, sort_keys=False))
    staged = stage_bundle(copy, folder / "trained").root
    parser = ConfigParser()
    parser.read_config(str(staged / "configs" / "inference.yaml"))
    parser.read_meta(str(staged / "configs" / "metadata.json"))
    torch.manual_seed(0)
    weights = folder / "weights.pt"
    torch.save(parser.get_parsed_content("network_def").state_dict(), weights)
    return stage_bundle(copy, folder / name, weights).root


@pytest.fixture(scope="session")
def staged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle for truncated scans."""
    return stage_small(tmp_path_factory.mktemp("staged"), "lsr_truncation")


@pytest.fixture(scope="session")
def corrector(staged: Path) -> Corrector:
    """The same, loaded."""
    return load_corrector(staged, "cpu")


def body_hu(shape: tuple[int, int, int]) -> np.ndarray:
    """A body of soft tissue with a spine and a lung, in HU (D, H, W)."""
    z, y, x = (
        np.linspace(-1, 1, n).reshape([-1 if i == axis else 1 for i in range(3)]) for axis, n in enumerate(shape)
    )
    x_hu = np.full(shape, -1000.0)
    x_hu[np.broadcast_to((x / 0.8) ** 2 + (y / 0.7) ** 2 < 1, shape)] = 40
    x_hu[np.broadcast_to(((x + 0.4) / 0.25) ** 2 + (y / 0.4) ** 2 + 0 * z < 1, shape)] = -800
    x_hu[np.broadcast_to((x / 0.1) ** 2 + ((y - 0.4) / 0.12) ** 2 + 0 * z < 1, shape)] = 600
    return x_hu


@pytest.fixture(scope="session")
def nifti(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two slices of a body, off the centre of the world."""
    affine_lps_mm = np.array([[0, 0, 6.0, -100], [0, 7.0, 0, -150], [4.0, 0, 0, 30], [0, 0, 0, 1]])
    path = tmp_path_factory.mktemp("images") / "body.nii.gz"
    write_volume(path, body_hu((2, 40, 56)), affine_lps_mm)
    return path
