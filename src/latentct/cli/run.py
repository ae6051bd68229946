"""`latentct run`: a thin front of `monai.bundle` that checks first and fails in one line."""

import logging
import sys
import traceback
import warnings
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any

import typer

from latentct.errors import InputError, root_cause

CONFIGS = {
    "training": ("train.yaml",),
    "training_unet": ("train.yaml", "train_unet.yaml"),
    "training_autoencoder": ("train_autoencoder.yaml",),
    "training_alignment": ("train_alignment.yaml",),
    "training_diffusion": ("train_diffusion.yaml",),
    "training_ldm": ("train_diffusion.yaml", "train_ldm.yaml"),
    "evaluating": ("train.yaml", "evaluate.yaml"),
    "inference": ("inference.yaml",),
}
IN_STAGES = {"evaluating": ("train_autoencoder.yaml", "evaluate.yaml")}
"""The same for bundles trained in stages, whose train.yaml is no training itself."""
_SET_BY_COMMAND = ("bundle_root", "config_file", "run_id")
_OF_MONAI = ("logging_file", "meta_file", "tracking")


def run(
    context: typer.Context,
    bundle: Annotated[Path, typer.Argument(help="Bundle's folder, e.g. bundles/lsr_truncation.")],
    run_id: Annotated[str, typer.Argument(help="training, evaluating, inference, or training_<part>.")],
    layer: Annotated[
        list[str] | None, typer.Option(help="Further config of the bundle on top, e.g. smoke; repeat for more.")
    ] = None,
) -> None:
    """Run a bundle. Any --key value overrides that key of its configs.

    For example: --epochs 2 --network_def::channels "[8,8]"
    """
    files = config_files(bundle, run_id, layer or [])
    warnings.filterwarnings("ignore", message="Can't merge entry")  # a layer adds to what not every config has
    overrides = parse_overrides(context.args)
    refuse_unknown_keys(overrides, files)
    try:
        _run_workflow(bundle, run_id, files, overrides)
    except Exception as error:
        cause = root_cause(error)
        if isinstance(cause, InputError):
            raise cause from error
        log = _write_log(Path(overrides.get("output_dir") or bundle / "eval"), run_id, error)
        first_line = next(iter(str(cause).strip().splitlines()), "no message")
        typer.echo(f"latentct: {run_id} failed: {type(cause).__name__}: {first_line} (traceback in {log})", err=True)
        sys.exit(1)


def config_files(bundle: Path, run_id: str, layers: list[str]) -> list[Path]:
    """List the config files of a run, the complete one first.

    Raises:
        InputError: If the run id is unknown or the bundle lacks one of the files.
    """
    if run_id not in CONFIGS:
        raise InputError(
            f"run id '{run_id}' is unknown{_did_you_mean(run_id, CONFIGS)}; choose one of {', '.join(CONFIGS)}."
        )
    folder = bundle / "configs"
    in_stages = (folder / "train_autoencoder.yaml").is_file()
    names = IN_STAGES.get(run_id, CONFIGS[run_id]) if in_stages else CONFIGS[run_id]
    files = [folder / name for name in (*names, *(f"{layer}.yaml" for layer in layers))]
    for file in files:
        if not file.is_file():
            present = ", ".join(sorted(path.stem for path in folder.glob("*.yaml"))) or "no config"
            raise InputError(
                f"{file} does not exist (that folder has {present}); give a bundle's folder and its layers."
            )
    return files


def parse_overrides(arguments: list[str]) -> dict[str, Any]:
    """Turn `--key value` and `--key=value` into a dictionary, with values read as `python -m monai.bundle` reads them.

    Raises:
        InputError: If an argument is no option, or sets what the command itself sets.
    """
    from fire.parser import DefaultParseValue

    overrides: dict[str, Any] = {}
    rest = list(arguments)
    while rest:
        argument = rest.pop(0)
        key, has_value, text = argument.removeprefix("--").partition("=")
        if not argument.startswith("--") or not key:
            raise InputError(f"argument '{argument}' is not understood; overrides are written --key value.")
        if key in _SET_BY_COMMAND:
            raise InputError(f"--{key} cannot be overridden; it follows from the bundle and the run id you name.")
        if not has_value:
            text = rest.pop(0) if rest and not rest[0].startswith("--") else "True"
        overrides[key] = DefaultParseValue(text)
    return overrides


def refuse_unknown_keys(overrides: Mapping[str, Any], files: list[Path]) -> None:
    """Refuse overrides of keys that the configs do not have, which MONAI would accept without a word.

    Raises:
        InputError: Names the first unknown key and the nearest known one.
    """
    if not overrides:
        return
    from monai.bundle import ConfigParser

    config = with_shared_entries(ConfigParser.load_config_files([str(file) for file in files]))
    known = [*_OF_MONAI, *_ids(config)]
    for key in overrides:
        if key.replace("#", "::") not in known:
            configs = ", ".join(file.name for file in files)
            raise InputError(f"override --{key} is no key of {configs}{_did_you_mean(key, known)}; correct the name.")


def _run_workflow(bundle: Path, run_id: str, files: list[Path], overrides: Mapping[str, Any]) -> None:
    """What `python -m monai.bundle run` does, with tracebacks kept out of the console's log."""
    from monai.bundle import ConfigWorkflow

    warnings.filterwarnings("ignore", message="parsing config_file")
    of_monai = {key: value for key, value in overrides.items() if key in _OF_MONAI}
    workflow = ConfigWorkflow(
        config_file=[str(file) for file in files], run_id=run_id, bundle_root=str(bundle), **of_monai
    )
    workflow.parser.set(with_shared_entries(workflow.parser.get()))
    workflow.parser.update({key: value for key, value in overrides.items() if key not in _OF_MONAI})
    for handler in logging.getLogger().handlers:
        handler.addFilter(_without_traceback)
    workflow.initialize()
    workflow.run()
    workflow.finalize()


def with_shared_entries(config: Any) -> Any:
    """Return a config with the entries in place that it reads from files of other bundles, `%file::key`.

    MONAI does so after overrides; before them, keys of what is shared can be overridden like a bundle's own.
    """
    from monai.bundle import ConfigParser

    if isinstance(config, dict):
        return {key: with_shared_entries(value) for key, value in config.items()}
    if isinstance(config, list):
        return [with_shared_entries(value) for value in config]
    if not isinstance(config, str) or not config.startswith("%"):
        return config
    file, key = ConfigParser.split_path_id(config[1:])
    return ConfigParser(ConfigParser.load_config_file(file))[key] if file else config


def _without_traceback(record: logging.LogRecord) -> bool:
    record.exc_info = record.exc_text = None
    return True


def _ids(config: Any, prefix: str = "") -> Iterator[str]:
    """Every id of a config, nested ones joined by `::` as MONAI writes them."""
    pairs = config.items() if isinstance(config, dict) else enumerate(config) if isinstance(config, list) else ()
    for key, value in pairs:
        yield f"{prefix}{key}"
        yield from _ids(value, f"{prefix}{key}::")


def _did_you_mean(name: str, known: Any) -> str:
    nearest = get_close_matches(name, list(known), 1)
    return f" (did you mean '{nearest[0]}'?)" if nearest else ""


def _write_log(folder: Path, run_id: str, error: BaseException) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{run_id}-error.log"
    path.write_text("".join(traceback.format_exception(error)), encoding="utf-8")
    return path
