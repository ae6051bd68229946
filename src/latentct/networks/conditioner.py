"""From a few X-ray views to the condition of the latent diffusion: the aligned conditioner of CLS-DM."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import NamedTuple, Self

import torch
from torch import Tensor, nn

from latentct.geometry import ConeBeam, Grid, VectorConeBeam
from latentct.networks.blocks import depth_to_space, principal_blocks, set_linear, space_to_depth
from latentct.networks.lifting import lift, max_over_views, mean_over_views, min_over_views
from latentct.networks.residual import Down, ResidualBlock, Up, convolution, norm_act, shrunk
from latentct.networks.view_encoder import ViewEncoder
from latentct.networks.view_inputs import CODE_CHANNELS, PLACE_CHANNELS, panels, places, view_code
from latentct.projectors.shadow import Shadow, cast_shadow
from latentct.recon.coarse_to_fine import coarse_to_fine
from latentct.units import MU_WATER_70KEV


class Conditioning(NamedTuple):
    """What a conditioner says about a volume.

    Attributes:
        cond: condition (B, C, d, h, w) at the resolution of the latent.
        z_hat: estimate of the latent (B, latent_channels, d, h, w).
        x_hat: estimate of the volume (B, 1, D, H, W) in the network range.
    """

    cond: Tensor
    z_hat: Tensor
    x_hat: Tensor


class ViewConditioner(nn.Module):
    """Lift what each view shows into the volume, fuse any number of views and encode them to the latent's shape.

    The plan is that of CLS-DM (arXiv 2507.11152): a condition at the latent's resolution, from which alone the volume
    is regressed, so that it has to carry the volume. New is that views are lifted along their own rays:

    1. line integrals, also ramp-filtered, are lifted to every voxel: the mean over the views that see it, and of the
       line integrals also the smallest, which is nothing wherever any ray passed through air only. Beside them comes a
       first look, a quick reconstruction without any learning, in which the views explain each other;
    2. a 2-D encoder shared by the views gives features, lifted to 1/2 and 1/4 of the resolution: mean and maximum.
       Mean, minimum and maximum do not depend on the order of the views, nor is their number fixed;
    3. a 3-D encoder makes the condition of them, of the share of the views that see each voxel, of the voxel's place
       and of the mean of the views' directions; if it goes down below the latent's resolution, it comes up again;
    4. from the condition a decoder regresses the volume, and a head the latent.

    Condition and estimates are each the sum of a linear map and of what the networks add: block by block, the condition
    codes the first look, and the volume and the latent are read from the code. `initialise` sets these maps by
    principal components, so that training begins with the first look and improves on it.

    Args:
        grid: grid of the volumes; its axes are multiples of ``compression``.
        latent_channels: channels of the latent.
        cond_channels: channels of the condition.
        compression: voxels of the volume to one of the latent along each axis, 4 or 8.
        mu_water: attenuation of water in 1/mm at the energy of the scan.
        pixel_mm: distance (v, u) in mm of neighbouring rays at the grid's middle that the 2-D encoder works at; panels
            are resampled to about it.
        channels: widths of the 3-D encoder from 1/2 of the resolution down, at least as many as to the latent's.
        decoder_channels: widths of the decoder, in the same order; those down to the latent's resolution count.
        view_channels: widths of the 2-D encoder.
        lifted_channels: features of a view lifted to 1/2 and to 1/4 of the resolution.
        first_look_steps: coarse and fine steps of the first look, see `coarse_to_fine`.
        first_look_weight: its weight of the total variation, of a single view.
        norm_num_groups: groups of the group normalisation; divides every width.

    Example:
        >>> scan = ConeBeam.equally_spaced(3, 3.14, (16, 16), (30.0, 30.0), sod_mm=800.0, sdd_mm=1200.0)
        >>> conditioner = ViewConditioner(Grid((16, 16, 16), (16.0, 16.0, 16.0)), pixel_mm=(20.0, 20.0))
        >>> tuple(conditioner.condition(torch.rand(2, 1, 3, 16, 16), scan).shape)
        (2, 16, 2, 2, 2)
    """

    def __init__(
        self,
        grid: Grid,
        latent_channels: int = 4,
        cond_channels: int = 16,
        compression: int = 8,
        mu_water: float = MU_WATER_70KEV,
        pixel_mm: Sequence[float] = (4.0, 16 / 3),
        channels: Sequence[int] = (24, 64, 96),
        decoder_channels: Sequence[int] = (16, 48, 64),
        view_channels: Sequence[int] = (32, 48, 64),
        lifted_channels: Sequence[int] = (16, 32),
        first_look_steps: Sequence[int] = (60, 20),
        first_look_weight: float = 0.08,
        norm_num_groups: int = 8,
    ) -> None:
        super().__init__()
        n_levels = round(math.log2(compression))
        if 2**n_levels != compression or n_levels not in (2, 3) or any(n % compression for n in grid.shape):
            raise ValueError(f"compression must be 4 or 8 and divide {grid.shape}, not {compression}")
        self.grid, self.compression, self.mu_water = grid, compression, mu_water
        self.pixel_mm = (float(pixel_mm[0]), float(pixel_mm[1]))
        self.first_look_steps, self.first_look_weight = tuple(first_look_steps), first_look_weight
        widths, groups = tuple(channels), norm_num_groups
        self.view_encoder = ViewEncoder(2, CODE_CHANNELS, view_channels, lifted_channels, groups)
        self.stem = convolution(8 * 4 + 2 * lifted_channels[0] + PLACE_CHANNELS, widths[0], 1)
        self.fine = ResidualBlock(widths[0], groups)
        more = (2 * lifted_channels[1], *(0 for _ in widths[2:]))
        self.down = nn.ModuleList(Down(*pair, more_channels=n) for pair, n in zip(pairwise(widths), more, strict=True))
        self.blocks = nn.ModuleList(ResidualBlock(width, groups) for width in widths[1:])
        below = list(pairwise(widths[n_levels - 1 :]))
        self.up = nn.ModuleList(Up(coarse, fine) for fine, coarse in reversed(below))
        self.up_blocks = nn.ModuleList(ResidualBlock(fine, groups) for fine, _ in reversed(below))
        self.to_cond = nn.Sequential(*_last(widths[n_levels - 1], cond_channels, groups))
        self.decoder = _decoder(cond_channels, tuple(decoder_channels[:n_levels]), groups)
        self.to_latent = nn.Sequential(
            convolution(cond_channels, 2 * cond_channels),
            ResidualBlock(2 * cond_channels, groups),
            *_last(2 * cond_channels, latent_channels, groups),
        )
        self.look_to_cond = convolution(compression**3, cond_channels, 1)
        self.cond_to_x = convolution(cond_channels, compression**3, 1)
        self.cond_to_latent = convolution(cond_channels, latent_channels, 1)

    def forward(self, y: Tensor, scan: ConeBeam | VectorConeBeam) -> Conditioning:
        """Return condition and estimates of latent and volume.

        Args:
            y: line integrals (B, 1, A, V, U), dimensionless.
            scan: geometry of the A views, the same for the whole batch.
        """
        cond = self.condition(y, scan)
        coded = depth_to_space(self.cond_to_x(cond), self.compression)
        z_hat, x_hat = self.cond_to_latent(cond) + self.to_latent(cond), coded + depth_to_space(self.decoder(cond), 2)
        return Conditioning(cond, z_hat, x_hat)

    def condition(self, y: Tensor, scan: ConeBeam | VectorConeBeam) -> Tensor:
        """Return the condition (B, C, d, h, w) alone; arguments as for calling."""
        shown = panels(y / self.mu_water, scan, self.grid, self.pixel_mm, ViewEncoder.stride)
        code, (n_views, batch) = view_code(scan, self.grid, y), shown.shape[:2]
        fine, coarse = self.view_encoder(shown.flatten(0, 1), code.repeat_interleave(batch, dim=0))
        fine, coarse = fine.unflatten(0, (n_views, batch)), coarse.unflatten(0, (n_views, batch))
        whole, half, quarter = (cast_shadow(self.grid.coarser(factor), scan, y.device) for factor in (1, 2, 4))
        look = self.first_look(y, scan)
        seen = space_to_depth(torch.cat([look, *_lifted(shown, whole)], dim=1), 2)
        h = torch.cat([seen, *_fused(fine, half), places(half, code, batch)], dim=1)
        h = self.fine(self.stem(h.contiguous(memory_format=torch.channels_last_3d)))
        levels = [self.blocks[0](self.down[0](h, *_fused(coarse, quarter)))]
        for down, block in zip(self.down[1:], self.blocks[1:], strict=True):
            levels.append(block(down(levels[-1])))
        h = levels.pop()
        for up, block in zip(self.up, self.up_blocks, strict=True):
            h = block(up(h) + levels.pop())
        cond: Tensor = self.look_to_cond(space_to_depth(look, self.compression)) + self.to_cond(h)
        return cond

    def first_look(self, y: Tensor, scan: ConeBeam | VectorConeBeam) -> Tensor:
        """Return a quick reconstruction (B, 1, D, H, W), relative to water."""
        coarse_steps, fine_steps = self.first_look_steps
        weight, mu_water = self.first_look_weight, self.mu_water
        return coarse_to_fine(y.float(), self.grid, scan, coarse_steps, fine_steps, weight, mu_water) / mu_water

    @torch.no_grad()
    def initialise(
        self, x: Tensor, encode: Callable[[Tensor], Tensor], water: float = 0.5, empty_below: float = 0.05
    ) -> Self:
        """Let the condition code blocks by their principal components, and read volume and latent from the code.

        Args:
            x: volumes (N, 1, D, H, W) in the network range, air being 0.
            encode: gives their latents (N, latent_channels, d, h, w).
            water: network value of water.
            empty_below: blocks that nowhere reach this value are air and tell nothing.

        Returns:
            The conditioner itself.
        """
        code = principal_blocks(x, self.compression, self.look_to_cond.out_channels, empty_below)
        set_linear(self.look_to_cond, code.to_code * water, -code.to_code @ code.mean)
        set_linear(self.cond_to_x, code.from_code, code.mean)
        z = torch.cat([encode(part) for part in x.split(8)]).movedim(1, -1).flatten(0, -2)[code.kept].double()
        coded = (code.blocks - code.mean) @ code.to_code.T
        set_linear(self.cond_to_latent, torch.linalg.lstsq(coded, z - z.mean(dim=0)).solution.T, z.mean(dim=0))
        return self


def _lifted(shown: Tensor, shadow: Shadow) -> tuple[Tensor, Tensor]:
    """Return the means of both panels, (B, 2, D, H, W), and the smallest line integral, (B, 1, D, H, W)."""
    lifted = lift(shown, shadow)
    return mean_over_views(lifted, shadow), min_over_views(lifted[:, :, :1], shadow)


def _fused(features: Tensor, shadow: Shadow) -> tuple[Tensor, Tensor]:
    """Return mean and maximum of lifted features (A, B, C, V, U) over the views, (B, C, D, H, W) each."""
    lifted = lift(features, shadow)
    return mean_over_views(lifted, shadow), max_over_views(lifted)


def _decoder(cond_channels: int, channels: Sequence[int], norm_num_groups: int) -> nn.Sequential:
    """Return the layers from the condition to a volume folded by two."""
    layers: list[nn.Module] = [
        convolution(cond_channels, channels[-1]),
        ResidualBlock(channels[-1], norm_num_groups),
    ]
    for fine, coarse in reversed(list(pairwise(channels))):
        layers += [Up(coarse, fine), ResidualBlock(fine, norm_num_groups)]
    return nn.Sequential(*layers, *_last(channels[0], 8, norm_num_groups))


def _last(in_channels: int, out_channels: int, norm_num_groups: int) -> tuple[nn.Module, ...]:
    """Return the last layers of a network that adds to a linear map: next to nothing at the start."""
    return (*norm_act(in_channels, norm_num_groups), shrunk(convolution(in_channels, out_channels), 0.01))
