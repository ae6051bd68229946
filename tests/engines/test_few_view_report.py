"""Patients to reconstruct, and the files that a reconstruction leaves behind, with a stand-in for the networks."""

import json
import math
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch
from monai.data import DataLoader, Dataset
from monai.engines import SupervisedEvaluator
from monai.transforms import CenterSpatialCropd, Compose, EnsureChannelFirstd, LoadImaged, Orientationd
from numpy.testing import assert_allclose

from latentct.engines import FewViewReport, LastResult, PatientPrepareBatch, VolumeExample, few_view_items
from latentct.errors import InputError
from latentct.geometry import Grid, few_view_cbct
from latentct.inferers import FewViewReconstruction
from latentct.io.manifest_builder import VolumeDefaults, build_manifest, write_manifest
from latentct.io.nifti import read_volume, write_volume
from latentct.io.projections import Projections, write_projections
from latentct.io.scan_geometry import ScanGeometry
from latentct.projectors import make_projector
from latentct.transforms import ResampleVolumed
from latentct.units import hu_to_mu

GRID = Grid((12, 16, 16), (16.0, 20.0, 20.0))
MU_WATER = 0.02
SCAN = few_view_cbct(4, detector_shape=(20, 24), panel_mm=(500.0, 700.0))
STD_MU = 0.001


class Water:
    """Finds a volume of water, whatever it is given, with a spread of its own."""

    def __init__(self) -> None:
        self.seen: list[torch.Tensor] = []

    def reconstruct(self, y, network, *, projector, ray_mask):
        assert ray_mask.all()
        self.seen.append(y)
        x_mu = torch.full((1, 1, *projector.grid.shape), MU_WATER)
        residual = torch.tensor([0.25])
        return FewViewReconstruction(
            x_mu, torch.full_like(x_mu, STD_MU), torch.zeros(1, 2, 4, 1, 1, 1), residual, residual
        )


def body_hu() -> np.ndarray:
    z, y, x = np.meshgrid(*(GRID.coordinates_mm(axis) for axis in range(3)), indexing="ij")
    return np.where(np.hypot(y / 90, x / 120) < 1, 50.0 + 0.1 * z, -1000.0)


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    """Three volumes, the first too short."""
    folder = tmp_path / "data"
    affine = np.array([[0, 0, 20.0, 5], [0, 20.0, 0, 6], [16.0, 0, 0, 7], [0, 0, 0, 1]])
    rows = []
    for i, volume in enumerate((body_hu()[:2], body_hu(), body_hu() + 10)):
        write_volume(folder / f"p{i}.nii.gz", volume, affine)
        rows.append({"file": f"p{i}.nii.gz", "id": f"v{i}", "patient": f"p{i}", "split": "test"})
    defaults = VolumeDefaults(split="test", group="body", source="synthetic", licence="CC0-1.0")
    write_manifest(build_manifest(folder, defaults, "synthetic", rows=rows), folder / "manifest.json")
    return folder / "manifest.json"


def items(manifest: Path, **options) -> list[dict]:
    return few_view_items(None, manifest, "test", manifest.parent, ["body"], 100.0, **options)


def run(data: list[dict], output_dir: Path, figure=lambda example, path: None, **options) -> tuple[dict, Water]:
    keys = {"keys": "image", "allow_missing_keys": True}
    transforms = [
        LoadImaged(**keys, image_only=True),
        EnsureChannelFirstd(**keys),
        Orientationd(**keys, axcodes="SPL", labels=None),
    ]
    if "image" in data[0]:
        transforms += [ResampleVolumed("image", GRID), CenterSpatialCropd("image", GRID.shape)]
    prepare_batch = PatientPrepareBatch(GRID, options.pop("scan", SCAN), MU_WATER, options.pop("i0_photons", None))
    water = Water()
    inferer = LastResult(water)
    report = FewViewReport(inferer, prepare_batch, output_dir, figure, **options)
    SupervisedEvaluator(
        device=torch.device("cpu"),
        val_data_loader=DataLoader(Dataset(data, Compose(transforms)), batch_size=1),
        network=torch.nn.Identity(),
        inferer=inferer,
        prepare_batch=prepare_batch,
        val_handlers=[report],
        decollate=False,
    ).run()
    return json.loads((output_dir / "metrics.json").read_text()), water


def test_items_are_the_volumes_long_enough_or_one_folder(manifest):
    assert [Path(item["image"]).name for item in items(manifest)] == ["p1.nii.gz", "p2.nii.gz"]
    assert [Path(item["image"]).name for item in items(manifest, limit=1)] == ["p1.nii.gz"]
    assert few_view_items("dir", "absent.json", "test", None, [], 0.0) == [{"projections": "dir"}]


