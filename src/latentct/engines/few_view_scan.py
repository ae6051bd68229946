"""Patients to reconstruct from few views: volumes that are scanned in simulation, or projections that were measured."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.engines.utils import PrepareBatch
from numpy.typing import NDArray
from torch import Tensor

from latentct import keys as K
from latentct.engines.few_view import noisy_scans
from latentct.engines.measurement import HeldBack, Measurement
from latentct.geometry import ConeBeam, Grid, VectorConeBeam
from latentct.io.manifest import check_hashes, datalist, long_volumes
from latentct.io.nifti import LPS_FROM_RAS, grid_affine_lps_mm
from latentct.io.projections import check_scan, read_projections
from latentct.projectors import make_projector
from latentct.simulate import acquire
from latentct.units import hu_to_mu

VIEWS = (2, 16)
"""Least and largest number of views."""


def few_view_items(
    projections: str | os.PathLike[str] | None,
    manifest: str | os.PathLike[str],
    split: str,
    dataset_dir: str | os.PathLike[str] | None,
    groups: Sequence[str],
    least_mm: float,
    limit: int | None = None,
) -> list[dict[str, Any]]:
    """List what is to be reconstructed: one folder of projections, or the volumes of a split.

    Args:
        projections: folder or NPZ file, see `latentct.io.projections`; None takes the volumes.
        manifest: of the volumes.
        split: of the volumes.
        dataset_dir: folder that the manifest's paths start from; None takes that of the environment.
        groups: groups of volumes taken.
        least_mm: least length of a volume along z.
        limit: number of volumes, evenly spaced among them; None takes all.

    Raises:
        InputError: the manifest or a file is bad, a file is not the one listed, or no volume is left.
    """
    if projections is not None:
        return [{K.PROJECTIONS: os.fspath(projections)}]
    volumes = long_volumes(datalist(manifest, split, dataset_dir), groups, least_mm)
    if limit is not None and limit < len(volumes):
        volumes = [volumes[i * len(volumes) // limit] for i in range(limit)]
    check_hashes(volumes)
    return volumes


@dataclass(frozen=True)
class FewViewScan:
    """The views of one patient and where they belong.

    Attributes:
        name: name of the patient's files.
        measurement: line integrals (1, 1, A, V, U), all measured, and where.
        affine_lps_mm: from voxel indices (z, y, x) to the patient's LPS world.
        held_back: the volume in HU (1, 1, D, H, W), where there is one, closed until outputs are frozen.
    """

    name: str
    measurement: Measurement
    affine_lps_mm: NDArray[np.float64]
    held_back: HeldBack


class PatientPrepareBatch(PrepareBatch):
    """Scan the volume of a batch in simulation, or read its projections; `scan` is that of the newest batch.

    Projections are brought to the attenuation of water that the networks know: they are multiplied by the ratio of it
    to that of their own beam, as if the energy were the networks'.

    Args:
        grid: voxels of the networks.
        scan: geometry of the simulated scans.
        mu_water: attenuation of water of the networks and of simulated scans, in 1/mm.
        i0_photons: photons a pixel without object in simulated scans; None scans without noise.
        seed: of the noise.
    """

    def __init__(
        self, grid: Grid, scan: ConeBeam | VectorConeBeam, mu_water: float, i0_photons: float | None, seed: int = 0
    ) -> None:
        self.grid = grid
        self.geometry = scan
        self.mu_water = mu_water
        self.i0_photons = i0_photons
        self.seed = seed
        self.scan: FewViewScan | None = None

    def __call__(
        self,
        batchdata: Mapping[str, Any],
        device: str | torch.device | None = None,
        non_blocking: bool = False,
        **kwargs: Any,
    ) -> tuple[Tensor, None, tuple[()], dict[str, Any]]:
        """Return line integrals (1, 1, A, V, U), no target, and what the inferer needs besides.

        Raises:
            InputError: projections or their geometry are bad, or the views cannot be used.
        """
        device = torch.device(device or "cpu")
        if K.PROJECTIONS in batchdata:
            self.scan = self._measured(str(batchdata[K.PROJECTIONS][0]), device)
        else:
            self.scan = self._simulated(batchdata, device)
        measurement = self.scan.measurement
        arguments = {"projector": measurement.projector, "ray_mask": measurement.ray_mask.clone()}
        return measurement.y.clone(), None, (), arguments

    def _measured(self, path: str, device: torch.device) -> FewViewScan:
        projections = read_projections(path)
        geometry = projections.geometry
        check_scan(geometry.scan, self.grid, VIEWS, f"projections {path}")
        y = torch.from_numpy(projections.y * np.float32(self.mu_water / geometry.mu_water))[None, None].to(device)
        projector = make_projector(self.grid, geometry.scan, "auto", device)
        affine_lps_mm = grid_affine_lps_mm(self.grid, geometry.isocenter_mm)
        return FewViewScan(Path(path).resolve().stem, Measurement.complete(y, projector), affine_lps_mm, HeldBack({}))

    def _simulated(self, batchdata: Mapping[str, Any], device: torch.device) -> FewViewScan:
        check_scan(self.geometry, self.grid, VIEWS, "the scan")
        volume = batchdata[K.IMAGE]
        x_hu = torch.as_tensor(volume.array if hasattr(volume, "array") else volume).float()
        projector = make_projector(self.grid, self.geometry, "auto", device)
        x_mu = hu_to_mu(x_hu.to(device), self.mu_water)
        if self.i0_photons is None:
            y = acquire(x_mu, projector)
        else:
            generator = torch.Generator().manual_seed(self.seed + int(str(batchdata["sha256"][0])[:8], 16))
            y = noisy_scans(x_mu, projector, self.i0_photons, [generator])
        name = Path(volume.meta["filename_or_obj"][0]).name.removesuffix(".gz").removesuffix(".nii")
        affine_lps_mm = LPS_FROM_RAS @ np.asarray(volume.affine, dtype=np.float64).reshape(4, 4)
        return FewViewScan(name, Measurement.complete(y, projector), affine_lps_mm, HeldBack({K.IMAGE: x_hu}))
