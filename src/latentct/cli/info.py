"""`latentct info`: what a scan is, and what is found in it."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from latentct.io.image import CTImage
    from latentct.io.projections import Projections


def info(
    path: Annotated[
        Path, typer.Argument(metavar="INPUT", help="DICOM folder, NIfTI file, or projections with their geometry.")
    ],
    series: Annotated[
        int | None, typer.Option(help="Number of the DICOM series in the list that is printed first.")
    ] = None,
) -> None:
    """Say what a scan is and what is found in it: field of view, cut body, metal, table, and the task they ask for.

    Nothing that is printed names the patient.
    """
    from latentct.io.image import CTImage
    from latentct.io.inputs import is_dicom, read_input

    if is_dicom(path):
        from latentct.io.dicom import choose_series, find_series

        found = find_series(path)
        typer.echo("\n".join(map(str, found)))
        scan = read_input(choose_series(path, found, series))
    else:
        scan = read_input(path, series)
    typer.echo("\n".join(_of_image(scan) if isinstance(scan, CTImage) else _of_projections(scan)))


def _of_image(image: "CTImage") -> list[str]:
    from latentct.findings import find

    found = find(image.x_hu, image.grid, image.padding)
    size = " x ".join(map(str, image.x_hu.shape))
    spacing = " x ".join(f"{mm:.3g}" for mm in image.spacing_mm)
    tilt_deg = getattr(image.source, "tilt_deg", 0.0)
    tilt = [f"The gantry was tilted by {tilt_deg:.1f} degrees."] if tilt_deg else []
    return [f"{size} voxels of {spacing} mm.", *tilt, *found.sentences(), found.reason()]


def _of_projections(projections: "Projections") -> list[str]:
    from latentct.geometry import Scan2D

    scan = projections.geometry.scan
    size = " x ".join(map(str, projections.y.shape))
    low, high = projections.y.min(), projections.y.max()
    what = f"{type(scan).__name__} of {scan.n_views} views, {size} line integrals from {low:.2f} to {high:.2f}."
    origin = ["The rays were simulated from an image."] if projections.geometry.simulated else []
    if not isinstance(scan, Scan2D):
        return [what, *origin]
    from latentct.workflow.rays import find

    found = find(projections, None)
    return [what, *origin, *found.sentences(), found.reason()]
