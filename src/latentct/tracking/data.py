"""Which data a run uses and under which licences: counts and hashes, never a patient."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from latentct.tracking.privacy import Redactor

if TYPE_CHECKING:
    from mlflow.entities import DatasetInput

#: MLflow keeps no longer digest.
DIGEST_CHARACTERS = 36


def licence_list(volumes: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Count volumes and patients by licence and source.

    Example:
        >>> licence_list([{"licence": "CC0-1.0", "source": "made up", "patient": "p"}])
        [{'licence': 'CC0-1.0', 'source': 'made up', 'volumes': 1, 'patients': 1}]
    """
    groups: dict[tuple[str, str], list[str]] = {}
    for volume in volumes:
        groups.setdefault((volume["licence"], volume["source"]), []).append(volume["patient"])
    return [
        {"licence": licence, "source": source, "volumes": len(patients), "patients": len(set(patients))}
        for (licence, source), patients in sorted(groups.items())
    ]


def licence_tag(licences: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Return the licences of a list as one tag, `data.licences`; empty without any."""
    names = sorted({entry["licence"] for entry in licences})
    return {"data.licences": ", ".join(names)} if names else {}


def dataset_inputs(
    manifest: str | Path, name: str, volumes: Sequence[Mapping[str, Any]], splits: Iterable[str], redact: Redactor
) -> list[DatasetInput]:
    """Return one MLflow dataset for each split: digest of its volumes, how many they are and of how many patients.

    Args:
        manifest: file of the manifest, of which the name is kept.
        name: name in the manifest.
        volumes: all volumes of the manifest.
        splits: the splits in use, which become MLflow's context.
        redact: what removes paths and identifiers from texts.
    """
    return [
        _dataset_input(Path(manifest).name, name, split, [v for v in volumes if v["split"] == split], redact)
        for split in splits
    ]


def _dataset_input(
    file: str, name: str, split: str, volumes: Sequence[Mapping[str, Any]], redact: Redactor
) -> DatasetInput:
    from mlflow.entities import Dataset, DatasetInput, InputTag

    listed = json.dumps(volumes, sort_keys=True).encode()
    profile = {
        "volumes": len(volumes),
        "patients": len({volume["patient"] for volume in volumes}),
        "groups": dict(sorted(Counter(volume["group"] for volume in volumes).items())),
    }
    dataset = Dataset(
        name=redact(name),
        digest=hashlib.sha256(listed).hexdigest()[:DIGEST_CHARACTERS],
        source_type="manifest",
        source=redact(json.dumps({"manifest": file, "split": split})),
        schema=json.dumps({"image": "HU, (D, H, W)"}),
        profile=redact(json.dumps(profile)),
    )
    return DatasetInput(dataset, [InputTag("mlflow.data.context", split)])
