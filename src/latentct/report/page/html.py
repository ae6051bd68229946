"""The page as text: template, style and viewer are files beside this module; all that a caller gives is escaped."""

import base64
import hashlib
import json
from collections.abc import Sequence
from html import escape
from pathlib import Path
from string import Template

from latentct.io.files import whole_file
from latentct.report.page.content import PageContent, Rows, Table
from latentct.report.page.drawings import convergence_svg, sinogram_png
from latentct.report.page.packing import PackedVolumes, pack_volumes

FOLDER = Path(__file__).parent
VOLUMES_LIMIT_BYTES = 21_000_000  # the page stays below 25 MB with its sinogram and tables


def write_page(path: Path, content: PageContent, volumes_limit_bytes: int = VOLUMES_LIMIT_BYTES) -> None:
    """Write the page, whole or not at all.

    Args:
        path: the HTML file.
        content: what it shows.
        volumes_limit_bytes: how much of the file the volumes may take; they are shown smaller until they fit.
    """
    page = _page(content, pack_volumes(content.volumes, volumes_limit_bytes))
    with whole_file(path) as partial:
        partial.write_text(page, encoding="utf-8")


def _page(content: PageContent, packed: PackedVolumes) -> str:
    template, style, script = (
        (FOLDER / name).read_text(encoding="utf-8") for name in ("page.html", "page.css", "viewer.js")
    )
    return Template(template).substitute(
        policy=_policy(style, script),
        style=style,
        script=script,
        task=escape(content.task),
        date=escape(content.date),
        software=escape(content.software),
        statement=escape(content.statement),
        findings=_list(content.findings),
        views="".join(_view(name) for name in ("before", "after", "difference", "uncertainty") if _has(packed, name)),
        tint_hidden="" if _has(packed, "synthesised") else "hidden",
        size=escape(packed.size_sentence),
        drawings=_drawings(content),
        figures=_section("Figures", _table(content.figures)) if content.figures else "",
        geometry=_section("Geometry", _rows(content.geometry)),
        method=_section("Method", _rows(content.method)),
        provenance=_section("Versions and hashes", _rows(content.provenance)),
        meta=json.dumps(packed.meta).replace("<", "\\u003c"),
        data="\n".join(
            f'<script type="application/octet-stream" class="volume" id="data-{name}">{text}</script>'
            for name, text in packed.data.items()
        ),
    )


def _policy(style: str, script: str) -> str:
    """Allow this style, this script and pictures within the page, and nothing else at all."""
    hashes = (base64.b64encode(hashlib.sha256(text.encode()).digest()).decode("ascii") for text in (style, script))
    style_hash, script_hash = hashes
    return (
        f"default-src 'none'; img-src data:; style-src 'sha256-{style_hash}'; script-src 'sha256-{script_hash}'; "
        "base-uri 'none'; form-action 'none'"
    )


def _has(packed: PackedVolumes, name: str) -> bool:
    return name == "after" or name in packed.data


def _view(name: str) -> str:
    checked = " checked" if name == "after" else ""
    return f'<label><input type="radio" name="view" value="{name}"{checked}><span>{name.title()}</span></label>'


def _list(sentences: Sequence[str]) -> str:
    return "".join(f"<li>{escape(sentence)}</li>" for sentence in sentences)


def _drawings(content: PageContent) -> str:
    drawings = ""
    if content.sinogram is not None:
        caption, png = escape(content.sinogram.caption), sinogram_png(content.sinogram)
        image = f'<img src="data:image/png;base64,{png}" alt="Sinogram: {caption}">'
        key = '<span class="key"></span> synthesised rays. Views run downwards, detector columns to the right.'
        drawings += _section("Sinogram", f"<figure>{image}<figcaption>{caption} {key}</figcaption></figure>")
    if content.convergence is not None:
        caption = escape(content.convergence.caption)
        drawing = f"{convergence_svg(content.convergence)}<figcaption>{caption}</figcaption>"
        drawings += _section("Convergence", f"<figure>{drawing}</figure>")
    return f'<div class="pair">{drawings}</div>' if drawings else ""


def _section(title: str, body: str) -> str:
    return f"<section><h2>{title}</h2>{body}</section>"


def _rows(rows: Rows) -> str:
    body = "".join(f'<tr><th scope="row">{escape(name)}</th><td>{escape(value)}</td></tr>' for name, value in rows)
    return f'<div class="table"><table>{body}</table></div>'


def _table(table: Table) -> str:
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in table.columns)
    body = "".join(
        f'<tr><th scope="row">{escape(row[0])}</th>' + "".join(f"<td>{escape(cell)}</td>" for cell in row[1:]) + "</tr>"
        for row in table.rows
    )
    scrolled = 'class="table" tabindex="0" role="region" aria-label="Table of figures"'
    return f'<div {scrolled}><table class="figures"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'
