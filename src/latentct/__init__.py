"""latentct: CT from incomplete projections, by searching the latent space of a generative model.

Importing the package loads nothing heavy; import the part you need, e.g. `from latentct.geometry import FanBeam`.
"""

__version__ = "0.1.0"
