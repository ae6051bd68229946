"""Scans, grids, backends and the one table of tolerances of the projector tests."""

import math

import numpy as np
import torch

from latentct.geometry import ConeBeam, FanBeam, Grid, ParallelBeam, Scan, VectorConeBeam
from latentct.geometry.scan import as_vectors
from latentct.projectors import Projector, make_projector

#: Relative errors that are allowed, and why they are not smaller.
TOLERANCE = {
    "adjoint float32": 1e-5,  # rounding of float32 sums
    "adjoint float64": 1e-12,  # rounding of float64 sums
    "gradient": 1e-5,  # the same operations in another order
    "backends": 1e-5,  # float32 against float64
    "astra": 0.02,  # another treatment of the interpolation along the ray
    "analytic": 0.02,  # the disk is rastered
}

BACKENDS = ("numba", "torch")

PLANE_GRID = Grid((44, 52), (2.0, 1.7), (4.0, -6.0))
VOLUME_GRID = Grid((18, 22, 26), (2.0, 1.6, 1.8), (-2.0, 3.0, -4.0))


def tumbling_cone(n_views: int) -> VectorConeBeam:
    """A cone beam turned arbitrarily in every view, so that rays step along all three axes."""
    rng = np.random.default_rng(5)
    parts = ((0.0, -120.0, 0.0), (3.0, 90.0, -2.0), (3.1, 0.0, 0.2), (0.0, 0.0, 2.9))
    turns = [np.linalg.qr(rng.normal(size=(3, 3)))[0] for _ in range(n_views)]
    return VectorConeBeam(*(as_vectors(np.array([turn @ part for turn in turns])) for part in parts), (14, 20))


FLAT = FanBeam.equally_spaced(24, 2 * math.pi, 70, 3.1, sod_mm=180.0, sdd_mm=320.0, start_rad=0.2)
SCANS: dict[str, Scan] = {
    "parallel": ParallelBeam.equally_spaced(32, math.pi, 70, 1.6),
    "parallel_offset": ParallelBeam.equally_spaced(20, 2 * math.pi, 40, 1.6, offset_mm=21.0, start_rad=-0.3),
    "fan_flat": FLAT,
    "fan_flat_offset": FanBeam.equally_spaced(20, 4.0, 40, 3.1, 180.0, 320.0, offset_mm=-30.0),
    "fan_curved": FanBeam.equally_spaced(24, 2 * math.pi, 70, 3.1, 180.0, 320.0, offset_mm=4.0, curved=True),
    "cone": ConeBeam.equally_spaced(8, 2 * math.pi, (14, 20), (4.0, 4.2), 150.0, 260.0, offset_mm=(3.0, -5.0)),
    "cone_tumbling": tumbling_cone(6),
}
PLANE_SCANS = tuple(name for name, scan in SCANS.items() if len(scan.sinogram_shape) == 2)
CASES = tuple((backend, name) for backend in BACKENDS for name in SCANS)


def build(backend: str, name: str) -> Projector:
    """The projector of a named scan on the grid of its dimension."""
    return make_projector(PLANE_GRID if name in PLANE_SCANS else VOLUME_GRID, SCANS[name], backend)


def random_pair(projector: Projector, batch: int, dtype: torch.dtype) -> tuple[torch.Tensor, torch.Tensor]:
    """A random image and a random sinogram of a projector, with a channel axis."""
    generator = torch.Generator().manual_seed(0)
    return (
        torch.randn(batch, 1, *projector.grid.shape, generator=generator, dtype=dtype),
        torch.randn(batch, 1, *projector.scan.sinogram_shape, generator=generator, dtype=dtype),
    )


def relative_error(found: torch.Tensor, expected: torch.Tensor) -> float:
    """Norm of the difference over the norm of what is expected, in float64."""
    found, expected = found.double(), expected.double()
    return float((found - expected).norm() / expected.norm())


def blob(grid: Grid, at_mm: tuple[float, ...], sd_mm: float) -> torch.Tensor:
    """A Gaussian of height 1 at a point (z,) y, x, shape (1, 1, *grid.shape)."""
    axes = [grid.coordinates_mm(axis) - at for axis, at in enumerate(at_mm)]
    square = sum(np.square(axis) for axis in np.meshgrid(*axes, indexing="ij", sparse=True))
    return torch.tensor(np.exp(-square / (2 * sd_mm**2)), dtype=torch.float32)[None, None]
