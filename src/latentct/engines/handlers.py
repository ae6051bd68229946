"""Handlers as MONAI's tools look for them in configs."""

from __future__ import annotations

from typing import Any


def shared_handler(handler: Any) -> Any:
    """Return a handler that stands elsewhere in a config, where others refer to it.

    A reference alone would do for MONAI's parser, but `check_properties` and MONAI Label's training take every entry of
    `train::handlers` for a component with a `_target_`.

    Example:
        >>> shared_handler("tracker")
        'tracker'
    """
    return handler
