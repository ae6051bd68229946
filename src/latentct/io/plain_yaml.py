"""YAML that nobody vouches for: plain values, without what makes a short text cost much time or memory."""

from __future__ import annotations

from typing import Any

import yaml

DEEPEST = 20
"""Levels of nesting; parsers take time with the square of it."""
LONGEST_TEXT = 1 << 21
"""Characters, of some thousand views by vectors or a hundred thousand angles; a parser takes half a minute for them."""


class PlainLoader(yaml.SafeLoader):
    """A loader that refuses deep nesting and aliases, of which a few lines can stand for more than any memory holds."""

    depth = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        """Compose a node where it is plain."""
        mark = self.peek_event().start_mark
        if self.check_event(yaml.AliasEvent):
            raise yaml.MarkedYAMLError(problem="aliases, '*name', are not read", problem_mark=mark)
        self.depth += 1
        if self.depth > DEEPEST:
            raise yaml.MarkedYAMLError(problem=f"more than {DEEPEST} levels are not read", problem_mark=mark)
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node


def load(text: str) -> Any:
    """Return the values of a text.

    Raises:
        yaml.YAMLError: it is no YAML, not plain, or too long.
        ValueError: it holds a date that cannot be.
    """
    if len(text) > LONGEST_TEXT:
        raise yaml.MarkedYAMLError(problem=f"more than {LONGEST_TEXT} characters are not read")
    return yaml.load(text, Loader=PlainLoader)
