"""`latentct promote`: move an alias to a version that is measured to be better."""


def promote() -> None:
    """Promote a version."""
