"""Scans in DICOM-CT-PD come out where their objects lie in the patient."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from pydicom import dcmread
from pydicom.uid import RLELossless
from tests.io.dicom import ct_pd_phantom as phantom
from tests.io.dicom.ct_pd_phantom import ELLIPSOIDS, FLYING_XY, FLYING_Z, NAME, Machine, smaller, write_scan
from tests.io.dicom.phantom import write_ct

from latentct.errors import InputError
from latentct.geometry import FanBeam, Grid
from latentct.io.dicom import ct_pd, find_series
from latentct.io.dicom.ct_pd import read_ct_pd
from latentct.io.image import CTImage
from latentct.io.inputs import read_input
from latentct.io.projections import Projections, read_projections, write_projections
from latentct.recon import fbp
from latentct.units import mu_to_hu

MACHINES = {
    "feet first": Machine(),
    "head first": Machine("HFS"),
    "spot flies along z": Machine("HFS", shifts=FLYING_Z),
    "spot flies across, z falls, turns back": Machine(shifts=FLYING_XY, feed_mm=-20.0, turning=-1),
    "flat, of GE": Machine("HFS", shape="FLAT", turning=-1, maker="GE MEDICAL SYSTEMS", central=(75.75, 10.5)),
}


def reconstruct(projections: Projections) -> tuple[np.ndarray, list[np.ndarray]]:
    """Return the image in HU and the LPS coordinates (x, y, z) of its pixels."""
    geometry = projections.geometry
    grid = Grid((len(projections.y), 150, 180), (geometry.slice_mm, 2.0, 2.0), geometry.isocenter_mm[::-1])
    plane = Grid(grid.shape[1:], grid.spacing_mm[1:])
    x_hu = mu_to_hu(fbp(torch.from_numpy(projections.y)[:, None], plane, geometry.scan)[:, 0], geometry.mu_water)
    z, y, x = np.meshgrid(*(grid.coordinates_mm(axis) for axis in range(3)), indexing="ij")
    return x_hu.numpy(), [x, y, z]


def depth(at: list[np.ndarray], number: int, margin_mm: float = 0.0) -> np.ndarray:
    """Return 1 on the surface of an ellipsoid that is so much larger, and less within."""
    center, half, _ = ELLIPSOIDS[number]
    return sum(((p - c) / (h + margin_mm)) ** 2 for p, c, h in zip(at, center, half, strict=True))


@pytest.mark.parametrize("name", MACHINES)
def test_objects_land_where_they_lie_in_the_patient(tmp_path, name):
    """Within 0.1 mm in the plane and 0.2 mm along z; the inside of objects within 2 HU, water within 0.2 HU."""
    projections = read_input(write_scan(tmp_path, MACHINES[name]))
    assert isinstance(projections.geometry.scan, FanBeam)
    assert projections.geometry.mu_water == phantom.MU_WATER
    x_hu, at = reconstruct(projections)
    for number in (1, 2):
        center, _, mu = ELLIPSOIDS[number]
        share = np.where(depth(at, number, 8.0) < 1, x_hu / (1000 * mu), 0)
        share[share < 0.2] = 0
        found = [float((share * p).sum() / share.sum()) for p in at]
        np.testing.assert_allclose(found[:2], center[:2], atol=0.1)
        assert found[2] == pytest.approx(center[2], abs=0.2)
        assert x_hu[depth(at, number) < 0.25].mean() == pytest.approx(1000 * mu, abs=2)
    water = (depth(at, 0, -10.0) < 1) & (depth(at, 1, 5.0) > 1) & (depth(at, 2, 5.0) > 1)
    assert abs(x_hu[water].mean()) < 0.2 and x_hu[water].std() < 8


def test_kinds_of_values_and_the_order_of_pixels_do_not_matter(tmp_path):
    machine = smaller()
    y = np.random.default_rng(0).uniform(0, 5, (36, 10, 40))
    first, *others = (
        read_ct_pd(write_scan(tmp_path / str(number), machine, y=y, **how))
        for number, how in enumerate(({}, {"implicit": True}, {"columns_first": False}))
    )
    for other in others:
        np.testing.assert_array_equal(other.y, first.y)
        assert other.geometry == first.geometry


def test_slices_are_as_far_apart_as_asked_and_every_file_is_read_once(tmp_path, monkeypatch):
    write_scan(tmp_path, smaller(), y=np.zeros((36, 10, 40)))
    read, names = ct_pd._read_view, []
    monkeypatch.setattr(ct_pd, "_read_view", lambda scan, path, header: names.append(path) or read(scan, path, header))
    projections = read_ct_pd(tmp_path, slice_mm=0.5)
    assert projections.y.shape == (9, 24, 40) and projections.geometry.slice_mm == 0.5
    assert len(names) == len(set(names)) <= 36
    assert projections.geometry.isocenter_mm == pytest.approx((0, 0, -100), abs=0.3)


def test_projections_written_are_read_again(tmp_path):
    projections = read_ct_pd(write_scan(tmp_path / "in", smaller(), y=np.ones((36, 10, 40))))
    write_projections(tmp_path / "out.npz", projections)
    again = read_projections(tmp_path / "out.npz")
    np.testing.assert_array_equal(again.y, projections.y)
    assert again.geometry == projections.geometry


def test_projections_stand_in_the_list_beside_images(tmp_path):
    write_scan(tmp_path / "a", smaller(), y=np.zeros((36, 10, 40)))
    write_ct(tmp_path / "b")
    found = find_series(tmp_path)
    assert [str(one) for one in found] == [
        "1: CT projections, 36 images of 40 x 10, series number 3", "2: CT, 5 images of 12 x 10, series number 7",
    ]  # fmt: skip
    assert NAME not in str([header for _, header in found[0].files])
    assert isinstance(read_input(tmp_path, 1), Projections) and isinstance(read_input(tmp_path, 2), CTImage)
    with pytest.raises(InputError, match="holds several CT series"):
        read_input(tmp_path)


def changed(**values):
    def change(ds, view):
        for key, value in values.items():
            setattr(ds, key, value)

    return change


def element(tag, value):
    def change(ds, view):
        ds[tag].value = value

    return change


def one(view, change):
    return lambda ds, at: change(ds, at) if at == view else None


def without(tag):
    return lambda ds, view: ds.__delitem__(tag)


def wandering(ds, view):
    ds[0x7033100C].value = 0.1 * view


def jumping(ds, view):
    ds[0x70311002].value = float((-1) ** view)


REFUSED = {
    "prone": (changed(PatientPosition="HFP"), "has the PatientPosition 'HFP'"),
    "position unknown": (
        without("PatientPosition"),
        "has the PatientPosition '', but the axes of projections are known for HFS and FFS",
    ),
    "axial": (element(0x70371009, "AXIAL"), "has the TypeofProjectionData 'AXIAL'"),
    "intensities": (element(0x70391009, "NO"), "has the LogFlag 'NO'"),
    "spherical": (element(0x7029100B, "SPHERICAL"), "has the DetectorShape 'SPHERICAL'"),
    "water in 1/cm": (element(0x70411001, "0.192"), "WaterAttenuationCoefficient 0.192"),
    "no radius": (without(0x70311003), r"no valid DetectorFocalCenterRadialDistance \(7031,1003\)"),
    "no number": (element(0x70311003, float("nan")), "no valid DetectorFocalCenterRadialDistance"),
    "source beyond": (element(0x70311003, 2000.0), "2000 mm before the axis and 1085.6 mm from the focus, which is no"),
    "no columns": (element(0x70291011, 0), "10 x 0 elements of .* which is no CT scanner"),
    "too wide": (element(0x70291002, 100.0), "elements of 4 x 100 mm .* which is no CT scanner"),
    "centre outside": (element(0x70311033, [1e30, 5.5]), r"central one at \(1e\+30, 5.5\)"),
    "spot far away": (element(0x7033100C, 400.0), "which is no CT scanner"),
    "infinite scale": (changed(RescaleSlope=1e300), "holds projections from .* but line integrals"),
    "two detectors": (one(5, element(0x70291002, 9.0)), "differs from .* in DetectorElementTransverseSpacing"),
    "same number": (changed(InstanceNumber=4), "several projections of one InstanceNumber"),
    "spot wanders": (wandering, "does not come back after 1, 2 or 4 views"),
    "z jumps": (jumping, "do not move steadily along z"),
    "odd size": (changed(Rows=20, Columns=20), "pixels, but its detector has"),
    "signed": (changed(PixelRepresentation=1), "not unsigned 16 bit"),
    "wrong scale": (changed(RescaleSlope=1.0), "line integrals within"),
    "short": (lambda ds, view: ds.__setattr__("PixelData", ds.PixelData[:-2]), "not as many as its header says"),
    "compressed": (lambda ds, view: ds.compress(RLELossless), "is compressed or big-endian"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_whole_scan_is_refused_in_one_sentence(tmp_path, name):
    change, sentence = REFUSED[name]
    write_scan(tmp_path, smaller(), y=np.ones((36, 10, 40)))
    for path in tmp_path.iterdir():
        ds = dcmread(path)
        change(ds, ds.InstanceNumber - 1)
        ds.save_as(path)
    with pytest.raises(InputError, match=sentence) as refusal:
        read_input(tmp_path)
    assert "\n" not in str(refusal.value) and NAME not in str(refusal.value)


def test_missing_projections_are_refused(tmp_path):
    write_scan(tmp_path, smaller(), y=np.zeros((36, 10, 40)))
    by_number = {dcmread(path).InstanceNumber: path for path in tmp_path.iterdir()}
    by_number[15].unlink()
    with pytest.raises(InputError, match="angles are not even, first after number 14 of 35"):
        read_input(tmp_path)
    for number in range(16, 37):
        by_number[number].unlink()
    with pytest.raises(InputError, match=r"holds 14 projections, but more than .*, a whole turn"):
        read_input(tmp_path)


def test_a_pitch_too_high_for_the_detector_is_refused(tmp_path):
    machine = replace(smaller(), feed_mm=90.0)
    with pytest.raises(InputError, match=r"cannot be rebinned: .* feed is too large"):
        read_input(write_scan(tmp_path, machine, y=np.zeros((36, 10, 40))))


def test_memory_is_checked_before_pixels_are_read(tmp_path, monkeypatch):
    write_scan(tmp_path, smaller(), y=np.zeros((36, 10, 40)))
    monkeypatch.setattr(ct_pd, "_read_view", None)
    monkeypatch.setattr("psutil.virtual_memory", lambda: SimpleNamespace(available=100_000))
    with pytest.raises(InputError, match=r"2 slices take 0.0 GB where 0.0 GB of memory are free"):
        read_ct_pd(tmp_path)
