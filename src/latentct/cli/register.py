"""`latentct register`: a bundle as a version in the MLflow registry."""

from pathlib import Path
from typing import Annotated

import typer


def register(
    bundle: Annotated[Path, typer.Argument(help="Bundle's folder, e.g. bundles/lsr_truncation.")],
    evaluation: Annotated[
        str, typer.Option(metavar="RUN_ID", help="Finished run of `evaluating` of this bundle with these weights.")
    ],
    weights: Annotated[
        Path | None, typer.Option(help="Weights to register, a .pt file; by default those that inference.yaml names.")
    ] = None,
    name: Annotated[str, typer.Option(help="Registered model; by default the name of the bundle's folder.")] = "",
) -> None:
    """Register a clean copy of a bundle in the store that MLFLOW_TRACKING_URI names (default mlflow/mlruns.db).

    The copy holds configs, documents, weights and the package's code, and answers its own example before it is
    registered. Refused: an evaluation that is not FINISHED, or of another bundle or other weights, and a bundle whose
    configs name code of foreign packages.
    """
    from latentct.tracking.registry import register
    from latentct.tracking.versions import serve_command

    made = register(bundle, evaluation, weights, name or None)
    typer.echo(f"{made.name} version {made.version}, registered by run {made.run_id}, evaluated by run {evaluation}")
    typer.echo(serve_command(f"{made.name}/{made.version}"))
