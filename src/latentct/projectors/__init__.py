"""The projection A and its adjoint for one grid and one scan, differentiable in torch."""

from latentct.projectors.backprojection import backproject
from latentct.projectors.base import Projector, TransposedProjector
from latentct.projectors.cone_backprojection import backproject_cone
from latentct.projectors.factory import make_projector

__all__ = ["Projector", "TransposedProjector", "backproject", "backproject_cone", "make_projector"]
