"""Figures for people."""

from latentct.report.figures import ComparisonFigure, tinted_sinogram
from latentct.report.planes import ThreePlaneFigure, middle_planes

__all__ = ["ComparisonFigure", "ThreePlaneFigure", "middle_planes", "tinted_sinogram"]
