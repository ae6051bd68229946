"""The evaluation loop of few-view scans: every method on the same scans of volumes, frozen, then scored."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ignite.engine import Engine, Events
from torch import Tensor

from latentct import keys as K
from latentct.engines.fingerprint import fingerprint
from latentct.engines.measurement import FrozenOutputs, HeldBack, Measurement
from latentct.engines.results import PairedTest, strict, text_table
from latentct.engines.scoring import volume_scores
from latentct.engines.volume_scores import VolumeScores, differences, patient_table
from latentct.geometry import Grid, Scan
from latentct.io.files import whole_file
from latentct.projectors import Projector, make_projector
from latentct.recon import Reconstructor
from latentct.simulate import acquire
from latentct.simulate.noise import noisy
from latentct.transforms import body_mask
from latentct.units import hu_to_mu

METHODS = ("fdk", "sirt", "tv", "regression", "ldm", "clsdm", "clsdm_consistent")
"""Order of the rows of a table."""
COLUMNS = {
    "psnr": ("PSNR volume [dB]", 2),
    "ssim": ("3-D SSIM volume", 3),
    "mae_hu": ("MAE body [HU]", 1),
    "residual": ("residual of the rays", 4),
}
"""Metrics with their titles and digits."""
BEST = "clsdm_consistent"
"""The method that the others are compared with, patient by patient."""
AIR_HU = -1000.0
SCANNED = "scanned"
"""Key of the volume that is scanned, which may have finer voxels than the reference."""


class FewViewComparison:
    """Score methods on simulated scans of volumes under several conditions, e.g. with 2, 4, 8 and 16 views.

    The process function of an Ignite engine that goes through batches of volumes on one grid. Of each batch every scan
    is simulated once, with noise that depends on the seed, the volume and the condition only; all methods get copies of
    its line integrals, the projector and the mask, and nothing else. Their results are frozen before the volumes are
    opened and compared. What a volume has scores of already, from this or another run, is not computed again.

    Args:
        methods: by name, `(y, projector, ray_mask) -> x_mu`, of batches (B, 1, A, V, U) that share a scan.
        scans: the conditions by name.
        grid: of the volumes and of the results.
        mu_water: attenuation of water in 1/mm at the energy of the scans.
        i0_photons: photons a ray without object.
        seed: of the noise.
        output_dir: where `metrics.json` and the scores of each volume, `volumes.json`, go.
        device: where the methods compute.
        left_out: methods that cannot serve a condition, by its name.
        finer: voxels of the scanned volumes to one of the grid along each axis, both centred alike; 1 scans the grid's
            own voxels, as the methods' projector does.
        hu_range: lower and upper end of the range of PSNR and SSIM.
        paired_test: compares the best method with the others, patient by patient; None leaves that out.
        publish: called with the summary and the folder once both are written, e.g. to record them.
        overwrite: compute again what has scores.
    """

    def __init__(
        self,
        methods: Mapping[str, Reconstructor],
        scans: Mapping[str, Scan],
        grid: Grid,
        mu_water: float,
        i0_photons: float,
        seed: int,
        output_dir: str | Path,
        device: torch.device | str = "cpu",
        left_out: Mapping[str, Sequence[str]] | None = None,
        finer: int = 1,
        hu_range: tuple[float, float] = (-1000.0, 1000.0),
        paired_test: PairedTest | None = None,
        publish: Callable[[Mapping[str, Any], Path], None] | None = None,
        overwrite: bool = False,
    ) -> None:
        self.methods = dict(methods)
        self.mu_water, self.i0_photons, self.seed = mu_water, i0_photons, seed
        self.output_dir = Path(output_dir)
        self.device = torch.device(device)
        self.left_out = dict(left_out or {})
        self.hu_min, self.hu_max = hu_range
        self.paired_test = paired_test
        self.publish = publish
        self.overwrite = overwrite
        self.scores = VolumeScores(self.output_dir / "volumes.json")
        self.summary: dict[str, Any] = {}
        scanned = grid.finer(finer)
        self._projectors = {name: make_projector(grid, scan, "auto", self.device) for name, scan in scans.items()}
        self._scanners = {name: make_projector(scanned, scan, "auto", self.device) for name, scan in scans.items()}
        settings = (grid, scanned, mu_water, i0_photons, seed, hu_range)
        self._scan_prints = {name: fingerprint(scan, settings) for name, scan in scans.items()}
        self._method_prints = {name: fingerprint(method) for name, method in self.methods.items()}
        self._finer = {"scanned_voxels_to_one": finer}
        self._patients: dict[str, str] = {}

    def attach(self, engine: Engine) -> None:
        """Follow an engine whose process function this is."""
        engine.add_event_handler(Events.STARTED, self._begin)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self._finish)

    def __call__(self, engine: Engine, batch: Mapping[str, Any]) -> None:
        """Score what is missing of a batch: volumes `image` and `scanned` in HU, with `sha256` and `patient`.

        Args:
            engine: the engine.
            batch: `image` (B, 1, D, H, W) on the grid, `scanned` (B, 1, finer * D, finer * H, finer * W).
        """
        volumes = [str(name) for name in batch["sha256"]]
        self._patients |= dict(zip(volumes, map(str, batch["patient"]), strict=True))
        for condition in self._projectors:
            missing = self._missing(condition, volumes)
            if missing:
                self._compare(condition, missing, volumes, batch)

    def _begin(self) -> None:
        self._patients = {}
        for condition in self._projectors if self.overwrite else ():
            self.scores.forget(condition, list(self.methods))

    def _missing(self, condition: str, volumes: Sequence[str]) -> list[str]:
        """Return the methods that some of the volumes lack scores of."""

        def known(name: str) -> set[str]:
            return self.scores.known(condition, self._scan_prints[condition], name, self._method_prints[name])

        serving = [name for name in self.methods if name not in self.left_out.get(condition, ())]
        return [name for name in serving if not known(name).issuperset(volumes)]

    def _compare(self, condition: str, names: Sequence[str], volumes: Sequence[str], batch: Mapping[str, Any]) -> None:
        """Run methods on the scans of some volumes, freeze all results, and only then score them."""
        measurement = self._measure(condition, volumes, _plain(batch[SCANNED]))
        held_back = HeldBack({K.IMAGE: _plain(batch[K.IMAGE])})
        results, seconds = {}, {}
        for name in names:
            start = time.perf_counter()
            with torch.no_grad():
                results[name] = measurement.solve(self.methods[name])
            seconds[name] = (time.perf_counter() - start) / len(volumes)
        frozen = FrozenOutputs(results)
        reference_hu = held_back.open(frozen)[K.IMAGE]
        body = bodies(reference_hu, measurement.projector.grid)
        hu_range = self.hu_min, self.hu_max
        for name in names:
            scores = volume_scores(frozen[name], measurement, self.mu_water, hu_range, reference_hu, body)
            rows = {v: {m: float(s[i]) for m, s in scores.items()} for i, v in enumerate(volumes)}
            timed = {volume: strict(row) | {"seconds": seconds[name]} for volume, row in rows.items()}
            place = (condition, self._scan_prints[condition], name, self._method_prints[name])
            self.scores.put(*place, timed)

    def _measure(self, condition: str, volumes: Sequence[str], x_hu: Tensor) -> Measurement:
        """Return the scans as the methods see them."""
        generators = [_generator(self.seed, volume, condition) for volume in volumes]
        x_mu = hu_to_mu(x_hu, self.mu_water).to(self.device)
        y = noisy_scans(x_mu, self._scanners[condition], self.i0_photons, generators)
        return Measurement.complete(y, self._projectors[condition])

    def _finish(self) -> None:
        """Write `metrics.json` and print the tables."""
        self.summary = strict(self._summarise())
        with whole_file(self.output_dir / "metrics.json") as partial_file:
            partial_file.write_text(json.dumps(self.summary, indent=1, allow_nan=False))
        for condition, methods in self.summary["views"].items():
            print("", condition, text_table(methods, COLUMNS), sep="\n")
        if self.publish is not None:
            self.publish(self.summary, self.output_dir)

    def _summarise(self) -> dict[str, Any]:
        views = {condition: self._table(condition) for condition in self._projectors}
        rows = {f"{condition}/{name}": figures for condition in views for name, figures in views[condition].items()}
        return {
            "settings": {"i0_photons": self.i0_photons, "mu_water": self.mu_water, "seed": self.seed} | self._finer,
            "reference": "the scanned volume on the grid of the results",
            "region": "PSNR and SSIM: whole volume; MAE: body; residual: measured rays, relative to them",
            "psnr_ssim_range_hu": [self.hu_min, self.hu_max],
            "n_patients": len(set(self._patients.values())),
            "n_volumes": len(self._patients),
            "views": views,
            "methods": rows,
        }

    def _table(self, condition: str) -> dict[str, Any]:
        scores = self.scores.of_scan(condition, self._scan_prints[condition])
        table = patient_table(scores, self._patients, tuple(COLUMNS), METHODS)
        if self.paired_test is not None:
            paired = differences(scores, self._patients, tuple(COLUMNS), BEST, self.paired_test)
            for name, by_metric in paired.items():
                for metric, difference in by_metric.items():
                    table[name][metric][f"{BEST}_minus"] = difference
        return table


def noisy_scans(x_mu: Tensor, projector: Projector, i0_photons: float, generators: Sequence[torch.Generator]) -> Tensor:
    """Return line integrals (B, 1, A, V, U) of volumes (B, 1, D, H, W) in 1/mm with Poisson noise.

    Args:
        x_mu: volumes in 1/mm.
        projector: their grid and the scan.
        i0_photons: photons a ray without object.
        generators: one a volume, on the CPU: its noise does not depend on what else is in the batch.
    """
    pairs = zip(acquire(x_mu, projector).cpu(), generators, strict=True)
    return torch.stack([noisy(y, i0_photons, generator) for y, generator in pairs]).to(x_mu.device)


def bodies(x_hu: Tensor, grid: Grid) -> Tensor:
    """Return the patients in volumes (B, 1, D, H, W) in HU as a mask of the same shape.

    On a grid as coarse as this, sheets thinner than three pixels, as of tables and blankets, are no body.
    """
    spacing_mm = grid.spacing_mm[1:]
    masks = [body_mask(volume[0].numpy(), spacing_mm, sheet_mm=2 * max(spacing_mm)) for volume in x_hu.cpu()]
    return torch.from_numpy(np.stack(masks))[:, None]


def _plain(x_hu: Any) -> Tensor:
    """Return a volume as a plain tensor, air no less than air."""
    return torch.as_tensor(getattr(x_hu, "array", x_hu)).clamp(min=AIR_HU)


def _generator(seed: int, volume: str, condition: str) -> torch.Generator:
    digest = hashlib.sha256(f"{seed}/{volume}/{condition}".encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:7], "big"))
