"""The project's bundles and their configs, as several tests read them."""

import os
from pathlib import Path
from typing import Any
from unittest.mock import patch

from monai.bundle import ConfigParser

from latentct.bundle.configs import in_stages as in_stages

ROOT = Path(__file__).resolve().parents[1]


def bundle_folders() -> list[Path]:
    """Every bundle of the project."""
    return sorted(path.parents[1] for path in (ROOT / "bundles").glob("*/configs/metadata.json"))


def stack_name(stack: list[Path]) -> str:
    """`lsr_truncation:train+smoke`."""
    return f"{stack[0].parents[1].name}:{'+'.join(file.stem for file in stack)}"


def parse(stack: list[Path]) -> ConfigParser:
    """Read a stack as MONAI does, with the bundle's metadata; a key given twice in a file is an error."""
    with patch.dict(os.environ, MONAI_FAIL_ON_DUPLICATE_CONFIG="1"):
        parser = ConfigParser()
        parser.read_config([str(file) for file in stack])
        parser.read_meta(str(stack[0].parent / "metadata.json"))
        parser.parse()
    return parser


def plain_content(parser: ConfigParser, name: str) -> Any:
    """A config's entry with every reference replaced by its value, and no component made."""
    content = parser.get_parsed_content(name, instantiate=False, eval_expr=False)
    return content.get_config() if hasattr(content, "get_config") else content
