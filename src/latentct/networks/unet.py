"""The learned rival of latent space reconstruction: a U-Net that mends slices, image in, image out."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from monai.networks.nets import BasicUNet
from torch import Tensor, nn
from torch.nn.functional import pixel_shuffle, pixel_unshuffle

_LEVELS = 5


class ResidualUNet(nn.Module):
    """Predict what is wrong with a slice, and take it away: `x + U(x)` with MONAI's `BasicUNet` as U.

    To learn the artefact instead of the image is what makes a U-Net good at mending reconstructions (Jin et al. 2017,
    doi 10.1109/TIP.2017.2713099). As in `VariationalAutoencoder` the network works on patches of 2 x 2 pixels, moved
    into channels and back, which keeps full resolution, where a CPU spends its time, free of convolutions. The last
    convolution begins at zero: an untrained network returns its input.

    Args:
        in_channels: image channels, 1 for CT.
        features: widths of the five levels from half resolution down, then the width after the last upsampling.
        norm_num_groups: groups of every group normalisation; divides every width.
        out_channels: channels of the change; as many as the image has unless told otherwise.

    Example:
        >>> import torch
        >>> unet = ResidualUNet(1, (8, 8, 8, 8, 16, 8), norm_num_groups=4)
        >>> x = torch.rand(1, 1, 32, 64)
        >>> unet.stride, torch.equal(unet(x), x)
        (32, True)
    """

    def __init__(
        self,
        in_channels: int = 1,
        features: Sequence[int] = (24, 48, 96, 128, 192, 24),
        norm_num_groups: int = 8,
        out_channels: int | None = None,
    ) -> None:
        super().__init__()
        self.stride = 2**_LEVELS
        self.unet = BasicUNet(
            spatial_dims=2,
            in_channels=4 * in_channels,
            out_channels=4 * (in_channels if out_channels is None else out_channels),
            features=tuple(features),
            norm=("group", {"num_groups": norm_num_groups, "affine": True}),
            upsample="nontrainable",
        )
        nn.init.zeros_(self.unet.final_conv.weight)
        nn.init.zeros_(self.unet.final_conv.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Return the mended slices.

        Args:
            x: slices (B, C, H, W) in the network range; H and W multiples of `stride`.

        Returns:
            Slices (B, C, H, W) in the network range, not clipped.

        Raises:
            ValueError: a side is no multiple of `stride`.
        """
        return x + self.change(x)

    def change(self, x: Tensor) -> Tensor:
        """Return what to add to the slices.

        Raises:
            ValueError: a side is no multiple of `stride`.
        """
        if any(n % self.stride for n in x.shape[-2:]):
            raise ValueError(f"slices of {tuple(x.shape[-2:])} pixels are not divisible by the stride {self.stride}")
        change: Tensor = self.unet(pixel_unshuffle(x, 2))
        return pixel_shuffle(change, 2)


class CompletionUNet(ResidualUNet):
    """Guess the pixels of a slice that are not known; those that are known come back as they were.

    Args:
        features: as those of `ResidualUNet`.
        norm_num_groups: as that of `ResidualUNet`.

    Example:
        >>> import torch
        >>> unet = CompletionUNet((8, 8, 8, 8, 16, 8), norm_num_groups=4)
        >>> x = torch.rand(1, 2, 32, 64)
        >>> torch.equal(unet(x), x[:, :1])
        True
    """

    def __init__(self, features: Sequence[int] = (24, 48, 96, 128, 192, 24), norm_num_groups: int = 8) -> None:
        super().__init__(2, features, norm_num_groups, out_channels=1)

    def forward(self, x: Tensor) -> Tensor:
        """Return the completed slices.

        Args:
            x: (B, 2, H, W): slices in the network range, and 1 where a pixel is known, else 0; H and W multiples of
                `stride`.

        Returns:
            Slices (B, 1, H, W) in the network range, not clipped.

        Raises:
            ValueError: a side is no multiple of `stride`.
        """
        return x[:, :1] + (1 - x[:, 1:]) * self.change(x)


def with_known(x: Tensor, known: Tensor) -> Tensor:
    """Return slices as a network that completes them takes them: (B, 2, H, W), unknown pixels 0 in both channels.

    Args:
        x: slices (B, 1, H, W) in the network range; what is not known is not read.
        known: bool, as `x` or broadcast to it, True = known.
    """
    known = known.expand_as(x)
    return torch.cat([torch.where(known, x, 0.0), known.to(x.dtype)], dim=1)
