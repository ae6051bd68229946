"""What the MONAI Deploy App SDK does with a bundle, done here without it, on staged copies.

Written from what its inference operator reads (monai_bundle_inference_operator.py): either the TorchScript file that
`ckpt_export` makes, with `extra/metadata.json` and `extra/inference.json` in it, or the folder, where the weights go
into `network_def`. It calls the inferer with an image and the network alone: the layout is accepted, but a correction
needs the measured rays, so an application has to wrap the inferer. The few-view model takes more than one input and
comes as a folder.
"""

import json
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch
from monai.bundle import ConfigParser, ckpt_export
from monai.inferers import Inferer
from monai.transforms import Compose, MapTransform

from .. import checks
from .conftest import Staged

BUNDLES = [bundle.name for bundle in checks.bundle_folders()]
SCRIPTED = [bundle.name for bundle in checks.bundle_folders() if not checks.in_stages(bundle)]
STRIPPED = ("LoadImage", "SaveImage")


def stripped(parser: ConfigParser, key: str) -> list[Any]:
    """Transforms without those that read or write files, which are found by their names at the top of the list."""
    made = parser.get_parsed_content(key) if parser.get(key) is not None else Compose([])
    return [step for step in made.transforms if not any(name in type(step).__name__ for name in STRIPPED)]


def check_parts(parser: ConfigParser) -> None:
    """Fail unless the parts are there that the operator takes: device, inferer, transforms in memory, formats."""
    assert isinstance(parser.get_parsed_content("device"), torch.device)
    assert isinstance(parser.get_parsed_content("inferer"), Inferer)
    before, after = stripped(parser, "preprocessing"), stripped(parser, "postprocessing")
    assert before and isinstance(before[0], MapTransform)
    assert not any(isinstance(step, Compose) for step in (*before, *after))
    formats = parser["_meta_"]["network_data_format"]
    for side, name in (("inputs", "image"), ("outputs", "pred")):
        assert next(iter(formats[side])) == name
        assert formats[side][name]["type"] == "image"


@pytest.mark.parametrize("name", BUNDLES)
def test_a_folder_has_what_the_operator_takes(name: str, staged: Staged) -> None:
    parser = ConfigParser()
    parser.read_meta(json.loads((staged(name) / "configs" / "metadata.json").read_text()))
    parser.read_config(str(staged(name) / "configs" / "inference.yaml"))  # it looks for .json, .yaml
    parser.parse()
    check_parts(parser)
    network = parser.get_parsed_content("network_def")
    state = torch.load(staged(name) / "models" / "model.pt", weights_only=True)
    network.load_state_dict(state.get("state_dict", state.get("model", state)), strict=True)


@pytest.mark.parametrize("name", SCRIPTED)
def test_a_torchscript_file_has_what_the_operator_takes(name: str, staged: Staged, tmp_path: Path) -> None:
    path = tmp_path / "model.ts"
    ckpt_export(
        bundle_root=str(staged(name)),
        filepath=str(path),
        config_file=str(staged(name) / "configs" / "inference.yaml"),
        use_trace=True,
    )
    with zipfile.ZipFile(path) as archive:
        meta, config = (json.loads(archive.read(f"model/extra/{part}.json")) for part in ("metadata", "inference"))
    (tmp_path / "inference.json").write_text(json.dumps(config))
    parser = ConfigParser()
    parser.read_meta(meta)
    parser.read_config([tmp_path / "inference.json"])
    parser.parse()
    check_parts(parser)
    x = torch.rand(1, 1, *meta["network_data_format"]["inputs"]["image"]["spatial_shape"])
    with torch.no_grad():
        assert torch.jit.load(str(path), map_location="cpu").eval()(x).shape == x.shape
