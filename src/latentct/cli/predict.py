"""`latentct predict`: have a served model correct a scan."""


def predict() -> None:
    """Correct a scan with a served model."""
