"""A copy of `lsr_truncation` whose network learns, and answers, in seconds on any CPU."""

import json
import shutil
from pathlib import Path

from . import checks

NAME = "lsr_truncation"
NETWORK = {
    "channels": [8, 16],
    "latent_channels": [1, 2],
    "num_res_blocks": [1, 1],
    "num_attention_blocks": 1,
    "num_head_channels": 8,
    "norm_num_groups": 4,
}


def copy_small_bundle(project: Path, rounds: tuple[int, ...]) -> Path:
    """Copy the bundle to where a project folder has it, with a small network and a search of a few steps.

    Its weights stay those of the large network: train it, or write others.
    """
    bundle = project / "bundles" / NAME
    shutil.copytree(checks.ROOT / "bundles" / NAME, bundle, ignore=shutil.ignore_patterns("eval"))
    file = bundle / "configs" / "metadata.json"
    metadata = json.loads(file.read_text())
    metadata["network"] = NETWORK
    metadata["search"]["rounds"] = list(rounds)
    file.write_text(json.dumps(metadata))
    return bundle
