"""`latentct correct`: a user's scan, corrected."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from latentct.errors import InputError

if TYPE_CHECKING:
    from latentct.workflow.outcome import Outcome

PARTLY = 3
_AUTO = "auto"


def correct(
    source: Annotated[
        Path, typer.Argument(metavar="INPUT", help="DICOM folder, NIfTI file, or projections with their geometry.")
    ],
    output: Annotated[Path, typer.Argument(help="Folder to make: image, report.html and correction.json.")],
    task: Annotated[
        str, typer.Option(help="auto (what is found), truncation, metal, limited-angle or sparse-view.")
    ] = _AUTO,
    series: Annotated[
        int | None, typer.Option(help="Number of the DICOM series, as `latentct info` lists them.")
    ] = None,
    device: Annotated[
        str | None, typer.Option(help="Where to compute, e.g. cpu or cuda:0; default: a GPU where there is one.")
    ] = None,
    bundle: Annotated[
        Path | None, typer.Option(help="Folder of a bundle, or of a registered version; default: ours for the task.")
    ] = None,
    samples: Annotated[
        int | None,
        typer.Option(
            help="Further searches, 2 or more, whose spread is the uncertainty; each takes as long as the first. "
            "Default: none, and of cone-beam views as many as the bundle says."
        ),
    ] = None,
    report: Annotated[bool, typer.Option(help="Write report.html, a page to look at.")] = True,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace OUTPUT where it exists.")] = False,
) -> None:
    """Correct a scan: complete a cut body, remove the streaks of metal, fill in missing views.

    What was found is printed before the work begins. DICOM becomes a derived DICOM series, NIfTI and projections become
    NIfTI. An image without raw data is projected in a virtual scan, and every output says so. A call that was
    interrupted goes on from where it was when it is repeated. Exit code 3: some slices were left as they are, or the
    run could not be logged; both are said.
    """
    from latentct.io.inputs import read_input
    from latentct.io.outputs import check_output
    from latentct.workflow.plan import TASKS, make_plan

    if task not in (_AUTO, *TASKS):
        raise InputError(f"--task is {task}; choose {_AUTO}, {', '.join(TASKS)}.")
    if samples is not None and samples < 2:
        raise InputError(f"--samples is {samples}, but a spread needs 2 or more; give more, or leave it out.")
    check_output(output, source, overwrite=overwrite)
    plan = make_plan(read_input(source, series), None if task == _AUTO else task)
    typer.echo("\n".join(plan.sentences))
    if plan.task is None:
        typer.echo("Nothing was written.")
        return
    from latentct.cli.progress import progress_bar
    from latentct.workflow.correct import correct_scan
    from latentct.workflow.prior import load_prior

    corrector = load_prior(plan.bundle, device, bundle, samples)
    with _told_how_to_go_on():
        outcome = correct_scan(plan, corrector, output, progress_bar("correcting"), report=report, overwrite=overwrite)
    is_logged = _log(outcome, output)
    _say(outcome, output)
    if outcome.failed or not is_logged:
        raise typer.Exit(PARTLY)


@contextmanager
def _told_how_to_go_on() -> Iterator[None]:
    try:
        yield
    except KeyboardInterrupt:
        typer.echo("latentct: interrupted; the same command goes on from the slices that are done.", err=True)
        raise


def _log(outcome: "Outcome", folder: Path) -> bool:
    """Log a correction that is written already; a store that cannot be reached is said, and takes nothing away."""
    from latentct.tracking.corrections import log_correction
    from latentct.workflow.outputs import summary_of

    try:
        log_correction(summary_of(outcome), folder)
    except Exception as error:  # whatever a store on a server may raise
        typer.echo(f"latentct: {folder} is whole, but was not logged to MLflow ({type(error).__name__}).", err=True)
        return False
    return True


def _say(outcome: "Outcome", folder: Path) -> None:
    for index, why in outcome.failed.items():
        typer.echo(f"latentct: slice {index + 1} was left as it is: {why}", err=True)
    typer.echo("\n".join(f"{name}: {value:.4g}" for name, value in outcome.figures.items()))
    typer.echo(f"{outcome.statement}\n{folder}")
