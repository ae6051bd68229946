"""A small real scan that ships with the package: twelve slices of a chest, for the demo and for tests.

`python -m latentct.sample.make` made it; LICENSE.txt beside it says whose it is.
"""

from pathlib import Path

FOLDER = Path(__file__).parent
MANIFEST = FOLDER / "manifest.json"
