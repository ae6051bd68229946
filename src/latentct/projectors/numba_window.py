"""Sixteen float32 numbers side by side as one value in a compiled kernel, with a lookup in a window of 32.

A compiler does not vectorise an interpolation at places that are known only when it runs. Where the places of sixteen
neighbours lie close together the numbers between which they interpolate fit two registers, and AVX-512 takes any
sixteen out of these in one instruction; other processors read them one by one. Which of the two is compiled follows
the processor that numba compiles for.

`load`, `lines` and `store` count cells of a contiguous array as if it had one axis.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.core.datamodel import models, register_default
from numba.core.typing.templates import ConcreteTemplate, infer_global, signature
from numba.extending import intrinsic, lower_builtin

from latentct.projectors.numba_vectors import broadcast

N_LANES = 16
WINDOW = 2 * N_LANES
"""Numbers that `lookup` chooses from."""

Vector = Any
"""Annotation of a vector in a kernel."""


def whole_vectors(n: int) -> int:
    """Return the next multiple of the number of lanes.

    >>> [whole_vectors(n) for n in (1, 16, 17)]
    [16, 16, 32]
    """
    return -(-n // N_LANES) * N_LANES


_FLOATS, _INTS, _DOUBLES = (
    ir.VectorType(element, N_LANES) for element in (ir.FloatType(), ir.IntType(32), ir.DoubleType())
)
_FAST = ("fast",)


class VectorType(types.Type):  # type: ignore[misc]
    """Numba's type of sixteen numbers, ``vector`` of float32 or ``places`` of int32."""


vector, places = VectorType("vector"), VectorType("places")


@register_default(VectorType)
class _VectorModel(models.PrimitiveModel):  # type: ignore[misc]
    """Keeps the sixteen numbers in registers."""

    def __init__(self, manager: Any, numba_type: VectorType) -> None:
        super().__init__(manager, numba_type, _FLOATS if numba_type == vector else _INTS)


@intrinsic
def load(typing_context: Any, array: Any, cell: Any) -> Any:
    """Return the sixteen float32 numbers of ``array`` from ``cell`` on."""

    def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return _load(context, builder, array, arguments, _FLOATS)

    return vector(array, types.int64), build


@intrinsic
def load_rounded(typing_context: Any, array: Any, cell: Any) -> Any:
    """Return sixteen float64 numbers of ``array`` from ``cell`` on, rounded to float32."""

    def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.fptrunc(_load(context, builder, array, arguments, _DOUBLES), _FLOATS)

    return vector(array, types.int64), build


@intrinsic
def lines(typing_context: Any, at_zero: Any, slope: Any, cell: Any, step: Any, base: Any) -> Any:
    """Return ``at_zero + slope * step - base`` of sixteen lines from ``cell`` on, worked out in float64."""

    def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        at = _load(context, builder, at_zero, (arguments[0], arguments[2]), _DOUBLES)
        change = _load(context, builder, slope, arguments[1:3], _DOUBLES)
        here = builder.fadd(at, builder.fmul(change, _broadcast(builder, arguments[3]), _FAST), _FAST)
        return builder.fptrunc(builder.fsub(here, _broadcast(builder, arguments[4]), _FAST), _FLOATS)

    return vector(at_zero, slope, types.int64, types.float64, types.float64), build


@intrinsic
def store(typing_context: Any, array: Any, cell: Any, value: Any) -> Any:
    """Write a vector to ``array`` from ``cell`` on."""

    def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        builder.store(arguments[2], _pointer(context, builder, array, arguments[:2], _FLOATS)).align = 4
        return context.get_dummy_value()

    return types.void(array, types.int64, vector), build


@intrinsic
def spread(typing_context: Any, value: Any) -> Any:
    """Return sixteen copies of a float32 number."""

    def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return _broadcast(builder, arguments[0])

    return vector(types.float32), build


@intrinsic
def lane_numbers(typing_context: Any) -> Any:
    """Return 0, 1, ..., 15."""

    def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return ir.Constant(_FLOATS, [float(lane) for lane in range(N_LANES)])

    return vector(), build


@intrinsic
def truncated(typing_context: Any, value: Any) -> Any:
    """Return the whole parts of a vector as places."""

    def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.fptosi(arguments[0], _INTS)

    return places(vector), build


@intrinsic
def as_vector(typing_context: Any, value: Any) -> Any:
    """Return places as a vector."""

    def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.sitofp(arguments[0], _FLOATS)

    return vector(places), build


@intrinsic
def following(typing_context: Any, value: Any) -> Any:
    """Return the places one further."""

    def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.add(arguments[0], _constant(_INTS, 1))

    return places(places), build


