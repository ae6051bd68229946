"""Checks of bundle configurations that several tests share; each returns what is wrong, so an empty list is good."""

import ast
import inspect
import os
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from pydoc import locate
from typing import Any
from unittest.mock import patch

from monai.bundle import ConfigParser, ConfigWorkflow
from monai.bundle.config_item import ComponentLocator

ROOT = Path(__file__).resolve().parents[1]
COMPLETE = ("train.yaml", "inference.yaml")
STAGES = ("train_autoencoder.yaml", "train_alignment.yaml", "train_diffusion.yaml")
#: What a config of a bundle trained in stages is a layer on; other layers go on every stage and on train.yaml. What
#: multi_gpu_train.yaml refers to is of the stages; train.yaml only passes its name on.
LAYERED_ON = {"evaluate.yaml": STAGES[:1], "train_ldm.yaml": STAGES[2:], "multi_gpu_train.yaml": STAGES}
#: Longer expressions belong in a tested function.
LONGEST_EXPRESSION = 130

_FLOAT_TEXT = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)[eE][+-]?\d+")
_OUTSIDE_PATH = re.compile(r"^(/|~|[A-Za-z]:[\\/])")
_LOOP_NODES = (ast.ListComp, ast.DictComp, ast.SetComp, ast.GeneratorExp, ast.NamedExpr)


def bundle_folders() -> list[Path]:
    """Every bundle of the project."""
    return sorted(path.parents[1] for path in (ROOT / "bundles").glob("*/configs/metadata.json"))


def in_stages(bundle: Path) -> bool:
    """Whether a bundle's train.yaml runs stages that are configs of their own."""
    return (bundle / "configs" / STAGES[0]).is_file()


def config_stacks(bundle: Path) -> list[list[Path]]:
    """Every way the configs of a bundle are read: the complete ones alone, any other as a layer on those it goes on."""
    folder = bundle / "configs"
    complete = [*COMPLETE, *(STAGES if in_stages(bundle) else ())]
    others = [file for file in sorted(folder.glob("*.yaml")) if file.name not in complete]
    stacks = [[folder / name] for name in complete]
    for file in others:
        bases = LAYERED_ON.get(file.name, ("train.yaml", *STAGES)) if in_stages(bundle) else ("train.yaml",)
        stacks += [[folder / base, file] for base in bases]
    return stacks


def stack_name(stack: list[Path]) -> str:
    """`lsr_truncation:train+smoke`."""
    return f"{stack[0].parents[1].name}:{'+'.join(file.stem for file in stack)}"


def parse(stack: list[Path]) -> ConfigParser:
    """Read a stack with the bundle's metadata; a key given twice in a file is an error."""
    with patch.dict(os.environ, MONAI_FAIL_ON_DUPLICATE_CONFIG="1"):
        parser = ConfigParser()
        parser.read_config([str(file) for file in stack])
        parser.read_meta(str(stack[0].parent / "metadata.json"))
        parser.parse()
    return parser


def leaves(config: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """(id, value) of everything in a config that is neither a dict nor a list."""
    if isinstance(config, dict):
        pairs: Any = config.items()
    elif isinstance(config, list):
        pairs = enumerate(config)
    else:
        yield path, config
        return
    for key, value in pairs:
        yield from leaves(value, f"{path}::{key}" if path else str(key))


def float_texts(config: Any) -> list[str]:
    """Strings that look like floats: YAML 1.1 reads `1e-4` as text."""
    return [path for path, value in leaves(config) if isinstance(value, str) and _FLOAT_TEXT.fullmatch(value)]


def outside_paths(config: Any) -> list[str]:
    """Absolute and home paths, as values and within expressions; `@root + '/models'` continues a path and is fine."""
    found = []
    for path, value in leaves(config):
        if not isinstance(value, str):
            continue
        texts = _leading_texts(value) if value.startswith("$") else [value]
        found += [path for text in texts if _OUTSIDE_PATH.match(text)]
    return found


def wrong_targets(config: Any, path: str = "") -> list[str]:
    """Components whose `_target_` does not exist or does not take the arguments given."""
    found = []
    if isinstance(config, dict) and isinstance(config.get("_target_"), str) and config["_target_"][:1] not in "$@%":
        target = _locate(config["_target_"])
        arguments = {key for key in config if not key.startswith("_")}
        if not callable(target):
            found.append(f"{path}: {config['_target_']} does not exist")
        elif unknown := _unknown_arguments(target, arguments):
            found.append(f"{path}: {config['_target_']} takes no {unknown}")
    if isinstance(config, dict | list):
        for key, value in config.items() if isinstance(config, dict) else enumerate(config):
            found += wrong_targets(value, f"{path}::{key}" if path else str(key))
    return found


def dangling_references(parser: ConfigParser) -> list[str]:
    """References `@id` of a parsed config that name nothing."""
    resolver = parser.ref_resolver
    return [
        f"{name}: @{reference}"
        for name, item in resolver.items.items()
        if isinstance(item.get_config(), str)
        for reference in resolver.find_refs_in_config(item.get_config(), name)
        if reference not in resolver.items
    ]


def long_expressions(config: Any) -> list[str]:
    """Expressions that are more than one call on one line. Calls without arguments ask a question and do not count."""
    return [
        f"{path}: {value}"
        for path, value in leaves(config)
        if isinstance(value, str) and value.startswith("$") and not _is_short(value[1:])
    ]


def missing_ids(stack: list[Path], workflow_type: str) -> list[str]:
    """Ids that MONAI requires of a training or inference config and that are missing; instantiates nothing."""
    workflow = ConfigWorkflow(
        config_file=[str(file) for file in stack], workflow_type=workflow_type, logging_file=False
    )
    required = [item["id"] for item in workflow.properties.values() if item.get("required")]
    return [name for name in required if name not in workflow.parser]


def plain_content(parser: ConfigParser, name: str) -> Any:
    """A config's entry with every reference replaced by its value, and no component made."""
    content = parser.get_parsed_content(name, instantiate=False, eval_expr=False)
    return content.get_config() if hasattr(content, "get_config") else content


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


def _leading_texts(expression: str) -> list[str]:
    """String constants of an expression, without those added to something in front of them."""
    tree = ast.parse(_python(expression[1:]))
    joined = {id(node.right) for node in ast.walk(tree) if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add)}
    parts = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in node.values[1:]}
    constants = [node for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)]
    return [str(node.value) for node in constants if id(node) not in joined | parts]


def _python(expression: str) -> str:
    """Make an expression of a config parseable: references become names."""
    return re.sub(r"[@%][\w:.]+", "reference", expression)


def _is_short(expression: str) -> bool:
    if "\n" in expression or len(expression) > LONGEST_EXPRESSION:
        return False
    nodes = list(ast.walk(ast.parse(_python(expression))))
    calls = [node for node in nodes if isinstance(node, ast.Call) and (node.args or node.keywords)]
    return len(calls) <= 1 and not any(isinstance(node, _LOOP_NODES) for node in nodes)


_MONAI_NAMES = ComponentLocator()


def _locate(name: str) -> Any:
    if "." in name:
        return locate(name)
    module = _MONAI_NAMES.get_component_module_name(name)
    return locate(f"{module[0] if isinstance(module, list) else module}.{name}") if module else None


def _unknown_arguments(target: Any, arguments: set[str]) -> list[str]:
    try:
        parameters = inspect.signature(target).parameters.values()
    except ValueError:  # written in C, without a signature
        return []
    if any(parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in parameters):
        return []
    return sorted(arguments - {parameter.name for parameter in parameters})
