"""How well slices are completed that their field of view cuts, without their rays, on the grid of the prior.

    LATENTCT_DATA=/path/to/ct python benchmarks/completion.py --json benchmarks/results/completion.json

Slices in which the body is whole and reaches beyond a circle about the middle of the image are cut to that circle and
completed by each method. The errors lie outside of the circle, to the slices before they were cut, within the body and
in all pixels; the overlap is the Dice coefficient of what exceeds -500 HU there:

* the fill with the nearest known pixel within 100 mm, and air beyond;
* the U-Net `models/completion.pt`, and what the prior's encoder and decoder make of its guess;
* the search for the latents that explain the known pixels, from that fill and from the U-Net (what `latentct correct`
  does with images), each with the bundle's weight of the prior;
* the latent search with the rays through the circle, which an image no longer has: a bound, no method.

The file gets {field in mm: {method: {metric: {mean, sd, ci95, n_patients}}}}; rivals have `search_unet_minus` beside
these figures, the paired difference of the search from the U-Net to them.
"""

from __future__ import annotations

import argparse
import copy
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from monai.bundle import ConfigParser
from torch import Tensor
from tqdm import tqdm

from latentct.engines.results import ScoreTable, strict, text_table
from latentct.geometry import Grid, field_of_measurement_mask
from latentct.inferers.known_pixels import complete_slices, edge_fill
from latentct.io.files import whole_file
from latentct.metrics import mae_hu, paired_comparison
from latentct.projectors import make_projector
from latentct.tasks import Truncation
from latentct.transforms import resample_slices, slice_grid
from latentct.units import hu_to_mu, mu_to_hu

BUNDLE = Path("bundles/lsr_truncation")
FIELDS_MM = (220.0, 250.0, 350.0)
RIM_MM = 8.0
"""Pixels nearer than this to the circle are not known: they are interpolated from pixels on both sides of it."""
BATCH = 32
MAIN = "search_unet"
BODY_HU = -500.0
COLUMNS = {"mae_body_hu": ("body, HU", 1), "mae_outside_hu": ("all, HU", 1), "overlap": ("overlap", 2)}

Method = Callable[[Tensor, Tensor], Tensor]
"""`method(x_mu, known)`: slices (B, 1, H, W) in 1/mm, all pixels of them, of which a method reads those known."""


@dataclass(frozen=True)
class Cut:
    """Slices of patients and the circle that cuts them.

    Attributes:
        x_hu: whole slices (S, 1, H, W) on the prior's grid.
        body: bool, as them.
        patients: whose slice each is.
        grid: the prior's grid.
        field_mm: diameter of the circle.
    """

    x_hu: Tensor
    body: Tensor
    patients: Sequence[str]
    grid: Grid
    field_mm: float

    def known(self) -> Tensor:
        """Return the pixels (H, W) that a method may read."""
        return torch.from_numpy(field_of_measurement_mask(self.grid, self.field_mm - RIM_MM))

    def scores(self, x_hu: Tensor) -> dict[str, Tensor]:
        """Return the errors (S,) outside of the circle, within the body and in all pixels, and the bodies' overlap."""
        outside = ~torch.from_numpy(field_of_measurement_mask(self.grid, self.field_mm)).expand_as(self.body)
        tissue, guessed = ((image > BODY_HU) & outside for image in (self.x_hu, x_hu))
        both, sizes = (part.sum(dim=(1, 2, 3)) for part in (tissue & guessed, torch.cat([tissue, guessed], dim=1)))
        return {
            "mae_body_hu": mae_hu(x_hu, self.x_hu, self.body & outside),
            "mae_outside_hu": mae_hu(x_hu, self.x_hu, outside),
            "overlap": 2 * both / sizes,
        }


def methods(config: Callable[[str], Any], field_mm: float, prior_weight: Mapping[str, float]) -> dict[str, Method]:
    """Return what is compared, by name.

    Args:
        config: gives the parsed entries of the bundle.
        field_mm: diameter of the circle.
        prior_weight: `prior_weight=w` to search with another weight of the prior than `complete_slices` has.
    """
    grid, network, inferer, unet = config("grid"), config("network"), config("inferer"), config("completion")
    projector = make_projector(grid, config("scan"))
    ray_mask = Truncation(field_mm).mask_of(config("scan"))
    unsearched = copy.copy(inferer)
    unsearched.rounds = (0,)

    def fill(x_mu: Tensor, known: Tensor) -> Tensor:
        return edge_fill(x_mu, known, grid.spacing_mm)

    def through_prior(x_mu: Tensor, known: Tensor) -> Tensor:
        return complete_slices(unsearched, network, x_mu, known, unet).x_prior_mu

    def search(first: Method, x_mu: Tensor, known: Tensor) -> Tensor:
        return complete_slices(inferer, network, x_mu, known, first, **prior_weight).x_mu

    def with_rays(x_mu: Tensor, known: Tensor) -> Tensor:
        return inferer.reconstruct(projector(x_mu), network, projector=projector, ray_mask=ray_mask).x_prior_mu

    return {
        "edge_fill": fill,
        "unet": unet,
        "unet_prior": through_prior,
        "search_fill": partial(search, fill),
        MAIN: partial(search, unet),
        "rays": with_rays,
    }


