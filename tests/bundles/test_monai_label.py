"""What MONAI Label does with a bundle, done here without it, on staged copies.

Written from what its tasks for bundles read (monailabel/tasks/infer/bundle.py and train/bundle.py): a folder with
`configs/inference.yaml`, `configs/train.yaml`, `configs/metadata.json` and `models/model.pt`; no metadata beside a
config; `bundle_root` overwritten; transforms taken out of the lists by their type. Label gives an inferer an image and
a network alone: the layout is accepted, but these inferers need the measured rays and say so. A correction is asked of
the served model instead. Three stages cannot be trained by one `train.yaml`; the config of a stage can be.
"""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from monai.bundle import ConfigParser, ConfigWorkflow
from monai.inferers import Inferer
from monai.transforms import Compose, LoadImaged, MapTransform, SaveImaged

from .. import checks
from .conftest import Staged

BUNDLES = [bundle.name for bundle in checks.bundle_folders()]
LSR = [bundle.name for bundle in checks.bundle_folders() if not checks.in_stages(bundle)]
SAMPLE = checks.ROOT / "src" / "latentct" / "sample" / "lidc_idri_0001.nii.gz"


def read(bundle: Path, config: str) -> ConfigParser:
    """A config as Label reads it: alone, with its own place for `bundle_root` and a device of the user."""
    parser = ConfigParser()
    parser.read_config(str(bundle / "configs" / config))
    parser.config.update({"bundle_root": str(bundle), "device": "cpu"})
    return parser


def transforms(parser: ConfigParser, key: str) -> list[Any]:
    """A list of transforms as Label takes it out of a config; none if there is no such entry."""
    made = parser.get_parsed_content(key, instantiate=True) if parser.get(key) else []
    return list(made.transforms) if isinstance(made, Compose) else list(made)


@pytest.mark.parametrize("name", BUNDLES)
def test_the_network_takes_the_weights_strictly(name: str, staged: Staged) -> None:
    network = read(staged(name), "inference.yaml").get_parsed_content("network_def", instantiate=True)
    checkpoint = torch.load(staged(name) / "models" / "model.pt", weights_only=True)
    network.load_state_dict(checkpoint.get("model", checkpoint), strict=True)


@pytest.mark.parametrize("name", BUNDLES)
def test_image_and_prediction_are_the_first_input_and_output(name: str, staged: Staged) -> None:
    formats = json.loads((staged(name) / "configs" / "metadata.json").read_text())["network_data_format"]
    (image, of_image), (pred, of_pred) = (next(iter(formats[side].items())) for side in ("inputs", "outputs"))
    assert (image, pred) == ("image", "pred")
    assert len(of_image["spatial_shape"]) in (2, 3)
    assert all(int(channel) >= 0 and label.lower() for channel, label in of_pred["channel_def"].items())


@pytest.mark.parametrize("name", BUNDLES)
def test_transforms_are_flat_so_that_reading_and_saving_can_be_taken_out(name: str, staged: Staged) -> None:
    parser = read(staged(name), "inference.yaml")
    before, after = transforms(parser, "preprocessing"), transforms(parser, "postprocessing")
    assert [type(step) for step in before].count(LoadImaged) == 1
    assert all(tuple(step.keys) == ("image",) for step in before if isinstance(step, LoadImaged))
    assert not any(isinstance(step, Compose) for step in (*before, *after))
    rest = [step for step in after if not isinstance(step, SaveImaged)]
    assert all(isinstance(step, MapTransform) and "pred" in step.keys for step in rest)


@pytest.mark.parametrize("name", BUNDLES)
def test_the_inferer_is_made_and_asks_for_the_rays_that_label_does_not_give(name: str, staged: Staged) -> None:
    parser = read(staged(name), "inference.yaml")
    inferer = parser.get_parsed_content("inferer", instantiate=True)
    assert isinstance(inferer, Inferer)
    with pytest.raises(TypeError, match=r"projector|ray_mask"):
        inferer(inputs=torch.zeros(1, 1, 8, 8), network=torch.nn.Identity())


def overrides(bundle: Path) -> dict[str, Any]:
    """What Label sets in a training: its own data, epochs, device, and a loader of the weights before all handlers."""
    parser = read(bundle, "train.yaml")
    loader = {
        "_target_": "CheckpointLoader",
        "load_path": str(bundle / "models" / "model.pt"),
        "load_dict": {"model": "$@network"},
        "strict": False,
    }
    handlers = parser.get("train#handlers", [])
    assert not [handler for handler in handlers if handler.get("_target_") == "CheckpointLoader"]
    items = [{"image": str(SAMPLE), "label": str(SAMPLE)}]
    return {
        "bundle_root": str(bundle),
        "train#trainer#max_epochs": 3,
        "train#dataset#data": items,
        "validate#dataset#data": items,
        "train#handlers": [loader, *handlers],
        "device": torch.device("cpu"),
        "experiment_name": "label",
        "run_name": "first",
    }


def train_workflow(bundle: Path, **more: Any) -> ConfigWorkflow:
    workflow = ConfigWorkflow(
        config_file=str(bundle / "configs" / "train.yaml"),
        meta_file=str(bundle / "configs" / "metadata.json"),
        logging_file=False,
        workflow_type="train",
    )
    workflow.parser.update({**overrides(bundle), **more})
    return workflow


@pytest.mark.parametrize("name", LSR)
def test_the_keys_of_a_training_are_there_to_be_set(name: str, staged: Staged, tmp_path: Path) -> None:
    """For several GPUs Label writes the config with its settings as JSON."""
    parser = read(staged(name), "train.yaml")
    for key, value in overrides(staged(name)).items():
        assert key in parser, key
        parser.set("cpu" if key == "device" else value, key)
    assert (staged(name) / "configs" / "multi_gpu_train.yaml").is_file()
    ConfigParser.export_config_file(parser.config, str(tmp_path / "monailabel_train.json"), indent=2)
    written = ConfigParser.load_config_file(str(tmp_path / "monailabel_train.json"))
    assert written["train"]["trainer"]["max_epochs"] == 3
    assert written["train"]["dataset"]["data"][0]["image"] == str(SAMPLE)


def test_a_trainer_is_made_from_labels_data(staged: Staged, tmp_path: Path) -> None:
    workflow = train_workflow(staged("lsr_truncation"), output_dir=str(tmp_path), num_workers=0)
    workflow.initialize()
    trainer = workflow.trainer
    assert trainer.state.max_epochs == 3
    assert len(workflow.parser.get_parsed_content("train::dataset")) > 0
    assert workflow.check_properties() == []


def test_a_bundle_of_three_stages_offers_a_stage_to_train_but_no_train_yaml_for_it(staged: Staged) -> None:
    keys = ("train#trainer#max_epochs", "train#dataset#data", "validate#dataset#data", "train#handlers")
    assert not all(key in read(staged("clsdm_sparse_view"), "train.yaml") for key in keys)
    assert all(key in read(staged("clsdm_sparse_view"), "train_autoencoder.yaml") for key in keys)
