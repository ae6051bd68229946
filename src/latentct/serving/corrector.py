"""A staged bundle, loaded once to correct many scans."""

from __future__ import annotations

import json
import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from latentct.bundle import refuse_foreign_targets, verify_weights
from latentct.serving.slices import SliceCorrector
from latentct.serving.volumes import VolumeCorrector


@dataclass(frozen=True)
class Corrector:
    """What answers requests.

    Attributes:
        method: corrects scans.
        model: name, version and SHA-256 of the weights of the bundle.
    """

    method: SliceCorrector | VolumeCorrector
    model: dict[str, Any]


def load_corrector(bundle_root: str | os.PathLike[str], device: str | None = None) -> Corrector:
    """Load the model of a staged bundle, see `latentct.bundle.stage_bundle`.

    Args:
        bundle_root: folder of the bundle.
        device: where to compute, e.g. `cpu`; None lets the bundle choose.

    Raises:
        InputError: weights are not those that were staged, or the configuration names code that is not ours.
    """
    root = Path(bundle_root)
    verify_weights(root)
    refuse_foreign_targets(root)
    parser = read_config(root)
    if device is not None:
        parser["device"] = f"$torch.device('{device}')"
    kind = VolumeCorrector if "sampler" in parser else SliceCorrector
    keys = [*kind.ids, *(key for key in kind.optional_ids if key in parser)]
    with _without_missing_codec():
        content = {key: parser.get_parsed_content(key) for key in keys}
    return Corrector(kind(content), _model(root))


def read_config(root: Path) -> Any:
    """Return the parser of a staged bundle's `inference.yaml`; nothing is made yet."""
    from monai.bundle import ConfigParser

    parser = ConfigParser()
    parser.read_config(str(root / "configs" / "inference.yaml"))
    parser.read_meta(str(root / "configs" / "metadata.json"))
    parser["bundle_root"] = str(root)
    if "progress" in parser:
        parser["progress"] = False
    return parser


@contextmanager
def _without_missing_codec() -> Iterator[None]:
    """Keep MONAI from saying that its GPU decoder of DICOM is missing, which no bundle uses."""
    logger = logging.getLogger("monai.data.nvimgcodec_pydicom_plugin")
    level = logger.level
    logger.setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="NvImgCodecPydicomReader")
        yield
    logger.setLevel(level)


def _model(root: Path) -> dict[str, Any]:
    metadata = json.loads((root / "configs" / "metadata.json").read_text(encoding="utf-8"))
    weights_sha256 = json.loads((root / "models" / "sha256.json").read_text(encoding="utf-8"))
    return {"name": metadata["name"], "version": metadata["version"], "weights_sha256": weights_sha256}