def compare(cut: Cut, ways: Mapping[str, Method], mu_water: float) -> dict[str, Any]:
    """Return {method: {metric: figures}} over the patients of cut slices."""
    table = ScoreTable()
    x_mu, known = hu_to_mu(cut.x_hu, mu_water).clamp_min(0.0), cut.known()
    for name, method in ways.items():
        parts = [method(part, known) for part in tqdm(x_mu.split(BATCH), desc=f"{cut.field_mm:g} mm, {name}")]
        scores = cut.scores(mu_to_hu(torch.cat(parts), mu_water))
        for i, patient in enumerate(cut.patients):
            table.add(name, patient, str(i), [()], {metric: value[i : i + 1] for metric, value in scores.items()})
    summary = table.summary()
    for rival, tests in table.paired(MAIN, partial(paired_comparison, seed=0)).items():
        for metric, test in tests.items():
            summary[rival][metric]["search_unet_minus"] = test
    return strict(summary)


def configuration(given: argparse.Namespace, field_mm: float) -> ConfigParser:
    """Return the configuration of the bundle's `evaluating`, with its completion."""
    parser = ConfigParser(
        ConfigParser.load_config_files([str(BUNDLE / "configs" / n) for n in ("train.yaml", "evaluate.yaml")])
    )
    parser.read_meta(str(BUNDLE / "configs" / "metadata.json"))
    names = ("completion_path", "completion_weighted", "completion")
    parser.update({name: f"%{BUNDLE}/configs/inference.yaml::{name}" for name in names})
    parser.update({"completion_def": f"%{BUNDLE}/configs/train_completion.yaml::completion_def"})
    parser.update({"split": given.split, "slices_per_volume": given.slices, "diameter_mm": field_mm})
    parser.update({name: value for name in ("manifest", "dataset_dir") if (value := getattr(given, name))})
    return parser


def load(config: Callable[[str], Any], field_mm: float) -> Cut:
    """Return the slices of a split whose bodies are whole and reach beyond the circle."""
    grid, images, bodies, patients = config("grid"), [], [], []
    for volume in config("validate::volumes"):
        image, body = (
            torch.as_tensor(volume[key]).as_subclass(Tensor)[0, :, None].float() for key in ("image", "body")
        )
        own = slice_grid(volume["image"])
        images.append(resample_slices(image, own, grid, outside=-1000.0))
        bodies.append(resample_slices(body, own, grid, outside=0.0) > 0.5)
        patients += [volume["patient"]] * len(image)
    return Cut(torch.cat(images), torch.cat(bodies), patients, grid, field_mm)


def main(arguments: Sequence[str] | None = None) -> None:
    """Read the arguments, run what is missing, print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, required=True, help="file of the results")
    parser.add_argument("--split", default="test")
    parser.add_argument("--slices", type=int, default=1, help="most slices a volume")
    parser.add_argument("--manifest", help="by default that of the bundle")
    parser.add_argument("--dataset_dir", help="folder its paths start from; by default LATENTCT_DATA")
    parser.add_argument("--prior_weight", type=float, help="of the searches; by default that of the package")
    given = parser.parse_args(arguments)
    weight = {} if given.prior_weight is None else {"prior_weight": given.prior_weight}
    results: dict[str, Any] = {}
    for field_mm in FIELDS_MM:
        config = configuration(given, field_mm).get_parsed_content
        cut = load(config, field_mm)
        found = results[f"{field_mm:g}"] = compare(cut, methods(config, field_mm, weight), config("mu_water"))
        given.json.parent.mkdir(parents=True, exist_ok=True)
        with whole_file(given.json) as partial_file:
            partial_file.write_text(json.dumps(results, indent=1, allow_nan=False) + "\n")
        print("", f"{field_mm:g} mm, outside of the field", text_table(found, COLUMNS), sep="\n", flush=True)


if __name__ == "__main__":
    main()
