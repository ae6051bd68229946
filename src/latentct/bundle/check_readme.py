"""Faults of a bundle's README: commands that name what does not exist."""

from __future__ import annotations

import ast
import functools
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

from latentct.bundle.configs import config_files, project_root
from latentct.bundle.fault import Fault
from latentct.bundle.overrides import parse_overrides, refuse_unknown_keys
from latentct.bundle.stacks import read_stack
from latentct.errors import InputError

FILE = "docs/README.md"
RUN_IDS = ("training", "evaluating", "inference")
_OTHERS = {"ckpt_export", "onnx_export", "verify_metadata", "verify_net_in_out"}


def readme_faults(bundle: Path) -> list[Fault]:
    """List what is wrong with the command lines of the README; that it is missing is told elsewhere."""
    if not (bundle / FILE).is_file():
        return []
    commands = shell_commands((bundle / FILE).read_text(encoding="utf-8"))
    of_monai = [words[words.index("monai.bundle") + 1 :] for words in commands if "monai.bundle" in words]
    fault = functools.partial(Fault, bundle.resolve().name, FILE)
    found = [
        fault("", f"has no command `python -m monai.bundle run {run_id} ...`; show how to start it.")
        for run_id in RUN_IDS
        if ["run", run_id] not in [words[:2] for words in of_monai]
    ]
    for words in commands:
        try:
            _check(words, project_root(bundle))
        except InputError as error:
            found.append(fault(f"`{' '.join(words[:6])} ...`", str(error)))
    return found


def shell_commands(markdown: str) -> list[list[str]]:
    """Commands of a Markdown file's code blocks as words; continued lines are joined, `NAME=value` is put in place."""
    fenced = re.findall(r"^```(?:bash|sh|shell|console)\n(.*?)^```", markdown, flags=re.DOTALL | re.MULTILINE)
    without_fences = re.sub(r"^```.*?^```", "", markdown, flags=re.DOTALL | re.MULTILINE)
    indented = re.findall(r"(?:^ {4}.*\n?)+", without_fences, flags=re.MULTILINE)
    variables: dict[str, str] = {}
    commands = []
    for line in "\n".join([*fenced, *indented]).replace("\\\n", " ").splitlines():
        words = shlex.split(re.sub(r"\$\{?(\w+)\}?", lambda m: variables.get(m[1], m[0]), line), comments=True)
        while words and re.fullmatch(r"[A-Za-z_]\w*=.*", words[0]):
            name, _, value = words.pop(0).partition("=")
            variables[name] = value
        commands += [words] if words else []
    return commands


def _check(words: list[str], root: Path) -> None:
    """Refuse a command that runs a bundle and names a file, run id or key that does not exist.

    Raises:
        InputError: Says what.
    """
    if "monai.bundle" in words:
        _check_monai(words[words.index("monai.bundle") + 1 :], root)
    elif words[:2] == ["latentct", "run"]:
        layers = [words[i + 1] for i, word in enumerate(words) if word == "--layer"]
        rest = [word for i, word in enumerate(words) if i > 3 and "--layer" not in (word, words[i - 1])]
        refuse_unknown_keys(parse_overrides(rest), config_files(root / words[2], words[3], layers), root)


def _check_monai(words: list[str], root: Path) -> None:
    command, *rest = words
    named = [] if rest[0].startswith("--") else [rest.pop(0)]
    options = dict(zip(rest[::2], rest[1::2], strict=True))
    files = [root / name for name in _names(options.pop("--config_file", ""))]
    missing = [str(file.relative_to(root)) for file in files if not file.is_file()]
    if missing or not files:
        raise InputError(f"config {', '.join(missing) or 'file'} does not exist; name those of the bundle.")
    if command == "run":
        if not (root / options.pop("--bundle_root", "?")).is_dir():
            raise InputError("--bundle_root is no folder; name the bundle's.")
        if named and named[0] not in read_stack(files):
            raise InputError(f"run id '{named[0]}' is in none of its configs; correct it.")
        refuse_unknown_keys(parse_overrides([word for pair in options.items() for word in pair]), files, root)
    elif command not in _OTHERS:
        raise InputError(
            f"monai.bundle has no command '{command}' that is known here; use {', '.join(sorted(_OTHERS))}."
        )


def _names(text: str) -> Iterator[str]:
    """One file name, or several as a Python list."""
    yield from ast.literal_eval(text) if text.startswith("[") else [text] if text else []
