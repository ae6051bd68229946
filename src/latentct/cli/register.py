"""`latentct register`: a bundle as a version in the MLflow registry."""


def register() -> None:
    """Register a bundle."""
