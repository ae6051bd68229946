"""Write the table of an evaluation into documents, between their markers.

    B=bundles/lsr_truncation
    python benchmarks/truncation_table.py $B/docs/metrics.json README.md $B/docs/README.md

The first argument is the `metrics.json` of `evaluating`; each document gets the same table between the lines
`<!-- results:begin ... -->` and `<!-- results:end -->`. No figure in them is typed by hand.
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

NAMES = {
    "uncorrected": "uncorrected",
    "cosine": "cosine extrapolation",
    "water_cylinder": "water cylinder (Hsieh)",
    "adt": "ADT (Sourbelle)",
    "lsr": "**LSR**",
}
COLUMNS = {
    "mae_inside_hu": ("MAE inside, HU", 1),
    "mae_outside_hu": ("MAE outside, HU", 1),
    "mae_sinogram": ("MAE missing rays", 3),
    "psnr_body": ("PSNR body, dB", 1),
    "ssim_body": ("SSIM body", 3),
}
MARKED = re.compile(r"(<!-- results:begin[^\n]*-->\n).*?(<!-- results:end -->)", re.DOTALL)


def table(results: Mapping[str, Any]) -> str:
    """Return the table in Markdown, with what a reader must know of it."""
    low, high = results["psnr_ssim_range_hu"]
    lines = [
        "| method | " + " | ".join(title for title, _ in COLUMNS.values()) + " |",
        "|---|" + "---|" * len(COLUMNS),
    ]
    for key, figures in results["methods"].items():
        cells = [_cell(figures[metric], digits) for metric, (_, digits) in COLUMNS.items()]
        lines.append(f"| {NAMES.get(key, key)} | " + " | ".join(cells) + " |")
    lines += [
        "",
        f"Mean over {results['n_patients']} patients ({results['n_slices']} slices) [95 % bootstrap interval over "
        f"patients]; field of measurement {results['diameter_mm'] / 10:.0f} cm. Reference: {results['reference']}; "
        f"inside = the field, outside = the body beyond it; PSNR, SSIM on [{low:.0f}, {high:.0f}] HU in the body.",
    ]
    return "\n".join(lines)


def _cell(figure: Mapping[str, Any], digits: int) -> str:
    low, high = figure["ci95"]
    return f"{figure['mean']:.{digits}f} [{low:.{digits}f}, {high:.{digits}f}]"


def main() -> None:
    """Read the arguments and rewrite the documents."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("metrics", type=Path)
    parser.add_argument("documents", type=Path, nargs="+")
    arguments = parser.parse_args()
    text = table(json.loads(arguments.metrics.read_text()))
    for document in arguments.documents:
        content, count = MARKED.subn(lambda match: f"{match[1]}{text}\n{match[2]}", document.read_text())
        if count != 1:
            parser.error(f"{document} has {count} pairs of result markers, but one is expected")
        document.write_text(content)
    print(text)


if __name__ == "__main__":
    main()
