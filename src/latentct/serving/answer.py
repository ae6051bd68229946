"""From a request to the answer that is sent back."""

from __future__ import annotations

import base64
import hashlib
from io import BytesIO
from typing import Any

import numpy as np

from latentct.errors import InputError
from latentct.io.nifti import nifti_bytes
from latentct.io.projections import projections_of
from latentct.io.scan_geometry import ScanGeometry, read_geometry
from latentct.serving.archive import read_npz
from latentct.serving.correction import Correction
from latentct.serving.corrector import Corrector
from latentct.serving.limits import check_scan_size
from latentct.serving.numbers import booleans, numbers
from latentct.serving.request import ScanRequest
from latentct.serving.source import read_source
from latentct.serving.volume_file import read_nifti


def answered(corrector: Corrector, request: ScanRequest) -> dict[str, Any]:
    """Correct the scan of a request.

    Returns:
        What can be sent as JSON: `scan`, "measured" or "virtual"; `shape`, `spacing_mm` and `affine_lps_mm` of the
        image; `synthesised_share` of the rays; `misfit`; `summary`; `model`; and the image and what was synthesised, as
        lists (`image_hu`, `synthesised_rays`) or as files in base64 (`npz`, `nifti`).

    Raises:
        InputError: the request cannot be served.
    """
    if request.sinogram is not None:
        return _answer(corrector, _from_lists(corrector, request), "measured", request.answer or "lists")
    content, kind, name = read_source(request)
    if kind == "npz":
        return _answer(corrector, _from_npz(corrector, request, content, name), "measured", request.answer or "npz")
    if request.geometry is not None or request.ray_mask is not None:
        raise InputError(
            "geometry and ray_mask go with measured rays, but an image is scanned by the bundle's own protocol; leave "
            "them out."
        )
    voxels, affine = read_nifti(content, name)
    correction = corrector.method.correct_image(voxels, affine, hashlib.sha256(content).hexdigest())
    return _answer(corrector, correction, "virtual", request.answer or "nifti")


def _from_lists(corrector: Corrector, request: ScanRequest) -> Correction:
    assert request.sinogram is not None
    geometry = corrector.method.geometry
    if request.geometry is not None:
        geometry = read_geometry(request.geometry, "of the request")
        check_scan_size(geometry.scan, "geometry")
    array = numbers(request.sinogram, geometry.scan, "sinogram")
    return _measured(corrector, request, array, geometry, "the line integrals of sinogram")


def _from_npz(corrector: Corrector, request: ScanRequest, content: bytes, name: str) -> Correction:
    if request.geometry is not None:
        raise InputError("geometry is in the NPZ file already; leave it out.")
    return _measured(corrector, request, *read_npz(content, name), f"{name}: projections")


def _measured(corrector: Corrector, request: ScanRequest, array: Any, geometry: ScanGeometry, name: str) -> Correction:
    corrector.method.check(geometry, "geometry")
    mask = None if request.ray_mask is None else booleans(request.ray_mask, geometry.scan, "ray_mask")
    return corrector.method.correct(projections_of(array, geometry, name), mask)


def _answer(corrector: Corrector, correction: Correction, scan: str, form: str) -> dict[str, Any]:
    if not np.isfinite(correction.misfit).all():
        raise InputError("the scan gives no finite image; check its geometry, and that the rays fit to it.")
    affine = correction.affine_lps_mm
    answer = {
        "scan": scan,
        "shape": list(correction.x_hu.shape),
        "spacing_mm": [float(mm) for mm in np.linalg.norm(affine[:3, :3], axis=0)],
        "affine_lps_mm": affine.tolist(),
        "synthesised_share": 1.0 - float(correction.ray_mask.mean()),
        "misfit": correction.misfit.tolist(),
        "summary": correction.sentence,
        "model": corrector.model,
    }
    if scan == "virtual":
        answer["summary"] = f"The scan was simulated from the image that was sent. {correction.sentence}"
    if form == "lists":
        std_hu = correction.x_std_hu
        lists = {"image_hu": correction.x_hu.tolist(), "synthesised_rays": (~correction.ray_mask).tolist()}
        return answer | lists | ({} if std_hu is None else {"std_hu": np.round(std_hu, 1).tolist()})
    files = {"npz": _text(_npz(correction, with_image=form == "npz"))}
    return answer | files | ({"nifti": _text(nifti_bytes(correction.x_hu, affine))} if form == "nifti" else {})


def _npz(correction: Correction, with_image: bool) -> bytes:
    """Return the arrays of a correction; beside a NIfTI file without the image."""
    arrays: dict[str, Any] = {
        "synthesised_rays": ~correction.ray_mask,
        "line_integrals": correction.y_hat,
        "misfit": correction.misfit,
    }
    if correction.x_std_hu is not None:
        arrays["std_hu"] = correction.x_std_hu
    if with_image:
        arrays |= {"image_hu": correction.x_hu, "affine_lps_mm": correction.affine_lps_mm}
    file = BytesIO()
    np.savez_compressed(file, **arrays)
    return file.getvalue()


def _text(content: bytes) -> str:
    return base64.b64encode(content).decode("ascii")
