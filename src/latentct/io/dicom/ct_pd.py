"""Projections in DICOM-CT-PD, rebinned to fan beams of axial slices."""

import os
from pathlib import Path

import numpy as np
import torch
from pydicom import Dataset, dcmread
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

from latentct.errors import InputError
from latentct.io.dicom.ct_pd_scan import ProjectionScan, scan_of
from latentct.io.dicom.headers import damaged, floats, integer, quiet, shown
from latentct.io.dicom.series import PROJECTIONS, SeriesSummary, choose_series, find_series
from latentct.io.projections import RANGE, Projections
from latentct.io.scan_geometry import ScanGeometry
from latentct.io.sizes import check_free
from latentct.recon.rebinning import rebin_views, slice_views

SLICE_MM = 3.0
_SYNTAXES = (ImplicitVRLittleEndian, ExplicitVRLittleEndian)


def read_ct_pd(
    source: str | os.PathLike[str] | SeriesSummary, series: int | str | None = None, *, slice_mm: float = SLICE_MM
) -> Projections:
    """Read the helical scan of a folder of DICOM-CT-PD as fan beams of a whole turn, one a slice.

    Axes, and what is known of them, are told in `latentct.io.dicom.ct_pd_scan`, the rebinning in
    `latentct.recon.rebinning.rebin_slice`. The fan has the columns of the detector; flying focal spots are brought to
    its focus. Files are read when a slice needs them and forgotten after.

    Args:
        source: Folder; or one of the series that `find_series` listed, whose headers are not read again.
        series: Which one where there are several: its number in `find_series`, or its SeriesInstanceUID.
        slice_mm: Distance of neighbouring slices, which cover what whole turns of the helix see.

    Returns:
        Line integrals (S, A, U), from inferior to superior; `isocenter_mm` of their geometry is the middle of the
        slices on the axis of rotation, in LPS as the scanner counts z.

    Raises:
        InputError: There is not exactly one such series, it is not one whole helical scan, a file is damaged, or the
            slices need more memory than is free.
    """
    if not isinstance(source, SeriesSummary):
        source = choose_series(source, find_series(source), series, (PROJECTIONS,))
    scan = scan_of(source.files)
    z_mm = _slice_positions(source.folder, scan, slice_mm)
    fan, n_window = scan.helix.fan(), len(slice_views(scan.helix, z_mm[0]))
    per_view = scan.helix.detector_shape[0] * scan.helix.detector_shape[1]
    check_free(
        4 * len(z_mm) * fan.n_views * fan.n_bins + 4 * n_window * (2 * per_view + 20 * fan.n_bins),
        f"{shown(source.folder)} holds projections whose {len(z_mm)} slices take",
        "give fewer projections, or slices further apart",
    )
    y = np.empty((len(z_mm), *fan.sinogram_shape), np.float32)
    views, held = range(0), torch.empty(0)
    for place, height_mm in enumerate(z_mm):
        needed = slice_views(scan.helix, height_mm)
        held, views = _moved(scan, held, views, needed), needed
        try:
            y[place] = rebin_views(held, scan.helix, views, height_mm).numpy()
        except ValueError as error:
            raise InputError(
                f"{shown(source.folder)} cannot be rebinned: {error}; give a scan of lower pitch."
            ) from error
    _check_range(source.folder, y)
    middle_mm = (0.0, 0.0, float(np.mean(z_mm)))
    return Projections(y, ScanGeometry(fan, scan.mu_water, isocenter_mm=middle_mm, slice_mm=slice_mm))


def _slice_positions(folder: Path, scan: ProjectionScan, slice_mm: float) -> list[float]:
    """Return heights from inferior to superior, as many as have half a turn on both sides."""
    helix = scan.helix
    margin = round(np.pi / abs(helix.step_rad)) + len(helix.spots) + 2
    if helix.n_views <= 2 * margin + 1:
        raise InputError(
            f"{shown(folder)} holds {helix.n_views} projections, but more than {2 * margin + 1}, a whole turn, are "
            "needed; give all files of the scan."
        )
    low_mm, high_mm = sorted((helix.source_z_mm[margin], helix.source_z_mm[-1 - margin]))
    n_slices = int((high_mm - low_mm) / slice_mm) + 1
    first_mm = (low_mm + high_mm - (n_slices - 1) * slice_mm) / 2
    return [first_mm + slice_mm * place for place in range(n_slices)]


def _moved(scan: ProjectionScan, held: torch.Tensor, views: range, needed: range) -> torch.Tensor:
    """Return the views that are needed, those of them that are held already and the others from their files."""
    moved = torch.empty(len(needed), *scan.helix.detector_shape)
    both = range(max(views.start, needed.start), min(views.stop, needed.stop))
    if both:
        moved[both.start - needed.start : both.stop - needed.start] = held[
            both.start - views.start : both.stop - views.start
        ]
    for view in needed:
        if view not in both:
            moved[view - needed.start] = torch.from_numpy(_read_view(scan, *scan.files[view]))
    return moved


def _read_view(scan: ProjectionScan, path: Path, header: Dataset) -> np.ndarray:
    """Read a view as rows (V, U) that grow with the patient's axes.

    Files of the public collection store the columns of the detector as rows of the image, the manual the rows; the
    sizes in the header tell which it is, and of a square one the manual is believed.
    """
    shape = scan.helix.detector_shape
    stored_shape = (integer(header, "Rows", path), integer(header, "Columns", path))
    if stored_shape not in (shape, shape[::-1]):
        raise InputError(f"{shown(path)} has {stored_shape} pixels, but its detector has {shape}; export it again.")
    slope, intercept = (floats(header, key, 1, path)[0] for key in ("RescaleSlope", "RescaleIntercept"))
    stored = _stored(path, header).reshape(stored_shape)
    rows = stored if stored_shape == shape else stored.T
    with np.errstate(over="ignore", invalid="ignore"):  # what is not finite is refused when all is read
        y = rows * np.float32(slope) + np.float32(intercept)
    return np.ascontiguousarray(y[:: scan.sense, :: scan.sense])


def _stored(path: Path, header: Dataset) -> np.ndarray:
    if integer(header, "BitsAllocated", path) != 16 or integer(header, "PixelRepresentation", path, 0) != 0:
        raise InputError(f"{shown(path)} has pixels that are not unsigned 16 bit; export it as DICOM-CT-PD again.")
    if header.file_meta.get("TransferSyntaxUID") not in _SYNTAXES:
        raise InputError(f"{shown(path)} is compressed or big-endian; convert it to Explicit VR Little Endian.")
    try:
        with quiet():
            content = dcmread(path, specific_tags=["PixelData"]).PixelData
    except Exception as error:  # whatever a damaged file does to the parser
        raise damaged(path, "its pixels cannot be read") from error
    if len(content) != 2 * integer(header, "Rows", path) * integer(header, "Columns", path):
        raise damaged(path, "its pixels are not as many as its header says")
    return np.frombuffer(content, "<u2")


def _check_range(folder: Path, y: np.ndarray) -> None:
    low, high = float(y.min()), float(y.max())
    if not (RANGE[0] <= low and high <= RANGE[1]):
        raise InputError(
            f"{shown(folder)} holds projections from {low:.3g} to {high:.3g}, but line integrals within "
            f"[{RANGE[0]:g}, {RANGE[1]:g}] are expected; check their RescaleSlope and RescaleIntercept."
        )
