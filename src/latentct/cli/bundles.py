"""`latentct bundles`: check bundles."""

import typer

app = typer.Typer(help="Check bundles.", no_args_is_help=True, rich_markup_mode=None)


@app.command()
def check() -> None:
    """Check a bundle."""
