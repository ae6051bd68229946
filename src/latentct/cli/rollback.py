"""`latentct rollback`: give an alias back to the version before."""

from typing import Annotated

import typer


def rollback(
    name: Annotated[str, typer.Argument(help="Registered model, e.g. lsr_truncation.")],
    alias: Annotated[str, typer.Option(help="Alias to give back.")] = "champion",
) -> None:
    """Let an alias name the version that it named before; a second rollback goes one further.

    Tags keep the history. Served models follow the alias when their server is started again.
    """
    from latentct.tracking.versions import rollback, serve_command

    done = rollback(name, alias)
    typer.echo(f"'{alias}' of {name} now names version {done.version}, not {done.left}")
    typer.echo(serve_command(f"{name}@{alias}"))
