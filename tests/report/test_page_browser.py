"""The controls of the page in a real browser: each is operated, and the pixels on the canvas are compared."""

import shutil
from collections.abc import Iterator

import numpy as np
import pytest
from tests.report.page_content import SHAPE, content, volumes

from latentct.report.page import write_page

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
CHROMIUM = shutil.which("chromium")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")

QUIET = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-sync"]
DEPTH, HEIGHT, WIDTH = SHAPE
PIXELS = """() => {
  const canvas = document.getElementById("slice-canvas");
  const data = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
  return [canvas.height, canvas.width, Array.from(data)];
}"""


@pytest.fixture(scope="module")
def browser() -> Iterator["sync_api.Browser"]:
    with sync_api.sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET, timeout=120_000)
        yield chromium
        chromium.close()


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("page") / "page.html"
    write_page(path, content("A text that is long enough to be broken into several lines"))
    return path.as_uri()


@pytest.fixture
def page(browser, address) -> Iterator["sync_api.Page"]:
    """The page, unpacked; afterwards it must have complained of nothing and asked for nothing."""
    page = browser.new_page(viewport={"width": 1280, "height": 800})
    complaints: list[str] = []
    requests: list[str] = []
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("request", lambda request: requests.append(request.url))
    page.goto(address)
    page.locator("#number").filter(has_text="of").wait_for(timeout=60_000)
    yield page
    page.close()
    assert complaints == []
    assert [url for url in requests if not url.startswith("data:")] == [address]


def shown(page) -> np.ndarray:
    """Return what the canvas shows, (rows, columns, RGB)."""
    rows, columns, data = page.evaluate(PIXELS)
    return np.array(data, float).reshape(rows, columns, 4)[..., :3]


def grey(x_hu: np.ndarray, level: float = 40, width: float = 400) -> np.ndarray:
    return np.clip((np.rint(x_hu) - level + width / 2) / width, 0, 1)[..., None] * [255, 255, 255]


def after(slice_index: int) -> np.ndarray:
    return volumes().after_hu[slice_index]


def assert_shows(page, expected: np.ndarray) -> None:
    assert shown(page).shape == expected.shape
    assert np.abs(shown(page) - expected).max() <= 1.0


def press(page, *keys: str) -> None:
    for key in keys:
        page.locator("#slice-canvas").press(key)


def choose(page, label: str) -> None:
    page.get_by_text(label, exact=True).click()


@pytest.fixture
def plain(page):
    """The page without the tint, in a window that every voxel of the test falls into."""
    page.get_by_label("Tint what rests on synthesised rays").uncheck()
    page.get_by_label("Level (HU)").fill("1000")
    page.get_by_label("Width (HU)").fill("4600")
    page.get_by_label("Width (HU)").press("Enter")
    return page


def wide(x_hu: np.ndarray) -> np.ndarray:
    return grey(x_hu, 1000, 4600)


def test_page_opens_on_the_middle_slice_after_the_correction(page):
    x_hu, synthesised = after(3), volumes().synthesised[3]
    expected = np.where(synthesised[..., None], 0.7 * grey(x_hu) + 0.3 * np.array([64, 137, 255]), grey(x_hu))
    assert_shows(page, expected)
    caption = page.locator("#caption").inner_text()
    assert caption == "After, axial slice 4 of 6 at z = 109.0 mm, window [-160, 240] HU, pixel 2.00 \u00d7 1.00 mm"


def test_tint_goes_and_comes_with_its_box_and_its_key(page):
    tinted = shown(page)
    page.get_by_label("Tint what rests on synthesised rays").uncheck()
    assert_shows(page, grey(after(3)))
    press(page, "o")
    assert (shown(page) == tinted).all()


def test_slider_wheel_and_keys_change_the_slice(plain):
    plain.locator("#slice").fill("1")
    assert_shows(plain, wide(after(1)))
    plain.locator("#slice-canvas").hover()
    plain.mouse.wheel(0, -120)
    plain.locator("#number").filter(has_text="3 of 6").wait_for()
    assert_shows(plain, wide(after(2)))
    for key, index in (("ArrowUp", 3), ("ArrowDown", 2), ("PageUp", 5), ("Home", 0), ("End", 5), ("PageDown", 0)):
        press(plain, key)
        assert_shows(plain, wide(after(index)))
        assert plain.locator("#slice").input_value() == str(index)
    plain.locator("#slice").focus()
    plain.keyboard.press("ArrowRight")
    assert_shows(plain, wide(after(1)))


