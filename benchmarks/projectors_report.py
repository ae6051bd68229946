"""What the file of `projectors.py` says in short: ratios to the best peer, shares of the peak, and tables."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

OWN = "latentct"
PLANES = ("parallel", "fan")
TITLES = {
    "parallel_batch": "parallel, batch",
    "parallel_single": "parallel, one slice",
    "fan_batch": "fan, batch",
    "fan_single": "fan, one slice",
    "cone_single": "cone, one volume",
    "cone_batch": "cone, batch",
    "fbp_parallel_batch": "FBP, parallel, batch",
    "fbp_parallel_single": "FBP, parallel, one slice",
    "fbp_fan_batch": "FBP, fan, batch",
    "fbp_fan_single": "FBP, fan, one slice",
    "fdk_single": "FDK, one volume",
}


def ratios(cases: Mapping[str, Any]) -> dict[str, Any]:
    """Return the figures that the file starts from.

    Args:
        cases: `{case: {rows, absent, peak}}` as `projectors.race` and `projectors.shares` make them.

    Returns:
        `ratio_batch32`, `ratio_single` and `ratio_cone`, forward and adjoint of the best peer over ours (None without a
        peer), the peers' names, and `peak_share_forward` and `peak_share_adjoint` of the batch.
    """
    figures: dict[str, Any] = {}
    for key, size in (("ratio_batch32", "batch"), ("ratio_single", "single")):
        found = [_ratio(cases[f"{plane}_{size}"]) for plane in PLANES]
        figures[key], figures[f"{key}_peer"] = min((f for f in found if f[0] is not None), default=(None, None))
    figures["ratio_cone"], figures["ratio_cone_peer"] = _ratio(cases["cone_single"])
    for way in ("forward", "adjoint"):
        figures[f"peak_share_{way}"] = min(cases[f"{plane}_batch"]["peak"][f"{way}_share"] for plane in PLANES)
    return figures


def text_report(found: Mapping[str, Any]) -> str:
    """Return the tables for people."""
    peaks = found["peaks"]
    lines = [
        f"{found['cpu']}, {found['threads']} threads, {peaks['gflops']:.0f} GFLOP/s, {peaks['gb_per_s']:.1f} GB/s",
        ", ".join(f"{name} {version}" for name, version in found["versions"].items()),
    ]
    for name, case in found["cases"].items():
        lines += ["", *_case_table(name, case)]
    lines += ["", "filtered back-projection, ms per slice or volume"]
    for name, case in found["analytic"].items():
        lines.append(f"{name:<22}" + ", ".join(f"{peer} {ms:.2f}" for peer, ms in case["ms"].items()))
        lines += [f"  absent: {package}: {reason}" for package, reason in case["absent"].items()]
    first = ", ".join(f"{name} {seconds:.2f}" for name, seconds in found["first_call_s"].items())
    lines += ["", f"first call of a fresh process, s: {first}", ""]
    for key in ("ratio_batch32", "ratio_single", "ratio_cone"):
        value = "no peer" if found[key] is None else f"{found[key]:.1f} ({found[f'{key}_peer']})"
        lines.append(f"{key}: {value}")
    for way in ("forward", "adjoint"):
        lines.append(f"peak_share_{way}: {100 * found[f'peak_share_{way}']:.1f} %")
    return "\n".join(lines)


def markdown_table(found: Mapping[str, Any]) -> list[str]:
    """Return the lines of a Markdown table: a line a case, ours and the best peer."""
    lines = [
        "| forward + adjoint, ms per slice or volume | latentct | best peer | ratio | share of the peak, % |",
        "|---|---|---|---|---|",
    ]
    for name, case in found["cases"].items():
        own, (ratio, peer) = case["rows"][OWN], _ratio(case)
        theirs, times = ("-", "-") if peer is None else (f"{_pair(case['rows'][peer])} ({peer})", f"{ratio:.1f}")
        peak = case.get("peak")
        share = f"{100 * peak['forward_share']:.0f} + {100 * peak['adjoint_share']:.0f}" if peak else "-"
        lines.append(f"| {TITLES[name]} | {_pair(own)} | {theirs} | {times} | {share} |")
    for name, case in found["analytic"].items():
        peers = {peer: ms for peer, ms in case["ms"].items() if peer != OWN}
        best = min(peers, key=lambda peer: peers[peer], default=None)
        theirs = "-" if best is None else f"{peers[best]:.1f} ({best})"
        times = "-" if best is None else f"{peers[best] / case['ms'][OWN]:.1f}"
        lines.append(f"| {TITLES[name]} | {case['ms'][OWN]:.1f} | {theirs} | {times} | - |")
    first, peaks = found["first_call_s"], found["peaks"]
    versions = ", ".join(f"{name} {version}" for name, version in found["versions"].items())
    return [
        *lines,
        "",
        f"{found['cpu']}, {found['threads']} threads, {peaks['gflops']:.0f} GFLOP/s and {peaks['gb_per_s']:.0f} GB/s "
        f"measured in the same run; {versions}. The first call of a fresh process takes "
        f"{first['plane forward']:.1f} s (plane) and {first['cone forward']:.1f} s (cone).",
    ]


def scaling_table(found: Mapping[str, Any]) -> list[str]:
    """Return the lines of a Markdown table of the file of `scaling.py`: a line a work, a column a number of slices."""
    rows = [row for row in found["rows"] if row["varied"] == "slices"]
    numbers = list(dict.fromkeys(row["slices"] for row in rows))
    lines = ["| slices | " + " | ".join(map(str, numbers)) + " |", "|---|" + "---|" * len(numbers)]
    for work in dict.fromkeys(row["work"] for row in rows):
        for title, key, digits in (("ms per slice", "ms_per_slice", 1), ("memory, MiB", "resident_mib", 0)):
            of = {row["slices"]: f"{row[key]:.{digits}f}" for row in rows if row["work"] == work}
            cells = [of.get(n, "") for n in numbers]
            lines.append(f"| {work}, {title} | " + " | ".join(cells) + " |")
    note = f"{found['cpu']}, {found['threads']} threads; highest resident memory of a process, torch included."
    if "correction_resident_mib" in found:
        note += (
            f" A scan of 100 slices of 512 x 512 pixels, corrected from and to disk, takes "
            f"{found['correction_resident_mib']:.0f} MiB and {found['correction_seconds']:.0f} s."
        )
    return [*lines, "", note]


def total_ms(row: Mapping[str, Any]) -> float:
    """Return the time of forward and adjoint of one slice or volume in ms."""
    return float(row["forward_ms"] + row["adjoint_ms"])


def _pair(row: Mapping[str, Any]) -> str:
    return f"{row['forward_ms']:.1f} + {row['adjoint_ms']:.1f}"


def _ratio(case: Mapping[str, Any]) -> tuple[float | None, str | None]:
    """Return the ratio to the best peer and its name."""
    peers = {name: total_ms(row) for name, row in case["rows"].items() if name != OWN}
    if not peers:
        return None, None
    best = min(peers, key=lambda name: peers[name])
    return peers[best] / total_ms(case["rows"][OWN]), best


def _case_table(name: str, case: Mapping[str, Any]) -> list[str]:
    lines = [f"{name:<22}{'forward':>10}{'adjoint':>10}{'ratio':>8}   difference to ours, forward and adjoint"]
    own = total_ms(case["rows"][OWN])
    for rival, row in case["rows"].items():
        line = f"{rival:<22}{row['forward_ms']:>10.2f}{row['adjoint_ms']:>10.2f}{total_ms(row) / own:>8.1f}"
        if rival != OWN:
            line += f"   {row['forward_difference']:.1e} {row['adjoint_difference']:.1e}"
        lines.append(line + (f"   {row['note']}" if row["note"] else ""))
    if "peak" in case:
        peak = case["peak"]
        ways = [f"{way} {100 * peak[f'{way}_share']:.1f} % ({peak[f'{way}_binds']})" for way in ("forward", "adjoint")]
        lines.append(f"share of the peak: {', '.join(ways)}")
    return [*lines, *(f"absent: {package}: {reason}" for package, reason in case["absent"].items())]
