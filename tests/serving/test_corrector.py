"""What is served is what the bundles' `inference` makes."""

import base64
import hashlib
import io
import math
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from monai.bundle import ConfigParser
from numpy.testing import assert_allclose, assert_array_equal

from latentct.errors import InputError
from latentct.geometry import ConeBeam, FanBeam, Grid, ParallelBeam, field_of_measurement_mask
from latentct.io.nifti import read_volume, write_volume
from latentct.io.projections import Projections
from latentct.io.scan_geometry import ScanGeometry, write_geometry
from latentct.projectors import make_projector
from latentct.recon import fbp
from latentct.serving import Corrector, ScanRequest, answered, input_example, load_corrector
from latentct.serving.correction import image_hu
from latentct.serving.corrector import read_config

from .conftest import body_hu, stage_small

SLICES = ParallelBeam.equally_spaced(30, math.pi, 60, 10.0)


def inference(root: Path, image: Path, output_dir: Path, **changes: Any) -> ConfigParser:
    """Run a staged bundle's `inference` on one image, without a record."""
    parser = read_config(root)
    item = {"image": str(image), "sha256": hashlib.sha256(image.read_bytes()).hexdigest(), "patient": "p"}
    handlers = ["@report" if "report" in parser else "@comparison"]
    parser.update(
        {"output_dir": str(output_dir), "datalist": [item], "handlers": handlers, "device": "$torch.device('cpu')"}
    )
    parser["report" if "report" in parser else "comparison"]["publish"] = None
    if "methods" in parser:
        parser.update({"methods": {"uncorrected": None}, "drawn": ["uncorrected", "lsr"]})
    else:
        parser.update({"rivals": {}})
    parser.get_parsed_content("evaluator").run()
    return parser


def sent(path: Path, **more: str) -> ScanRequest:
    content = base64.b64encode(path.read_bytes()).decode()
    return ScanRequest(scan_base64=content, format="nifti", **more)


def volume(answer: dict[str, Any], tmp_path: Path) -> tuple[np.ndarray, np.ndarray]:
    file = tmp_path / "answer.nii.gz"
    file.write_bytes(base64.b64decode(answer["nifti"]))
    return read_volume(file)


def arrays(answer: dict[str, Any]) -> dict[str, np.ndarray]:
    return dict(np.load(io.BytesIO(base64.b64decode(answer["npz"]))))


def disc(scan, corrector: Corrector, n_slices: int = 2) -> np.ndarray:
    grid = corrector.method.grid
    y_mm, x_mm = (grid.coordinates_mm(axis) for axis in (0, 1))
    inside = (y_mm[:, None] / 100) ** 2 + (x_mm / 150) ** 2 < 1
    x_mu = torch.from_numpy(inside).float()[None, None] * corrector.method.mu_water
    return make_projector(grid, scan)(x_mu)[:, 0].repeat(n_slices, 1, 1).numpy()


def test_an_image_is_corrected_as_by_inference(staged, corrector, nifti, tmp_path):
    inference(staged, nifti, tmp_path / "out")
    answer = answered(corrector, sent(nifti))
    x_hu, affine = volume(answer, tmp_path)
    expected_hu, expected_affine = read_volume(tmp_path / "out" / "body_lsr.nii.gz")
    assert_array_equal(x_hu, expected_hu)
    assert_allclose(affine, expected_affine, atol=1e-4)
    assert answer["scan"] == "virtual"
    assert answer["synthesised_share"] == pytest.approx(
        float((~corrector.method.task.mask_of(corrector.method.geometry.scan)).float().mean())
    )


def test_metal_is_corrected_as_by_inference(nifti, tmp_path):
    root = stage_small(tmp_path, "lsr_metal")
    inference(root, nifti, tmp_path / "out")
    answer = answered(load_corrector(root, "cpu"), sent(nifti))
    x_hu, _ = volume(answer, tmp_path)
    assert_array_equal(x_hu, read_volume(tmp_path / "out" / "body_lsr.nii.gz")[0])
    assert arrays(answer)["synthesised_rays"].ndim == 3
    assert x_hu.max() > 2500  # metal is back in its place


