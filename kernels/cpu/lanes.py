"""Vectors in numba: short ways to write LLVM's vector instructions inside an `@intrinsic`.

Needed where LLVM's automatic vectoriser fails: with small integers, and with gathers. LLVM splits a vector that is
wider than the machine's, so the same code serves any CPU.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

BYTE, WORD, LONG, FLOAT = ir.IntType(8), ir.IntType(16), ir.IntType(32), ir.FloatType()


def vector(lane: Any, lanes: int) -> Any:
    """The type of a vector."""
    return ir.VectorType(lane, lanes)


def pointer(context: Any, builder: Any, array: Any, array_type: Any, offset: Any) -> Any:
    """The address of array[offset]."""
    return builder.gep(cgutils.create_struct_proxy(array_type)(context, builder, array).data, [offset])


def load(builder: Any, address: Any, kind: Any) -> Any:
    """The vector at an address that need not be aligned."""
    value = builder.load(builder.bitcast(address, kind.as_pointer()))
    value.align = 1
    return value


def store(builder: Any, value: Any, address: Any) -> None:
    """Write a vector to an address that need not be aligned."""
    builder.store(value, builder.bitcast(address, value.type.as_pointer())).align = 1


def constant(value: Any, kind: Any) -> Any:
    """A vector of a type, of one number."""
    return ir.Constant(kind, [value] * kind.count)


def splat(builder: Any, value: Any, lanes: int) -> Any:
    """A scalar in all lanes."""
    kind = vector(value.type, lanes)
    lane0 = builder.insert_element(ir.Constant(kind, ir.Undefined), value, LONG(0))
    return builder.shuffle_vector(lane0, lane0, constant(0, vector(LONG, lanes)))


def call(builder: Any, name: str, kind: Any, arguments: list[Any]) -> Any:
    """An LLVM intrinsic function by its full name, of the result type `kind`."""
    function = ir.FunctionType(kind, [argument.type for argument in arguments])
    return builder.call(cgutils.get_or_insert_function(builder.module, function, name), arguments)


@intrinsic
def copy(_: Any, out: Any, at: Any, source: Any, index: Any, size: Any) -> Any:
    """out[at:at+size] = source[index:index+size], bytes that do not overlap: numba's own assignment copies twice."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        target = pointer(context, builder, args[0], sig.args[0], args[1])
        cgutils.raw_memcpy(builder, target, pointer(context, builder, args[2], sig.args[2], args[3]), args[4], 1)
        return context.get_dummy_value()

    return types.void(out, at, source, index, size), codegen
