"""`latentct evaluate`: how far an image is from a reference, in HU."""

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from latentct.workflow.evaluate import Evaluation

LINE = 100
"""Characters of a line that goes into a file."""

METRICS = {
    "mae_hu": ("MAE [HU]", 1),
    "rmse_hu": ("RMSE [HU]", 1),
    "bias_hu": ("bias [HU]", 1),
    "psnr": ("PSNR [dB]", 1),
    "ssim": ("SSIM", 3),
}


def evaluate(
    result: Annotated[Path, typer.Argument(help="Image to judge: NIfTI, DICOM, or the folder of `latentct correct`.")],
    reference: Annotated[Path, typer.Argument(help="Image on the same voxels that it is compared with.")],
    hu_range: Annotated[tuple[float, float], typer.Option("--range", help="Lower and upper HU of PSNR and SSIM.")] = (
        -1000.0,
        1000.0,
    ),
    region: Annotated[
        str, typer.Option(help="What is counted: the body in REFERENCE, all voxels, or the field alone.")
    ] = "body",
    field_mm: Annotated[
        float | None, typer.Option(help="Diameter of a circle about the middle: inside and outside are scored too.")
    ] = None,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="File for all figures, those of each slice too; it names no patient.")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the JSON file where it exists.")] = False,
) -> None:
    """Compare two images of one patient in HU: errors, bias, PSNR and SSIM over slices, and the largest difference.

    Nothing is resampled: both must have the same voxels, to a micrometre.
    """
    import json

    from latentct.cli.progress import progress_bar
    from latentct.io.outputs import check_output, whole_output
    from latentct.workflow.evaluate import evaluate as compare
    from latentct.workflow.evaluate_images import read_image

    if json_file is not None:
        check_output(json_file, result, reference, overwrite=overwrite)
    found = compare(
        read_image(result),
        read_image(reference),
        hu_range=hu_range,
        region=region,
        field_mm=field_mm,
        progress=progress_bar("comparing"),
    )
    if json_file is not None:
        with whole_output(json_file, overwrite=overwrite) as partial:
            partial.write_text(json.dumps(found.as_json(), indent=1, allow_nan=False) + "\n", encoding="utf-8")
    _print(found)


def _print(found: "Evaluation") -> None:
    """Print the table and what it means."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    from latentct.workflow.evaluate import ONE_PATIENT

    table = Table(box=box.SIMPLE_HEAD)
    for title in ("region", "figure", "mean", "SD", "95 % interval", "slices"):
        table.add_column(title, justify="left" if title in ("region", "figure") else "right", no_wrap=True)
    for name, scores in found.summary().items():
        for i, (metric, (label, digits)) in enumerate(METRICS.items()):
            of = scores[metric]
            numbers = [_shown(of[key], digits) for key in ("mean", "sd", "ci95")]
            table.add_row("" if i else name, label, *numbers, str(of["n_slices"]))
    console = Console(highlight=False, markup=False)
    console.print(table, width=console.width if console.is_terminal else LINE)
    low, high = found.hu_range
    size = " x ".join(map(str, found.shape))
    words = [f"{size} voxels; PSNR and SSIM in the range [{low:g}, {high:g}] HU, all else without a range."]
    words += [f"Largest difference, {name}: {_shown(value, 0)} HU." for name, value in found.largest_hu.items()]
    if found.n_padding:
        words.append(f"{found.n_padding} voxels are padding in one of the images and are not counted.")
    typer.echo("\n".join([*words, ONE_PATIENT]))


def _shown(value: float | list[float], digits: int) -> str:
    if isinstance(value, list):
        return "-" if any(map(math.isnan, value)) else " to ".join(f"{end:.{digits}f}" for end in value)
    return f"{value:.{digits}f}" if math.isfinite(value) else ("equal" if value == math.inf else "-")
