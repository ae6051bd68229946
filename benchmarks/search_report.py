"""What the file of `search.py` says, for people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

TABLES = ("methods", "neighbours", "whole")
COLUMNS = {
    "calls_to_paper": ("calls to the paper's misfit", 0),
    "seconds_to_paper": ("seconds", 1),
    "calls": ("calls", 0),
    "seconds": ("seconds", 1),
    "misfit": ("misfit", 4),
    "mae_inside_hu": ("MAE inside, HU", 1),
    "mae_outside_hu": ("MAE outside, HU", 1),
}


def text_report(found: Mapping[str, Any]) -> str:
    """Return all figures as text."""
    lines = []
    if "step_ratio" in found:
        lines.append(f"step_ratio: {found['step_ratio']:.2f} (decoder alone {1e3 * found['decoder_s']:.0f} ms)")
    for table in [name for name in TABLES if name in found]:
        columns = list(next(iter(found[table].values())))
        width = max(map(len, found[table]))
        lines += ["", " " * width + "".join(f"{c:>22}" for c in columns)]
        for name, row in found[table].items():
            cells = ["never" if row[c] is None else f"{row[c]:.4g}" for c in columns]
            lines.append(f"{name:{width}}" + "".join(f"{cell:>22}" for cell in cells))
    return "\n".join(lines)


def search_table(found: Mapping[str, Any]) -> list[str]:
    """Return the lines of Markdown tables: the ways to search, and what neighbours and common waves bring."""
    lines: list[str] = []
    for table in [name for name in TABLES if name in found]:
        columns = [c for c in COLUMNS if c in next(iter(found[table].values()))]
        lines += ["| | " + " | ".join(COLUMNS[c][0] for c in columns) + " |", "|---|" + "---|" * len(columns)]
        for name, row in found[table].items():
            cells = ["never" if row[c] is None else f"{row[c]:.{COLUMNS[c][1]}f}" for c in columns]
            lines.append(f"| {name} | " + " | ".join(cells) + " |")
        lines.append("")
    return [
        *lines,
        f"{found['slices']} {found['split']} patients, a slice each, then {found['neighbouring_slices']} neighbouring "
        f"slices of one volume in four waves; {found['threads']} threads. Calls are of the decoder, forward and "
        "backward; the paper's misfit is what its 500 steps end with, plus 1 %; misfit: root mean square of measured "
        f"line integrals. A step takes {found['step_ratio']:.2f} times the decoder's forward and backward alone "
        "(batch of 16).",
    ]
