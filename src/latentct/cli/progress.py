"""A bar of progress on a terminal; nothing elsewhere."""

from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

Item = TypeVar("Item")


def progress_bar(description: str) -> Callable[[Sequence[Item]], Iterable[Item]]:
    """Return what passes on the items of a sequence and shows on stderr how many are done."""
    from rich.console import Console
    from rich.progress import track

    console = Console(stderr=True)
    return lambda items: track(items, description, console=console, transient=True, disable=not console.is_terminal)
