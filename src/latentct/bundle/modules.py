"""Look up what modules define by reading their files, because importing MONAI and torch takes seconds."""

from __future__ import annotations

import ast
import functools
import importlib.util
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

Function: TypeAlias = ast.FunctionDef | ast.AsyncFunctionDef

_TOP_LEVEL = re.compile(r"^(?:class|def) (\w+)|^((?:\w+ = )+)", re.MULTILINE)

_LANGUAGE = {"object", "ABC", "Generic", "Protocol"}


@dataclass(frozen=True, eq=False)
class Module:
    """A module and its file; an extension has no source to read."""

    name: str
    file: Path

    @functools.cached_property
    def package(self) -> str:
        """Name that relative imports of the module start from."""
        return self.name if self.file.name == "__init__.py" else self.name.rpartition(".")[0]

    @functools.cached_property
    def statements(self) -> dict[str, ast.stmt]:
        """What binds each name at the top of the module; of several, the last."""
        return {name: statement for statement in self._top() for name in _bound(statement)}

    @functools.cached_property
    def stars(self) -> list[ast.ImportFrom]:
        """The imports of everything from another module, the last first."""
        found = [node for node in self._top() if isinstance(node, ast.ImportFrom) and node.names[0].name == "*"]
        return found[::-1]

    def _top(self) -> Iterator[ast.stmt]:
        if self.file.suffix == ".py":
            yield from _flat(ast.parse(self.file.read_bytes()).body)


@dataclass(frozen=True)
class Definition:
    """A class, a function or a method and the module it stands in."""

    module: Module
    node: ast.ClassDef | Function
    holder: ast.ClassDef | None = None


@dataclass(frozen=True)
class Unreadable:
    """Something that is there, or may be, but does not stand in a file of Python as a class or function."""


Found: TypeAlias = Module | Definition | Unreadable | None


@functools.cache
def find_module(name: str) -> Module | None:
    """Return a module of an installed package by its dotted name, without importing anything."""
    package, _, last = name.rpartition(".")
    if not package:
        spec = importlib.util.find_spec(last)
        return Module(name, Path(spec.origin)) if spec and spec.origin and Path(spec.origin).exists() else None
    above = find_module(package)
    if above is None or above.file.name != "__init__.py":
        return None
    folder = above.file.parent
    files = [folder / last / "__init__.py", folder / f"{last}.py", *folder.glob(f"{last}.*.so")]
    return next((Module(name, file) for file in files if file.is_file()), None)


def find(target: str) -> Found:
    """Find what a dotted name means: the deepest module in it, then attributes. None if it does not exist."""
    first, *rest = target.split(".")
    found: Found = find_module(first)
    for part in rest:
        if isinstance(found, Module):
            found = find_module(f"{found.name}.{part}") or look_up(found, part)
        elif isinstance(found, Definition) and isinstance(found.node, ast.ClassDef):
            found = method(found, part)
        elif isinstance(found, Definition):
            return None
    return found


@functools.cache
def monai_names() -> dict[str, list[str]]:
    """Return the modules of MONAI that define a name at the top, with a few that are no class or function."""
    names: dict[str, list[str]] = {}
    monai = find_module("monai")
    root = monai.file.parent if monai else Path("monai")
    for file in sorted(root.rglob("*.py")):
        module = ".".join(("monai", *file.relative_to(root).with_suffix("").parts)).removesuffix(".__init__")
        for match in _TOP_LEVEL.finditer(file.read_text(encoding="utf-8")):
            for name in [match[1]] if match[1] else match[2].split(" = "):
                names.setdefault(name, []).append(module)
    return names


def look_up(module: Module, name: str, within: tuple[str, ...] = ()) -> Found:
    """Find a name in a module, through the imports by which it came there."""
    here = f"{module.name}.{name}"
    if here in within:
        return None
    statement = module.statements.get(name)
    if isinstance(statement, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
        return Definition(module, statement)
    if isinstance(statement, ast.ImportFrom):
        original = next(alias.name for alias in statement.names if (alias.asname or alias.name) == name)
        return _imported(module, statement, original, (*within, here))
    if isinstance(statement, ast.Import):
        alias = next(alias for alias in statement.names if (alias.asname or alias.name.partition(".")[0]) == name)
        return find_module(alias.name if alias.asname else name) or Unreadable()
    if isinstance(statement, ast.Assign) and isinstance(statement.value, ast.Name):
        return look_up(module, statement.value.id, (*within, here)) or Unreadable()
    if statement is not None or module.file.suffix != ".py":
        return Unreadable()
    found = [_imported(module, star, name, (*within, here)) for star in module.stars]
    readable = [thing for thing in found if isinstance(thing, Definition)]
    there = any(found) or "__getattr__" in module.statements
    return readable[0] if readable else Unreadable() if there else None


def method(definition: Definition, name: str) -> Found:
    """Find an attribute of a class or of the classes it is made from."""
    node = definition.node
    for statement in node.body:
        if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef) and statement.name == name:
            return Definition(definition.module, statement, node if isinstance(node, ast.ClassDef) else None)
        if name in _bound(statement):
            return Unreadable()
    for base in bases(definition):
        found = method(base, name) if isinstance(base, Definition) else base
        if found:
            return found
    return None


def bases(definition: Definition) -> list[Found]:
    """Return the classes that a class is made from, but the language's own; `Unreadable` where they are worked out."""
    node = definition.node
    found: list[Found] = []
    for base in node.bases if isinstance(node, ast.ClassDef) else ():
        named = base.value if isinstance(base, ast.Subscript) else base  # Generic[T]
        if ast.unparse(named).rpartition(".")[2] not in _LANGUAGE:
            found.append(_expression(definition.module, named) or Unreadable())
    return found


def _expression(module: Module, node: ast.expr) -> Found:
    if isinstance(node, ast.Name):
        return look_up(module, node.id)
    if isinstance(node, ast.Attribute):
        owner = _expression(module, node.value)
        if isinstance(owner, Module):
            return find_module(f"{owner.name}.{node.attr}") or look_up(owner, node.attr)
    return Unreadable()


def _imported(module: Module, statement: ast.ImportFrom, name: str, within: tuple[str, ...]) -> Found:
    parts = module.package.split(".") if statement.level else []
    parts = parts[: len(parts) - statement.level + 1]
    source = ".".join([*parts, *([statement.module] if statement.module else [])])
    found = find_module(source)
    if found is None:
        return Unreadable()
    return find_module(f"{source}.{name}") or look_up(found, name, within)


def _flat(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """Statements of a module, those under `if`, `try` and `with` too."""
    for node in body:
        yield node
        if isinstance(node, ast.If | ast.Try | ast.With):
            for part in ("body", "orelse", "finalbody"):
                yield from _flat(getattr(node, part, []))
            for handler in getattr(node, "handlers", []):
                yield from _flat(handler.body)


def _bound(statement: ast.stmt) -> list[str]:
    if isinstance(statement, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
        return [statement.name]
    if isinstance(statement, ast.ImportFrom):
        return [alias.asname or alias.name for alias in statement.names if alias.name != "*"]
    if isinstance(statement, ast.Import):
        return [alias.asname or alias.name.partition(".")[0] for alias in statement.names]
    targets = statement.targets if isinstance(statement, ast.Assign) else []
    targets = [statement.target] if isinstance(statement, ast.AnnAssign) else targets
    names = [name for target in targets for name in (target.elts if isinstance(target, ast.Tuple) else [target])]
    return [name.id for name in names if isinstance(name, ast.Name)]
