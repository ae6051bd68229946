"""Projections in HDF5, and in an NPY file with its geometry beside it."""

import math

import h5py
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from latentct.errors import InputError
from latentct.geometry import ConeBeam, FanBeam
from latentct.io import hdf5, sizes
from latentct.io.projections import Projections, read_projections, write_projections
from latentct.io.scan_geometry import ScanGeometry, write_geometry

CONE = ConeBeam.equally_spaced(3, math.pi, (6, 8), (100.0, 100.0), 800.0, 1200.0)
FAN = FanBeam.equally_spaced(7, 3.0, 9, 2.5, 500.0, 900.0, curved=True)


def projections(scan=CONE, **geometry) -> Projections:
    shape = scan.sinogram_shape if len(scan.sinogram_shape) == 3 else (4, *scan.sinogram_shape)
    y = np.random.default_rng(0).uniform(0, 8, shape).astype(np.float32)
    return Projections(y, ScanGeometry(scan, 0.02, isocenter_mm=(1.0, 2.0, 3.0), **geometry))


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "scan.h5"
    write_projections(path, projections())
    return path


@pytest.mark.parametrize("name", ["scan.h5", "scan.hdf5", "scan.npy"])
@pytest.mark.parametrize("scan", [CONE, CONE.vectors(), FAN], ids=["circle", "vectors", "fan"])
def test_what_is_written_is_read_back(tmp_path, name, scan):
    written = projections(scan)
    write_projections(tmp_path / name, written)
    read = read_projections(tmp_path / name)
    assert read.geometry == written.geometry
    assert read.y.dtype == np.float32
    assert_array_equal(read.y, written.y)
    assert not list(tmp_path.glob("*.partial"))


def test_a_geometry_too_long_for_an_attribute_is_a_dataset(tmp_path, monkeypatch):
    monkeypatch.setattr(hdf5, "LONGEST_ATTRIBUTE", 100)
    write_projections(tmp_path / "scan.h5", projections())
    with h5py.File(tmp_path / "scan.h5") as content:
        assert isinstance(content["geometry"], h5py.Dataset)
    assert read_projections(tmp_path / "scan.h5").geometry == projections().geometry


def place(file, where, text):
    with h5py.File(file, "r+") as content:
        del content["projections"].attrs["geometry"]
        if where == "attribute":
            content.attrs["geometry"] = text
        elif where == "dataset":
            content["geometry"] = text
        elif where == "bytes":
            content["geometry"] = np.bytes_(text.encode())
        else:
            file.with_suffix(".yaml").write_text(text)


@pytest.mark.parametrize("where", ["attribute", "dataset", "bytes", "beside"])
def test_the_geometry_may_be_in_any_of_its_places(file, where):
    place(file, where, write_geometry(ScanGeometry(CONE, 0.03)))
    assert read_projections(file).geometry == ScanGeometry(CONE, 0.03)


def test_intensities_become_line_integrals(file):
    place(file, "attribute", write_geometry(ScanGeometry(CONE, 0.02, i0=5e4)))
    with h5py.File(file, "r+") as content:
        content["projections"][...] = 5e4 * np.exp(-content["projections"][()].astype(np.float64))
    assert_allclose(read_projections(file).y, projections().y, atol=1e-3)


def refusal(path) -> str:
    with pytest.raises(InputError) as error:
        read_projections(path)
    assert "\n" not in str(error.value)
    assert str(path.parent) in str(error.value)
    return str(error.value)


@pytest.mark.parametrize("name", ["scan.h5", "scan.npy"])
def test_a_missing_geometry_is_named(tmp_path, name):
    write_projections(tmp_path / name, projections())
    (tmp_path / "scan.yaml").unlink(missing_ok=True)
    if name == "scan.h5":
        with h5py.File(tmp_path / name, "r+") as content:
            del content["projections"].attrs["geometry"]
    assert "scan.yaml does not exist; describe the geometry" in refusal(tmp_path / name)


@pytest.mark.parametrize("keep", [0, 100, 2000])
def test_cut_files_are_refused(file, keep):
    file.write_bytes(file.read_bytes()[:keep])
    assert "cannot be read as an HDF5 file" in refusal(file)


def test_spoilt_numbers_are_refused(file):
    with h5py.File(file, "r") as content:
        place_of = content["projections"].id.get_chunk_info(1)
    data = bytearray(file.read_bytes())
    data[place_of.byte_offset : place_of.byte_offset + place_of.size] = b"\0" * place_of.size
    file.write_bytes(data)
    assert "cannot be read as an HDF5 file" in refusal(file)


def test_a_file_without_projections_is_refused(file):
    with h5py.File(file, "r+") as content:
        del content["projections"]
        content.create_group("projections")
    assert "holds no dataset 'projections'" in refusal(file)


def test_a_link_to_another_file_is_not_followed(file):
    with h5py.File(file, "r+") as content:
        text = content["projections"].attrs["geometry"]
        del content["projections"]
        made = content.create_dataset("projections", CONE.sinogram_shape, "f4", external=[("secret.bin", 0, 4000)])
        made.attrs["geometry"] = text
    assert "holds no dataset 'projections'" in refusal(file)


@pytest.mark.parametrize(
    ("geometry", "reason"), [(3.5, "that is no text"), (np.arange(3), "that is no text"), (b"\xff\xfe", "no YAML")]
)
def test_a_geometry_that_is_no_text_is_refused(file, geometry, reason):
    with h5py.File(file, "r+") as content:
        content["projections"].attrs["geometry"] = geometry
    assert reason in refusal(file)


def test_words_are_no_projections(file):
    with h5py.File(file, "r+") as content:
        text = content["projections"].attrs["geometry"]
        del content["projections"]
        content["projections"] = np.full(CONE.sinogram_shape, b"x")
        content["projections"].attrs["geometry"] = text
    assert "not finite numbers" in refusal(file)


def test_a_huge_array_is_refused_by_its_header(file):
    """A dataset without chunks takes no disk, and would take 6 TB of memory."""
    with h5py.File(file, "r+") as content:
        del content["projections"]
        made = content.create_dataset("projections", (10**6, 1000, 1500), "f4", chunks=(1, 100, 100))
        made.attrs["geometry"] = write_geometry(ScanGeometry(CONE, 0.02))
    assert "have shape (1000000, 1000, 1500), but their geometry expects (3, 6, 8)" in refusal(file)


@pytest.mark.parametrize("name", ["scan.h5", "scan.npy", "folder"])
def test_more_than_the_memory_is_refused_before_it_is_read(tmp_path, name, monkeypatch):
    write_projections(tmp_path / name, projections())
    monkeypatch.setattr(sizes, "BYTES_PER_VALUE", 1e15)
    assert "GB of memory are free; give fewer views" in refusal(tmp_path / name)


def test_a_heap_of_texts_that_hdf5_would_read_for_ever_is_refused(file, monkeypatch):
    monkeypatch.setattr(hdf5, "LONGEST_S", 4.0)
    data = bytearray(file.read_bytes())
    heap = data.index(b"GCOL")
    data[heap + 16 : heap + 64] = bytes(48)
    file.write_bytes(data)
    assert "HDF5 stops at it" in refusal(file)


def test_a_file_that_hdf5_dies_of_is_refused(file, monkeypatch, tmp_path):
    (tmp_path / "deadly.py").write_text("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)")
    monkeypatch.setattr(hdf5, "_PROBE", tmp_path / "deadly.py")
    assert "HDF5 stops at it" in refusal(file)
