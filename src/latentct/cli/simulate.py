"""`latentct simulate`: an image as an incomplete scan of it would have been delivered."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from latentct.errors import InputError

if TYPE_CHECKING:
    from latentct.io.image import CTImage
    from latentct.io.scan_geometry import ScanGeometry


def simulate(
    source: Annotated[Path, typer.Argument(metavar="INPUT", help="Image: DICOM folder or NIfTI file.")],
    output: Annotated[
        Path,
        typer.Argument(
            help="Projections: .npz, .npy, .h5, or a folder. With --task truncation also an image: .nii.gz, or, with "
            "--image, a folder of DICOM."
        ),
    ],
    task: Annotated[
        str, typer.Option(help="What the scan lacks: truncation, metal, limited-angle, sparse-view, or none.")
    ] = "none",
    field_mm: Annotated[
        float | None, typer.Option(help="Diameter in mm that a narrow detector, or a cut image, shows.")
    ] = None,
    arc_deg: Annotated[
        float | None, typer.Option(help="Arc in degrees that the views of a limited angle span.")
    ] = None,
    views: Annotated[int | None, typer.Option(help="Number of views of a sparse scan.")] = None,
    geometry: Annotated[
        Path | None, typer.Option(help="YAML file of the complete scan; default: a virtual fan beam about the image.")
    ] = None,
    photons: Annotated[
        float | None, typer.Option(help="Photons a ray without object; default: no noise, but 5e5 for metal.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of noise and implants.", min=0)] = 0,
    image: Annotated[
        bool, typer.Option("--image", help="Write an image into the folder OUTPUT, as DICOM derived from INPUT.")
    ] = False,
    series: Annotated[
        int | None, typer.Option(help="Number of the DICOM series, as `latentct info` lists them.")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace OUTPUT where it exists.")] = False,
) -> None:
    """Make an incomplete scan of an image, to try methods on.

    Projections hold the measured rays only, as a scanner would deliver them, and a geometry with which their
    reconstruction lands on the voxels of INPUT. A cut image keeps the HU inside the field: the artefacts that a
    detector too narrow makes there are not in it.
    """
    from latentct.io.image import CTImage
    from latentct.io.inputs import read_input
    from latentct.io.nifti import has_nifti_suffix

    as_image = image or has_nifti_suffix(output)
    given = {"--arc-deg": arc_deg, "--views": views, "--geometry": geometry, "--photons": photons}
    _refuse_foreign(as_image, task, field_mm, [name for name, value in given.items() if value is not None])
    _check_output(output, [source, *([geometry] if geometry else [])], as_image, overwrite)
    scanned = read_input(source, series)
    if not isinstance(scanned, CTImage):
        raise InputError(f"{source} holds projections, but an image is expected; give a DICOM folder or a NIfTI file.")
    if as_image:
        assert field_mm is not None
        _write_image(scanned, field_mm, output, overwrite)
        return
    from latentct.cli.progress import progress_bar
    from latentct.io.outputs import whole_output
    from latentct.io.projections import write_projections
    from latentct.workflow.simulate import prepare_simulation
    from latentct.workflow.simulate import simulate as measure

    simulation = prepare_simulation(
        scanned,
        task,
        given=_read_geometry(geometry),
        field_mm=field_mm,
        arc_deg=arc_deg,
        n_views=views,
        photons=photons,
        seed=seed,
    )
    typer.echo("\n".join(simulation.sentences))
    with whole_output(output, overwrite=overwrite) as partial:
        projections = measure(simulation, progress_bar("projecting"))
        write_projections(partial, projections, " ".join(simulation.sentences))
    typer.echo(f"{output}: {' x '.join(map(str, projections.y.shape))} line integrals.")


def _refuse_foreign(as_image: bool, task: str, field_mm: float | None, given: list[str]) -> None:
    """Refuse options that do not go with an image as output."""
    if not as_image:
        return
    if task != "truncation":
        raise InputError(
            f"--task {task} makes projections, but OUTPUT is an image; choose --task truncation or a .npz."
        )
    if field_mm is None:
        raise InputError("--task truncation needs --field-mm; give it.")
    if given:
        raise InputError(f"{given[0]} is for projections, but OUTPUT is an image; leave it out or name a .npz file.")


def _check_output(output: Path, inputs: list[Path], as_image: bool, overwrite: bool) -> None:
    from latentct.io.hdf5 import SUFFIXES as HDF5
    from latentct.io.inputs import PROJECTION_FILES
    from latentct.io.outputs import check_output

    written = (".npz", ".npy", *HDF5)
    if not as_image and output.suffix.lower() in PROJECTION_FILES and output.suffix not in written:
        raise InputError(
            f"{output} ends in {output.suffix}, but {', '.join(written)} or a folder are written; name one."
        )
    check_output(output, *inputs, overwrite=overwrite)
    if output.suffix == ".npy":
        check_output(output.with_suffix(".yaml"), *inputs, overwrite=overwrite)


def _read_geometry(path: Path | None) -> "ScanGeometry | None":
    from latentct.io.scan_geometry import read_geometry_file

    return None if path is None else read_geometry_file(path)


def _write_image(scanned: "CTImage", field_mm: float, output: Path, overwrite: bool) -> None:
    from latentct.io.nifti import has_nifti_suffix, write_volume
    from latentct.io.outputs import whole_output
    from latentct.workflow.simulate_image import cut_image, cut_sentence

    cut, sentence = cut_image(scanned, field_mm), cut_sentence(field_mm)
    if has_nifti_suffix(output):
        with whole_output(output, overwrite=overwrite) as partial:
            write_volume(partial, cut.x_hu, cut.affine_lps_mm)
    else:
        from latentct.io.dicom import write_series

        write_series(cut, output, sentence, overwrite=overwrite)
    typer.echo(f"{sentence}\n{output}: {' x '.join(map(str, cut.x_hu.shape))} voxels.")
