"""What every bundle must satisfy before anything in it runs. On one CPU, without the network."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from monai.bundle import ConfigWorkflow, verify_metadata, verify_net_in_out
from typer.testing import CliRunner

from latentct.bundle import faults
from latentct.bundle.check_metadata import SCHEMA
from latentct.bundle.check_readme import shell_commands
from latentct.cli.main import app

from .. import checks

BUNDLES = checks.bundle_folders()
LSR_BUNDLES = [bundle for bundle in BUNDLES if not checks.in_stages(bundle)]
STAGES = ("train_autoencoder.yaml", "train_alignment.yaml", "train_diffusion.yaml")
LARGEST_WEIGHTS_BYTES = 20 * 1000**2

each_bundle = pytest.mark.parametrize("bundle", BUNDLES, ids=lambda bundle: bundle.name)
each_lsr_bundle = pytest.mark.parametrize("bundle", LSR_BUNDLES, ids=lambda bundle: bundle.name)


def metadata(bundle: Path) -> dict[str, Any]:
    return json.loads((bundle / "configs" / "metadata.json").read_text())


def weights_file(bundle: Path) -> Path:
    """The weights of the prior, which several bundles share."""
    return checks.ROOT / checks.parse([bundle / "configs" / "inference.yaml"])["ckpt_path"]


def inference_network(bundle: Path) -> torch.nn.Module:
    return checks.parse([bundle / "configs" / "inference.yaml"]).get_parsed_content("network_def")


def weights(bundle: Path) -> dict[str, torch.Tensor]:
    state = torch.load(weights_file(bundle), map_location="cpu", weights_only=True)
    return state.get("model", state)


def fixed_input_shape(bundle: Path) -> tuple[int, ...]:
    image = metadata(bundle)["network_data_format"]["inputs"]["image"]
    return (1, image["num_channels"], *image["spatial_shape"])


def missing_ids(stack: list[Path], workflow_type: str) -> list[str]:
    """Ids that MONAI requires of a training or inference config and that are missing; instantiates nothing."""
    workflow = ConfigWorkflow(
        config_file=[str(file) for file in stack], workflow_type=workflow_type, logging_file=False
    )
    required = [item["id"] for item in workflow.properties.values() if item.get("required")]
    return [name for name in required if name not in workflow.parser]


def test_there_is_a_bundle() -> None:
    assert BUNDLES


@each_bundle
def test_a_bundle_has_no_faults(bundle: Path) -> None:
    """Files, metadata, versions, configs, components, references, weights and commands: see `latentct.bundle.check`."""
    assert [str(fault) for fault in faults(bundle)] == []


@each_bundle
def test_metadata_follows_the_schema_for_monai_too(bundle: Path) -> None:
    verify_metadata(meta_file=str(bundle / "configs" / "metadata.json"), filepath=str(SCHEMA))


@each_bundle
def test_monai_finds_the_ids_that_it_requires(bundle: Path) -> None:
    folder = bundle / "configs"
    for name in STAGES if checks.in_stages(bundle) else ("train.yaml",):
        assert missing_ids([folder / name], "train") == []
    assert missing_ids([folder / "inference.yaml"], "infer") == []


@each_lsr_bundle
def test_the_prior_is_shared_and_not_copied(bundle: Path) -> None:
    """Training, grid, window, network and search of every bundle are those of lsr_truncation itself."""
    home = checks.ROOT / "bundles" / "lsr_truncation" / "configs"
    assert (bundle / "configs" / "train.yaml").samefile(home / "train.yaml")
    own, prior = (checks.parse([folder / "inference.yaml"]) for folder in (bundle / "configs", home))
    for key in ("hu_window", "grid", "network", "search"):
        assert own["_meta_"][key] == prior["_meta_"][key]
        assert bundle.name == "lsr_truncation" or isinstance(metadata(bundle)[key], str)
    assert own["ckpt_path"] == prior["ckpt_path"]


@each_lsr_bundle
def test_network_has_the_metadatas_input_and_output(bundle: Path) -> None:
    configs = bundle / "configs"
    for name in ("train.yaml", "inference.yaml"):
        verify_net_in_out(
            net_id="network_def",
            meta_file=str(configs / "metadata.json"),
            config_file=str(configs / name),
            device="cpu",
        )
    network = inference_network(bundle).eval()
    with torch.no_grad():
        output = network(torch.rand(fixed_input_shape(bundle)))
    pred = metadata(bundle)["network_data_format"]["outputs"]["pred"]
    assert list(output.shape[1:]) == [pred["num_channels"], *pred["spatial_shape"]]


@each_lsr_bundle
def test_weights_are_small_half_precision_and_finite(bundle: Path) -> None:
    assert weights_file(bundle).stat().st_size < LARGEST_WEIGHTS_BYTES
    for name, value in weights(bundle).items():
        if value.is_floating_point():
            assert value.dtype == torch.float16, name
            assert bool(value.isfinite().all()), name


@each_lsr_bundle
def test_weights_load_strictly(bundle: Path) -> None:
    inference_network(bundle).load_state_dict(weights(bundle), strict=True)


@each_bundle
def test_commands_of_the_readme_that_run_no_bundle_exist_too(bundle: Path) -> None:
    for words in shell_commands((bundle / "docs" / "README.md").read_text()):
        if "monai.bundle" in words or words[:2] == ["latentct", "run"]:
            continue
        if words[0] == "latentct":
            sub_commands = [word for word in words[1:3] if not word.startswith("-")]
            assert CliRunner().invoke(app, [*sub_commands, "--help"]).exit_code == 0, words
        elif words[0] == "make":
            assert f"\n{words[1]}:" in (checks.ROOT / "Makefile").read_text(), words
        else:
            assert words[0] in {"mlflow", "export", "pip", "git", "cp", "cd"}, f"unknown command {words}"
