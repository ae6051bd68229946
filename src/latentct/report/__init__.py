"""Figures for people."""

from latentct.report.figures import ComparisonFigure, tinted_sinogram

__all__ = ["ComparisonFigure", "tinted_sinogram"]
