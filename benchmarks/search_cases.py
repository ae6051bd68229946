"""The scans that `search.py` searches: slices of the truncation task, as its bundle evaluates them."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from monai.bundle import ConfigParser
from torch import Tensor

from latentct.geometry import field_of_measurement_mask
from latentct.inferers import LatentReconstructionInferer
from latentct.inferers.problem import ScannedPrior
from latentct.inferers.wave import Wave
from latentct.projectors import make_projector
from latentct.recon import fbp
from latentct.transforms import body_mask
from latentct.units import mu_to_hu

BUNDLE = Path("bundles/lsr_truncation")


@dataclass(frozen=True)
class Case:
    """Slices and who shall search them.

    Attributes:
        y: complete line integrals (S, 1, A, U); the search sees the measured ones only.
        ray_mask: bool (A, U), True = measured.
        network: the prior.
        inferer: with the settings of the bundle.
        scan: geometry of the rays.
        inside: bool (H, W) on the prior's grid, the field of measurement.
    """

    y: Tensor
    ray_mask: Tensor
    network: torch.nn.Module
    inferer: LatentReconstructionInferer
    scan: Any
    inside: Tensor

    def wave(self) -> Wave:
        """Return the slices as a wave of their own, on the prior's grid."""
        projector = make_projector(self.inferer.prior_grid, self.scan)
        problem = ScannedPrior(self.inferer, self.network, projector, self.ray_mask)
        return Wave(problem, torch.where(self.ray_mask, self.y, 0.0), self.ray_mask)

    def errors_hu(self, x_mu: Tensor) -> dict[str, float]:
        """Return the mean absolute error within the body, inside and outside the field, means over slices."""
        grid, mu_water = self.inferer.prior_grid, self.inferer.mu_water
        reference = mu_to_hu(fbp(self.y, grid, self.scan), mu_water)
        body = torch.from_numpy(body_mask(reference[:, 0].numpy(), grid.spacing_mm))[:, None]
        error = (mu_to_hu(x_mu, mu_water) - reference).abs()
        masks = {"mae_inside_hu": body & self.inside, "mae_outside_hu": body & ~self.inside}
        return {
            name: float((error.where(m, 0.0).sum((1, 2, 3)) / m.sum((1, 2, 3))).nanmean()) for name, m in masks.items()
        }


def patients_apart(given: argparse.Namespace) -> Case:
    """Return slices of different patients."""
    config = configuration(given, 1, given.slices).get_parsed_content
    dataset = config("validate::dataset")
    items = [dataset[i] for i in range(min(given.slices, len(dataset)))]
    config("network").requires_grad_(False)
    inside = torch.from_numpy(field_of_measurement_mask(config("grid"), config("diameter_mm")))
    y, ray_mask = torch.cat([_sinograms(item)[:1] for item in items]), torch.as_tensor(items[0]["ray_mask"])
    return Case(y, ray_mask, config("network"), config("inferer"), config("scan"), inside)


def neighbouring_slices(given: argparse.Namespace, apart: Case) -> Case:
    """Return neighbouring slices of the volume that has most of them."""
    volumes = configuration(given, 10**6, given.slices).get_parsed_content("validate::dataset")
    most = max(range(len(volumes)), key=lambda i: len(volumes.data[i]["image"][0]))
    y = _sinograms(volumes[most])
    middle = (len(y) - given.neighbours) // 2
    return replace(apart, y=y[max(0, middle) :][: given.neighbours])


def configuration(given: argparse.Namespace, slices_per_volume: int, limit: int | None) -> ConfigParser:
    """Return the configuration of the bundle's `evaluating`."""
    names = [str(BUNDLE / "configs" / name) for name in ("train.yaml", "evaluate.yaml")]
    parser = ConfigParser(ConfigParser.load_config_files(names))
    parser.read_meta(str(BUNDLE / "configs/metadata.json"))
    options = {"manifest": given.manifest, "dataset_dir": given.dataset_dir, "split": given.split}
    options |= {"limit": limit, "slices_per_volume": slices_per_volume}
    parser.update({k: v for k, v in options.items() if v})
    parser["device"] = "$torch.device('cpu')"
    return parser


def whole_split(given: argparse.Namespace, apart: Case) -> tuple[Case, list[int]]:
    """Return all slices that the bundle evaluates, and how many each patient's volume has."""
    dataset = configuration(given, 3, limit=None).get_parsed_content("validate::dataset")
    sinograms = [_sinograms(item) for item in dataset]
    return replace(apart, y=torch.cat(sinograms)), [len(y) for y in sinograms]


def _sinograms(item: Mapping[str, Any]) -> Tensor:
    return torch.as_tensor(item["sinogram"])[0, :, None].as_subclass(Tensor)
