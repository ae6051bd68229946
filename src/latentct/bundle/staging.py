"""Copies of bundles that stand on their own: no links, nothing shared, no results, weights with their hashes."""

from __future__ import annotations

import json
import re
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from latentct.bundle.configs import entry, project_root, read_config, with_shared_entries
from latentct.bundle.weights import named_weights, write_hashes
from latentct.errors import InputError

PRIOR = "model.pt"
"""Name of the inference weights in a staged bundle, where MONAI Label and the Deploy SDK look for them."""

_OF_METADATA = re.compile(r"@_meta_::(\w+(?:::\w+)*)")
_SHIPPED_DOCS = {".jpg", ".md", ".pdf", ".png", ".svg", ".txt"}


@dataclass(frozen=True)
class StagedBundle:
    """A clean copy of a bundle.

    Attributes:
        root: its folder.
        name: name of the source bundle's folder.
        version: version in its metadata.
        weights_sha256: SHA-256 by file name of everything in its `models/`.
    """

    root: Path
    name: str
    version: str
    weights_sha256: dict[str, str]


def stage_bundle(bundle: Path, destination: Path, weights: Path | None = None) -> StagedBundle:
    """Copy a bundle so that it runs on its own with `--bundle_root destination`, from any working directory.

    Configs are written with all that they share in place, that of the metadata too, because MONAI Label reads no
    metadata with a config, and name weights relative to `bundle_root`. Weights, wherever they lie, go to `models/`,
    those of inference as `model.pt`. Results, and whatever else lies in the folder, stay out.
    The copy is there whole or not at all.

    Args:
        bundle: folder of the bundle.
        destination: folder to make.
        weights: inference weights to take instead of those the bundle names.

    Raises:
        InputError: If the bundle or its weights lack a file, or the destination exists.
    """
    if destination.exists():
        raise InputError(f"{destination} exists already; choose another folder for the copy, or remove that one.")
    for name in ("configs/metadata.json", "configs/inference.yaml", "LICENSE"):
        if not (bundle / name).is_file():
            raise InputError(f"{bundle} has no {name}; give the folder of a bundle.")
    version = read_config(bundle / "configs" / "metadata.json").get("version")
    if not isinstance(version, str):
        raise InputError(f"{bundle / 'configs' / 'metadata.json'} has no version; give it one, and say what is new.")
    destination.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=destination.parent, prefix=".staging-") as scratch:
        copy = Path(scratch) / bundle.resolve().name
        _copy_documents(bundle, copy)
        _write_configs(bundle, copy, weights)
        hashes = write_hashes(copy)
        copy.rename(destination)
    return StagedBundle(destination, bundle.resolve().name, version, hashes)


def _copy_documents(bundle: Path, copy: Path) -> None:
    documents = [file for file in (bundle / "docs").rglob("*") if file.suffix in _SHIPPED_DOCS]
    listed = [file for file in (bundle / "large_files.yml", bundle / "configs" / "logging.conf") if file.is_file()]
    for file in (bundle / "LICENSE", *documents, *listed):
        _copy(file, copy / file.relative_to(bundle))


def _write_configs(bundle: Path, copy: Path, weights: Path | None) -> None:
    """Write the configs of the copy, and put the weights that they name into its `models/`."""
    import yaml  # not at the top: `latentct --help` does without

    root = project_root(bundle)
    (copy / "configs").mkdir(exist_ok=True)
    metadata = with_shared_entries(read_config(bundle / "configs" / "metadata.json"), root)
    (copy / "configs" / "metadata.json").write_text(json.dumps(metadata, indent=4) + "\n", encoding="utf-8")
    configs = {
        file.name: with_shared_entries(read_config(file), root) for file in sorted((bundle / "configs").glob("*.yaml"))
    }
    found = _Weights(bundle, copy / "models", configs["inference.yaml"].get("ckpt_path"), weights)
    for name, config in configs.items():
        content = _mapped(_mapped(config, lambda value: _with_metadata(value, metadata)), found.own_name)
        content |= {"bundle_root": "."} if "bundle_root" in config else {}
        content |= {"experiment_name": bundle.resolve().name} if "experiment_name" in config else {}
        text = yaml.dump(content, Dumper=_plain_dumper(), sort_keys=False, width=120, allow_unicode=True)
        (copy / "configs" / name).write_text(text, encoding="utf-8")


class _Weights:
    """The weights that the configs of a bundle name, copied under names of their own to one folder.

    Args:
        bundle: folder of the bundle.
        folder: where the copies go.
        prior: what inference.yaml names as `ckpt_path`.
        replacement: file to take in its place.
    """

    def __init__(self, bundle: Path, folder: Path, prior: Any, replacement: Path | None) -> None:
        self.bundle = bundle
        self.folder = folder
        self.copied: dict[str, Path] = {}
        self.prior = named_weights(prior, bundle)
        if self.prior is None:
            raise InputError(
                f"{bundle / 'configs' / 'inference.yaml'}: ckpt_path is {prior!r}; give a path that ends in .pt, or "
                "\"$@bundle_root + '/models/model.pt'\"."
            )
        self._take(replacement or self.prior, PRIOR, self.prior)

    def own_name(self, value: Any) -> Any:
        """Return a value of a config as it stands in the copy: weights by their place there, all else as it is."""
        source = named_weights(value, self.bundle)
        if source is None:
            return value
        name = PRIOR if source == self.prior else source.name
        if name not in self.copied:
            self._take(source, name, source)
        elif self.copied[name] != source:
            raise InputError(f"two files of weights that {self.bundle} names are called {name}; rename one of them.")
        return f"$@bundle_root + '/models/{name}'"

    def _take(self, file: Path, name: str, source: Path) -> None:
        if not file.is_file():
            raise InputError(f"weights {file}, which {self.bundle} names, do not exist; train or fetch them first.")
        _copy(file, self.folder / name)
        self.copied[name] = source


def _mapped(config: Any, change: Callable[[Any], Any]) -> Any:
    """Return a config with every leaf changed."""
    if isinstance(config, dict):
        return {key: _mapped(value, change) for key, value in config.items()}
    if isinstance(config, list):
        return [_mapped(value, change) for value in config]
    return change(config)


def _with_metadata(value: Any, metadata: dict[str, Any]) -> Any:
    """Return a value of a config with what it takes from the metadata, `@_meta_::...`, in place."""
    if not isinstance(value, str):
        return value
    try:
        if whole := _OF_METADATA.fullmatch(value):
            return entry(metadata, whole[1])
        return _OF_METADATA.sub(lambda found: repr(entry(metadata, found[1])), value)
    except KeyError as error:
        raise InputError(f"'{value}' names an entry that metadata.json does not have; correct it.") from error


def _plain_dumper() -> type:
    """A YAML writer that repeats what occurs twice, because MONAI's readers are to see plain entries."""
    import yaml

    class PlainDumper(yaml.SafeDumper):
        def ignore_aliases(self, data: Any) -> bool:
            return True

    return PlainDumper


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)