def test_a_bundle_brings_its_first_guess_of_slices_that_are_cut(corrector):
    grid = corrector.method.grid
    known = torch.from_numpy(field_of_measurement_mask(grid, 250.0))
    x_mu = corrector.method.mu_water * torch.rand(2, 1, *grid.shape)
    completed = corrector.method.completion(torch.where(known, x_mu, torch.nan), known)
    assert torch.equal(completed[..., known], x_mu[..., known])
    assert completed.min() >= 0


def test_a_bundle_without_a_first_guess_is_loaded_too(staged, tmp_path):
    root = tmp_path / "bundle"
    shutil.copytree(staged, root)
    config = yaml.safe_load((root / "configs" / "inference.yaml").read_text())
    del config["completion"]
    (root / "configs" / "inference.yaml").write_text(yaml.safe_dump(config, sort_keys=False))
    assert load_corrector(root, "cpu").method.completion is None


def test_few_views_are_reconstructed_as_by_inference(tmp_path):
    root = stage_small(tmp_path, "clsdm_sparse_view")
    image = tmp_path / "body.nii.gz"
    affine_lps_mm = np.array([[0, 0, 12.0, -100], [0, 12.0, 0, -150], [8.0, 0, 0, 30], [0, 0, 0, 1]])
    write_volume(image, body_hu((36, 40, 44)), affine_lps_mm)
    inference(root, image, tmp_path / "out")
    few_views = load_corrector(root, "cpu")
    answer = answered(few_views, sent(image))
    x_hu, affine = volume(answer, tmp_path)
    expected_hu, expected_affine = read_volume(tmp_path / "out" / "body_clsdm.nii.gz")
    assert_array_equal(x_hu, expected_hu)
    assert_allclose(affine, expected_affine, atol=1e-4)
    std_hu = read_volume(tmp_path / "out" / "body_clsdm_std.nii.gz")[0]
    assert_allclose(arrays(answer)["std_hu"], std_hu, atol=0.51)
    lists = answered(few_views, ScanRequest(**input_example(root)))
    assert lists["shape"] == [32, 32, 32] and len(lists["misfit"]) == 1
    with pytest.raises(InputError, match="ray_mask is for models that correct slices"):
        answered(few_views, ScanRequest(**input_example(root), ray_mask=[[[True] * 12] * 12] * 2))
    with pytest.raises(InputError, match="a parallel or fan beam was found"):
        one = np.zeros(SLICES.sinogram_shape).tolist()
        answered(few_views, ScanRequest(sinogram=one, geometry=write_geometry(ScanGeometry(SLICES, 0.02))))


def test_line_integrals_are_corrected_as_by_the_search_itself(corrector):
    method = corrector.method
    scan = method.geometry.scan
    y = disc(scan, corrector)
    answer = answered(corrector, ScanRequest(sinogram=y.tolist(), answer="npz"))
    projector = make_projector(method.grid, scan)
    found = method.inferer.reconstruct(
        torch.from_numpy(y)[:, None], method.network, projector=projector, ray_mask=method.task.mask_of(scan)
    )
    result = arrays(answer)
    expected_hu = (1000 * (found.x_mu[:, 0] / method.mu_water - 1)).round().clamp(min=-1024)
    assert_array_equal(result["image_hu"], expected_hu)
    measured = ~result["synthesised_rays"]
    assert_array_equal(result["line_integrals"][:, measured], y[:, measured])
    assert answer["misfit"] == pytest.approx(found.misfit.tolist())
    assert answer["spacing_mm"] == [1.0, 4.0, 4.0]


