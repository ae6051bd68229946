"""Simulated measurement: ``x -> y``."""

from latentct.simulate.acquire import acquire
from latentct.simulate.beam_hardening import WaterCorrection
from latentct.simulate.materials import MATERIALS, METALS, Material, attenuation_mu
from latentct.simulate.polychromatic import Beam
from latentct.simulate.scanner import Scanner, make_scanner
from latentct.simulate.spectra import Spectrum, monochromatic, tube_spectrum
from latentct.simulate.tissue import split_tissue
from latentct.simulate.truncation import truncate
from latentct.simulate.views import RandomViews

__all__ = [
    "MATERIALS",
    "METALS",
    "Beam",
    "Material",
    "RandomViews",
    "Scanner",
    "Spectrum",
    "WaterCorrection",
    "acquire",
    "attenuation_mu",
    "make_scanner",
    "monochromatic",
    "split_tissue",
    "truncate",
    "tube_spectrum",
]
