"""Vector instructions over the slices of a batch, for kernels that interpolate in images.

Slices lie side by side: the numbers that ``n`` slices have at one place, a cell, are neighbours in memory. A compiler
leaves loops over so few numbers scalar, so the instructions are written here: `zeros`, `load`, `fma`, `add` and
`store` work on a whole cell. LLVM turns them into as many registers as the processor needs for a cell. How many
slices there are it must know when it compiles: it is told by ``lanes``, any tuple of this length.

Memory is named by the address of an array's first number and a count of numbers from there. Nothing is tested and no
reference is counted: kernels hold on to their arrays and stay inside them.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic, models, register_model

LANES = (16, 32)
"""Numbers of slices for which kernels are compiled; fewer side by side cost nearly as much as sixteen."""

ALIGNED = 64
"""Bytes at whose multiples cells should lie, so that a register is not filled from two lines of the cache."""


def lanes_for(n: int) -> int:
    """Return how many slices to put side by side for a batch of ``n``; larger ones are cut into parts.

    >>> [lanes_for(n) for n in (1, 16, 17, 100)]
    [16, 16, 32, 32]
    """
    return next((lanes for lanes in LANES if n <= lanes), LANES[-1])


class Cell(types.Type):  # type: ignore[misc]
    """The numba type of the float32 numbers of a cell, held in registers."""

    def __init__(self, n: int) -> None:
        self.n = n
        super().__init__(name=f"Cell({n})")


@register_model(Cell)
class _CellModel(models.PrimitiveModel):  # type: ignore[misc]
    def __init__(self, manager: Any, cell: Cell) -> None:
        super().__init__(manager, cell, _vector(cell.n))


@intrinsic
def address(typing_context: Any, array: Any) -> Any:
    """Return the address of the first number of an array, which the caller keeps alive."""

    def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        data = context.make_array(array)(context, builder, arguments[0]).data
        return builder.ptrtoint(data, ir.IntType(64))

    return types.int64(array), build


@intrinsic
def zeros(typing_context: Any, lanes: Any) -> Any:
    """Return a cell of zeros."""

    def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return ir.Constant(_vector(len(lanes)), [0.0] * len(lanes))

    return Cell(len(lanes))(lanes), build


@intrinsic
def load(typing_context: Any, data: Any, place: Any, lanes: Any) -> Any:
    """Return the cell that begins ``place`` float32 numbers behind the address ``data``."""

    def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        loaded = builder.load(_pointer(builder, arguments[0], arguments[1], len(lanes)))
        loaded.align = 4
        return loaded

    return Cell(len(lanes))(types.int64, types.int64, lanes), build


@intrinsic
def store(typing_context: Any, data: Any, place: Any, cell: Any) -> Any:
    """Write a cell ``place`` float32 numbers behind the address ``data``."""

    def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        stored = builder.store(arguments[2], _pointer(builder, arguments[0], arguments[1], cell.n))
        stored.align = 4
        return context.get_dummy_value()

    return types.void(types.int64, types.int64, cell), build


@intrinsic
def fma(typing_context: Any, total: Any, cell: Any, weight: Any) -> Any:
    """Return ``total + weight * cell`` for a single weight."""

    def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        product = builder.fmul(arguments[1], broadcast(builder, arguments[2], cell.n), flags=("fast",))
        return builder.fadd(arguments[0], product, flags=("fast",))

    return cell(total, cell, types.float32), build


@intrinsic
def add(typing_context: Any, a: Any, b: Any) -> Any:
    """Return the sum of two cells."""

    def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.fadd(arguments[0], arguments[1], flags=("fast",))

    return a(a, b), build


def broadcast(builder: Any, value: Any, n: int) -> Any:
    """Return the instructions for ``n`` copies of a number of any type side by side."""
    undefined = ir.Constant(ir.VectorType(value.type, n), ir.Undefined)
    one = builder.insert_element(undefined, value, ir.Constant(ir.IntType(32), 0))
    return builder.shuffle_vector(one, undefined, ir.Constant(ir.VectorType(ir.IntType(32), n), [0] * n))


def _vector(n: int) -> ir.VectorType:
    return ir.VectorType(ir.FloatType(), n)


def _pointer(builder: Any, data: Any, place: Any, n: int) -> Any:
    number = builder.gep(builder.inttoptr(data, ir.FloatType().as_pointer()), [place])
    return builder.bitcast(number, _vector(n).as_pointer())
