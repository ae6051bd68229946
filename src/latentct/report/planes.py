"""Figures of volumes: three planes of every method, their differences to the reference, the spread of samples."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from latentct.io.files import whole_file
from latentct.report.figures import TITLES

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from latentct.engines import VolumeExample

PLANES = ("axial", "coronal", "sagittal")


class ThreePlaneFigure:
    """Draw the middle axial, coronal and sagittal plane of a volume as every method shows it.

    Planes stand as radiologists read them, true to scale: patient left on the right, anterior above or on the left,
    superior above. With a reference, three more rows show the differences to it.

    Args:
        methods: names of the methods drawn, left to right; None draws all that the example has.
        window_hu: HU shown as black and as white.
        difference_hu: HU of the full colour scale of the differences, with either sign.
        spread_hu: HU of the full colour scale of the standard deviation of the samples.
        dpi: resolution of the file.
    """

    def __init__(
        self,
        methods: Sequence[str] | None = None,
        window_hu: Sequence[float] = (-400.0, 400.0),
        difference_hu: float = 400.0,
        spread_hu: float = 200.0,
        dpi: int = 90,
    ) -> None:
        self.methods = None if methods is None else tuple(methods)
        self.window_hu = (float(window_hu[0]), float(window_hu[1]))
        self.difference_hu = difference_hu
        self.spread_hu = spread_hu
        self.dpi = dpi

    def __call__(self, example: VolumeExample, path: Path) -> None:
        """Write the figure of one volume to `path`, whole or not at all.

        Raises:
            KeyError: a method to draw was not run.
        """
        from matplotlib.figure import Figure

        volumes = self._volumes(example)
        has_reference, has_spread = example.reference_hu is not None, example.std_hu is not None
        n_rows, n_columns = 3 * (1 + has_reference), len(volumes) + has_spread
        heights = _heights_mm(example)
        scale = 3.0 / max(example.grid.extent_mm)
        figure = Figure(
            figsize=(3.0 * n_columns + 0.6, scale * sum(heights) * (n_rows // 3) + 0.3 * n_rows), layout="constrained"
        )
        axes = figure.subplots(n_rows, n_columns, squeeze=False, height_ratios=heights * (n_rows // 3))
        for ax in axes.flat:
            ax.set_axis_off()
        limits = (-self.difference_hu, self.difference_hu)
        for column, (title, x_hu) in enumerate(volumes.items()):
            axes[0, column].set_title(title, fontsize=10)
            _draw(axes[:3, column], x_hu, example, "gray", self.window_hu)
            if example.reference_hu is not None and column > 0:
                _draw(axes[3:, column], x_hu - example.reference_hu, example, "RdBu_r", limits)
        if example.std_hu is not None:
            axes[0, -1].set_title(f"standard deviation of\nthe samples, [0, {self.spread_hu:.0f}] HU", fontsize=10)
            _draw(axes[:3, -1], example.std_hu, example, "magma", (0.0, self.spread_hu))
        self._label(axes)
        with whole_file(path) as partial:
            figure.savefig(partial, format="png", dpi=self.dpi, bbox_inches="tight")

    def _volumes(self, example: VolumeExample) -> dict[str, NDArray[np.floating]]:
        """Return what is drawn as images by title, the reference first where there is one."""
        names = example.methods_hu if self.methods is None else self.methods
        drawn = {} if example.reference_hu is None else {"reference": example.reference_hu}
        return drawn | {TITLES.get(name, name): example.methods_hu[name] for name in names}

    def _label(self, axes: NDArray[Any]) -> None:
        """Write plane and scale beside the first column of images and of differences."""
        low, high = self.window_hu
        limit = self.difference_hu
        for row, plane in enumerate(PLANES):
            _write_beside(axes[row, 0], f"{plane}\n[{low:.0f}, {high:.0f}] HU")
            if len(axes) > 3:
                _write_beside(axes[3 + row, 0], f"{plane}\ndifference\n[-{limit:.0f}, {limit:.0f}] HU")


def middle_planes(volume: NDArray[np.floating]) -> tuple[NDArray[np.floating], ...]:
    """Return the axial (y, x), coronal (z, x) and sagittal (z, y) plane through the middle of a volume (z, y, x).

    The first row is anterior in the axial plane and superior in the other two.
    """
    z, y, x = (n // 2 for n in volume.shape)
    return volume[z], volume[::-1, y], volume[::-1, :, x]


def _draw(
    axes: NDArray[Any], volume: NDArray[np.floating], example: VolumeExample, cmap: str, limits: tuple[float, float]
) -> None:
    dz_mm, dy_mm, dx_mm = example.grid.extent_mm
    extents = ((dx_mm, dy_mm), (dx_mm, dz_mm), (dy_mm, dz_mm))
    for ax, plane, (width, height) in zip(axes, middle_planes(volume), extents, strict=True):
        ax.set_axis_on()
        ax.set_xticks([])
        ax.set_yticks([])
        extent = (-width / 2, width / 2, height / 2, -height / 2)
        ax.imshow(plane, extent=extent, cmap=cmap, vmin=limits[0], vmax=limits[1])


def _heights_mm(example: VolumeExample) -> list[float]:
    depth, height, _ = example.grid.extent_mm
    return [height, depth, depth]


def _write_beside(ax: Axes, text: str) -> None:
    """Write a row's name at the left; the reference has no difference, and its place stays empty but for the name."""
    ax.set_axis_on()
    ax.set_ylabel(text, fontsize=9)
    ax.set_xticks([])
    ax.set_yticks([])
    if not ax.images:
        ax.spines[:].set_visible(False)
