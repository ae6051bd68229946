"""What limits the latent search: the grid, the prior or the search.

    LATENTCT_DATA=/path/to/ct python benchmarks/prior_limits.py bundles/lsr_truncation --split validation --slices 2

The missing rays are filled, without a seam, from four images on the prior's grid, and scored as `evaluating` does it:

* the scanned image itself, resampled: what any prior on this grid must leave,
* the prior's reconstruction of that image: what the search could reach if it knew the answer's latent,
* the encoder's start: what the search begins with,
* G(z*): what it ends with.

The first two know what was not measured; they are bounds, not methods.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.bundle import ConfigParser
from torch import Tensor
from tqdm import tqdm

from latentct.geometry import field_of_measurement_mask
from latentct.metrics import mae_hu, mean_per_patient
from latentct.projectors import make_projector
from latentct.recon import fbp
from latentct.transforms import resample_slices, slice_grid
from latentct.units import hu_to_mu, hu_to_x, mu_to_hu, x_to_hu


def load(bundle: Path, split: str, slices: int) -> ConfigParser:
    """Return the configuration of `evaluating` on a few slices a volume."""
    configs = bundle / "configs"
    parser = ConfigParser(ConfigParser.load_config_files([str(configs / n) for n in ("train.yaml", "evaluate.yaml")]))
    parser.read_meta(str(configs / "metadata.json"))
    parser.update({"bundle_root": str(bundle), "split": split, "slices_per_volume": slices})
    return parser


def images(config: Any, volume: Any, y: Tensor, ray_mask: Tensor) -> dict[str, Tensor]:
    """Return the four images on the prior's grid, (S, 1, H, W) in HU."""
    network, inferer, grid = config("network"), config("validate::inferer"), config("grid")
    hu_min, hu_max = config("hu_min"), config("hu_max")
    image_hu = torch.as_tensor(volume.array)[0, :, None]
    on_grid = resample_slices(image_hu, slice_grid(volume), grid, outside=-1000.0)
    with torch.no_grad():
        clean = x_to_hu(network(hu_to_x(on_grid, hu_min, hu_max).clamp(0, 1)), hu_min, hu_max)
    projector = make_projector(slice_grid(volume), config("scan"))
    found = inferer.reconstruct(y * ray_mask, network, projector=projector, ray_mask=ray_mask)
    rounds, inferer.rounds = inferer.rounds, (0,)
    start = inferer.reconstruct(y * ray_mask, network, projector=projector, ray_mask=ray_mask)
    inferer.rounds = rounds
    mu_water = config("mu_water")
    return {
        "image on the prior's grid": on_grid,
        "prior's reconstruction": clean,
        "encoder's start": mu_to_hu(start.x_prior_mu, mu_water),
        "G(z*)": mu_to_hu(found.x_prior_mu, mu_water),
    }


def main() -> None:
    """Read the arguments and print the table."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("bundle", type=Path)
    arguments.add_argument("--split", default="validation")
    arguments.add_argument("--slices", type=int, default=2, help="slices a volume")
    given = arguments.parse_args()
    config = load(given.bundle, given.split, given.slices).get_parsed_content
    scan, mu_water = config("scan"), config("mu_water")
    projector = make_projector(config("grid"), scan)
    errors: dict[str, list[tuple[str, float, float]]] = {}
    for item in tqdm(config("validate::dataset")):
        volume, ray_mask = item["image"], item["ray_mask"]
        y, grid = item["sinogram"][0, :, None], slice_grid(volume)
        reference = mu_to_hu(fbp(y, grid, scan), mu_water)
        body = torch.as_tensor(item["body"])[0, :, None].bool()
        inside = torch.from_numpy(field_of_measurement_mask(grid, config("diameter_mm"))).expand(body.shape)
        for name, x_hu in images(config, volume, y, ray_mask).items():
            y_hat = torch.where(ray_mask, y, projector(hu_to_mu(x_hu, mu_water)))
            x_hat = mu_to_hu(fbp(y_hat, grid, scan), mu_water)
            pairs = zip(mae_hu(x_hat, reference, inside), mae_hu(x_hat, reference, body & ~inside), strict=True)
            errors.setdefault(name, []).extend((item["patient"], float(a), float(b)) for a, b in pairs)
    print(f"{'rays filled from':<28}{'inside [HU]':>14}{'outside [HU]':>14}")
    for name, rows in errors.items():
        patients = [row[0] for row in rows]
        means = [np.nanmean(list(mean_per_patient([row[i] for row in rows], patients).values())) for i in (1, 2)]
        print(f"{name:<28}{means[0]:>14.1f}{means[1]:>14.1f}")


if __name__ == "__main__":
    main()
