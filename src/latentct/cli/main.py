"""Entry point of the `latentct` command: one line for bad input, and the list of commands."""

import sys
from typing import Annotated

import typer

from latentct import __version__
from latentct.cli import (
    bundles,
    correct,
    evaluate,
    info,
    manifest,
    predict,
    promote,
    reconstruct,
    register,
    rollback,
    run,
    simulate,
)
from latentct.errors import InputError

app = typer.Typer(
    help="CT from incomplete projections, by searching the latent space of a generative model.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
_OVERRIDES = {"allow_extra_args": True, "ignore_unknown_options": True}
app.add_typer(manifest.app, name="manifest")
app.add_typer(bundles.app, name="bundles")
app.command()(info.info)
app.command()(correct.correct)
app.command()(simulate.simulate)
app.command()(reconstruct.reconstruct)
app.command()(evaluate.evaluate)
app.command(context_settings=_OVERRIDES)(run.run)
app.command()(register.register)
app.command(context_settings=_OVERRIDES)(promote.promote)
app.command()(rollback.rollback)
app.command()(predict.predict)


def _print_version(asked: bool) -> None:
    if asked:
        typer.echo(f"latentct {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and stop.")
    ] = False,
) -> None:
    """CT from incomplete projections, by searching the latent space of a generative model."""


def main() -> None:
    """Run the command line; bad input, a full disk or memory print one sentence and exit with code 2."""
    try:
        app()
    except (InputError, OSError, MemoryError, RuntimeError) as error:
        sentence = _sentence(error)
        if sentence is None:
            raise
        typer.echo(f"latentct: {sentence}", err=True)
        sys.exit(2)


def _sentence(error: Exception) -> str | None:
    """Return what to say of an error that is none of the program's, None for those that are."""
    if isinstance(error, InputError):
        return str(error)
    if isinstance(error, OSError) and error.errno is not None:
        where = f" for {error.filename}" if error.filename else ""
        return str(InputError(f"the system refused{where}: {error.strerror}; make room, or choose another place."))
    if isinstance(error, MemoryError) or "can't allocate memory" in str(error):  # the latter is torch's
        return "this machine has not enough memory free for it; give fewer slices at a time."
    return None


if __name__ == "__main__":
    main()
