"""The page as a file: what it holds, that nothing foreign in it can run or load, that its volumes are those given."""

import base64
import hashlib
import json
import re
import zlib
from dataclasses import fields, replace
from html.parser import HTMLParser
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.report.page_content import SPACING_MM, affine_lps_mm, content, volumes

from latentct.io.nifti import read_volume, write_volume
from latentct.report.page import Convergence, PageContent, Sinogram, Volumes, write_page
from latentct.report.page.drawings import convergence_svg, sinogram_png
from latentct.report.page.packing import pack_volumes

ATTACK = '</script><script>alert(1)</script><img src=x onerror="alert(2)"> \' & ${style} $data'
VOID = {"meta", "input", "img"}


class Page(HTMLParser):
    """Elements of a page as (tag, attributes, text)."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.elements: list[list] = []
        self.open: list[list] = []
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attrs):
        self.elements.append([tag, dict(attrs), ""])
        if tag not in VOID:
            self.open.append(self.elements[-1])

    def handle_endtag(self, tag):
        assert self.open.pop()[0] == tag

    def handle_data(self, data):
        for element in self.open:
            element[2] += data

    def all(self, tag: str) -> list[list]:
        return [element for element in self.elements if element[0] == tag]

    def by_id(self, name: str) -> str:
        (text,) = [text for _, attributes, text in self.elements if attributes.get("id") == name]
        return text


def written(tmp_path: Path, given: PageContent, **options: int) -> Page:
    write_page(tmp_path / "page.html", given, **options)
    page = Page(tmp_path / "page.html")
    assert not page.open
    return page


def decoded(text: str, shape: tuple[int, ...]) -> np.ndarray:
    low, high = np.frombuffer(zlib.decompress(base64.b64decode(text)), np.uint8).reshape(2, -1).astype(np.uint16)
    return np.cumsum(low + 256 * high, dtype=np.uint16).astype(np.int16).reshape(shape)


def test_page_shows_all_that_it_is_given(tmp_path):
    texts = [f"text-{n}" for n in range(12)]
    given = replace(
        content(), task=texts[0], date=texts[1], software=texts[2], statement=texts[3], findings=tuple(texts[4:6])
    )
    rows = [((name, value),) for name, value in zip(texts[6:12:2], texts[7:12:2], strict=True)]
    page = written(tmp_path, replace(given, geometry=rows[0], method=rows[1], provenance=rows[2]))
    (body,) = page.all("body")
    assert all(text in body[2] for text in texts)
    titles = [text for _, _, text in page.all("h2")]
    assert titles == [
        *("What was found", "Slices", "Sinogram", "Convergence", "Figures"),
        *("Geometry", "Method", "Versions and hashes"),
    ]


def test_page_leaves_out_what_there_is_not(tmp_path):
    bare = replace(volumes(), synthesised=None, uncertainty_hu=None)
    page = written(tmp_path, replace(content(), volumes=bare, figures=None, sinogram=None, convergence=None))
    titles = [text for _, _, text in page.all("h2")]
    assert titles == ["What was found", "Slices", "Geometry", "Method", "Versions and hashes"]
    views = [attributes["value"] for _, attributes, _ in page.all("input") if attributes.get("name") == "view"]
    assert views == ["before", "after", "difference"]
    (tint,) = [attributes for _, attributes, _ in page.all("label") if attributes.get("class") == "check"]
    assert "hidden" in tint


def test_texts_are_escaped_wherever_they_stand(tmp_path):
    plain = written(tmp_path, content())
    attacked = written(tmp_path, content(ATTACK))
    assert [tag for tag, _, _ in attacked.elements] == [tag for tag, _, _ in plain.elements]
    assert [sorted(attributes) for _, attributes, _ in attacked.elements] == [
        sorted(attributes) for _, attributes, _ in plain.elements
    ]
    assert attacked.all("h1")[0][2] == ATTACK
    assert attacked.all("body")[0][2].count(ATTACK) == plain.all("body")[0][2].count("text") - _own_words(plain)


def _own_words(page: Page) -> int:
    """Count "text" in what the page says itself: in the viewer's script, the sizes of data and the template."""
    return sum(text.count("text") for tag, _, text in page.all("script"))