@pytest.mark.parametrize(
    "scan",
    [SLICES, FanBeam.equally_spaced(40, 2 * math.pi, 60, 15.0, 600.0, 1000.0, curved=True)],
    ids=["parallel", "fan"],
)
def test_scans_of_another_machine_are_corrected(corrector, scan):
    y = disc(scan, corrector, 1)
    mask = np.broadcast_to(np.abs(np.arange(60) - 29.5) < 20, scan.sinogram_shape)
    geometry = write_geometry(ScanGeometry(scan, corrector.method.mu_water, None, (1.0, 2.0, 3.0), slice_mm=2.5))
    request = ScanRequest(sinogram=y[0].tolist(), geometry=geometry, ray_mask=mask.tolist())
    answer = answered(corrector, request)
    assert np.array(answer["image_hu"])[0, 64, 64] == pytest.approx(0, abs=150)
    assert_array_equal(answer["synthesised_rays"], ~mask)
    assert answer["spacing_mm"] == [2.5, 4.0, 4.0]
    assert np.array(answer["affine_lps_mm"])[:, 3].tolist() == [-253.0, -252.0, 3.0, 1.0]


def test_the_result_is_on_the_pixels_asked_for(corrector):
    """The prior's pixels stay its own: where all was measured, the finer image is the scan's own reconstruction."""
    scan = corrector.method.geometry.scan
    image = Grid((300, 260), (1.5, 1.5))
    y = disc(scan, corrector, 1)
    geometry = ScanGeometry(scan, corrector.method.mu_water, image=image)
    correction = corrector.method.correct(Projections(y, geometry), np.ones(scan.sinogram_shape, bool))
    x_mu = fbp(torch.from_numpy(y)[:, None], image, scan)
    assert_array_equal(correction.x_hu, image_hu(x_mu, corrector.method.mu_water)[:, 0])
    assert_allclose(np.linalg.norm(correction.affine_lps_mm[:3, :3], axis=0), (1.0, 1.5, 1.5))


def test_what_was_not_measured_is_not_read(corrector):
    y = disc(SLICES, corrector, 1)
    mask = np.broadcast_to(np.abs(np.arange(60) - 29.5) < 15, SLICES.sinogram_shape)
    geometry = write_geometry(ScanGeometry(SLICES, corrector.method.mu_water))
    requests = [
        ScanRequest(sinogram=np.where(mask, y, missing).tolist(), geometry=geometry, ray_mask=mask.tolist())
        for missing in (0.0, 7.0)
    ]
    assert answered(corrector, requests[0]) == answered(corrector, requests[1])


def test_another_energy_is_brought_to_that_of_the_networks(corrector):
    y = disc(SLICES, corrector, 1)
    mask = np.broadcast_to(np.abs(np.arange(60) - 29.5) < 20, SLICES.sinogram_shape)
    method = corrector.method
    usual = method.correct(Projections(y, ScanGeometry(SLICES, method.mu_water)), mask.copy())
    denser = method.correct(Projections(1.25 * y, ScanGeometry(SLICES, 1.25 * method.mu_water)), mask.copy())
    assert_allclose(denser.x_hu, usual.x_hu, atol=2)


@pytest.mark.parametrize(
    ("scan", "words"),
    [
        (ConeBeam.equally_spaced(3, math.pi, (6, 8), (100.0, 100.0), 800.0, 1200.0), "geometry describes a cone beam"),
        (FanBeam.equally_spaced(3, math.pi, 6, 10.0, 200.0, 1000.0), "the source must stand outside the image"),
    ],
)
def test_scans_that_the_search_cannot_use_are_refused(corrector, scan, words):
    request = ScanRequest(
        sinogram=np.zeros(scan.sinogram_shape).tolist(), geometry=write_geometry(ScanGeometry(scan, 0.02))
    )
    with pytest.raises(InputError, match=words):
        answered(corrector, request)


def test_changed_weights_and_foreign_code_are_refused(tmp_path):
    root = stage_small(tmp_path, "lsr_truncation")
    config = root / "configs" / "inference.yaml"
    good = config.read_text()
    config.write_text(good + "\nextra: {_target_: subprocess.run, args: ls}\n")
    with pytest.raises(InputError, match="subprocess"):
        load_corrector(root, "cpu")
    config.write_text(good)
    torch.save({}, root / "models" / "model.pt")
    with pytest.raises(InputError, match=r"model\.pt is not the file"):
        load_corrector(root, "cpu")
