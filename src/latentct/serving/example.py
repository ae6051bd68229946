"""A small request that any bundle can answer: to warm a model up, and to show what a request is."""

from __future__ import annotations

import math
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from latentct.geometry import ConeBeam, Grid, Scan2D
from latentct.io.scan_geometry import ScanGeometry, write_geometry
from latentct.projectors import make_projector
from latentct.serving.corrector import read_config


def input_example(bundle_root: str | os.PathLike[str]) -> dict[str, Any]:
    """Return a request to correct a disc, or a ball, of water.

    Of slices there are about 24 views of 40 bins, of which the middle quarter was measured; of volumes two views.

    Args:
        bundle_root: a staged bundle.
    """
    parser = read_config(Path(bundle_root))
    grid, mu_water = parser.get_parsed_content("grid"), parser.get_parsed_content("mu_water")
    few_views = "machine" in parser
    scan = (
        _few_views(parser.get_parsed_content("machine")) if few_views else _few_bins(parser.get_parsed_content("scan"))
    )
    y = make_projector(grid, scan)(mu_water * _ball(grid)[None, None])[0, 0]
    request = {
        "sinogram": np.round(y.double().numpy(), 3).tolist(),
        "geometry": write_geometry(ScanGeometry(scan, mu_water)),
    }
    if isinstance(scan, Scan2D):
        bins = np.arange(scan.n_bins)
        measured = (3 * scan.n_bins <= 8 * bins) & (8 * bins < 5 * scan.n_bins)
        request["ray_mask"] = np.broadcast_to(measured, scan.sinogram_shape).tolist()
    return request


def _few_bins(scan: Scan2D) -> Scan2D:
    """Return a scan with fewer views and wider bins."""
    n_bins = 40
    angles_rad = scan.angles_rad[:: max(1, scan.n_views // 24)]
    return replace(scan, angles_rad=angles_rad, n_bins=n_bins, bin_mm=scan.n_bins * scan.bin_mm / n_bins)


def _few_views(machine: ConeBeam) -> ConeBeam:
    """Return two views on a panel with larger pixels."""
    n = 12
    (n_rows, n_columns), (dv_mm, du_mm) = machine.detector_shape, machine.pixel_mm
    pixel_mm = (n_rows * dv_mm / n, n_columns * du_mm / n)
    return replace(machine, angles_rad=(0.0, math.pi / 2), detector_shape=(n, n), pixel_mm=pixel_mm)


def _ball(grid: Grid) -> Tensor:
    """Return a disc or a ball of a third of the image's smallest extent, 1 inside."""
    axes_mm = np.meshgrid(*(grid.coordinates_mm(axis) for axis in range(grid.ndim)), indexing="ij")
    inside = sum(mm**2 for mm in axes_mm) <= (min(grid.extent_mm) / 3) ** 2
    return torch.from_numpy(np.asarray(inside, dtype=np.float32))