def test_policy_allows_the_own_style_and_script_alone(tmp_path):
    page = written(tmp_path, content())
    (policy,) = [a["content"] for _, a, _ in page.all("meta") if a.get("http-equiv") == "Content-Security-Policy"]
    rules = dict(rule.split(" ", 1) for rule in policy.split("; "))
    assert rules["default-src"] == "'none'"
    assert rules["img-src"] == "data:"
    for name, tag in (("style-src", "style"), ("script-src", "script")):
        texts = [text for _, attributes, text in page.all(tag) if "type" not in attributes]
        hashes = [base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in texts]
        assert rules[name] == f"'sha256-{hashes[0]}'"
        assert len(hashes) == 1


def test_page_names_nothing_outside_itself(tmp_path):
    page = written(tmp_path, content())
    for _, attributes, _ in page.elements:
        assert not {"href", "action", "srcset", "style"} & set(attributes)
        assert not [name for name in attributes if name.startswith("on")]
        assert attributes.get("src", "data:").startswith("data:")
    assert not re.search(r"https?://|@import|url\(", (tmp_path / "page.html").read_text(encoding="utf-8"))


def test_controls_have_labels(tmp_path):
    page = written(tmp_path, content())
    for _, attributes, _ in page.all("input"):
        if attributes.get("id") == "slice":
            assert any(label.get("for") == "slice" for _, label, _ in page.all("label"))
    assert all(text.strip() for _, _, text in page.all("label"))
    assert all("alt" in attributes for _, attributes, _ in page.all("img"))


def test_volumes_of_the_page_are_those_given_to_1_hu(tmp_path):
    given = volumes()
    page = written(tmp_path, replace(content(), volumes=given))
    meta = json.loads(page.by_id("meta"))
    assert meta["shape"] == list(given.before_hu.shape)
    assert meta["spacingMm"] == list(SPACING_MM)
    assert np.allclose(meta["affineLpsMm"], affine_lps_mm())
    shown = {name: decoded(page.by_id(f"data-{name}"), given.before_hu.shape) for name in _names(given)}
    assert np.abs(shown["before"] - given.before_hu).max() <= 0.5
    assert np.abs(shown["before"] + shown["difference"] - given.after_hu).max() <= 0.5
    assert np.abs(shown["uncertainty"] - given.uncertainty_hu).max() <= 0.5
    assert np.array_equal(shown["synthesised"] == 1, given.synthesised)
    assert "Shown at full size, rounded to 1 HU" in page.all("body")[0][2]


def _names(given: Volumes) -> list[str]:
    return ["before", "difference", "uncertainty", "synthesised"]


def test_values_beyond_16_bits_are_clipped_and_not_wrapped():
    given = replace(volumes(), before_hu=np.full((1, 2, 2), -3e5, np.float32), synthesised=None, uncertainty_hu=None)
    packed = pack_volumes(replace(given, after_hu=np.full((1, 2, 2), 3e5, np.float32)), 10**6)
    before, difference = (decoded(packed.data[name], (1, 2, 2)) for name in ("before", "difference"))
    assert (before == -4096).all()
    assert (before.astype(int) + difference == 20479).all()


