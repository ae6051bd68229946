"""What every bundle must satisfy before anything in it runs. On one CPU, without the network."""

import importlib.metadata
import json
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from fire.parser import DefaultParseValue
from monai.bundle import ckpt_export, verify_metadata, verify_net_in_out
from typer.testing import CliRunner

from latentct.cli.main import app
from latentct.cli.run import config_files, parse_overrides, refuse_unknown_keys

from .. import checks

BUNDLES = checks.bundle_folders()
LSR_BUNDLES = [bundle for bundle in BUNDLES if not checks.in_stages(bundle)]
STACKS = [stack for bundle in BUNDLES for stack in checks.config_stacks(bundle)]
SCHEMA = checks.ROOT / "tests" / "schema" / "bundle_metadata.schema.json"
FILES = (
    "LICENSE",
    "configs/metadata.json",
    "configs/train.yaml",
    "configs/inference.yaml",
    "configs/evaluate.yaml",
    "configs/smoke.yaml",
    "configs/multi_gpu_train.yaml",
    "configs/logging.conf",
    "docs/README.md",
    "docs/data_license.txt",
)
RUN_IDS = {"train": "training", "evaluate": "evaluating", "inference": "inference"}
LARGEST_WEIGHTS_BYTES = 20 * 1000**2

each_bundle = pytest.mark.parametrize("bundle", BUNDLES, ids=lambda bundle: bundle.name)
each_lsr_bundle = pytest.mark.parametrize("bundle", LSR_BUNDLES, ids=lambda bundle: bundle.name)
each_stack = pytest.mark.parametrize("stack", STACKS, ids=checks.stack_name)


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


def test_there_is_a_bundle() -> None:
    assert BUNDLES


@each_bundle
@pytest.mark.parametrize("name", FILES)
def test_file_is_present_and_not_empty(bundle: Path, name: str) -> None:
    assert (bundle / name).is_file()
    assert (bundle / name).stat().st_size > 0


@each_bundle
def test_there_is_no_python_in_a_bundle(bundle: Path) -> None:
    assert list(bundle.rglob("*.py")) == []


@each_bundle
def test_metadata_follows_the_schema_offline(bundle: Path) -> None:
    verify_metadata(meta_file=str(bundle / "configs" / "metadata.json"), filepath=str(SCHEMA))


@each_bundle
def test_version_is_in_the_changelog(bundle: Path) -> None:
    meta = metadata(bundle)
    assert meta["version"] in meta["changelog"]


@each_bundle
def test_versions_are_those_installed(bundle: Path) -> None:
    meta = metadata(bundle)
    named = {"monai": meta["monai_version"], "torch": meta["pytorch_version"], "numpy": meta["numpy_version"]}
    for package, version in (named | meta["required_packages_version"]).items():
        installed = importlib.metadata.version(package)
        assert installed.split(".")[:2] == version.split(".")[:2], package


@each_stack
def test_config_parses_and_has_no_text_that_looks_like_a_float(stack: list[Path]) -> None:
    assert checks.float_texts(checks.parse(stack).get()) == []


@each_stack
def test_config_names_no_path_of_a_machine(stack: list[Path]) -> None:
    assert checks.outside_paths(yaml.safe_load(stack[-1].read_text())) == []


@each_stack
def test_every_target_exists_and_takes_its_arguments(stack: list[Path]) -> None:
    assert checks.wrong_targets(checks.parse(stack).get()) == []


@each_stack
def test_every_reference_resolves(stack: list[Path]) -> None:
    assert checks.dangling_references(checks.parse(stack)) == []


@each_stack
def test_expressions_are_one_call_on_one_line(stack: list[Path]) -> None:
    assert checks.long_expressions(yaml.safe_load(stack[-1].read_text())) == []


@each_stack
def test_run_id_is_an_alias_of_run(stack: list[Path]) -> None:
    stages = {f"train_{name}": f"training_{name}" for name in ("autoencoder", "alignment", "diffusion", "ldm")}
    ids = {**RUN_IDS, **(stages if checks.in_stages(stack[0].parents[1]) else {})}
    run_id = ids.get(stack[-1].stem) or ids[stack[0].stem]
    parser = checks.parse(stack)
    assert parser["run"]
    assert parser[run_id] == parser["run"]


@each_stack
def test_common_keys_can_be_overridden(stack: list[Path]) -> None:
    keys = {"manifest", "dataset_dir", "split", "output_dir", "seed", "experiment_name", "run_name", "device"}
    assert keys <= set(checks.parse(stack).get())


