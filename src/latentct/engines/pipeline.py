"""A training of several stages, each a configuration of its own, in order and going on where it stopped."""

from __future__ import annotations

import gc
import logging
import warnings
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

from latentct.errors import InputError

_LOGGER = logging.getLogger(__name__)
DONE, STARTED, NEW = "done", "started", "new"


def run_stages(
    bundle_root: str | Path,
    stages: Sequence[str],
    layers: Sequence[str] = (),
    overwrite: bool = False,
    tracked: AbstractContextManager[Any] | None = None,
    **options: Any,
) -> list[str]:
    """Run the stages of a training in order, with their run ids `training_<stage>`.

    A stage that has exported its weights is left as it is, one with a checkpoint goes on from there, and any other
    starts anew. What is older than the weights of an earlier stage counts for nothing, because it was made with others.

    Args:
        bundle_root: folder of the bundle, whose configs are `train_<stage>.yaml`.
        stages: names of the stages; a config's `export_path` is the file it leaves, `ckpt_dir` the folder of its
            checkpoint `last.pt`.
        layers: configs of the bundle on top of each stage's.
        overwrite: start every stage anew.
        tracked: entered before the first stage and left, with the error where there is one, behind the last.
        **options: keys of all stages' configs, e.g. `manifest` and `output_dir`.

    Returns:
        The stages that were run.

    Raises:
        InputError: a config is missing.
    """
    with tracked or nullcontext():
        return _run_in_order(Path(bundle_root), stages, layers, overwrite, options)


def _run_in_order(
    bundle_root: Path, stages: Sequence[str], layers: Sequence[str], overwrite: bool, options: dict[str, Any]
) -> list[str]:
    ran: list[str] = []
    since = 0.0
    for stage in stages:
        workflow = _workflow(bundle_root, stage, layers, options)
        exported = Path(workflow.parser.get_parsed_content("export_path"))
        state = NEW if overwrite else _state(exported, _checkpoint(workflow), since)
        _LOGGER.info("stage %s: %s", stage, state)
        if state != DONE:
            workflow.parser.update({"resume": state == STARTED, "overwrite": state == NEW})
            workflow.initialize()
            workflow.run()
            workflow.finalize()
            ran.append(stage)
        since = max(since, exported.stat().st_mtime)
        del workflow
        gc.collect()
    return ran


def _workflow(bundle_root: Path, stage: str, layers: Iterable[str], options: dict[str, Any]) -> Any:
    from monai.bundle import ConfigWorkflow

    files = [bundle_root / "configs" / f"{name}.yaml" for name in (f"train_{stage}", *layers)]
    for file in files:
        if not file.is_file():
            raise InputError(f"{file} does not exist; name stages and layers of the bundle by their configs.")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Can't merge entry")  # layers say for `training` that they are there
        workflow = ConfigWorkflow(
            config_file=[str(file) for file in files],
            meta_file=str(bundle_root / "configs" / "metadata.json"),
            logging_file=False,
            run_id=f"training_{stage}",
            bundle_root=str(bundle_root),
        )
    if options.get("device") is not None:
        options = {**options, "device": f"$torch.device('{options['device']}')"}
    workflow.parser.update({key: value for key, value in options.items() if value is not None})
    return workflow


def _checkpoint(workflow: Any) -> Path:
    return Path(workflow.parser.get_parsed_content("ckpt_dir")) / "last.pt"


def _state(exported: Path, checkpoint: Path, since: float) -> str:
    """Return how far a stage has come whose predecessors were finished at the time `since`."""
    if exported.is_file() and exported.stat().st_mtime >= since:
        return DONE
    return STARTED if checkpoint.is_file() and checkpoint.stat().st_mtime >= since else NEW