@intrinsic
def hat(typing_context: Any, distance: Any) -> Any:
    """Return ``max(0, 1 - |distance|)``, the weights of a linear interpolation."""

    def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        bits = builder.and_(builder.bitcast(arguments[0], _INTS), _constant(_INTS, 0x7FFFFFFF))
        weight = builder.fsub(_constant(_FLOATS, 1.0), builder.bitcast(bits, _FLOATS), _FAST)
        zero = _constant(_FLOATS, 0.0)
        return builder.select(builder.fcmp_ordered(">", weight, zero, _FAST), weight, zero)

    return vector(vector), build


@intrinsic
def keep(typing_context: Any, value: Any, first: Any, last: Any) -> Any:
    """Return a vector that is zero but in the lanes ``first`` to ``last``."""

    def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        lanes = ir.Constant(ir.VectorType(ir.IntType(64), N_LANES), list(range(N_LANES)))
        low, high = (_broadcast(builder, bound) for bound in arguments[1:])
        within = builder.and_(builder.icmp_signed(">=", lanes, low), builder.icmp_signed("<=", lanes, high))
        return builder.select(within, arguments[0], _constant(_FLOATS, 0.0))

    return vector(vector, types.int64, types.int64), build


@intrinsic
def within(typing_context: Any, value: Any, place: Any, end: Any) -> Any:
    """Return a vector that is zero where the place is not from 0 to before ``end``."""

    def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        value, place, bound = arguments
        inside = builder.icmp_unsigned("<", place, _broadcast(builder, builder.trunc(bound, ir.IntType(32))))
        return builder.select(inside, value, _constant(_FLOATS, 0.0))

    return vector(vector, places, types.int64), build


@intrinsic
def lookup(typing_context: Any, low: Any, high: Any, place: Any) -> Any:
    """Return the numbers at sixteen places, modulo 32, of the window that two vectors make up."""

    def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        build_here = _permuted if "+avx512f" in context.codegen().magic_tuple()[2].split(",") else _picked
        return build_here(builder, *arguments)

    return vector(vector, vector, places), build


def _permuted(builder: Any, low: Any, high: Any, place: Any) -> Any:
    name = "llvm.x86.avx512.vpermi2var.ps.512"
    kind = ir.FunctionType(_FLOATS, [_FLOATS, _INTS, _FLOATS])
    function = builder.module.globals.get(name) or ir.Function(builder.module, kind, name)
    return builder.call(function, [low, place, high])


def _picked(builder: Any, low: Any, high: Any, place: Any) -> Any:
    number = ir.IntType(32)
    with builder.goto_entry_block():  # room taken inside a loop would be taken anew in every turn
        window = builder.alloca(ir.ArrayType(_FLOATS, 2))
    for half, value in enumerate((low, high)):
        builder.store(value, builder.gep(window, [number(0), number(half)]))
    cells = builder.bitcast(window, ir.FloatType().as_pointer())
    within = builder.and_(place, _constant(_INTS, WINDOW - 1))
    chosen = ir.Constant(_FLOATS, ir.Undefined)
    for lane in range(N_LANES):
        cell = builder.gep(cells, [builder.extract_element(within, number(lane))])
        chosen = builder.insert_element(chosen, builder.load(cell), number(lane))
    return chosen


def _define(symbol: Callable[..., Any], name: str) -> None:
    """Let an operator between two vectors be the LLVM instruction of this name."""

    class Instruction(ConcreteTemplate):  # type: ignore[misc]
        cases = (signature(vector, vector, vector),)

    def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return getattr(builder, name)(*arguments, _FAST)

    infer_global(symbol)(Instruction)
    lower_builtin(symbol, vector, vector)(build)


for _symbol, _name in ((operator.add, "fadd"), (operator.sub, "fsub"), (operator.mul, "fmul")):
    _define(_symbol, _name)


def _constant(llvm_type: Any, value: float) -> Any:
    return ir.Constant(llvm_type, [value] * N_LANES)


def _broadcast(builder: Any, value: Any) -> Any:
    return broadcast(builder, value, N_LANES)


def _pointer(context: Any, builder: Any, array_type: Any, place: Any, llvm_type: Any) -> Any:
    """Return the pointer to numbers at a place, which is an array and a cell."""
    data = context.make_array(array_type)(context, builder, place[0]).data
    return builder.bitcast(builder.gep(data, [place[1]]), llvm_type.as_pointer())


def _load(context: Any, builder: Any, array_type: Any, place: Any, llvm_type: Any) -> Any:
    loaded = builder.load(_pointer(context, builder, array_type, place, llvm_type))
    loaded.align = 4
    return loaded
