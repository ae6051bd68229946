"""Vector instructions over the items of a short batch, for kernels that interpolate in a volume.

Arrays are contiguous float32 whose last axis holds the ``n`` items of a batch side by side, a cell each; cells are
numbered as if the axes before were one. A compiler leaves loops of so few turns scalar, so the instructions are
written here. How many items there are it must know when it compiles: it is told by ``lanes``, any tuple of this
length.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from latentct.projectors.numba_vectors import broadcast

LANES = (1, 4, 8)
"""Lengths of the last axis for which kernels are compiled; on the machines that we know 2 items cost as much as 4."""


def lanes_for(n: int) -> int:
    """Return the length of the last axis that a batch of ``n`` is best put into; larger ones are cut into parts.

    >>> [lanes_for(n) for n in (1, 2, 6, 40)]
    [1, 4, 8, 8]
    """
    return next((lanes for lanes in LANES if n <= lanes), LANES[-1])


@intrinsic
def gather(
    typing_context: Any,
    y: Any,
    ray: Any,
    x: Any,
    voxel: Any,
    s_p: Any,
    s_q: Any,
    near: Any,
    near_q: Any,
    far: Any,
    far_q: Any,
    lanes: Any,
) -> Any:
    """Add to the cell ``ray`` of ``y`` four neighbours in ``x``, each times its weight.

    The neighbours are the cells ``voxel``, ``voxel + s_q``, ``voxel + s_p`` and ``voxel + s_p + s_q``; `scatter` is
    the transpose.
    """

    def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        cells = _Cells(context, builder, len(lanes))
        y_data, x_data = cells.data(y, arguments[0]), cells.data(x, arguments[2])
        places = cells.neighbours(*arguments[3:6])
        a, b, c, d = (
            cells.times(cells.load(x_data, place), weight)
            for place, weight in zip(places, arguments[6:10], strict=True)
        )
        cells.add_to(y_data, arguments[1], cells.sum(cells.sum(a, b), cells.sum(c, d)))
        return context.get_dummy_value()

    weights = (types.float32,) * 4
    return types.void(y, types.int64, x, types.int64, types.int64, types.int64, *weights, lanes), build


@intrinsic
def scatter(
    typing_context: Any,
    y: Any,
    ray: Any,
    x: Any,
    voxel: Any,
    s_p: Any,
    s_q: Any,
    near: Any,
    near_q: Any,
    far: Any,
    far_q: Any,
    lanes: Any,
) -> Any:
    """Add the cell ``ray`` of ``y`` to four neighbours in ``x``, each time times a weight; see `gather`."""

    def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        cells = _Cells(context, builder, len(lanes))
        y_data, x_data = cells.data(y, arguments[0]), cells.data(x, arguments[2])
        value = cells.load(y_data, arguments[1])
        for place, weight in zip(cells.neighbours(*arguments[3:6]), arguments[6:10], strict=True):
            cells.add_to(x_data, place, cells.times(value, weight))
        return context.get_dummy_value()

    weights = (types.float32,) * 4
    return types.void(y, types.int64, x, types.int64, types.int64, types.int64, *weights, lanes), build


class _Cells:
    """Writes the instructions on cells of ``n`` numbers, which lie in memory at the alignment of one."""

    def __init__(self, context: Any, builder: Any, n: int) -> None:
        self.context, self.builder, self.n = context, builder, n
        self.vector = ir.VectorType(ir.FloatType(), n)

    def data(self, array_type: Any, array: Any) -> Any:
        """Return the pointer to the first cell of an array."""
        data = self.context.make_array(array_type)(self.context, self.builder, array).data
        return self.builder.bitcast(data, self.vector.as_pointer())

    def neighbours(self, voxel: Any, s_p: Any, s_q: Any) -> tuple[Any, Any, Any, Any]:
        """Return the numbers of the four cells of `gather`."""
        far = self.builder.add(voxel, s_p)
        return voxel, self.builder.add(voxel, s_q), far, self.builder.add(far, s_q)

    def load(self, data: Any, cell: Any) -> Any:
        """Return the numbers of one cell."""
        loaded = self.builder.load(self.builder.gep(data, [cell]))
        loaded.align = 4
        return loaded

    def add_to(self, data: Any, cell: Any, value: Any) -> None:
        """Add to the numbers of one cell."""
        stored = self.builder.store(self.sum(self.load(data, cell), value), self.builder.gep(data, [cell]))
        stored.align = 4

    def times(self, value: Any, weight: Any) -> Any:
        """Return the numbers times a single one."""
        return self.builder.fmul(value, broadcast(self.builder, weight, self.n), flags=("fast",))

    def sum(self, a: Any, b: Any) -> Any:
        """Return the sums of the numbers of two cells."""
        return self.builder.fadd(a, b, flags=("fast",))