def test_large_volumes_are_shown_as_means_of_blocks_that_fit(tmp_path):
    generator = np.random.default_rng(0)
    before_hu = generator.normal(0, 30, (3, 65, 64)).astype(np.float32)
    synthesised = np.zeros(before_hu.shape, bool)
    synthesised[2, 10, 11] = True
    given = Volumes(before_hu, before_hu + 7, np.diag([4.0, 1.0, 1.0, 1.0]), synthesised)
    full = sum(map(len, pack_volumes(given, 10**6).data.values()))
    packed = pack_volumes(given, full - 1)
    assert packed.block == (1, 2, 2)
    assert packed.shape == (3, 33, 32)
    assert sum(map(len, packed.data.values())) < full
    blocks = before_hu[:, :64].reshape(3, 32, 2, 32, 2).mean(axis=(2, 4))
    assert np.abs(decoded(packed.data["before"], packed.shape)[:, :32] - blocks).max() <= 0.5
    assert np.argwhere(decoded(packed.data["synthesised"], packed.shape)).tolist() == [[2, 5, 5]]
    assert packed.first_slice == 2
    assert np.allclose(packed.affine_lps_mm @ [1, 0, 0, 1], [4, 0.5, 0.5, 1])
    page = written(tmp_path, replace(content(), volumes=given), volumes_limit_bytes=full - 1)
    assert (
        "Shown at half size: a voxel is the mean of 1 by 2 by 2 voxels (slices, rows, columns)"
        in page.all("body")[0][2]
    )


def test_thin_slices_are_joined_before_pixels_become_coarse():
    before_hu = np.random.default_rng(0).normal(0, 300, (16, 32, 32)).astype(np.float32)
    given = Volumes(before_hu, before_hu, np.eye(4))
    full = sum(map(len, pack_volumes(given, 10**6).data.values()))
    assert pack_volumes(given, full // 5).block[1:] == (2, 2)
    assert pack_volumes(given, full // 5).block[0] >= 2
    assert pack_volumes(given, full // 5).block[0] <= 5


def test_sinogram_is_drawn_with_synthesised_rays_in_blue():
    y = np.linspace(0, 4, 1700).reshape(850, 2).astype(np.float32)
    mask = np.ones(y.shape, bool)
    mask[:, 1] = False
    png = Image.open(BytesIO(base64.b64decode(sinogram_png(Sinogram(y, mask, "")))))
    assert png.size == (2, 425)
    assert not png.text.get("Author")
    red, _, blue, _ = png.getpixel((0, 212))
    assert red == blue
    red, _, blue, _ = png.getpixel((1, 212))
    assert blue > 2 * red


@pytest.mark.parametrize("largest", [100.0, 2.0])
def test_curve_falls_from_the_first_value_to_the_last(largest):
    svg = convergence_svg(Convergence(np.stack([np.geomspace(largest, 1, 50)] * 3), "a"))
    (points,) = re.findall(r'polyline class="curve" points="([^"]*)"', svg)
    x, y = np.array([pair.split(",") for pair in points.split()], float).T
    assert (np.diff(x) > 0).all()
    assert (np.diff(y) > 0).all()
    if largest == 100:
        assert np.allclose(np.diff(y), np.diff(y).mean(), atol=0.11)
    assert 2 <= svg.count('class="grid"') <= 10


def test_flat_curve_and_single_step_are_drawn():
    for objective in (np.ones((1, 9)), np.ones((2, 1)), np.zeros((1, 4))):
        assert "nan" not in convergence_svg(Convergence(objective, "a"))


def test_page_is_whole_or_not_there(tmp_path, monkeypatch):
    def fail(*args, **kwargs):
        raise OSError("disk full")

    monkeypatch.setattr(Path, "write_text", fail)
    with pytest.raises(OSError, match="disk full"):
        write_page(tmp_path / "page.html", content())
    assert list(tmp_path.iterdir()) == []


def test_page_takes_no_header_and_shows_no_name(tmp_path):
    import nibabel

    path = tmp_path / "PLANTED^NAME.nii"
    write_volume(path, volumes().before_hu, affine_lps_mm())
    image = nibabel.load(path)
    image.header["descrip"] = b"PLANTED^NAME"
    nibabel.save(image, path)
    x_hu, affine = read_volume(path)
    page = written(tmp_path, replace(content(), volumes=Volumes(x_hu, x_hu, affine)))
    packed = [zlib.decompress(base64.b64decode(text)) for _, a, text in page.all("script") if a.get("class")]
    for raw in [(tmp_path / "page.html").read_bytes(), *packed]:
        assert b"PLANTED" not in raw
    assert {field.name for field in fields(Volumes)} == {
        *("before_hu", "after_hu", "affine_lps_mm", "synthesised", "uncertainty_hu", "first_slice"),
    }
