"""`latentct run`: a thin front of `monai.bundle` that checks first and fails in one line."""

import logging
import sys
import traceback
import warnings
from collections.abc import Mapping
from pathlib import Path
from textwrap import shorten
from typing import Annotated, Any

import typer

from latentct.errors import InputError, root_cause

LONGEST_CAUSE = 400


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
    from latentct.bundle.configs import config_files  # not at the top: `latentct --help` does without
    from latentct.bundle.overrides import parse_overrides, refuse_unknown_keys

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
        message = shorten(str(cause), LONGEST_CAUSE, placeholder=" ...") or "no message"
        typer.echo(f"latentct: {run_id} failed: {type(cause).__name__}: {message} (traceback in {log})", err=True)
        sys.exit(1)


def _run_workflow(bundle: Path, run_id: str, files: list[Path], overrides: Mapping[str, Any]) -> None:
    """What `python -m monai.bundle run` does, with tracebacks kept out of the console's log."""
    from monai.bundle import ConfigWorkflow

    from latentct.bundle.configs import with_shared_entries
    from latentct.bundle.overrides import OF_MONAI

    warnings.filterwarnings("ignore", message="parsing config_file")
    of_monai = {key: value for key, value in overrides.items() if key in OF_MONAI}
    workflow = ConfigWorkflow(
        config_file=[str(file) for file in files], run_id=run_id, bundle_root=str(bundle), **of_monai
    )
    workflow.parser.set(with_shared_entries(workflow.parser.get()))
    workflow.parser.update({key: value for key, value in overrides.items() if key not in OF_MONAI})
    for handler in logging.getLogger().handlers:
        handler.addFilter(_without_traceback)
    workflow.initialize()
    workflow.run()
    workflow.finalize()


def _without_traceback(record: logging.LogRecord) -> bool:
    record.exc_info = record.exc_text = None
    return True


def _write_log(folder: Path, run_id: str, error: BaseException) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{run_id}-error.log"
    path.write_text("".join(traceback.format_exception(error)), encoding="utf-8")
    return path
