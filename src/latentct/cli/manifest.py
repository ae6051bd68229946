"""`latentct manifest`: make and check data manifests."""

from pathlib import Path
from typing import Annotated

import typer

from latentct.errors import InputError

app = typer.Typer(help="Make and check data manifests.", no_args_is_help=True, rich_markup_mode=None)


@app.command()
def build(
    folder: Annotated[Path, typer.Argument(help="Data set's folder; paths in the manifest are relative to it.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Manifest to write, a .json file.")],
    split: Annotated[str, typer.Option(help="training, validation or test, for volumes no table describes.")],
    name: Annotated[str, typer.Option(help="Name of the manifest; by default the output's.")] = "",
    description: Annotated[str, typer.Option(help="About the data set.")] = "",
    group: Annotated[str, typer.Option(help="Anatomy or kind of scan.")] = "unknown",
    source: Annotated[str, typer.Option(help="Where the files come from.")] = "unknown",
    licence: Annotated[str, typer.Option(help="Licence of the data.")] = "unknown",
    table: Annotated[Path | None, typer.Option(help="JSON table with a row a file: patient, split, group ...")] = None,
    only: Annotated[list[str] | None, typer.Option(help="With a table, take this group only; repeat for more.")] = None,
    validation_fraction: Annotated[
        float, typer.Option(help="Share of the training patients to hold out for validation.", min=0.0, max=1.0)
    ] = 0.0,
    force: Annotated[bool, typer.Option("--force", help="Replace an existing manifest.")] = False,
) -> None:
    """List the NIfTI files of a folder with hash, shape and spacing.

    Each file is its own patient unless a table says otherwise.
    """
    from tqdm import tqdm

    from latentct.io.manifest import SPLITS
    from latentct.io.manifest_builder import VolumeDefaults, build_manifest, read_table, write_manifest

    if split not in SPLITS:
        raise InputError(f"--split is '{split}'; choose one of {', '.join(SPLITS)}.")
    if output.exists() and not force:
        raise InputError(f"{output} exists already; choose another name or pass --force to replace it.")
    if only and table is None:
        raise InputError("--only selects rows of a table, but no --table was given; add one or drop --only.")
    manifest = build_manifest(
        folder,
        VolumeDefaults(split=split, group=group, source=source, licence=licence),
        name=name or output.stem,
        description=description,
        rows=None if table is None else read_table(table, only or ()),
        validation_fraction=validation_fraction,
        progress=lambda rows: tqdm(rows, desc="reading", unit="file"),
    )
    write_manifest(manifest, output, force)
    _report(output)


@app.command()
def check(
    path: Annotated[Path, typer.Argument(metavar="MANIFEST", help="Manifest to check.")],
    dataset_dir: Annotated[
        Path | None, typer.Option(help="Folder its paths are relative to; by default the one LATENTCT_DATA names.")
    ] = None,
) -> None:
    """Check a manifest against its schema and every file it lists against its hash."""
    from tqdm import tqdm

    from latentct.io.manifest import SPLITS, check_hashes, datalist, load_manifest

    manifest = load_manifest(path)
    present = [split for split in SPLITS if any(volume["split"] == split for volume in manifest["volumes"])]
    items = [item for split in present for item in datalist(manifest, split, dataset_dir)]
    check_hashes(tqdm(items, desc="hashing", unit="file"))
    _report(path)


def _report(path: Path) -> None:
    """Print how many volumes and patients each split of a manifest has."""
    from latentct.io.manifest import SPLITS, load_manifest

    volumes = load_manifest(path)["volumes"]
    typer.echo(f"{path}: {len(volumes)} volumes")
    for split in SPLITS:
        patients = [volume["patient"] for volume in volumes if volume["split"] == split]
        if patients:
            typer.echo(f"  {split}: {len(patients)} volumes of {len(set(patients))} patients")
