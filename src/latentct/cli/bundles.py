"""`latentct bundles`: check bundles."""

from pathlib import Path
from typing import Annotated

import typer

from latentct.errors import InputError

app = typer.Typer(help="Check bundles.", no_args_is_help=True, rich_markup_mode=None)


@app.callback()
def _group() -> None:
    """Check bundles."""


@app.command()
def check(
    bundle: Annotated[
        list[Path] | None, typer.Argument(help="Bundles' folders; default: every bundle in ./bundles.")
    ] = None,
) -> None:
    """List all faults of bundles without running anything of them; exit with code 2 if there are any."""
    from latentct.bundle import faults

    found = False
    for folder in bundle or _all_bundles():
        if not folder.is_dir():
            raise InputError(f"{folder} is no folder; give a bundle's, e.g. bundles/lsr_truncation.")
        listed = faults(folder)
        found = found or bool(listed)
        typer.echo("\n".join(str(fault) for fault in listed) or f"{folder.resolve().name}: ok")
    if found:
        raise typer.Exit(2)


def _all_bundles() -> list[Path]:
    folders = sorted(path.parents[1] for path in Path("bundles").glob("*/configs/metadata.json"))
    if not folders:
        raise InputError("there is no bundle in ./bundles; go to the project's root, or give bundles' folders.")
    return folders
