"""The card of a trained model: what it is for, what it learned from, how well it did, where it comes from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

_LIMITS = (
    "Judged on the validation split only; the bundle's documentation has the figures of the test split. Scans, anatomy "
    "and patients unlike those of the training data are untested."
)


def model_card(
    meta: Mapping[str, Any],
    licences: Sequence[Mapping[str, Any]],
    best: Mapping[str, float],
    tags: Mapping[str, str],
) -> str:
    """Return a model card as Markdown.

    Args:
        meta: the bundle's metadata.
        licences: those of the data, see `latentct.tracking.data.licence_list`.
        best: figures of the best validation.
        tags: those of the run, of which commit, data and versions are named.
    """
    data = [
        f"- {row['volumes']} volumes of {row['patients']} patients: {row['source']} ({row['licence']})"
        for row in licences
    ]
    figures = [f"- {name}: {value:.6g}" for name, value in sorted(best.items())]
    origin = [f"- {key}: {tags[key]}" for key in sorted(tags) if key.startswith(("git.", "manifest.", "version."))]
    sections = {
        "Intended use": [meta.get("intended_use", "Not stated in the bundle's metadata.")],
        "Trained on": data or ["Not stated: the training named no manifest."],
        "Best validation": figures or ["There was none."],
        "Limits": [_LIMITS],
        "Origin": origin,
        "References": [f"- {reference}" for reference in meta.get("references", [])] or ["None."],
    }
    title = f"# {meta.get('name', 'Model')} {meta.get('version', '')}".rstrip()
    paragraphs = [title, meta.get("description", "")]
    for heading, lines in sections.items():
        paragraphs += [f"## {heading}", "\n".join(lines)]
    return "\n\n".join(filter(None, paragraphs)) + "\n"
