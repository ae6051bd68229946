"""Images cut by their field of view, made of whole ones: what a network learns to complete images from."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from latentct.geometry import Grid
from latentct.networks import with_known
from latentct.units import NETWORK_RANGE


class CutFields:
    """Cut slices as the field of view of a scanner or the border of an image cuts them.

    Each slice has a field of its own: a circle, or in a part of the cases a square, of random size and a little off
    the centre. The logarithm of the size is uniform: small fields, which hide more, come more often. What lies outside
    becomes air, and a second channel tells where that is. Without it air that was seen and air that stands for nothing
    would look alike, and the edge of the field like skin; a value that no HU has would do the same, but convolutions
    at the edge would mix it into the values that are known. All chance is torch's global one.

    Args:
        grid: grid of the slices; a field is a little off its centre.
        size_mm: smallest and largest diameter of a circle, or side of a square.
        square_share: share of squares.
        offset_mm: largest distance of the field's centre from the grid's, in x and in y.

    Example:
        >>> cut = CutFields(Grid((32, 32), (16.0, 16.0)))
        >>> shown, whole = cut(torch.rand(2, 1, 32, 32))
        >>> shown.shape, whole.shape
        (torch.Size([2, 2, 32, 32]), torch.Size([2, 1, 32, 32]))
    """

    def __init__(
        self,
        grid: Grid,
        size_mm: Sequence[float] = (150.0, 500.0),
        square_share: float = 0.3,
        offset_mm: float = 15.0,
    ) -> None:
        self.log_size = (math.log(size_mm[0]), math.log(size_mm[1]))
        self.square_share = square_share
        self.offset_mm = offset_mm
        self.y_mm, self.x_mm = (torch.from_numpy(grid.coordinates_mm(axis)).float() for axis in (0, 1))

    def __call__(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return cut slices with the known pixels as second channel, and whole slices.

        Args:
            x: slices (B, 1, H, W) in the network range, air at 0.

        Returns:
            (B, 2, H, W), unknown pixels 0 in both channels; and (B, 1, H, W), clipped like them.
        """
        whole = x.as_subclass(Tensor).clamp(*NETWORK_RANGE)
        known = self.draw(len(x)).to(x.device)
        return with_known(whole, known), whole

    def draw(self, n: int) -> Tensor:
        """Draw the fields of n slices: bool (n, 1, H, W), True = known."""
        low, high = self.log_size
        radius_mm = torch.exp(low + (high - low) * torch.rand(n, 1, 1, 1)) / 2
        square = torch.rand(n, 1, 1, 1) < self.square_share
        dy_mm, dx_mm = self.offset_mm * (2 * torch.rand(2, n, 1, 1, 1) - 1)
        y_mm, x_mm = self.y_mm[:, None] - dy_mm, self.x_mm - dx_mm
        distance_mm = torch.where(square, torch.maximum(y_mm.abs(), x_mm.abs()), torch.hypot(y_mm, x_mm))
        return distance_mm <= radius_mm
