"""Estimate the memory of a training step of each stage of the few-view bundle on a layer such as grid_128.

python benchmarks/memory.py [--layer grid_128] [--views 16] [--limit-gb 24]

No GPU is needed. The networks run forward once, one item, in bfloat16 where training uses it, on a grid of half as
many voxels along each axis. What autograd keeps of it grows at most with the number of voxels (that of the panels does
not grow): it is counted and multiplied by 8 and by the batch. Weights, gradients, Adam's two moments and the averaged
weights are counted as they are, 20 bytes a weight. Workspaces of convolutions and what the allocator wastes are not
counted: a third is added.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import torch
from monai.bundle import ConfigParser
from torch import Tensor, nn

from latentct.geometry import Grid, few_view_scans

BUNDLE = Path("bundles/clsdm_sparse_view")
STAGES = ("autoencoder", "alignment", "diffusion")
BYTES_A_WEIGHT = 20
HALVED = 8
WASTE = 4 / 3


def parser_of(stage: str, layer: str) -> ConfigParser:
    """Read the config of a stage with the layer, and half its grid."""
    parser = ConfigParser()
    parser.read_config([str(BUNDLE / "configs" / f"{name}.yaml") for name in (f"train_{stage}", layer)])
    parser.read_meta(str(BUNDLE / "configs" / "metadata.json"))
    parser.update({"device": "cpu"})
    whole = parser.get_parsed_content("grid")
    shape, spacing_mm = [n // 2 for n in whole.shape], [2 * size for size in whole.spacing_mm]
    parser.update({"grid": {"_target_": "latentct.geometry.Grid", "shape": shape, "spacing_mm": spacing_mm}})
    parser.parse(reset=True)
    return parser


def kept_bytes(run: Any) -> int:
    """Return the bytes that autograd keeps of a forward run, every storage counted once."""
    sizes: dict[int, int] = {}
    alive: list[Tensor] = []

    def pack(tensor: Tensor) -> Tensor:
        sizes[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        alive.append(tensor)  # a storage that is given back would be counted as the next one's
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor), torch.autocast("cpu", torch.bfloat16):
        output = run()
    del output
    return sum(sizes.values())


def step(stage: str, parser: ConfigParser, n_views: int) -> tuple[nn.Module, Any, int]:
    """Return the network of a stage, a forward run of one item, and the items of a batch."""
    grid: Grid = parser.get_parsed_content("grid")
    if stage == "autoencoder":
        network = parser.get_parsed_content("autoencoder_def").train()
        return network, lambda: network(torch.rand(1, 1, *grid.shape)), int(parser["batch_size"])
    if stage == "alignment":
        network = parser.get_parsed_content("conditioner_def").train()
        scan = few_view_scans(parser.get_parsed_content("machine"), [n_views])[str(n_views)]
        return network, lambda: network(torch.rand(1, 1, *scan.sinogram_shape), scan), int(parser["batch_size"])
    network = parser.get_parsed_content("denoiser_def").train()
    latent = parser.get_parsed_content("autoencoder_def").latent_shape(grid.shape)[1:]
    channels = int(parser.get_parsed_content("denoiser_def::in_channels"))
    return network, lambda: network(torch.rand(1, channels, *latent), torch.zeros(1)), int(parser["pairs_per_batch"])


def main() -> None:
    """Print a line a stage and whether all of them fit."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--layer", default="grid_128")
    arguments.add_argument("--views", type=int, default=16, help="views of a scan in stage 2, where most need most")
    arguments.add_argument("--limit-gb", type=float, default=24.0)
    given = arguments.parse_args()
    print("estimated, not measured: kept for the gradient + weights and optimizer, times 4/3 for what is not counted")
    largest = 0.0
    for stage in STAGES:
        network, run, batch = step(stage, parser_of(stage, given.layer), given.views)
        kept = kept_bytes(run) * HALVED * batch
        weights = BYTES_A_WEIGHT * sum(weight.numel() for weight in network.parameters())
        total = WASTE * (kept + weights) / 1e9
        largest = max(largest, total)
        print(f"{stage:<12} batch {batch:>3}: {kept / 1e9:6.2f} GB + {weights / 1e9:5.2f} GB, about {total:6.2f} GB")
    verdict = "fits" if largest < given.limit_gb else "does not fit"
    print(f"largest: {largest:.2f} GB, {verdict} into {given.limit_gb:g} GB")


if __name__ == "__main__":
    main()
