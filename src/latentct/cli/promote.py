"""`latentct promote`: move an alias to a version that is measured to be better."""

import sys
from pathlib import Path
from typing import Annotated

import typer


def promote(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="Registered model, e.g. lsr_truncation.")],
    version: Annotated[str, typer.Argument(help="Version to promote.")],
    alias: Annotated[str, typer.Option(help="Alias to move, e.g. champion.")],
    force: Annotated[
        bool, typer.Option("--force", help="Move the alias in spite of the rule; a tag on the version keeps that.")
    ] = False,
    rules: Annotated[Path, typer.Option(help="Rules of promotion.")] = Path("mlflow/promotion.yaml"),
) -> None:
    """Evaluate a version and the one that the alias names on the same scans; move the alias if the rule holds.

    Any --key value overrides that key of `evaluating` for both, e.g. --dataset_dir /data --limit 10. Where the alias
    names no version yet, the challenger must beat the rule's baseline. Exit code 1: the rule does not hold, and the
    table says where. Run it from the project's root, which the rules name manifests from.
    """
    from latentct.bundle.overrides import parse_overrides
    from latentct.tracking.promotion import promote
    from latentct.tracking.versions import serve_command

    found = promote(name, version, alias, rules, parse_overrides(context.args), force)
    typer.echo(f"\n{found.table()}")  # below the progress bar of the evaluations
    typer.echo("".join(f"{key}: run {run_id}\n" for key, run_id in found.evaluations.items()), nl=False)
    if not found.holds and not found.forced:
        typer.echo(f"refused: '{alias}' stays as it was; run {found.run_id}", err=True)
        sys.exit(1)
    how = " in spite of the rule" if found.forced else ""
    typer.echo(f"'{alias}' of {name} now names version {version}{how}; run {found.run_id}")
    typer.echo(serve_command(f"{name}@{alias}"))
