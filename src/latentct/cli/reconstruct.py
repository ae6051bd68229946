"""`latentct reconstruct`: projections to an image by a classical method."""

from pathlib import Path
from typing import Annotated

import typer

from latentct.errors import InputError

LEAST_HU = -1024.0
"""What files of results hold at least."""


def reconstruct(
    source: Annotated[
        Path,
        typer.Argument(metavar="INPUT", help="Projections with their geometry: .npz, .npy, .h5, .mha, or a folder."),
    ],
    output: Annotated[Path, typer.Argument(help="Image to write, .nii.gz or .nii.")],
    method: Annotated[
        str | None,
        typer.Option(help="fbp (slices), fdk (cone beam), sirt or tv; default: fbp or fdk, and sirt for free panels."),
    ] = None,
    size: Annotated[int | None, typer.Option(help="Pixels along a side; default: as the geometry asks for.")] = None,
    spacing_mm: Annotated[float | None, typer.Option(help="Distance of pixels in mm.")] = None,
    iterations: Annotated[
        int | None, typer.Option(help="Steps of sirt (default 60) or tv (150); pixels near 1 mm gain from more.")
    ] = None,
    weight: Annotated[
        float | None,
        typer.Option(help="Weight of the total variation; default: 0.006, for a cone beam by its views."),
    ] = None,
    filter_name: Annotated[
        str | None, typer.Option("--filter", help="Of fbp and fdk: ram-lak (default), shepp-logan, cosine or hann.")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace OUTPUT where it exists.")] = False,
) -> None:
    """Reconstruct projections as they are, without a prior: the image to compare `latentct correct` with."""
    from latentct.io.inputs import read_input
    from latentct.io.nifti import SUFFIXES, has_nifti_suffix, write_volume
    from latentct.io.outputs import check_output, whole_output
    from latentct.io.projections import Projections

    if not has_nifti_suffix(output):
        raise InputError(f"{output} ends in none of {', '.join(SUFFIXES)}; name a NIfTI file.")
    check_output(output, source, overwrite=overwrite)
    projections = read_input(source)
    if not isinstance(projections, Projections):
        raise InputError(f"{source} holds an image, but projections are expected; make some with `latentct simulate`.")
    from latentct.cli.progress import progress_bar
    from latentct.workflow.reconstruct import is_truncated, make_method, usual_method
    from latentct.workflow.reconstruct import reconstruct as image_of
    from latentct.workflow.reconstruct_grid import choose_grid, grid_sentence

    geometry = projections.geometry
    name = method or usual_method(geometry.scan)
    chosen = make_method(
        name, geometry.scan, geometry.mu_water, n_iterations=iterations, weight=weight, filter_name=filter_name
    )
    grid, origin = choose_grid(geometry, size, spacing_mm)
    typer.echo(grid_sentence(grid, origin))
    with whole_output(output, overwrite=overwrite) as partial:
        image = image_of(projections, grid, chosen, progress_bar(name))
        write_volume(partial, image.x_hu.clip(min=LEAST_HU), image.affine_lps_mm)
    typer.echo(f"{output}: {' x '.join(map(str, image.x_hu.shape))} voxels by {name}.")
    if is_truncated(projections):
        typer.echo(
            "latentct: the body goes on beside the detector, so that HU are too high, most of all at the rim of its "
            "field, and what lies outside is wrong; `latentct correct` completes such scans.",
            err=True,
        )
