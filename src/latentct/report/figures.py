"""Figures of reconstructions: fixed HU windows, differences, sinograms with the synthesised rays tinted."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

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
    "lsr": "LSR",
}
TINT = np.array([0.25, 0.55, 1.0])


class ComparisonFigure:
    """Draw what the scan, the reference and the methods show: images, differences to the reference, sinograms.

    Args:
        methods: names of the methods drawn, left to right.
        window_hu: HU shown as black and as white.
        difference_hu: HU of the full colour scale of the differences, with either sign.
        dpi: resolution of the file.
    """

    def __init__(
        self,
        methods: Sequence[str] = ("uncorrected", "adt", "lsr"),
        window_hu: Sequence[float] = (-400.0, 400.0),
        difference_hu: float = 300.0,
        dpi: int = 110,
    ) -> None:
        self.methods = tuple(methods)
        self.window_hu = (float(window_hu[0]), float(window_hu[1]))
        self.difference_hu = difference_hu
        self.dpi = dpi

    def __call__(self, example: Example, path: Path) -> None:
        """Write the figure of one slice to `path`, whole or not at all."""
        from matplotlib.figure import Figure

        columns = 1 + len(self.methods)
        figure = Figure(figsize=(3.2 * columns, 9.2), layout="constrained")
        axes = figure.subplots(3, columns, height_ratios=(1, 1, 0.9))
        self._column(axes[:, 0], example, "reference: FBP of the complete scan", example.reference_hu, example.sinogram)
        for column, name in enumerate(self.methods, start=1):
            image, sinogram = example.methods_hu[name], example.methods_sinogram[name]
            self._column(axes[:, column], example, TITLES.get(name, name), image, sinogram)
        low, high = self.window_hu
        axes[0, 0].set_ylabel(f"[{low:.0f}, {high:.0f}] HU")
        axes[1, 0].set_ylabel(f"difference to reference\n[-{self.difference_hu:.0f}, {self.difference_hu:.0f}] HU")
        axes[2, 0].set_ylabel("sinogram (blue: not measured)")
        with whole_file(path) as partial:
            figure.savefig(partial, format="png", dpi=self.dpi)

    def _column(
        self, axes: Sequence[Axes], example: Example, title: str, image_hu: np.ndarray, sinogram: np.ndarray
    ) -> None:
        from matplotlib.patches import Circle

        height, width = example.extent_mm
        extent = (-width / 2, width / 2, height / 2, -height / 2)
        axes[0].set_title(title, fontsize=10)
        low, high = self.window_hu
        axes[0].imshow(image_hu, cmap="gray", vmin=low, vmax=high, extent=extent)
        difference = image_hu - example.reference_hu
        limit = self.difference_hu
        axes[1].imshow(difference, cmap="RdBu_r", vmin=-limit, vmax=limit, extent=extent)
        for ax in axes[:2]:
            ax.add_patch(Circle((0, 0), example.diameter_mm / 2, fill=False, edgecolor="#e0b000", linewidth=0.8))
        axes[2].imshow(tinted_sinogram(sinogram, example.ray_mask, float(example.sinogram.max())), aspect="auto")
        for ax in axes:
            ax.set_xticks([])
            ax.set_yticks([])


def tinted_sinogram(y: np.ndarray, ray_mask: np.ndarray, y_max: float) -> np.ndarray:
    """Return line integrals (A, U) as RGB in [0, 1], white at `y_max`, with the rays that were not measured in blue."""
    grey = np.clip(y / max(y_max, 1e-6), 0.0, 1.0)[..., None]
    shades: np.ndarray = np.where(ray_mask[..., None], grey, 0.15 * TINT + 0.85 * grey * TINT)
    return shades


def convergence_figure(trace: np.ndarray, path: Path) -> None:
    """Draw the root of the objective of every slice (steps, S) against the step, and their median."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5.5, 3.5), layout="constrained")
    ax: Any = figure.subplots()
    ax.semilogy(trace, color="#9db4d0", linewidth=0.7)
    ax.semilogy(np.median(trace, axis=1), color="#1f4e8c", linewidth=1.8, label="median of the slices")
    ax.set_xlabel("step")
    ax.set_ylabel("root of the objective (line integrals)")
    ax.legend(frameon=False)
    with whole_file(path) as partial:
        figure.savefig(partial, format="png", dpi=110)
