"""From a few X-ray views to the condition of the latent diffusion: the aligned conditioner of CLS-DM."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from latentct.geometry import ConeBeam, Grid, VectorConeBeam
from latentct.networks.blocks import depth_to_space, space_to_depth
from latentct.networks.lifting import coverage, lift, max_over_views, mean_over_views, min_over_views
from latentct.networks.residual import Down, ResidualBlock, Up, convolution, norm_act, shrunk
from latentct.networks.view_encoder import ViewEncoder
from latentct.projectors import make_projector
from latentct.projectors.shadow import Shadow, cast_shadow, pixel_at_center_mm, view_direction
from latentct.recon import sirt
from latentct.recon.filters import padded_length, ramp_response
from latentct.units import MU_WATER_70KEV

HARMONICS = (1, 2, 4, 8)
"""Multiples of a view's angle whose cosine and sine describe its direction."""
LENGTH_MM = 100.0
"""The unit of line integrals inside the network: this much water."""


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
       first look, a few accelerated steps of `sirt`, in which the views explain each other;
    2. a 2-D encoder shared by the views gives features, lifted to 1/2 and 1/4 of the resolution: mean and maximum.
       Mean, minimum and maximum do not depend on the order of the views, nor is their number fixed;
    3. a 3-D encoder makes the condition of them, of the share of the views that see each voxel, of the voxel's place
       and of the mean of the views' directions; if it goes down below the latent's resolution, it comes up again;
    4. from the condition a decoder regresses the volume, and a head the latent.

    Args:
        grid: grid of the volumes; its axes are multiples of ``compression``.
        latent_channels: channels of the latent.
        cond_channels: channels of the condition.
        compression: voxels of the volume to one of the latent along each axis, 4 or 8.
        mu_water: attenuation of water in 1/mm at the energy of the scan.
        pixel_mm: distance (v, u) in mm of neighbouring rays at the grid's middle that the network works at; panels are
            resampled to about it.
        channels: widths of the 3-D encoder from 1/2 of the resolution down, at least as many as to the latent's.
        decoder_channels: widths of the decoder, in the same order; those down to the latent's resolution count.
        view_channels: widths of the 2-D encoder.
        lifted_channels: features of a view lifted to 1/2 and to 1/4 of the resolution.
        first_look_steps: steps of the first look.
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
        first_look_steps: int = 12,
        norm_num_groups: int = 8,
    ) -> None:
        super().__init__()
        n_levels = round(math.log2(compression))
        if 2**n_levels != compression or n_levels not in (2, 3) or any(n % compression for n in grid.shape):
            raise ValueError(f"compression must be 4 or 8 and divide {grid.shape}, not {compression}")
        self.grid, self.mu_water = grid, mu_water
        self.pixel_mm = (float(pixel_mm[0]), float(pixel_mm[1]))
        widths, back = tuple(channels), tuple(decoder_channels[:n_levels])
        self.first_look_steps = first_look_steps
        code_channels = 2 * len(HARMONICS)
        groups = norm_num_groups
        self.view_encoder = ViewEncoder(2, code_channels, view_channels, lifted_channels, groups)
        self.stem = convolution(8 * 4 + 2 * lifted_channels[0] + 5 + code_channels, widths[0], 1)
        self.fine = ResidualBlock(widths[0], groups)
        more = (2 * lifted_channels[1], *(0 for _ in widths[2:]))
        self.down = nn.ModuleList(Down(*pair, more_channels=n) for pair, n in zip(pairwise(widths), more, strict=True))
        self.blocks = nn.ModuleList(ResidualBlock(width, groups) for width in widths[1:])
        below = list(pairwise(widths[n_levels - 1 :]))
        self.up = nn.ModuleList(Up(coarse, fine) for fine, coarse in reversed(below))
        self.up_blocks = nn.ModuleList(ResidualBlock(fine, groups) for fine, _ in reversed(below))
        width = widths[n_levels - 1]
        self.to_cond = nn.Sequential(*norm_act(width, groups), convolution(width, cond_channels))
        self.decoder = _decoder(cond_channels, back, groups)
        self.to_latent = nn.Sequential(
            convolution(cond_channels, 2 * cond_channels),
            ResidualBlock(2 * cond_channels, groups),
            *norm_act(2 * cond_channels, groups),
            shrunk(convolution(2 * cond_channels, latent_channels), 0.1),
        )

    def forward(self, y: Tensor, scan: ConeBeam | VectorConeBeam) -> Conditioning:
        """Return condition and estimates of latent and volume.

        Args:
            y: line integrals (B, 1, A, V, U), dimensionless.
            scan: geometry of the A views, the same for the whole batch.
        """
        cond = self.condition(y, scan)
        return Conditioning(cond, self.to_latent(cond), depth_to_space(self.decoder(cond), 2))

    def condition(self, y: Tensor, scan: ConeBeam | VectorConeBeam) -> Tensor:
        """Return the condition (B, C, d, h, w) alone; arguments as for calling."""
        panels, code = self._panels(y, scan), self._code(scan, y)
        n_views, batch = panels.shape[:2]
        fine, coarse = self.view_encoder(panels.flatten(0, 1), code.repeat_interleave(batch, dim=0))
        fine, coarse = fine.unflatten(0, (n_views, batch)), coarse.unflatten(0, (n_views, batch))
        whole, half, quarter = (cast_shadow(_coarser(self.grid, factor), scan, y.device) for factor in (1, 2, 4))
        seen = [self._first_look(y, scan), self._seen(panels, whole)]
        h = torch.cat([*seen, *_fused(fine, half), self._where(half, code, batch)], dim=1)
        h = self.fine(self.stem(h.contiguous(memory_format=torch.channels_last_3d)))
        levels = [self.blocks[0](self.down[0](h, *_fused(coarse, quarter)))]
        for down, block in zip(self.down[1:], self.blocks[1:], strict=True):
            levels.append(block(down(levels[-1])))
        h = levels.pop()
        for up, block in zip(self.up, self.up_blocks, strict=True):
            h = block(up(h) + levels.pop())
        cond: Tensor = self.to_cond(h)
        return cond

    def _first_look(self, y: Tensor, scan: ConeBeam | VectorConeBeam) -> Tensor:
        """Return the volume relative to water after a few iterations, folded to half the resolution."""
        projector = make_projector(self.grid, scan, device=y.device)
        x_mu = sirt(y.float(), projector, n_iterations=self.first_look_steps, accelerated=True)
        return space_to_depth(x_mu / self.mu_water, 2)

    def _panels(self, y: Tensor, scan: ConeBeam | VectorConeBeam) -> Tensor:
        """Return line integrals as they are and ramp-filtered, (A, B, 2, V, U) at the network's pixel size."""
        n_views, batch = y.shape[2], len(y)
        integrals = (y[:, 0] / self.mu_water).transpose(0, 1).flatten(0, 1)[:, None].float()
        scanned_mm = pixel_at_center_mm(scan, self.grid)
        size = [
            max(1, round(n * at_mm / own_mm / ViewEncoder.stride)) * ViewEncoder.stride
            for n, at_mm, own_mm in zip(y.shape[-2:], scanned_mm, self.pixel_mm, strict=True)
        ]
        bin_mm = y.shape[-1] * scanned_mm[1] / size[1]
        if size != list(y.shape[-2:]):
            integrals = interpolate(integrals, size, mode="bilinear", align_corners=False, antialias=True)
        maps = torch.cat([integrals / LENGTH_MM, math.pi * _ramp_filtered(integrals, bin_mm)], dim=1)
        return maps.unflatten(0, (n_views, batch))

    def _code(self, scan: ConeBeam | VectorConeBeam, like: Tensor) -> Tensor:
        """Return cosines and sines of multiples of each view's angle about z, (A, 8)."""
        _, y, x = torch.from_numpy(view_direction(scan, self.grid)).unbind(dim=1)
        angles_rad = torch.atan2(-x, y)[:, None] * torch.tensor(HARMONICS)
        return torch.cat([angles_rad.cos(), angles_rad.sin()], dim=1).to(like.device, torch.float32)

    def _seen(self, panels: Tensor, shadow: Shadow) -> Tensor:
        """Return mean and smallest line integral and mean filtered one of each voxel, folded to half the resolution."""
        lifted = lift(panels, shadow)
        smallest = min_over_views(lifted[:, :, :1], shadow)
        return space_to_depth(torch.cat([mean_over_views(lifted, shadow), smallest], dim=1), 2)

    def _where(self, shadow: Shadow, code: Tensor, batch: int) -> Tensor:
        """Return coverage, place, number of views and mean direction at every voxel, (B, 13, D, H, W)."""
        shape = shadow.visible.shape[1:]
        axes = [torch.linspace(-1 + 1 / n, 1 - 1 / n, n, device=code.device) for n in shape]
        numbers = torch.cat([code.mean(0), code.new_tensor([math.log2(len(code)) / 4])])
        everywhere = numbers[:, None, None, None].expand(-1, *shape)
        place = torch.stack(torch.meshgrid(*axes, indexing="ij"))
        return torch.cat([everywhere, place, coverage(shadow)[None]])[None].expand(batch, -1, -1, -1, -1)


