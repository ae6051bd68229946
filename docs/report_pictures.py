"""Correct three real scans and take pictures of their reports, for docs/correct.md, in a real browser.

    pip install -c constraints.txt -e ".[docs,dicom]"
    LATENTCT_DATA=/data/ct python docs/report_pictures.py

Runs the commands that docs/correct.md shows, in the folder `--reports`, keeps what is there already, and writes
`docs/images/report_*.png`. The scans are public, and a report holds no header of them.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

from browser import IMAGES, PROGRAM, open_browser
from PIL import Image
from playwright.sync_api import Browser, FloatRect, Page

DESK_PX, PHONE_PX = 1280, 390
HEIGHT_PX = 1000
MARGIN_PX = 20
WIDEST_PX = 960
LARGEST_BYTES = 400_000
SCANS = {"ct": "dicom/totalseg_example", "head.nii.gz": "ct/hn_pt_253.nii.gz"}
"""Names in the commands, and where LATENTCT_DATA has them."""
COMMANDS = {
    "cut": "simulate ct cut --task truncation --field-mm 250 --image",
    "cut_corrected": "correct cut cut_corrected",
    "cut.json": "evaluate cut_corrected ct --field-mm 250 --json cut.json",
    "narrow.npz": "simulate ct narrow.npz --task truncation --field-mm 250",
    "narrow_corrected": "correct narrow.npz narrow_corrected",
    "narrow.json": "evaluate narrow_corrected ct --field-mm 250 --json narrow.json",
    "head_corrected": "correct head.nii.gz head_corrected --task auto",
}
"""What makes each file or folder, in this order."""


@dataclass(frozen=True)
class Picture:
    """A part of a report, after some clicks: from the heading `first` (None: the top) to the section of `last`."""

    case: str
    width_px: int
    last: str
    first: str | None = None
    clicks: tuple[str, ...] = ()


PICTURES = {
    "cut": Picture("cut", DESK_PX, "Sinogram"),
    "narrow": Picture("narrow", DESK_PX, "Sinogram"),
    "head": Picture("head", DESK_PX, "Sinogram"),
    "difference": Picture("narrow", DESK_PX, "Slices", "Slices", ("Difference",)),
    "zoom": Picture("head", DESK_PX, "Slices", "Slices", ("Difference", "2 \u00d7")),
    "phone": Picture("cut", PHONE_PX, "Slices"),
}
"""What is taken, by the name of the file."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Make the reports, then take all pictures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--reports", type=Path, default=Path("out/reports"), help="folder of the corrected scans")
    parser.add_argument("--browser", default=PROGRAM, help="program of the browser")
    given = parser.parse_args(arguments)
    _correct(given.reports)
    with open_browser(given.browser) as chromium:
        for name, picture in PICTURES.items():
            page = _opened(chromium, given.reports / f"{picture.case}_corrected" / "report.html", picture.width_px)
            for label in picture.clicks:
                page.get_by_text(label, exact=True).click()
            _take(page, picture, IMAGES / f"report_{name}.png")
            page.close()


def _correct(folder: Path) -> None:
    """Run the commands whose results are not there."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, place in SCANS.items():
        if not (folder / name).exists():
            (folder / name).symlink_to(Path(os.environ["LATENTCT_DATA"], place).resolve())
    for made, command in COMMANDS.items():
        if not (folder / made).exists():
            print(f"$ latentct {command}", flush=True)
            subprocess.run([sys.executable, "-m", "latentct.cli.main", *command.split()], cwd=folder, check=True)


def _opened(browser: Browser, report: Path, width_px: int) -> Page:
    """Return a page that is drawn and as wide as its window."""
    page = browser.new_page(viewport={"width": width_px, "height": HEIGHT_PX})
    errors: list[str] = []
    page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: errors.append(str(error)))
    started = time.monotonic()
    page.goto(report.resolve().as_uri())
    page.locator("#number").filter(has_text="of").wait_for()
    print(f"{report.parent.name} at {width_px} px: drawn after {time.monotonic() - started:.1f} s")
    if errors or page.evaluate("document.documentElement.scrollWidth") > width_px:
        raise RuntimeError(f"{report} is wider than {width_px} px, or complains: {errors}")
    return page


def _take(page: Page, picture: Picture, path: Path) -> None:
    """Write a part of a page, made smaller until its file is small; fewer colours would falsify the differences."""
    top = 0.0 if picture.first is None else _section(page, picture.first)["y"] - MARGIN_PX
    last = _section(page, picture.last)
    height = last["y"] + last["height"] + MARGIN_PX - top
    area = {"x": 0.0, "y": top, "width": float(picture.width_px), "height": height}
    image = Image.open(BytesIO(page.screenshot(full_page=True, clip=area))).convert("RGB")
    for width_px in range(min(WIDEST_PX, image.width), 0, -40):
        scaled = image.resize((width_px, image.height * width_px // image.width), Image.Resampling.LANCZOS)
        scaled.save(path, optimize=True)
        if path.stat().st_size < LARGEST_BYTES:
            break
    print(f"{path}: {width_px} px, {path.stat().st_size} bytes")


def _section(page: Page, heading: str) -> FloatRect:
    """Return where the section of a heading stands, in px."""
    return page.get_by_role("heading", name=heading, exact=True).locator("xpath=..").bounding_box()


if __name__ == "__main__":
    main()
