"""Whether the `_target_` of a config exists and takes the arguments given, told without importing it."""

from __future__ import annotations

import ast
import functools

from latentct.bundle.configs import did_you_mean
from latentct.bundle.modules import Definition, Found, Module, bases, find, method, monai_names


def target_fault(target: str, arguments: frozenset[str]) -> str | None:
    """Say what is wrong with a component, or None.

    Args:
        target: dotted name, or bare name of a class or function of MONAI.
        arguments: names of the arguments it is given.
    """
    places = [target] if "." in target else [f"{module}.{target}" for module in monai_names().get(target, [])]
    found = [thing for place in places if (thing := find(place)) is not None]
    if not found:
        return f"_target_ '{target}' does not exist{_nearest(target)}"
    if all(isinstance(thing, Module) for thing in found):
        return f"_target_ '{target}' is a module, not a class or function"
    taken = [parameters(thing) for thing in found]
    if any(names is None or arguments <= names for names in taken):
        return None
    known = set().union(*(names or () for names in taken))
    unknown = sorted(arguments - known)
    return f"_target_ '{target}' takes no '{unknown[0]}'{did_you_mean(unknown[0], known)}"


@functools.cache
def parameters(thing: Found) -> frozenset[str] | None:
    """Return the names of the arguments that something takes; None if it takes any or that cannot be told."""
    if not isinstance(thing, Definition):
        return None
    return _of_class(thing) if isinstance(thing.node, ast.ClassDef) else _of_function(thing.node, thing.holder)


def _of_function(node: ast.FunctionDef | ast.AsyncFunctionDef, holder: ast.ClassDef | None) -> frozenset[str] | None:
    if node.args.kwarg:
        return None
    static = any(
        isinstance(decorator, ast.Name) and decorator.id == "staticmethod" for decorator in node.decorator_list
    )
    first = 1 if holder is not None and not static else 0
    positional = [*node.args.posonlyargs, *node.args.args][first:]
    by_name = [argument for argument in positional if argument not in node.args.posonlyargs]
    return frozenset(argument.arg for argument in (*by_name, *node.args.kwonlyargs))


def _of_class(definition: Definition) -> frozenset[str] | None:
    node = definition.node
    own = {statement.name for statement in node.body if isinstance(statement, ast.FunctionDef)}
    if "__init__" in own:
        return parameters(method(definition, "__init__"))
    if "__new__" in own:
        return None
    above = [base for base in bases(definition) if not _takes_nothing(base)]
    if _is_dataclass(node):
        inherited = [parameters(base) for base in above]
        return None if None in inherited else frozenset(_fields(node)).union(*(names or () for names in inherited))
    return parameters(above[0]) if above else frozenset()


def _takes_nothing(base: Found) -> bool:
    """Whether a base says nothing of the arguments, because it has no constructor all the way up."""
    if not isinstance(base, Definition) or not isinstance(base.node, ast.ClassDef):
        return False
    makes = {"__init__", "__new__"} & {part.name for part in base.node.body if isinstance(part, ast.FunctionDef)}
    return not makes and not _is_dataclass(base.node) and all(_takes_nothing(above) for above in bases(base))


def _is_dataclass(node: ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    calls = [decorator.func if isinstance(decorator, ast.Call) else decorator for decorator in node.decorator_list]
    return any(
        (isinstance(call, ast.Name) and call.id == "dataclass")
        or (isinstance(call, ast.Attribute) and call.attr == "dataclass")
        for call in calls
    )


def _fields(node: ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) -> list[str]:
    return [
        statement.target.id
        for statement in node.body
        if isinstance(statement, ast.AnnAssign)
        and isinstance(statement.target, ast.Name)
        and "ClassVar" not in ast.dump(statement.annotation)
        and not _not_in_init(statement.value)
    ]


def _not_in_init(value: ast.expr | None) -> bool:
    keywords = value.keywords if isinstance(value, ast.Call) else []
    return any(
        word.arg == "init" and isinstance(word.value, ast.Constant) and not word.value.value for word in keywords
    )


def _nearest(target: str) -> str:
    package, _, name = target.rpartition(".")
    if not package:
        return did_you_mean(name, monai_names())
    owner = find(package)
    return did_you_mean(name, owner.statements) if isinstance(owner, Module) else ""
