"""Simulated measurement: ``x -> y``."""

from latentct.simulate.acquire import acquire
from latentct.simulate.truncation import truncate

__all__ = ["acquire", "truncate"]