@pytest.mark.parametrize(
    ("name", "level", "width"), [("Lung", -600, 1500), ("Bone", 500, 2000), ("Brain", 40, 80), ("Soft tissue", 40, 400)]
)
def test_presets_set_the_window(plain, name, level, width):
    press(plain, "Home")
    choose(plain, name)
    assert_shows(plain, grey(after(0), level, width))
    assert plain.get_by_label("Level (HU)").input_value() == str(level)
    assert f"window [{level - width // 2}, {level + width // 2}] HU" in plain.locator("#caption").inner_text()


def test_free_window_is_taken_from_numbers_and_from_the_mouse(plain):
    assert_shows(plain, wide(after(3)))
    assert plain.locator("input[name=preset]:checked").count() == 0
    box = plain.locator("#slice-canvas").bounding_box()
    plain.mouse.move(box["x"] + 100, box["y"] + 100)
    plain.mouse.down()
    plain.mouse.move(box["x"] + 200, box["y"] + 150)
    plain.mouse.up()
    assert plain.get_by_label("Level (HU)").input_value() == "900"
    assert plain.get_by_label("Width (HU)").input_value() == "5000"
    assert_shows(plain, grey(after(3), 900, 5000))


def test_views_show_before_difference_and_uncertainty(plain):
    choose(plain, "Before")
    assert_shows(plain, wide(volumes().before_hu[3]))
    choose(plain, "Difference")
    difference = shown(plain)
    red, blue = difference[:, 9], difference[:, 0]  # +150 and -60 of 300 HU
    assert (red[:, 0] > red[:, 2] + 60).all()
    assert (blue[:, 2] > blue[:, 0] + 20).all()
    assert "After minus before, axial slice 4 of 6" in plain.locator("#caption").inner_text()
    assert "window [-300, 300] HU" in plain.locator("#caption").inner_text()
    assert plain.get_by_label("Lung").is_disabled()
    plain.get_by_label("Width (HU)").fill("100")
    plain.get_by_label("Width (HU)").press("Enter")
    assert np.abs(shown(plain)[:, 9] - [103, 0, 31]).max() <= 1
    choose(plain, "Uncertainty")
    assert np.abs(shown(plain)[:, 0] - [0, 0, 4]).max() <= 1
    assert np.abs(shown(plain)[:, 9] - [183, 55, 121]).max() <= 2
    press(plain, "1")
    assert_shows(plain, wide(volumes().before_hu[3]))
    press(plain, "2")
    assert_shows(plain, wide(after(3)))


def test_planes_stand_as_radiologists_read_them(plain):
    after_hu = volumes().after_hu
    edges = [plain.locator(f"#{edge}") for edge in ("top", "bottom", "left", "right")]
    assert [edge.inner_text() for edge in edges] == list("APRL")
    choose(plain, "Coronal")
    assert_shows(plain, wide(after_hu[::-1, 4]))
    assert [edge.inner_text() for edge in edges] == list("SIRL")
    choose(plain, "Sagittal")
    assert_shows(plain, wide(after_hu[::-1, :, 5]))
    assert [edge.inner_text() for edge in edges] == list("SIAP")
    press(plain, "Home")
    assert_shows(plain, wide(after_hu[::-1, :, 0]))
    box = plain.locator("#slice-canvas").bounding_box()
    assert box["width"] / box["height"] == pytest.approx(HEIGHT * 2.0 / (DEPTH * 3.0), rel=0.02)


def test_pointer_reads_position_and_hu(page):
    box = page.locator("#slice-canvas").bounding_box()
    page.mouse.move(box["x"] + box["width"] * 9.5 / WIDTH, box["y"] + box["height"] * 1.5 / HEIGHT)
    given = volumes()
    before_hu, after_hu = (int(np.rint(x_hu[3, 1, 9])) for x_hu in (given.before_hu, given.after_hu))
    assert page.locator("#pointed").inner_text() == (
        f"(4.0, -6.0, 109.0) mm: {before_hu} HU before, {after_hu} HU after, uncertainty 75 HU, "
        "rests on synthesised rays"
    )


