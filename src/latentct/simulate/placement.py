"""Where implants go: into the teeth or the bone of a real slice, or into soft tissue where there is none."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from scipy import ndimage

from latentct.geometry import Grid
from latentct.simulate.implants import Implant

BoolArray = npt.NDArray[np.bool_]

AIR_HU = -300.0
"""Below it is gas or lung, which holds no implant."""


@dataclass(frozen=True)
class Site:
    """What a slice offers to an implant.

    Attributes:
        grid: grid of the slice.
        allowed: pixels (H, W) that metal may touch: the body without a margin at the skin.
        tissue: pixels of `allowed` that are not gas.
        target: pixels of `tissue` that it should fill: teeth, bone or, without either, all tissue.
    """

    grid: Grid
    allowed: BoolArray
    tissue: BoolArray
    target: BoolArray


def find_site(
    x_hu: npt.NDArray[Any],
    body: BoolArray,
    grid: Grid,
    *,
    in_teeth: bool,
    bone_hu: float = 300.0,
    teeth_hu: float = 1200.0,
    margin_mm: float = 4.0,
    least_mm2: float = 60.0,
) -> Site | None:
    """Segment a slice by thresholds.

    Teeth are what exceeds `teeth_hu` in the anterior half of the body, which takes the dense bone of the jaws with it.

    Args:
        x_hu: slice (H, W) in HU, rows growing towards posterior.
        body: mask (H, W), True in the body.
        grid: grid of both.
        in_teeth: look for teeth instead of bone.
        bone_hu: least value of bone.
        teeth_hu: least value of enamel.
        margin_mm: least distance of metal from the outside of the body.
        least_mm2: area under which bone or teeth count as absent.

    Returns:
        The site; None where teeth are wanted and absent.
    """
    depth_mm = ndimage.distance_transform_edt(np.pad(body, 1), sampling=grid.spacing_mm)[1:-1, 1:-1]
    allowed = depth_mm > margin_mm + max(grid.spacing_mm) / 2
    tissue = allowed & (x_hu > AIR_HU)
    target = tissue & _anterior(body) & (x_hu >= teeth_hu) if in_teeth else tissue & (x_hu >= bone_hu)
    if target.sum() * math.prod(grid.spacing_mm) >= least_mm2:
        return Site(grid, allowed, tissue, target)
    return None if in_teeth else Site(grid, allowed, tissue, tissue)


def place(implant: Implant, site: Site, *, generator: torch.Generator, n_poses: int = 48) -> torch.Tensor | None:
    """Try random poses and keep the one that lies in the target best.

    A pose puts the implant's origin on a pixel of the target and turns it by any angle. It must not touch what is not
    allowed; among those that do not, the score is the share of metal in the target less twice the share in gas. After
    three quarters of the poses without success the rest start from all tissue.

    Args:
        implant: what is placed.
        site: where it may go.
        generator: chance.
        n_poses: number of poses tried.

    Returns:
        Fractions of metal (H, W) in [0, 1], or None where no pose fits.
    """
    best, best_score = None, -math.inf
    for attempt in range(n_poses):
        if attempt >= 0.75 * n_poses and best is not None:
            break
        anchors = np.argwhere(site.target if attempt < 0.75 * n_poses else site.tissue)
        if len(anchors) == 0:
            continue
        pose = _draw_pose(anchors, site.grid, generator)
        score = _score(implant.fraction(site.grid, *pose, subpixel_mm=1.0).numpy(), site)
        if score > best_score:
            best, best_score = pose, score
    if best is None:
        return None
    return implant.fraction(site.grid, *best) * torch.from_numpy(site.allowed)  # a try may miss a sliver of a pixel


def _anterior(body: BoolArray) -> BoolArray:
    """Return the rows before the middle of the body, as a column (H, 1)."""
    rows = np.arange(len(body))[:, None]
    return np.asarray(rows * body.sum() < (rows * body).sum())


def _draw_pose(
    anchors: npt.NDArray[np.int64], grid: Grid, generator: torch.Generator
) -> tuple[tuple[float, float], float]:
    """Return a centre (y, x) in mm, anywhere in one of the anchor pixels, and an angle in rad."""
    row, column = anchors[int(torch.randint(len(anchors), (1,), generator=generator))]
    shift_y, shift_x, turn = torch.rand(3, generator=generator, dtype=torch.float64).tolist()
    y_mm = grid.coordinates_mm(0)[row] + (shift_y - 0.5) * grid.spacing_mm[0]
    x_mm = grid.coordinates_mm(1)[column] + (shift_x - 0.5) * grid.spacing_mm[1]
    return (float(y_mm), float(x_mm)), 2 * math.pi * turn


def _score(fraction: npt.NDArray[np.float32], site: Site) -> float:
    """Share of the metal in the target less twice its share in gas; minus infinity where it is not allowed."""
    total = float(fraction.sum())
    if total == 0.0 or bool((fraction[~site.allowed] > 0).any()):
        return -math.inf
    in_gas = float(fraction[~site.tissue].sum())
    return (float(fraction[site.target].sum()) - 2 * in_gas) / total
