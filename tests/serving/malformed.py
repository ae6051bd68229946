"""Requests that a server must refuse, each with words that its sentence must have."""

import base64
import gzip
import io
import json
import os
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np

#: Megabytes that the server is told to accept.
MAX_MB = 8
#: A text that no answer may repeat.
PATIENT = "DOE^JANE"

Body = dict[str, Any]
Case = tuple[str, Any, str]


def malformed(example: Body, root: Path, outside: Path) -> Iterator[Case]:
    """Give name, body and words of each.

    Args:
        example: a good request of lists.
        root: folder that the server opens to requests.
        outside: folder beside it.
    """
    yield from _shapes_of_messages(example)
    yield from _lists(example)
    yield from _geometries(example)
    yield from _archives(example)
    yield from _images()
    yield from _paths(root, outside)


def _shapes_of_messages(example: Body) -> Iterator[Case]:
    yield "inputs is no list", {"inputs": 3}, "inputs is a number"
    yield "no scan", {"inputs": []}, "inputs has 0 scans"
    yield "too many scans", {"inputs": [example] * 17}, "inputs has 17 scans"
    yield "a scan is text", {"inputs": [PATIENT]}, "the request is text"
    yield "empty request", one({}), "the request has no scan, but exactly one of"
    yield "two scans at once", one(example | {"scan_uri": "a.npz"}), "the request has sinogram and scan_uri, but"
    yield "unknown key", one({"sinogramm": [[1.0]]}), "did you mean 'sinogram'?"
    yield "unknown answer", one(example | {"answer": "dicom"}), "answer of the request is not known"
    yield "wrong type", one({"scan_uri": 5}), "scan_uri of the request is a number"
    yield "the second of two is bad", {"inputs": [example, {}]}, "inputs[1] has no scan"


def _lists(example: Body) -> Iterator[Case]:
    y, mask = example["sinogram"], example["ray_mask"]
    yield "sinogram is text", one(example | {"sinogram": PATIENT}), "sinogram of the request is text"
    yield "wrong shape", one(example | {"sinogram": [[1.0, 2.0]]}), "sinogram has shape (1, 2)"
    yield "no view", one(example | {"sinogram": []}), "sinogram has shape (0"
    yield "uneven rows", one(example | {"sinogram": [*y[:-1], y[-1][:-1]]}), "sinogram holds lists of different lengths"
    yield "text among numbers", one(example | {"sinogram": changed(y, PATIENT)}), "sinogram holds something other than"
    yield "NaN", one(example | {"sinogram": changed(y, float("nan"))}), "sinogram hold values that are not finite"
    yield "infinity", one(example | {"sinogram": changed(y, float("inf"))}), "sinogram hold values that are not finite"
    yield (
        "a number of 400 digits",
        one(example | {"sinogram": changed(y, 10**400)}),
        "sinogram holds a number that is too",
    )
    yield "no line integrals", one(example | {"sinogram": changed(y, 5000.0)}), "sinogram reach from"
    yield (
        "ray mask all false",
        one(example | {"ray_mask": [[False] * len(row) for row in mask]}),
        "ray_mask says that no",
    )
    yield "ray mask of numbers", one(example | {"ray_mask": changed(mask, 1)}), "ray_mask holds something other than"
    yield "ray mask of another shape", one(example | {"ray_mask": mask[:-1]}), "ray_mask has shape"


