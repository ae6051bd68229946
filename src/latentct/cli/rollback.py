"""`latentct rollback`: give an alias back to the version before."""


def rollback() -> None:
    """Roll an alias back."""
