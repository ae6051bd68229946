"""Print the seconds that the first calls of a process take, as JSON; `projectors.py` runs this in a fresh process.

The machine code is on disk if the same kernels have run before. `import` is that of the package with torch and numba.
"""

import time

START = time.perf_counter()

import json  # noqa: E402
from collections.abc import Callable  # noqa: E402

import torch  # noqa: E402

from latentct.geometry import ConeBeam, FanBeam, Grid  # noqa: E402
from latentct.projectors import make_projector  # noqa: E402
from latentct.recon import fbp  # noqa: E402

SECONDS = {"import": time.perf_counter() - START}


def _timed(name: str, work: Callable[[], torch.Tensor]) -> torch.Tensor:
    start = time.perf_counter()
    result = work()
    SECONDS[name] = time.perf_counter() - start
    return result


def main() -> None:
    """Project and back-project once in small geometries, so that only what comes first takes time."""
    plane, volume = Grid((16, 16), (1.0, 1.0)), Grid((8, 8, 8), (1.0, 1.0, 1.0))
    fan = FanBeam.equally_spaced(8, 6.28, 24, 2.0, 100.0, 200.0)
    cone = ConeBeam.equally_spaced(4, 6.28, (12, 12), (2.0, 2.0), 100.0, 200.0)
    for name, grid, scan in (("plane", plane, fan), ("cone", volume, cone)):
        x = torch.ones(1, 1, *grid.shape)
        projector = _made(name, grid, scan)
        y = _timed(f"{name} forward", lambda projector=projector, x=x: projector(x))
        _timed(f"{name} adjoint", lambda projector=projector, y=y: projector.adjoint(y))
    _timed("fbp", lambda: fbp(torch.ones(1, 1, *fan.sinogram_shape), plane, fan))
    print(json.dumps(SECONDS))


def _made(name: str, grid: Grid, scan: FanBeam | ConeBeam) -> object:
    start = time.perf_counter()
    projector = make_projector(grid, scan)
    SECONDS[f"{name} geometry"] = time.perf_counter() - start
    return projector


if __name__ == "__main__":
    main()
