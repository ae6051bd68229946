"""`latentct bundles`: check bundles, and copy them so that they run on their own."""

from pathlib import Path
from typing import Annotated

import typer

from latentct.errors import InputError

app = typer.Typer(help="Check bundles and make copies of them.", no_args_is_help=True, rich_markup_mode=None)


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


@app.command()
def stage(
    bundle: Annotated[Path, typer.Argument(help="Bundle's folder.")],
    folder: Annotated[Path, typer.Argument(help="Folder to make.")],
    weights: Annotated[Path | None, typer.Option(help="Inference weights to take in place of the bundle's.")] = None,
) -> None:
    """Copy a bundle so that it runs from any folder, as MONAI Label and the Deploy App SDK take it."""
    from latentct.bundle import stage_bundle

    staged = stage_bundle(bundle, folder, weights)
    typer.echo(f"{staged.name} {staged.version} in {staged.root}")
    for name, digest in staged.weights_sha256.items():
        typer.echo(f"{name} sha256 {digest}")


def _all_bundles() -> list[Path]:
    folders = sorted(path.parents[1] for path in Path("bundles").glob("*/configs/metadata.json"))
    if not folders:
        raise InputError("there is no bundle in ./bundles; go to the project's root, or give bundles' folders.")
    return folders