def _fused(features: Tensor, shadow: Shadow) -> tuple[Tensor, Tensor]:
    """Return mean and maximum of lifted features (A, B, C, V, U) over the views, (B, C, D, H, W) each."""
    lifted = lift(features, shadow)
    return mean_over_views(lifted, shadow), max_over_views(lifted)


def _decoder(cond_channels: int, channels: Sequence[int], norm_num_groups: int) -> nn.Sequential:
    """Return the layers from the condition to a volume folded by two, small at the start."""
    layers: list[nn.Module] = [
        convolution(cond_channels, channels[-1]),
        ResidualBlock(channels[-1], norm_num_groups),
    ]
    for fine, coarse in reversed(list(pairwise(channels))):
        layers += [Up(coarse, fine), ResidualBlock(fine, norm_num_groups)]
    last = shrunk(convolution(channels[0], 8), 0.1)
    return nn.Sequential(*layers, *norm_act(channels[0], norm_num_groups), last)


def _coarser(grid: Grid, factor: int) -> Grid:
    """Return a grid of the same extent with fewer, larger voxels."""
    shape = tuple(n // factor for n in grid.shape)
    return Grid(shape, tuple(s * factor for s in grid.spacing_mm), grid.center_mm)


def _ramp_filtered(integrals_mm: Tensor, bin_mm: float) -> Tensor:
    """Return line integrals (..., U) in mm of water after a ramp filter along the rows, dimensionless."""
    n_bins = integrals_mm.shape[-1]
    length = padded_length(n_bins)
    response = torch.from_numpy(ramp_response(length, bin_mm, "hann")).to(integrals_mm)
    spectrum = torch.fft.rfft(integrals_mm, length) * response
    return torch.fft.irfft(spectrum, length)[..., :n_bins]
