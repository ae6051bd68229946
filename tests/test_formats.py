"""What docs/formats.md shows runs as it stands there, on inputs of the names that it uses."""

import re
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from latentct.cli.main import app
from latentct.geometry import ConeBeam, FanBeam, ParallelBeam
from latentct.io.inputs import read_input
from latentct.io.nifti import write_volume
from latentct.io.projections import Projections, write_projections
from latentct.io.scan_geometry import ScanGeometry

from .io.test_rtk import write_mha

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "formats.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


@pytest.fixture
def inputs(tmp_path, monkeypatch):
    """The inputs that the page names, in the current folder."""
    pytest.importorskip("pydicom")
    from .io.dicom.ct_pd_phantom import smaller, write_scan
    from .io.dicom.phantom import write_ct

    monkeypatch.chdir(tmp_path)
    write_ct(tmp_path / "ct")
    write_scan(tmp_path / "ldct", smaller(), y=np.ones((36, 10, 40)))
    write_volume("scan.nii.gz", np.zeros((2, 3, 4)), np.eye(4)[[2, 1, 0, 3]])
    scan = ParallelBeam.equally_spaced(n_views=4, arc_rad=np.pi, n_bins=6, bin_mm=60.0)
    write_projections("scan.npz", Projections(np.ones((2, 4, 6), np.float32), ScanGeometry(scan, 0.02)))
    (yaml,) = blocks("yaml")
    Path("fan.yaml").write_text(yaml)
    return tmp_path


def test_the_python_of_the_page_runs(inputs):
    pytest.importorskip("h5py")
    names: dict = {}
    for code in blocks("python"):
        exec(code, names)
    assert names["image"].x_hu.shape == (5, 12, 10) and names["scan"].y.shape == (2, 4, 6)
    assert names["x_hu"].shape == (2, 3, 4)
    assert names["fans"].geometry.slice_mm == 1.5
    for name in ("fan.npz", "fan.npy", "fan.h5", "fan"):
        read = read_input(name)
        np.testing.assert_array_equal(read.y, names["y"])
        assert isinstance(read.geometry.scan, FanBeam) and read.geometry.scan.curved
        assert read.geometry.isocenter_mm == (0, 0, -120) and read.geometry.slice_mm == 2.5


def test_the_commands_of_the_page_run(inputs):
    lines = [line for block in blocks("sh") for line in block.splitlines()]
    assert lines
    for line in lines:
        program, *arguments = line.split()
        assert program == "latentct"
        assert CliRunner().invoke(app, arguments, catch_exceptions=False).exit_code == 0


def test_the_geometry_of_rtk_is_read(tmp_path):
    (xml,) = blocks("xml")
    write_mha(tmp_path / "scan.mha")
    (tmp_path / "scan.xml").write_text(xml)
    scan = read_input(tmp_path / "scan.mha").geometry.scan
    assert isinstance(scan, ConeBeam) and (scan.sod_mm, scan.sdd_mm, scan.n_views) == (1000, 1500, 2)


@pytest.mark.parametrize("name", re.findall(r"\| `(latentct\.[\w.]+)` \|", PAGE))
def test_functions_that_write_exist(name):
    module, function = name.rsplit(".", 1)
    assert callable(getattr(__import__(module, fromlist=[function]), function))


def test_paths_and_links_of_the_page_exist():
    paths = re.findall(r"`(src/[\w./-]+)`", PAGE) + [f"docs/{link}" for link in re.findall(r"\]\(([^)#]+)\)", PAGE)]
    assert paths and all((ROOT / path).exists() for path in paths)