def _geometries(example: Body) -> Iterator[Case]:
    geometry = example["geometry"]
    bomb = "a: &a [x, x]\n" + "".join(f"{b}: &{b} [*{a}, *{a}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True))
    cone = (
        "mu_water: 0.02\ndetector_shape: [6, 8]\n"
        "circle: {angles_deg: [0, 90], sod_mm: 800, sdd_mm: 1200, pixel_mm: [60, 80]}\n"
    )
    huge = "mu_water: 0.02\nparallel: {angles_deg: [0, 90], bins: 100000, bin_mm: 1}\n"
    vast = geometry.replace("slice_mm: 1.0", "slice_mm: 1.0\n  image: {shape: [30000, 30000], spacing_mm: [1, 1]}")
    broken = geometry.replace("bins: 40", f"bins: '{PATIENT}'")
    yield (
        "geometry is no YAML",
        one(example | {"geometry": f"parallel: [{PATIENT}"}),
        "geometry of the request is no YAML",
    )
    yield "geometry breaks the schema", one(example | {"geometry": broken}), "at $.parallel.bins"
    yield "geometry of aliases", one(example | {"geometry": bomb}), "aliases"
    yield "geometry of a cone beam", one({"sinogram": np.zeros((2, 6, 8)).tolist(), "geometry": cone}), "a cone beam"
    tiny, shifted = (
        geometry.replace("bin_mm: 20.0", "bin_mm: 0.01"),
        geometry.replace("offset_mm: 0.0", "offset_mm: 9000"),
    )
    turns = {"mu_water": 0.02, "parallel": {"angles_deg": [30, 1000000], "bins": 6, "bin_mm": 10}}
    yield (
        "thousands of turns",
        one({"sinogram": np.ones((2, 6)).tolist(), "geometry": json.dumps(turns)}),
        "angles of more",
    )
    same = {"mu_water": 0.02, "parallel": {"angles_deg": [30, 390], "bins": 6, "bin_mm": 10}}
    yield (
        "one angle",
        one({"sinogram": np.ones((2, 6)).tolist(), "geometry": json.dumps(same)}),
        "geometry has views from one",
    )
    yield "bins of ten micrometres", one(example | {"geometry": tiny}), "geometry has bin_mm 0.01"
    yield "a detector beside the patient", one(example | {"geometry": shifted}), "geometry has offset_mm 9000"
    yield "an image of 30000 by 30000", one(example | {"geometry": vast}), "30000 pixels along a side of the image"
    yield "geometry of 100000 bins", one(example | {"geometry": huge}), "100000 detector elements"


def _archives(example: Body) -> Iterator[Case]:
    geometry = np.array(example["geometry"])
    y = np.array([example["sinogram"]], np.float32)
    objects = np.array([[{PATIENT: 1}]], dtype=object)
    claims = {"projections.npy": npy_header((10**6, 10**6)), "geometry.npy": npy(geometry)}
    bomb = {"projections.npy": npy(np.zeros(32 * 10**6, np.uint8)), "geometry.npy": npy(geometry)}
    lying = {"projections.npy": npy_header((9, *y.shape[1:])), "geometry.npy": npy(geometry)}
    stack = {"projections.npy": npy(np.zeros((513, *y.shape[1:]))), "geometry.npy": npy(geometry)}
    yield "base64 without format", one({"scan_base64": "AAAA"}), "format of the request is missing"
    yield "bad base64", npz(f"{PATIENT}!"), "scan_base64 is no base64"
    yield "no archive", npz(b"PK\x03\x04 nothing"), "scan_base64 cannot be read as an NPZ file"
    yield "no geometry", npz({"projections.npy": npy(y)}), "geometry is missing"
    yield (
        "pickled projections",
        npz({"projections.npy": npy(objects), "geometry.npy": npy(geometry)}),
        "holds Python objects",
    )
    yield "pickled geometry", npz({"projections.npy": npy(y), "geometry.npy": npy(objects)}), "holds Python objects"
    yield "a million by a million", npz(claims), "projections says it is larger than its content"
    yield "less than it says", npz(lying), "projections says it is larger than its content"
    yield "zip bomb", npz(bomb), "projections has shape (32000000)"
    yield "too many slices", npz(stack), "projections has 513 slices"
    yield "two geometries", one(npz({})["inputs"][0] | {"geometry": example["geometry"]}), "geometry is in the NPZ file"
    yield "too large", npz(os.urandom(MAX_MB * 10**6 + 3)), "scan_base64 takes"


def _images() -> Iterator[Case]:
    image = nib.Nifti1Image(np.zeros((16, 16, 2), np.int16), np.eye(4))
    image.header["descrip"] = PATIENT
    good = image.to_bytes()
    nan = nib.Nifti1Image(np.full((16, 16, 2), np.nan, np.float32), np.eye(4)).to_bytes()
    yield "no NIfTI", nifti(b"not an image"), "scan_base64 is no NIfTI file"
    yield "voxels are missing", nifti(good[:-9]), "scan_base64 cannot be read as NIfTI"
    yield "a broken gzip stream", nifti(gzip.compress(good)[:-40]), "scan_base64 cannot be read as NIfTI"
    yield (
        "an image of 32000 cubed",
        nifti(gzip.compress(with_shape(good, 32000, 32000, 32000))),
        "32000 voxels along a side",
    )
    yield (
        "an image of 600 MB",
        nifti(gzip.compress(with_shape(good, 512, 512, 600))),
        "scan_base64 takes 629145600 bytes",
    )
    yield "a time series", nifti(with_shape(good, 16, 16, 2, 7)), "one 3-D volume"
    loud = nib.Nifti1Image(np.full((16, 16, 2), 1e30, np.float32), np.eye(4)).to_bytes()
    yield "an image of 1e30 HU", nifti(loud), "scan_base64 holds values beyond 100000"
    yield "NaN in an image", nifti(nan), "scan_base64 holds values that are not finite"
    mask = {"ray_mask": [[True]]}
    yield "a mask with an image", one(nifti(good)["inputs"][0] | mask), "geometry and ray_mask go with measured rays"


def _paths(root: Path, outside: Path) -> Iterator[Case]:
    secret = outside / "secret.npz"
    secret.write_bytes(b"x")
    (root / "link.npz").symlink_to(secret)
    (root / "folder.npz").mkdir()
    (root / "large.npz").write_bytes(bytes(MAX_MB * 10**6 + 1))
    (root / "scan.dcm").write_bytes(b"x")
    nowhere = "scan_uri leads to no file in the folder"
    yield "a path up", one({"scan_uri": f"../{outside.name}/secret.npz"}), nowhere
    yield "an escaped path up", one({"scan_uri": f"file://{root}/%2e%2e/{outside.name}/secret.npz"}), nowhere
    yield "an absolute path", one({"scan_uri": str(secret)}), nowhere
    yield "a link out", one({"scan_uri": "link.npz"}), nowhere
    yield "a folder", one({"scan_uri": "folder.npz"}), nowhere
    yield "no file", one({"scan_uri": f"{PATIENT}.npz"}), nowhere
    yield "a null character", one({"scan_uri": "a\0.npz"}), nowhere
    yield "another machine", one({"scan_uri": "file://example.org/a.npz"}), "scan_uri is of another scheme"
    yield "another scheme", one({"scan_uri": "http://169.254.169.254/a.npz"}), "scan_uri is of another scheme"
    yield "a large file", one({"scan_uri": "large.npz"}), "scan_uri takes 8000001 bytes"
    yield "an unknown kind", one({"scan_uri": "scan.dcm"}), "scan_uri ends in none of"


def one(request: Body) -> Body:
    return {"inputs": [request]}


def npz(content: Any) -> Body:
    """A request with an archive: its text, its bytes, or its files by name."""
    if isinstance(content, dict):
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, part in content.items():
                archive.writestr(name, part)
        content = file.getvalue()
    text = content if isinstance(content, str) else base64.b64encode(content).decode()
    return one({"scan_base64": text, "format": "npz"})


def nifti(content: bytes) -> Body:
    return one({"scan_base64": base64.b64encode(content).decode(), "format": "nifti"})


def npy(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, array, allow_pickle=True)
    return file.getvalue()


def npy_header(shape: tuple[int, ...]) -> bytes:
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, {"descr": "<f8", "fortran_order": False, "shape": shape})
    return file.getvalue() + bytes(16)


def with_shape(content: bytes, *shape: int) -> bytes:
    """A NIfTI file whose header claims another shape."""
    dimensions = np.array([len(shape), *shape, *[1] * (7 - len(shape))], "<i2")
    return content[:40] + dimensions.tobytes() + content[56:]


def changed(rows: list[list[Any]], value: Any) -> list[list[Any]]:
    copy = json.loads(json.dumps(rows))
    copy[1][2] = value
    return copy