def test_circle_about_the_pointer_has_mean_and_spread(page):
    box = page.locator("#slice-canvas").bounding_box()
    page.mouse.move(box["x"] + box["width"] * 4.5 / WIDTH, box["y"] + box["height"] * 3.5 / HEIGHT)
    y_mm, x_mm = np.mgrid[:HEIGHT, :WIDTH] * np.array([2.0, 1.0])[:, None, None] - [[[6.0]], [[4.0]]]
    inside = np.hypot(y_mm, x_mm) <= 5
    said = [
        f"{values.mean():.1f} \u00b1 {values.std():.1f} HU"
        for values in (np.rint(x_hu[3])[inside] for x_hu in (volumes().before_hu, volumes().after_hu))
    ]
    assert page.locator("#around").inner_text() == f"Circle of 10 mm: {said[0]} before, {said[1]} after"
    circle = page.locator("#circle").bounding_box()
    assert circle["width"] == pytest.approx(box["width"], rel=0.01)  # the picture is 10 mm wide
    assert circle["height"] == pytest.approx(box["height"] * 10 / 16, rel=0.01)
    page.mouse.wheel(0, -120)  # what is said keeps up with the slice under a pointer that rests
    page.locator("#pointed").filter(has_text="(-1.0, -2.0, 112.0) mm").wait_for()
    page.mouse.move(0, 0)
    assert not page.locator("#circle").is_visible()


def test_zoom_enlarges_about_the_place_of_a_double_click(page):
    before = page.locator("#slice-canvas").bounding_box()
    place = (before["x"] + before["width"] * 0.85, before["y"] + before["height"] * 0.15)
    page.mouse.dblclick(*place)
    after = page.locator("#slice-canvas").bounding_box()
    assert after["width"] == pytest.approx(2 * before["width"], rel=0.01)
    assert after["x"] - before["x"] == pytest.approx(-0.85 * before["width"], abs=2)
    assert page.get_by_label("2 \u00d7").is_checked()
    page.mouse.move(place[0] + 1, place[1])
    assert page.locator("#pointed").inner_text().startswith("(3.0, -6.0, 109.0) mm")  # column 8, row 1, as before
    choose(page, "1 \u00d7")
    assert page.locator("#slice-canvas").bounding_box() == before


def test_bar_is_as_long_as_it_says(page):
    for zoom, mm in (("1", 2), ("2", 2), ("4", 1)):
        choose(page, f"{zoom} \u00d7")
        assert page.locator("#length").inner_text() == f"{mm} mm"
        canvas = page.locator("#slice-canvas").bounding_box()
        assert page.locator("#bar").bounding_box()["width"] == pytest.approx(canvas["width"] * mm / WIDTH, rel=0.02)


@pytest.mark.parametrize("width_px", [1280, 390])
def test_page_fits_its_width(page, width_px):
    page.set_viewport_size({"width": width_px, "height": 844})
    assert page.evaluate("document.documentElement.scrollWidth") <= width_px
    assert page.locator("#slice-canvas").bounding_box()["width"] > 0.3 * width_px
    for control in ("#slice", "#level", "#width", "#tint"):
        box = page.locator(control).bounding_box()
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= width_px


def test_keyboard_alone_reaches_every_control(page):
    reached = []
    for _ in range(12):
        page.keyboard.press("Tab")
        reached.append(page.evaluate("document.activeElement.id || document.activeElement.name"))
    assert reached[:9] == ["slice-canvas", "view", "slice", "plane", "zoom", "preset", "level", "width", "tint"]
    page.get_by_label("After").focus()
    page.keyboard.press("ArrowLeft")
    assert page.locator("#caption").inner_text().startswith("Before")


def test_script_in_the_texts_does_not_run(browser, tmp_path):
    write_page(tmp_path / "page.html", content("</script><script>document.title = 'run'</script>"))
    page = browser.new_page()
    page.goto((tmp_path / "page.html").as_uri())
    page.locator("#number").filter(has_text="of").wait_for(timeout=60_000)
    assert page.title() == "</script><script>document.title = 'run'</script>"
    page.close()
