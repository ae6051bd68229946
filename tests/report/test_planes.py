"""Figures of volumes: which planes are drawn, on which scale, and what an example without a reference leaves out."""

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from latentct.engines import VolumeExample
from latentct.geometry import Grid
from latentct.report import ThreePlaneFigure, middle_planes

GRID = Grid((8, 12, 10), (4.0, 7.0, 6.0))


@pytest.fixture
def example() -> VolumeExample:
    reference_hu = np.random.default_rng(0).uniform(-400, 400, GRID.shape).astype(np.float32)
    methods_hu = {"fdk": reference_hu + 100, "clsdm": reference_hu - 50}
    return VolumeExample(GRID, methods_hu, reference_hu, np.full(GRID.shape, 30, np.float32))


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list:
    """Every image that is drawn, with its options."""
    from matplotlib.axes import Axes

    calls, imshow = [], Axes.imshow

    def note(axes, image, *args, **kwargs):
        calls.append((np.asarray(image), kwargs))
        return imshow(axes, image, *args, **kwargs)

    monkeypatch.setattr(Axes, "imshow", note)
    return calls


def test_planes_stand_as_radiologists_read_them():
    volume = np.zeros((4, 6, 8))
    volume[3, 0, :] = 1.0  # superior and anterior
    volume[:, :, 7] += 2.0  # patient left
    axial, coronal, sagittal = middle_planes(volume)
    assert (axial.shape, coronal.shape, sagittal.shape) == ((6, 8), (4, 8), (4, 6))
    assert (axial[:, 7] == 2).all()
    assert (coronal[:, 7] == 2).all()
    assert sagittal[0, 0] == 1
    assert sagittal.sum() == 1


def test_every_method_has_three_planes_and_three_differences(example, drawn, tmp_path):
    ThreePlaneFigure(window_hu=(-200, 300), difference_hu=150, spread_hu=80)(example, tmp_path / "figure.png")
    assert len(drawn) == 3 + 2 * 6 + 3
    for first, offset_hu in ((3, 100), (9, -50)):
        images, differences = drawn[first : first + 3], drawn[first + 3 : first + 6]
        for (image, window), plane in zip(images, middle_planes(example.reference_hu), strict=True):
            assert np.allclose(image, plane + offset_hu)
            assert (window["vmin"], window["vmax"]) == (-200, 300)
        for difference, scale in differences:
            assert np.allclose(difference, offset_hu, atol=1e-3)
            assert (scale["vmin"], scale["vmax"]) == (-150, 150)
    assert [scale["vmax"] for _, scale in drawn[-3:]] == [80, 80, 80]
    assert drawn[0][1]["extent"] == (-30, 30, 42, -42)  # axial: x and y in mm
    assert drawn[1][1]["extent"] == (-30, 30, 16, -16)  # coronal: x and z


def test_without_a_reference_there_are_no_differences(example, drawn, tmp_path):
    ThreePlaneFigure(["clsdm"])(replace(example, reference_hu=None, std_hu=None), tmp_path / "figure.png")
    assert len(drawn) == 3


def test_figure_is_written_whole_and_names_nobody(example, tmp_path):
    ThreePlaneFigure()(example, tmp_path / "figure.png")
    assert [file.name for file in tmp_path.iterdir()] == ["figure.png"]
    with Image.open(tmp_path / "figure.png") as image:
        image.load()
        assert set(image.info) <= {"Software", "dpi"}
        assert min(image.size) > 500
        assert len(np.unique(np.asarray(image.convert("L")))) > 50


def test_a_method_that_was_not_run_is_an_error(example, tmp_path):
    with pytest.raises(KeyError, match="tv"):
        ThreePlaneFigure(("tv",))(example, tmp_path / "figure.png")
    assert not list(tmp_path.iterdir())