def test_volume_and_spread_lie_where_the_patient_lies(manifest, tmp_path):
    metrics, _ = run(items(manifest, limit=1), tmp_path / "out")
    x_hu, affine = read_volume(tmp_path / "out" / "p1_clsdm.nii.gz")
    _, of_patient = read_volume(manifest.parent / "p1.nii.gz")
    assert x_hu.shape == GRID.shape
    assert_allclose(affine, of_patient, atol=1e-4)
    assert (x_hu == 0).all()
    std_hu, _ = read_volume(tmp_path / "out" / "p1_clsdm_std.nii.gz")
    assert (std_hu == 1000 * STD_MU / MU_WATER).all()
    (patient,) = metrics["patients"]
    assert (patient["name"], patient["n_views"]) == ("p1", 4)


def test_scores_are_those_of_the_volume_that_was_scanned(manifest, tmp_path):
    def truth(y, projector, ray_mask):
        return hu_to_mu(torch.from_numpy(np.rint(body_hu()))[None, None].float(), MU_WATER)

    metrics, inferer = run(items(manifest, limit=1), tmp_path / "out", rivals={"truth": truth})
    assert metrics["methods"]["truth"]["residual"] < 1e-4
    assert metrics["methods"]["truth"]["mae_hu"] < 1e-3
    assert metrics["methods"]["truth"]["ssim"] > 0.999
    water = metrics["methods"]["clsdm"]
    reference_hu = np.rint(body_hu())
    assert water["mae_hu"] == pytest.approx(np.abs(reference_hu[reference_hu > -500]).mean(), abs=0.5)
    assert water["psnr"] == pytest.approx(20 * math.log10(2000 / np.sqrt(np.mean(reference_hu**2))), abs=0.01)
    assert water["residual"] > 0.5
    y = make_projector(GRID, SCAN)(hu_to_mu(torch.from_numpy(reference_hu)[None, None].float(), MU_WATER))
    assert torch.allclose(inferer.seen[0], y, atol=1e-4)


def test_noise_is_that_of_a_volume(manifest, tmp_path):
    first = run(items(manifest), tmp_path / "a", i0_photons=1e4)[1].seen
    again = run(items(manifest)[1:], tmp_path / "b", i0_photons=1e4)[1].seen
    clean = run(items(manifest), tmp_path / "c")[1].seen
    assert torch.equal(first[1], again[0])
    assert 0.005 < (first[0] - clean[0])[clean[0] < 0.1].std() < 0.02


def test_a_method_sees_no_more_of_the_reference_than_its_rays(manifest, tmp_path):
    def greedy(y, projector, ray_mask):
        y.zero_()
        return torch.zeros(1, 1, *GRID.shape)

    metrics, _ = run(
        items(manifest, limit=1),
        tmp_path / "out",
        rivals={"greedy": greedy, "air": lambda *_: torch.zeros(1, 1, *GRID.shape)},
    )
    assert metrics["methods"]["greedy"]["residual"] == metrics["methods"]["air"]["residual"] == pytest.approx(1.0)


def test_figure_shows_every_method_and_the_reference(manifest, tmp_path):
    drawn: dict[str, VolumeExample] = {}
    run(items(manifest), tmp_path / "out", lambda example, path: drawn.update({path.name: example}))
    assert set(drawn) == {"p1.png", "p2.png"}
    assert list(drawn["p1.png"].methods_hu) == ["clsdm"]
    assert_allclose(drawn["p1.png"].reference_hu, np.rint(body_hu()), atol=0.01)
    assert drawn["p1.png"].std_hu is not None


@pytest.mark.parametrize("name", ["folder", "scan.npz"])
def test_projections_of_another_energy_are_brought_to_the_networks(tmp_path, name):
    y = np.full(SCAN.sinogram_shape, 3.0, np.float32)
    geometry = ScanGeometry(SCAN, mu_water=0.025, isocenter_mm=(10.0, 20.0, 30.0))
    write_projections(tmp_path / name, Projections(y, geometry))
    metrics, inferer = run([{"projections": str(tmp_path / name)}], tmp_path / "out")
    assert_allclose(inferer.seen[0], 3.0 * MU_WATER / 0.025, rtol=1e-6)
    stem = name.removesuffix(".npz")
    image = nib.load(tmp_path / "out" / f"{stem}_clsdm.nii.gz")
    middle = image.affine @ [*((n - 1) / 2 for n in image.shape), 1]
    assert_allclose(middle, (-10, -20, 30, 1), atol=1e-3)
    assert list(metrics["methods"]["clsdm"]) == ["residual", "residual_sampled"]
    assert metrics["methods"]["clsdm"]["residual_sampled"] == 0.25


def test_views_that_cannot_be_used_are_refused(manifest, tmp_path):
    with pytest.raises(InputError, match="17 views were found, but 2 to 16 are expected"):
        run(items(manifest, limit=1), tmp_path / "out", scan=few_view_cbct(17))
    away = replace(SCAN, offset_mm=(0.0, 3000.0))
    write_projections(tmp_path / "dir", Projections(np.ones(SCAN.sinogram_shape, np.float32), ScanGeometry(away, 0.02)))
    with pytest.raises(InputError, match=r"dir: view 0 sees 0 % of the volume"):
        run([{"projections": str(tmp_path / "dir")}], tmp_path / "out")
    assert not (tmp_path / "out").exists()
