"""Training of the U-Nets with the smoke layer, as a user starts it, and the weights that are shipped."""

from pathlib import Path
from typing import Any

import pytest
import torch
from mlflow import MlflowClient

from latentct import sample
from latentct.engines import load_weights
from latentct.geometry import Grid, field_of_measurement_mask
from latentct.inferers import UNetCompletion
from latentct.inferers.known_pixels import edge_fill
from latentct.io.nifti import read_volume
from latentct.transforms import resample_slices
from latentct.units import MU_WATER_70KEV, hu_to_mu, hu_to_x

from .. import checks
from .conftest import DataSet, monai_command, succeed

COMPLETION = checks.ROOT / "bundles" / "lsr_truncation"
BUNDLES = [bundle for bundle in checks.bundle_folders() if not checks.in_stages(bundle)]
LARGEST_WEIGHTS_BYTES = 10 * 1000**2


def content(bundle: Path, name: str, layer: str = "train_unet") -> Any:
    files = ["train", layer]
    return checks.parse([bundle / "configs" / f"{file}.yaml" for file in files]).get_parsed_content(name)


def sample_on(grid: Grid) -> torch.Tensor:
    """Slices of a patient never trained on, in HU (S, 1, H, W)."""
    x_hu, affine = read_volume(sample.FOLDER / "lidc_idri_0001.nii.gz")
    own = Grid(x_hu.shape[1:], (abs(float(affine[1, 1])), abs(float(affine[0, 2]))))
    return resample_slices(torch.from_numpy(x_hu[::4, None]), own, grid, outside=-1000.0)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["lsr_truncation", "lsr_metal"])
def test_training_leaves_weights_that_fit_and_is_tracked(name: str, data_set: DataSet, tmp_path: Path) -> None:
    bundle = checks.ROOT / "bundles" / name
    succeed([*monai_command(bundle, "training_unet", "train", "train_unet", "smoke"), *data_set.options()], tmp_path)
    network = load_weights(content(bundle, "unet_def"), tmp_path / "unet.pt")
    assert bool(network.unet.final_conv.weight.any())  # it began at zero
    client = MlflowClient(tracking_uri=f"sqlite:///{tmp_path}/mlflow/mlruns.db")
    (run,) = client.search_runs([item.experiment_id for item in client.search_experiments()])
    assert run.info.status == "FINISHED"
    before = [point.value for point in client.get_metric_history(run.info.run_id, "val/first_body_mae_hu")]
    assert len(before) == 2
    assert before[0] == before[1]  # every validation sees the same scans
    assert len(client.get_metric_history(run.info.run_id, "val/body_mae_hu")) == 2


@pytest.mark.slow
def test_training_of_the_completion_leaves_weights_that_fit(data_set: DataSet, tmp_path: Path) -> None:
    command = monai_command(COMPLETION, "training_completion", "train", "train_completion", "smoke")
    succeed([*command, *data_set.options()], tmp_path)
    network = load_weights(content(COMPLETION, "completion_def", "train_completion"), tmp_path / "completion.pt")
    assert bool(network.unet.final_conv.weight.any())


@pytest.mark.parametrize("bundle", BUNDLES, ids=lambda bundle: bundle.name)
def test_scans_of_a_bundle_spoil_a_slice_but_not_beyond_recognition(bundle: Path) -> None:
    torch.manual_seed(0)
    y, x = torch.meshgrid(torch.linspace(-256, 256, 128), torch.linspace(-256, 256, 128), indexing="ij")
    body = (torch.hypot(y / 120, x / 180) < 1)[None, None].float() / 4
    bone = (torch.hypot(y - 60, x) < 20)[None, None].float() / 8
    clean = body + bone
    first, complete = content(bundle, "scans")(clean)
    error = (first - complete)[body > 0].abs().mean()
    assert 0.001 < error < 0.15  # 4 and 600 HU


@pytest.mark.parametrize(
    "path", [*(bundle / "models" / "unet.pt" for bundle in BUNDLES), COMPLETION / "models" / "completion.pt"], ids=str
)
def test_shipped_weights_are_small_and_in_half_precision(path: Path) -> None:
    assert path.stat().st_size < LARGEST_WEIGHTS_BYTES
    state = torch.load(path, weights_only=True)
    assert all(value.dtype == torch.float16 and bool(value.isfinite().all()) for value in state.values())


@pytest.mark.parametrize("bundle", BUNDLES, ids=lambda bundle: bundle.name)
def test_shipped_weights_mend_the_sample(bundle: Path) -> None:
    """Of a patient never trained on, scanned as in training, the error in the body falls by more than a tenth."""
    torch.manual_seed(0)
    network = load_weights(content(bundle, "unet_def"), bundle / "models" / "unet.pt")
    image_hu = sample_on(content(bundle, "grid"))
    clean = hu_to_x(image_hu, -1000.0, 3000.0)
    first, complete = content(bundle, "scans")(clean)
    with torch.no_grad():
        mended = network(first)
    before, after = ((x - complete)[image_hu > -500].abs().mean() for x in (first, mended))
    assert after < 0.9 * before, (before, after)


def test_shipped_weights_complete_the_sample_better_than_its_edge() -> None:
    """Outside of a field of view of 250 mm, whose border cuts the chest, the error falls to less than half."""
    grid = content(COMPLETION, "grid", "train_completion")
    network = load_weights(
        content(COMPLETION, "completion_def", "train_completion"), COMPLETION / "models" / "completion.pt"
    )
    x_mu = hu_to_mu(sample_on(grid), MU_WATER_70KEV).clamp_min(0.0)
    known = torch.from_numpy(field_of_measurement_mask(grid, 250.0))
    guess = UNetCompletion(network, -1000.0, 3000.0)(x_mu, known)
    error, of_the_edge = (
        (x - x_mu)[..., ~known].abs().mean() for x in (guess, edge_fill(x_mu, known, grid.spacing_mm))
    )
    assert error < 0.5 * of_the_edge