@each_bundle
def test_ids_that_monai_requires_are_there(bundle: Path) -> None:
    folder = bundle / "configs"
    for name in checks.STAGES if checks.in_stages(bundle) else ("train.yaml",):
        assert checks.missing_ids([folder / name], "train") == []
    assert checks.missing_ids([folder / "inference.yaml"], "infer") == []


@each_lsr_bundle
@pytest.mark.parametrize("name", ["network_def", "hu_min", "hu_max", "grid"])
def test_training_and_inference_agree(bundle: Path, name: str) -> None:
    train, inference = (checks.parse([bundle / "configs" / file]) for file in checks.COMPLETE)
    assert checks.plain_content(train, name) == checks.plain_content(inference, name)


@each_lsr_bundle
@pytest.mark.parametrize("name", ["task", "scan", "scanner", "implants", "inferer", "simulation", "comparison"])
def test_evaluation_and_inference_agree(bundle: Path, name: str) -> None:
    folder = bundle / "configs"
    evaluation, inference = (
        checks.parse([folder / "train.yaml", folder / "evaluate.yaml"]),
        checks.parse([folder / "inference.yaml"]),
    )
    assert evaluation[name] == inference[name]


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
    for name in checks.COMPLETE:
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


@each_lsr_bundle
def test_traced_export_equals_the_network(bundle: Path, tmp_path: Path) -> None:
    """TorchScript by tracing, with the shipped weights, on another input than the one traced."""
    shape = fixed_input_shape(bundle)
    ckpt_export(
        net_id="network_def",
        filepath=str(tmp_path / "model.ts"),
        ckpt_file=str(weights_file(bundle)),
        meta_file=str(bundle / "configs" / "metadata.json"),
        config_file=str(bundle / "configs" / "inference.yaml"),
        use_trace=True,
        input_shape=list(shape),
    )
    network = inference_network(bundle)
    network.load_state_dict(weights(bundle))
    x = torch.rand(shape, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        exported = torch.jit.load(str(tmp_path / "model.ts"))(x)
        assert torch.allclose(exported, network.eval()(x), rtol=0, atol=1e-5)


@each_bundle
def test_commands_of_the_readme_can_be_run(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(checks.ROOT)
    commands = checks.shell_commands((bundle / "docs" / "README.md").read_text())
    run = [" ".join(words) for words in commands if "monai.bundle" in words]
    for run_id in RUN_IDS.values():
        assert any(f"run {run_id} " in line for line in run), f"no command for {run_id}"
    for words in commands:
        check_command(words)


def check_command(words: list[str]) -> None:
    """Fail if a command names a file, run id, key, target or sub-command that does not exist."""
    if "monai.bundle" in words:
        check_monai_command(words[words.index("monai.bundle") + 1 :])
    elif words[:2] == ["latentct", "run"]:
        layers = [words[i + 1] for i, word in enumerate(words) if word == "--layer"]
        rest = [w for i, w in enumerate(words) if i > 3 and "--layer" not in (w, words[i - 1])]
        files = config_files(Path(words[2]), words[3], layers)
        refuse_unknown_keys(parse_overrides(rest), files)
    elif words[0] == "latentct":
        sub_commands = [word for word in words[1:3] if not word.startswith("-")]
        assert CliRunner().invoke(app, [*sub_commands, "--help"]).exit_code == 0, words
    elif words[0] == "make":
        assert f"\n{words[1]}:" in (checks.ROOT / "Makefile").read_text(), words
    else:
        assert words[0] in {"mlflow", "export", "pip", "git", "cp", "cd"}, f"unknown command {words}"


def check_monai_command(words: list[str]) -> None:
    command, *rest = words
    options = rest if rest[0].startswith("--") else rest[1:]
    pairs = dict(zip(options[::2], options[1::2], strict=True))
    config_file = DefaultParseValue(pairs.pop("--config_file"))
    files = [Path(name) for name in (config_file if isinstance(config_file, list) else [config_file])]
    for file in files:
        assert file.is_file(), file
    if command == "run":
        assert Path(pairs.pop("--bundle_root")).is_dir()
        assert rest[0] in checks.parse(files), rest[0]
        refuse_unknown_keys(parse_overrides([word for pair in pairs.items() for word in pair]), files)
    else:
        assert command in {"ckpt_export", "verify_metadata", "verify_net_in_out", "onnx_export"}, command
