"""What a network learns to see in one view, before it is lifted into the volume."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from latentct.networks.residual import Down, ResidualBlock, Up, convolution, norm_act


class ViewEncoder(nn.Module):
    """A small U-Net shared by all views, with features of two resolutions.

    Blocks of 2 x 2 pixels become channels first; two further halvings let every feature depend on most of the panel.

    Args:
        in_channels: maps of the view at full resolution.
        code_channels: numbers that describe the view, e.g. its direction, given to every pixel.
        channels: widths at 1/2, 1/4 and 1/8 of the resolution.
        out_channels: features at 1/2 and at 1/4 of the resolution.
        norm_num_groups: groups of the group normalisation; divides every width.
    """

    stride = 8
    """Rows and columns of the panel have to be a multiple of it."""

    def __init__(
        self,
        in_channels: int,
        code_channels: int,
        channels: Sequence[int] = (32, 48, 64),
        out_channels: Sequence[int] = (16, 32),
        norm_num_groups: int = 8,
    ) -> None:
        super().__init__()
        fine, middle, coarse = channels
        groups = norm_num_groups
        self.stem = Down(in_channels, fine, more_channels=code_channels + 2, flat=True)
        self.fine = ResidualBlock(fine, groups, flat=True)
        self.to_middle = Down(fine, middle, flat=True)
        self.middle = ResidualBlock(middle, groups, flat=True)
        self.to_coarse = Down(middle, coarse, flat=True)
        self.coarse = nn.Sequential(*(ResidualBlock(coarse, groups, flat=True) for _ in range(2)))
        self.back_to_middle = Up(coarse, middle, flat=True)
        self.merged = ResidualBlock(middle, groups, flat=True)
        self.back_to_fine = Up(middle, fine, flat=True)
        self.fine_head = nn.Sequential(*norm_act(fine, groups), convolution(fine, out_channels[0], flat=True))
        self.middle_head = nn.Sequential(*norm_act(middle, groups), convolution(middle, out_channels[1], flat=True))

    def forward(self, maps: Tensor, code: Tensor) -> tuple[Tensor, Tensor]:
        """Return the features of views.

        Args:
            maps: (N, C, V, U), V and U multiples of ``stride``.
            code: (N, K), the numbers of each view.

        Returns:
            Features (N, out_channels[0], V / 2, U / 2) and (N, out_channels[1], V / 4, U / 4).
        """
        n, _, n_rows, n_columns = maps.shape
        half = (1, n_rows // 2, n_columns // 2)
        described = code[:, :, None, None, None].expand(-1, -1, *half)
        place = _place(half[1:], maps)[None, :, None].expand(n, -1, -1, -1, -1)
        h = self.stem(maps[:, :, None], described, place)
        h = self.fine(h.contiguous(memory_format=torch.channels_last_3d))
        middle = self.middle(self.to_middle(h))
        coarse = self.coarse(self.to_coarse(middle))
        middle = self.merged(middle + self.back_to_middle(coarse))
        fine = self.fine_head(h + self.back_to_fine(middle))
        return fine[:, :, 0], self.middle_head(middle)[:, :, 0]


def _place(shape: tuple[int, int], like: Tensor) -> Tensor:
    """Return the place on the panel, (2, V, U) in [-1, 1]."""
    axes = [torch.linspace(-1 + 1 / n, 1 - 1 / n, n, dtype=like.dtype, device=like.device) for n in shape]
    return torch.stack(torch.meshgrid(*axes, indexing="ij"))
