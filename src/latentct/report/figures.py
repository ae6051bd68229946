"""Figures of reconstructions: fixed HU windows, differences, sinograms with the synthesised rays tinted."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from latentct.io.files import whole_file

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from latentct.engines import Example

TITLES = {
    "uncorrected": "uncorrected",
    "cosine": "cosine",
    "water_cylinder": "water cylinder",
    "adt": "ADT",
    "fbp": "FBP",
    "sirt": "SIRT",
    "tv": "TV",
    "tv_filled": "TV, rays filled",
    "li": "LI",
    "nmar": "NMAR",
    "unet": "U-Net",
    "unet_extrapolation": "U-Net, rays filled",
    "lsr": "LSR",
    "lsr_tv": "LSR + TV",
    "fdk": "FDK",
    "regression": "regression alone",
    "ldm": "diffusion, not aligned",
    "clsdm": "CLS-DM",
    "clsdm_consistent": "CLS-DM, consistent",
}
TINT = np.array([0.25, 0.55, 1.0])


class ComparisonFigure:
    """Draw what the scan, the reference and the methods show: images, differences to the reference, sinograms.

    Where the search has an uncertainty, it is drawn in a column of its own.

    Args:
        methods: names of the methods drawn, left to right.
        window_hu: HU shown as black and as white.
        difference_hu: HU of the full colour scale of the differences, with either sign.
        spread_hu: HU of the full colour scale of the uncertainty.
        dpi: resolution of the file.
    """

    def __init__(
        self,
        methods: Sequence[str] = ("uncorrected", "adt", "lsr"),
        window_hu: Sequence[float] = (-400.0, 400.0),
        difference_hu: float = 300.0,
        spread_hu: float = 150.0,
        dpi: int = 110,
    ) -> None:
        self.methods = tuple(methods)
        self.window_hu = (float(window_hu[0]), float(window_hu[1]))
        self.difference_hu = difference_hu
        self.spread_hu = spread_hu
        self.dpi = dpi

    def __call__(self, example: Example, path: Path) -> None:
        """Write the figure of one slice to `path`, whole or not at all."""
        from matplotlib.figure import Figure

        columns = 1 + len(self.methods) + (example.uncertainty_hu is not None)
        figure = Figure(figsize=(3.2 * columns, 9.2), layout="constrained")
        axes = figure.subplots(3, columns, height_ratios=(1, 1, 0.9))
        self._column(axes[:, 0], example, "reference: complete scan", example.reference_hu, example.sinogram)
        for column, name in enumerate(self.methods, start=1):
            image, sinogram = example.methods_hu[name], example.methods_sinogram[name]
            self._column(axes[:, column], example, TITLES.get(name, name), image, sinogram)
        if example.uncertainty_hu is not None:
            self._uncertainty(axes[:, -1], example, example.uncertainty_hu)
        low, high = self.window_hu
        axes[0, 0].set_ylabel(f"[{low:.0f}, {high:.0f}] HU")
        axes[1, 0].set_ylabel(f"difference to reference\n[-{self.difference_hu:.0f}, {self.difference_hu:.0f}] HU")
        axes[2, 0].set_ylabel("sinogram (blue: not measured)")
        for ax in axes.flat:
            ax.set_xticks([])
            ax.set_yticks([])
        with whole_file(path) as partial:
            figure.savefig(partial, format="png", dpi=self.dpi)

    def _column(
        self, axes: Sequence[Axes], example: Example, title: str, image_hu: np.ndarray, sinogram: np.ndarray
    ) -> None:
        axes[0].set_title(title, fontsize=10)
        low, high = self.window_hu
        extent = _extent(example)
        axes[0].imshow(image_hu, cmap="gray", vmin=low, vmax=high, extent=extent)
        difference = image_hu - example.reference_hu
        limit = self.difference_hu
        axes[1].imshow(difference, cmap="RdBu_r", vmin=-limit, vmax=limit, extent=extent)
        for ax in axes[:2]:
            _draw_field(ax, example.diameter_mm)
        axes[2].imshow(tinted_sinogram(sinogram, example.ray_mask, float(example.sinogram.max())), aspect="auto")

    def _uncertainty(self, axes: Sequence[Axes], example: Example, spread_hu: np.ndarray) -> None:
        axes[0].set_title(f"spread of the search\n[0, {self.spread_hu:.0f}] HU", fontsize=10)
        axes[0].imshow(spread_hu, cmap="magma", vmin=0.0, vmax=self.spread_hu, extent=_extent(example))
        _draw_field(axes[0], example.diameter_mm)
        for ax in axes[1:]:
            ax.set_axis_off()


def tinted_sinogram(y: np.ndarray, ray_mask: np.ndarray, y_max: float) -> np.ndarray:
    """Return line integrals (A, U) as RGB in [0, 1], white at `y_max`, with the rays that were not measured in blue."""
    grey = np.clip(y / max(y_max, 1e-6), 0.0, 1.0)[..., None]
    shades: np.ndarray = np.where(ray_mask[..., None], grey, 0.15 * TINT + 0.85 * grey * TINT)
    return shades


def _extent(example: Example) -> tuple[float, float, float, float]:
    """Return left, right, bottom and top of the slice in mm, its first row at the top."""
    height, width = example.extent_mm
    return (-width / 2, width / 2, height / 2, -height / 2)


def _draw_field(ax: Axes, diameter_mm: float | None) -> None:
    """Draw the field of measurement, if the task has one."""
    from matplotlib.patches import Circle

    if diameter_mm is not None:
        ax.add_patch(Circle((0, 0), diameter_mm / 2, fill=False, edgecolor="#e0b000", linewidth=0.8))
