"""Drawings of a page that stand still: the tinted sinogram as PNG, the course of the search as SVG."""

import base64
from html import escape
from io import BytesIO

import numpy as np
from numpy.typing import NDArray

from latentct.report.figures import tinted_sinogram
from latentct.report.page.content import Convergence, Sinogram

LARGEST_PX = 800  # of a side of the sinogram's picture
WIDTH, HEIGHT, LEFT, BOTTOM, TOP, RIGHT = 520, 320, 64, 48, 12, 16
MOST_POINTS = 400  # of a curve


def sinogram_png(sinogram: Sinogram) -> str:
    """Return the sinogram, synthesised rays in blue, as base64 of a PNG of at most `LARGEST_PX` a side."""
    from matplotlib.image import imsave

    steps = tuple(slice(None, None, -(-n // LARGEST_PX)) for n in sinogram.y.shape)
    shades = tinted_sinogram(sinogram.y[steps], sinogram.ray_mask[steps], float(sinogram.y.max()))
    png = BytesIO()
    imsave(png, np.rint(255 * shades).astype(np.uint8), format="png")
    return base64.b64encode(png.getvalue()).decode("ascii")


def convergence_svg(convergence: Convergence) -> str:
    """Draw the median over searches against the step, with the range of all searches as a band."""
    from matplotlib.ticker import LogLocator, MaxNLocator

    objective = np.asarray(convergence.objective, float)
    kept = np.unique(np.linspace(0, objective.shape[1] - 1, MOST_POINTS).astype(int))
    low, high = float(objective.min()), float(objective.max())
    logarithmic = high > 10 * low
    locator = LogLocator(subs=(1, 2, 5) if high < 100 * low else (1,)) if logarithmic else MaxNLocator(4)
    ticks = [float(tick) for tick in locator.tick_values(low, high)]
    bottom, top = _range_with_margin(low, high, logarithmic)

    def down(values: NDArray[np.float64]) -> NDArray[np.float64]:
        share = (_scaled(values, logarithmic) - bottom) / (top - bottom)
        return HEIGHT - BOTTOM - share * (HEIGHT - BOTTOM - TOP)

    across = LEFT + kept / max(objective.shape[1] - 1, 1) * (WIDTH - LEFT - RIGHT)
    smallest, largest = (down(bound[kept]) for bound in (objective.min(axis=0), objective.max(axis=0)))
    band = _points(np.r_[across, across[::-1]], np.r_[smallest, largest[::-1]])
    median = _points(across, down(np.median(objective, axis=0)[kept]))
    label = f"Objective against step: from {objective[:, 0].mean():.3g} to {objective[:, -1].mean():.3g} in the mean"
    return (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(label)}">'
        + "".join(_tick(tick, float(down(np.array(tick)))) for tick in ticks if low <= tick <= high)
        + f'<path class="axis" d="M{LEFT} {TOP}V{HEIGHT - BOTTOM}H{WIDTH - RIGHT}"/>'
        f'<polygon class="band" points="{band}"/><polyline class="curve" points="{median}"/>'
        f'<text x="{LEFT}" y="{HEIGHT - 24}">0</text>'
        f'<text x="{WIDTH - RIGHT}" y="{HEIGHT - 24}" text-anchor="end">{objective.shape[1] - 1}</text>'
        f'<text x="{(WIDTH + LEFT) // 2}" y="{HEIGHT - 8}" text-anchor="middle">step</text></svg>'
    )


def _scaled(values: NDArray[np.float64], logarithmic: bool) -> NDArray[np.float64]:
    return np.log10(values) if logarithmic else np.asarray(values, float)


def _range_with_margin(low: float, high: float, logarithmic: bool) -> tuple[float, float]:
    bottom, top = (float(end) for end in _scaled(np.array([low, high]), logarithmic))
    margin = 0.05 * (top - bottom) or 0.5
    return bottom - margin, top + margin


def _tick(value: float, y: float) -> str:
    line = f'<path class="grid" d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}"/>'
    return f'{line}<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{value:.3g}</text>'


def _points(x: NDArray[np.float64], y: NDArray[np.float64]) -> str:
    return " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(x, y, strict=True))
