"""Figures for people: what is drawn, and that it names nobody."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from latentct.engines import Example
from latentct.report import ComparisonFigure, tinted_sinogram

METHODS = ("uncorrected", "adt", "lsr")


@pytest.fixture
def example() -> Example:
    """A slice of 40 x 60 pixels whose methods differ from the reference by known amounts."""
    generator = np.random.default_rng(0)
    reference_hu = generator.uniform(-400, 400, (40, 60))
    sinogram = generator.uniform(0, 5, (30, 50))
    ray_mask = np.zeros((30, 50), dtype=bool)
    ray_mask[:, 15:35] = True
    return Example(
        image_hu=reference_hu,
        reference_hu=reference_hu,
        methods_hu={name: reference_hu + 100.0 * i for i, name in enumerate(METHODS)},
        sinogram=sinogram,
        methods_sinogram=dict.fromkeys(METHODS, sinogram),
        ray_mask=ray_mask,
        diameter_mm=100.0,
        extent_mm=(200.0, 300.0),
    )


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


def test_measured_rays_are_grey_and_the_others_blue():
    y = np.array([[0.0, 1.0, 2.0, 4.0], [0.0, 1.0, 2.0, 9.0]])
    ray_mask = np.array([[True] * 4, [False] * 4])
    grey, blue = tinted_sinogram(y, ray_mask, y_max=4.0)
    assert grey == pytest.approx(np.repeat([[0.0], [0.25], [0.5], [1.0]], 3, axis=1))
    assert np.all(blue[:, 2] > blue[:, 1])
    assert np.all(blue[:, 1] > blue[:, 0])
    assert np.all(np.diff(blue[:, 2]) > 0)
    assert blue[3] == pytest.approx([0.25, 0.55, 1.0])
    assert blue.min() >= 0
    assert blue.max() <= 1


def test_an_empty_sinogram_is_black():
    assert not tinted_sinogram(np.zeros((2, 3)), np.ones((2, 3), bool), 0.0).any()


def test_values_beyond_the_scale_are_clipped():
    assert tinted_sinogram(np.array([[-1.0, 50.0]]), np.array([[True, True]]), 5.0)[0, :, 0].tolist() == [0, 1]


def test_figure_is_written_whole(example, tmp_path):
    ComparisonFigure(METHODS)(example, tmp_path / "figure.png")
    assert [file.name for file in tmp_path.iterdir()] == ["figure.png"]
    with Image.open(tmp_path / "figure.png") as image:
        assert image.format == "PNG"
        assert min(image.size) > 500
        assert len(np.unique(np.asarray(image.convert("L")))) > 50


def test_figure_names_no_patient(example, tmp_path):
    ComparisonFigure(METHODS)(example, tmp_path / "figure.png")
    with Image.open(tmp_path / "figure.png") as image:
        image.load()
        assert set(image.info) <= {"Software", "dpi"}
        assert image.getexif() == {}


def test_images_differences_and_sinograms(example, tmp_path, drawn):
    ComparisonFigure(METHODS, window_hu=(-200, 300), difference_hu=150)(example, tmp_path / "figure.png")
    columns = [drawn[i : i + 3] for i in range(0, 12, 3)]
    assert len(drawn) == 12  # reference and three methods, three rows
    for offset_hu, ((image, window), (difference, scale), (sinogram, _)) in zip((0, 0, 100, 200), columns, strict=True):
        assert np.allclose(image, example.reference_hu + offset_hu)
        assert (window["vmin"], window["vmax"]) == (-200, 300)
        assert np.allclose(difference, offset_hu)
        assert (scale["vmin"], scale["vmax"]) == (-150, 150)
        assert window["extent"] == (-150, 150, 100, -100)  # mm, first row at the top
        assert np.allclose(sinogram, tinted_sinogram(example.sinogram, example.ray_mask, example.sinogram.max()))


def test_field_of_measurement_is_drawn(example, tmp_path, monkeypatch):
    from matplotlib.axes import Axes

    circles: list = []
    add: Callable = Axes.add_patch
    monkeypatch.setattr(Axes, "add_patch", lambda axes, patch: (circles.append(patch), add(axes, patch))[1])
    ComparisonFigure(("lsr",))(example, tmp_path / "figure.png")
    assert [circle.radius for circle in circles] == [50.0] * 4


def test_a_method_that_was_not_run_is_an_error(example, tmp_path):
    with pytest.raises(KeyError, match="nmar"):
        ComparisonFigure(("nmar",))(example, tmp_path / "figure.png")
    assert not list(tmp_path.iterdir())


def test_without_a_field_no_circle_is_drawn(example, tmp_path, monkeypatch):
    from matplotlib.axes import Axes

    monkeypatch.setattr(Axes, "add_patch", lambda axes, patch: pytest.fail("a circle was drawn"))
    ComparisonFigure(METHODS)(replace(example, diameter_mm=None), tmp_path / "figure.png")


def test_uncertainty_has_a_column_of_its_own(example, tmp_path, drawn):
    spread_hu = np.full((40, 60), 20.0)
    figure = ComparisonFigure(("lsr",), spread_hu=80)
    figure(replace(example, uncertainty_hu=spread_hu), tmp_path / "figure.png")
    assert len(drawn) == 7  # two columns of three, and the map
    image, scale = drawn[-1]
    assert np.array_equal(image, spread_hu)
    assert (scale["vmin"], scale["vmax"]) == (0, 80)
