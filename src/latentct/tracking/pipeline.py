"""The run above the runs of a training's stages."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType

from latentct.errors import root_cause
from latentct.tracking.logging import process_rank
from latentct.tracking.provenance import calling_config
from latentct.tracking.run import children_of, open_run
from latentct.tracking.writer import TrackedRun

#: Beside the results, apart from the note of the stage at work.
PIPELINE_FILE = "mlflow_pipeline.json"


class PipelineTracker:
    """Own the run of a training of stages; runs opened in the block, also by processes it starts, are its children.

    The run is FINISHED when the block ends, FAILED or KILLED with the error when it raises. A training that goes on
    where it stopped continues its run. Only the first process of a distributed job records.

    Args:
        output_dir: folder of the results, which holds the note of the run.
        experiment_name: MLflow experiment.
        run_name: name of the run; default stage, date and process number.
        manifest: data manifest, see `latentct.tracking.open_run`.
        splits: its splits that are used.
        overwrite: begin a new run although one is noted.

    Example:
        with PipelineTracker("out", "clsdm_sparse_view"):
            run_stages(...)
    """

    def __init__(
        self,
        output_dir: str | Path,
        experiment_name: str,
        run_name: str | None = None,
        manifest: str | Path | None = None,
        splits: Sequence[str] = (),
        overwrite: bool = False,
    ) -> None:
        self.output_dir = output_dir
        self.experiment_name = experiment_name
        self.run_name = run_name
        self.manifest = manifest
        self.splits = splits
        self.overwrite = overwrite
        self.run: TrackedRun | None = None
        self._config = calling_config()
        self._children = ExitStack()

    def __enter__(self) -> TrackedRun | None:
        """Open the run, or continue the one that is noted."""
        if process_rank() > 0:
            return None
        self.run = open_run(
            self.output_dir,
            self.experiment_name,
            self.run_name,
            stage="pipeline",
            manifest=self.manifest,
            splits=self.splits,
            config=self._config,
            resume=not self.overwrite and (Path(self.output_dir) / PIPELINE_FILE).exists(),
            note=PIPELINE_FILE,
        )
        self._children.enter_context(children_of(self.run.run_id))
        return self.run

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Close the run with what happened."""
        if self.run is None:
            return
        self._children.close()
        if error is None:
            self.run.finish()
        else:
            self.run.fail(root_cause(error))
