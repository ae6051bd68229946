"""Figures for people."""

from latentct.report.figures import ComparisonFigure, convergence_figure, tinted_sinogram

__all__ = ["ComparisonFigure", "convergence_figure", "tinted_sinogram"]
