"""A staged bundle as an MLflow model in a folder: code, weights and requirements, and nothing of the machine."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import requires, version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import latentct
from latentct.bundle import StagedBundle

if TYPE_CHECKING:
    from mlflow.models import Model

#: Runs where the model is served; importing it here would register it as the model of this process.
MODEL_FILE = Path(__file__).with_name("served_model.py")
#: Name of the bundle among the model's artifacts.
BUNDLE = "bundle"
_FLAVOR = "python_function"
#: Kernels compiled for this machine lie there too, and are larger than the code.
_CACHE = "__pycache__"


def write_model(folder: Path, bundle: StagedBundle, input_example: Any) -> Model:
    """Write a staged bundle as an MLflow model, and see that the model answers its own example.

    Args:
        folder: where to write; must not exist.
        bundle: the bundle, whose copy is in the model afterwards.
        input_example: a request that the served model answers.

    Returns:
        The model's description, as in `MLmodel`; it belongs to no run yet.
    """
    import mlflow
    from mlflow.models import Model

    details = {"bundle": bundle.name, "bundle_version": bundle.version, "weights_sha256": bundle.weights_sha256}
    model = Model(metadata=details)
    with TemporaryDirectory() as temporary, _search_path_kept():
        code = Path(temporary) / latentct.__name__
        shutil.copytree(Path(latentct.__file__).parent, code, ignore=shutil.ignore_patterns(_CACHE))
        mlflow.pyfunc.save_model(
            folder,
            python_model=str(MODEL_FILE),
            artifacts={BUNDLE: str(bundle.root)},
            code_paths=[str(code)],
            pip_requirements=pinned_requirements(),
            input_example=input_example,
            mlflow_model=model,
        )
    _forget_machine(model)
    describe(folder, model)
    with _search_path_kept():
        mlflow.pyfunc.load_model(str(folder)).predict(input_example)
    for cache in folder.rglob(_CACHE):
        shutil.rmtree(cache)
    return model


def describe(folder: Path, model: Model) -> None:
    """Write the description of a model into its folder."""
    model.save(str(folder / "MLmodel"))


def bundle_of(folder: Path) -> Path:
    """Return the folder of the bundle in a model that `write_model` wrote."""
    from mlflow.models import Model

    return folder / Model.load(str(folder)).flavors[_FLAVOR]["artifacts"][BUNDLE]["path"]


def pinned_requirements() -> list[str]:
    """Return what the package needs at run time, each in the version that is installed.

    A local part such as `+cpu` says how this machine's copy was built; no index serves it, so it is left out.
    """
    from packaging.requirements import Requirement
    from packaging.version import Version

    needed = [Requirement(text) for text in requires(latentct.__name__) or []]
    names = [one.name for one in needed if one.marker is None or one.marker.evaluate({"extra": ""})]
    return [f"{name}=={Version(version(name)).public}" for name in sorted(names)]


def metadata(bundle: StagedBundle) -> dict[str, Any]:
    """Return the content of a bundle's `metadata.json`."""
    return json.loads((bundle.root / "configs" / "metadata.json").read_text(encoding="utf-8"))


def _forget_machine(model: Model) -> None:
    """Replace the absolute paths that MLflow keeps of where code and artifacts came from; it loads by names only."""
    flavor = model.flavors[_FLAVOR]
    flavor["model_code_path"] = MODEL_FILE.name
    for artifact in flavor["artifacts"].values():
        artifact["uri"] = artifact["path"]


@contextmanager
def _search_path_kept() -> Iterator[None]:
    """Undo what MLflow adds to the search path: the code in the model would hide the package of this process."""
    kept = list(sys.path)
    try:
        yield
    finally:
        sys.path[:] = kept
