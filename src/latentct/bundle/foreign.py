"""Refuse configs that would run what this project does not use, before MONAI runs them."""

from __future__ import annotations

import ast
import builtins
import re
from pathlib import Path
from typing import Any

from latentct.bundle.configs import is_shared, leaves, read_config
from latentct.bundle.expressions import imported_modules, is_expression, is_import, parse
from latentct.errors import InputError

TARGETS = frozenset({"ignite", "latentct", "monai", "numpy", "torch"})
"""Packages that components come from."""
IMPORTS = TARGETS | {"copy", "dataclasses", "functools", "itertools", "math", "os", "pathlib"}
"""Packages that expressions use."""
PLAIN = frozenset(
    {
        "abs",
        "bool",
        "dict",
        "float",
        "int",
        "len",
        "list",
        "max",
        "min",
        "range",
        "round",
        "set",
        "sorted",
        "str",
        "sum",
        "tuple",
    }
)
"""Built-in functions that expressions use."""

_DOTTED = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")
_OF_OS = frozenset({"environ", "path"})


def refuse_foreign_targets(root: Path) -> None:
    """Look through the configs of a staged bundle for what they would run.

    A `_target_` may be a class or function of `TARGETS`, a bare name is one of MONAI's, and expressions import from
    `IMPORTS` alone. A staged bundle reads no file but its own. This keeps out packages that the project does not use
    and what is unsafe at a glance; it is no sandbox, because a config can still combine what these packages offer.

    Raises:
        InputError: Names the first target, import or expression that is refused.
    """
    for file in sorted((root / "configs").iterdir()):
        if file.suffix in {".yaml", ".yml", ".json"}:
            for key, value in leaves(read_config(file)).items():
                if reason := foreign(key, value) or _outside(value):
                    raise InputError(f"{file}: {key}: {reason}; register bundles of this project's own parts only.")


def foreign(key: str, value: Any) -> str | None:
    """Say what is foreign about a leaf of a config, or None."""
    *above, last = key.replace("#", "::").split("::")
    if "_target_" in above:
        return "_target_ is no plain name of a class or function"
    if last == "_target_":
        return _foreign_target(value)
    return _foreign_expression(value) if is_expression(value) else None


def _foreign_target(value: Any) -> str | None:
    if not isinstance(value, str) or not _DOTTED.fullmatch(value):
        return f"_target_ {value!r} is no plain name of a class or function"
    package, dot, rest = value.partition(".")
    if dot and (package not in TARGETS or "._" in f".{rest}"):
        return f"_target_ '{value}' is not of {', '.join(sorted(TARGETS))}"
    if not dot and hasattr(builtins, value):
        return f"_target_ '{value}' is a built-in of Python and no component of MONAI"
    return None


def _foreign_expression(value: str) -> str | None:
    try:
        if is_import(value):
            strange = [name for name in imported_modules(value) if name.partition(".")[0] not in IMPORTS]
            return f"import of '{strange[0]}' is not of {', '.join(sorted(IMPORTS))}" if strange else None
        nodes = list(ast.walk(parse(value)))
    except SyntaxError:
        return f"expression '{value}' is no Python"
    reached = next((name for node in nodes if (name := _reach(node))), None)
    return f"expression uses '{reached}'" if reached else None


def _reach(node: ast.AST) -> str | None:
    """Return the name by which a node reaches beyond the packages that are imported, if it does."""
    if isinstance(node, ast.Name) and hasattr(builtins, node.id) and node.id not in PLAIN:
        return node.id
    if isinstance(node, ast.Attribute) and node.attr.startswith("_"):
        return node.attr
    of_os = isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "os"
    return f"os.{node.attr}" if of_os and isinstance(node, ast.Attribute) and node.attr not in _OF_OS else None


def _outside(value: Any) -> str | None:
    return f"'{value}' reads another file" if isinstance(value, str) and is_shared(value) else None
