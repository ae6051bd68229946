"""`$` expressions of configs as Python's syntax trees, without running them."""

from __future__ import annotations

import ast
import functools
import re

#: Longer expressions belong in a tested function.
LONGEST_EXPRESSION = 130

_REFERENCE = re.compile(r"[@%][\w:.#]+")
_LOOPS = (ast.ListComp, ast.DictComp, ast.SetComp, ast.GeneratorExp, ast.NamedExpr)
_IMPORT = re.compile(r"\$\s*(import|from)\s")


def is_expression(value: object) -> bool:
    """Whether MONAI runs a value as Python."""
    return isinstance(value, str) and value.startswith("$")


def is_import(value: str) -> bool:
    """Whether an expression is one of the imports that MONAI takes."""
    return _IMPORT.match(value) is not None


@functools.lru_cache(maxsize=1024)
def parse(expression: str) -> ast.Module:
    """Parse an expression or import; references to other entries become the name `reference`.

    Raises:
        SyntaxError: If it is not Python.
    """
    return ast.parse(_REFERENCE.sub("reference", expression[1:].strip()))


def imported_modules(expression: str) -> list[str]:
    """Modules that an import brings in, by their full names."""
    modules = []
    for node in ast.walk(parse(expression)):
        if isinstance(node, ast.Import):
            modules += [name.name for name in node.names]
        elif isinstance(node, ast.ImportFrom):
            modules.append(node.module or ".")
    return modules


def is_short(expression: str) -> bool:
    """Whether an expression is one call on one line at most. Calls without arguments only ask, and do not count."""
    if "\n" in expression or len(expression) > LONGEST_EXPRESSION + 1:
        return False
    nodes = list(ast.walk(parse(expression)))
    calls = [node for node in nodes if isinstance(node, ast.Call) and (node.args or node.keywords)]
    return len(calls) <= 1 and not any(isinstance(node, _LOOPS) for node in nodes)


def leading_texts(expression: str) -> list[str]:
    """Text constants of an expression, without those added to something in front of them, as in `@root + '/models'`."""
    nodes = list(ast.walk(parse(expression)))
    joined = {id(node.right) for node in nodes if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add)}
    parts = {id(part) for node in nodes if isinstance(node, ast.JoinedStr) for part in node.values[1:]}
    constants = [node for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)]
    return [str(node.value) for node in constants if id(node) not in joined | parts]
