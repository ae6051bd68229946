"""Draw a real slice with metal before and after correction: as it is, LI, NMAR and LSR.

Usage: python benchmarks/real_metal.py [--volume ID] [--threshold_hu HU] [--out FILE]

No public scan comes with its raw data, so the reconstructed slice is projected in the virtual fan beam of the bundle
lsr_metal, and what the scanner's own reconstruction made of the metal is in those projections: the figure shows what
the methods do to a slice with real metal, not how well they would do from raw data, and there is no true image to
compare with.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from matplotlib.figure import Figure
from monai.bundle import ConfigParser
from monai.transforms import Compose, Orientationd
from torch import Tensor

from latentct import keys as K
from latentct.correction.metal import reinsert_metal
from latentct.geometry import Grid
from latentct.io.manifest import datalist
from latentct.projectors import make_projector
from latentct.recon import fbp
from latentct.tasks import Metal
from latentct.transforms import slice_grid
from latentct.units import hu_to_mu, mu_to_hu

BUNDLE = "bundles/lsr_metal"
TITLES = {"scanned": "as scanned", "li": "LI", "nmar": "NMAR", "lsr": "LSR"}


def main() -> None:
    """Correct the slice with the most metal of one volume and draw it."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--manifest", default="data_manifests/all.json")
    options.add_argument("--dataset_dir", default=None, help="default: the environment variable LATENTCT_DATA")
    options.add_argument("--split", default="test")
    options.add_argument("--volume", default="hn_pt_253", help="first volume whose file name holds this")
    options.add_argument("--threshold_hu", type=float, default=2500.0)
    options.add_argument("--out", type=Path, default=Path(BUNDLE) / "docs" / "real_metal.png")
    args = options.parse_args()
    config = _config(args)
    x_hu, grid = _slice_with_most_metal(config, args)
    images_hu, metal = _correct(config, x_hu, grid, args.threshold_hu)
    _draw(images_hu, metal, grid, args.out)
    print(args.out)


def _config(args: argparse.Namespace) -> ConfigParser:
    config = ConfigParser()
    config.read_config(f"{BUNDLE}/configs/inference.yaml")
    config.read_meta(f"{BUNDLE}/configs/metadata.json")
    config.update({"manifest": args.manifest, "split": args.split})
    if args.dataset_dir is not None:
        config["dataset_dir"] = args.dataset_dir
    else:
        config["dataset_dir"] = "$os.environ.get('LATENTCT_DATA', '')"
    return config


def _slice_with_most_metal(config: ConfigParser, args: argparse.Namespace) -> tuple[Tensor, Grid]:
    """Return the slice (1, 1, H, W) in HU with the most pixels above the threshold, and its grid."""
    folder = config.get_parsed_content("dataset_dir")
    entries = [e for e in datalist(args.manifest, args.split, folder) if args.volume in Path(e["image"]).name]
    axial = Compose([config.get_parsed_content("reading"), Orientationd(keys=K.IMAGE, axcodes="SPL", labels=None)])
    volumes = (axial(entry)[K.IMAGE] for entry in entries)
    best = max(volumes, key=lambda volume: float((volume > args.threshold_hu).sum(dim=(0, 2, 3)).max()))
    index = int((best > args.threshold_hu).sum(dim=(0, 2, 3)).argmax())
    return torch.as_tensor(best.array)[:, None, index].float(), slice_grid(best)


def _correct(config: ConfigParser, x_hu: Tensor, grid: Grid, threshold_hu: float) -> tuple[dict[str, Tensor], Tensor]:
    scan, mu_water = (config.get_parsed_content(key) for key in ("scan", "mu_water"))
    projector = make_projector(grid, scan)
    y = projector(hu_to_mu(x_hu, mu_water).clamp_min(0.0))
    task = Metal(threshold_hu=threshold_hu, edge_hu=0.7 * threshold_hu, mu_water=mu_water)
    ray_mask, metal = task.ray_mask(y, projector), task.metal_mask(y, projector)
    first = fbp(y, grid, scan)
    measured = torch.where(ray_mask, y, 0.0)
    network = config.get_parsed_content("network").eval()
    rivals = {name: config.get_parsed_content(f"methods::{name}") for name in ("li", "nmar")}
    corrected = {name: method(measured, projector, ray_mask) for name, method in rivals.items()}
    inferer = config.get_parsed_content("inferer")
    corrected["lsr"] = inferer(measured, network, projector=projector, ray_mask=ray_mask)
    images = {name: reinsert_metal(x_mu, metal, first) for name, x_mu in corrected.items()}
    return {"scanned": x_hu, **{name: mu_to_hu(x_mu, mu_water) for name, x_mu in images.items()}}, metal


def _draw(images_hu: dict[str, Tensor], metal: Tensor, grid: Grid, out: Path) -> None:
    rows, columns = _about_the_body(images_hu["scanned"])
    figure = Figure(figsize=(3.4 * len(images_hu), 7.0), layout="constrained")
    axes = figure.subplots(2, len(images_hu))
    before = images_hu["scanned"][0, 0, rows, columns].numpy()
    look = {"aspect": grid.spacing_mm[0] / grid.spacing_mm[1], "interpolation": "nearest"}
    for column, (name, image) in enumerate(images_hu.items()):
        shown = image[0, 0, rows, columns].numpy()
        axes[0, column].imshow(shown, cmap="gray", vmin=-500, vmax=500, **look)
        axes[0, column].set_title(TITLES[name])
        axes[1, column].imshow(shown - before, cmap="RdBu_r", vmin=-300, vmax=300, **look)
    axes[0, 0].contour(metal[0, 0, rows, columns].numpy(), levels=[0.5], colors="red", linewidths=0.6)
    for axis in axes.flat:
        axis.set_axis_off()
    figure.suptitle("slice, [-500, 500] HU, metal outlined; below: change, +-300 HU", fontsize=9)
    figure.savefig(out, dpi=110)


def _about_the_body(x_hu: Tensor, margin_px: int = 6) -> tuple[slice, slice]:
    """Return the rows and columns that hold the body, and a little more."""
    body = x_hu[0, 0] > -500
    found = (torch.nonzero(body.any(dim=1 - axis)).flatten().tolist() for axis in (0, 1))
    rows, columns = (slice(max(0, at[0] - margin_px), at[-1] + 1 + margin_px) for at in found)
    return rows, columns


if __name__ == "__main__":
    main()
