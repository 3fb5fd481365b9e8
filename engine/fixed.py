"""Wide integer arithmetic for kernels: 128-bit products of int64 numbers, exact quotients of them, bit scans, prefetch.

Numba has no 128-bit integers, but LLVM has: each operation is written once as LLVM code (`_emit_...`) and once as
plain Python on unbounded integers (`_plain_...`). With NUMBA_DISABLE_JIT=1 the plain twin runs, so both must give the
same bits for every int64 argument; the tests compare them. The public functions are callable from Python and from
kernels, are always inlined, never raise, and round as their names say: floor toward minus infinity, ceil toward plus
infinity, round to the nearest integer with halves upward. The LLVM code uses no library call (a 128-bit division would
be one), so it is the same on every processor.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir
from numba import config, types
from numba.core import cgutils
from numba.core.extending import intrinsic

from engine.compiling import inlined

# What kernels take and return: Python's values when the shell calls, numpy's between kernels.
Number = int | np.int64

IS_COMPILED: bool = not config.DISABLE_JIT  # type: ignore[attr-defined]

_I1, _I64, _I128 = ir.IntType(1), ir.IntType(64), ir.IntType(128)
_INT64_MAX = (1 << 63) - 1
_WORD_MASK = (1 << 64) - 1
_HALF_WORD = 32
_HALF_MASK = (1 << _HALF_WORD) - 1
_SHIFT_MASK = 127


def _wrap(value: int) -> int:
    """The signed number that the low 64 bits of `value` mean."""
    return ((value + (1 << 63)) & _WORD_MASK) - (1 << 63)


def _plain_mul_high(left: Number, right: Number) -> int:
    return (int(left) * int(right)) >> 64


def _plain_mul_shift_floor(left: Number, right: Number, shift: Number) -> int:
    return _wrap((int(left) * int(right)) >> (int(shift) & _SHIFT_MASK))


def _plain_mul_shift_round(left: Number, right: Number, shift: Number) -> int:
    return _plain_mul_sub_shift_round(left, right, 0, 0, shift)


def _plain_mul_sub_shift_round(a: Number, b: Number, c: Number, d: Number, shift: Number) -> int:
    bits = int(shift) & _SHIFT_MASK
    half = (1 << bits) >> 1
    total = (int(a) * int(b) - int(c) * int(d) + half + (1 << 127)) & ((1 << 128) - 1)
    return _wrap((total - (1 << 127)) >> bits)


def _plain_mul_div_floor(left: Number, right: Number, divisor: Number) -> int:
    quotient = (int(left) * int(right)) // max(int(divisor), 1)
    return min(max(quotient, -_INT64_MAX - 1), _INT64_MAX)


def _plain_mul_div_ceil(left: Number, right: Number, divisor: Number) -> int:
    quotient = -((-int(left) * int(right)) // max(int(divisor), 1))
    return min(max(quotient, -_INT64_MAX), _INT64_MAX)


def _plain_count_leading_zeros(bits: Number) -> int:
    return 64 - (int(bits) & _WORD_MASK).bit_length()


def _plain_count_trailing_zeros(bits: Number) -> int:
    word = int(bits) & _WORD_MASK
    return (word & -word).bit_length() - 1 if word else 64


def _plain_prefetch(_array: Any, _index: Number, _offset_bytes: Number) -> None:
    return None


def _wide_product(builder: ir.IRBuilder, left: ir.Value, right: ir.Value) -> ir.Value:
    return builder.mul(builder.sext(left, _I128), builder.sext(right, _I128))


def _emit_mul_high(builder: ir.IRBuilder, left: ir.Value, right: ir.Value) -> ir.Value:
    return builder.trunc(builder.ashr(_wide_product(builder, left, right), _I128(64)), _I64)


def _emit_mul_shift_floor(builder: ir.IRBuilder, left: ir.Value, right: ir.Value, shift: ir.Value) -> ir.Value:
    bits = builder.and_(builder.zext(shift, _I128), _I128(_SHIFT_MASK))
    return builder.trunc(builder.ashr(_wide_product(builder, left, right), bits), _I64)


def _shift_round(builder: ir.IRBuilder, total: ir.Value, shift: ir.Value) -> ir.Value:
    bits = builder.and_(builder.zext(shift, _I128), _I128(_SHIFT_MASK))
    half = builder.lshr(builder.shl(_I128(1), bits), _I128(1))
    return builder.trunc(builder.ashr(builder.add(total, half), bits), _I64)


def _emit_mul_shift_round(builder: ir.IRBuilder, left: ir.Value, right: ir.Value, shift: ir.Value) -> ir.Value:
    return _shift_round(builder, _wide_product(builder, left, right), shift)


def _emit_mul_sub_shift_round(builder: ir.IRBuilder, *numbers: ir.Value) -> ir.Value:
    a, b, c, d, shift = numbers
    total = builder.sub(_wide_product(builder, a, b), _wide_product(builder, c, d))
    return _shift_round(builder, total, shift)


def _quotient_digit(builder: ir.IRBuilder, upper: ir.Value, next_digit: ir.Value, divisor: ir.Value) -> ir.Value:
    """One 32-bit digit of a quotient: Knuth, The Art of Computer Programming, volume 2, 4.3.1, algorithm D, step D3.

    `divisor` has its highest bit set and `upper` is below it. The first guess, from the upper half of the divisor, is
    at most 2 too large; both corrections are selects, so there is nothing to predict.
    """
    high, low = builder.lshr(divisor, _I64(_HALF_WORD)), builder.and_(divisor, _I64(_HALF_MASK))
    guess = builder.udiv(upper, high)
    rest = builder.sub(upper, builder.mul(guess, high))
    for _ in range(2):
        seen = builder.or_(builder.shl(rest, _I64(_HALF_WORD)), next_digit)
        is_digit_too_wide = builder.icmp_unsigned(">", guess, _I64(_HALF_MASK))
        is_product_too_large = builder.icmp_unsigned(">", builder.mul(guess, low), seen)
        is_rest_small = builder.icmp_unsigned("<=", rest, _I64(_HALF_MASK))
        is_over = builder.and_(builder.or_(is_digit_too_wide, is_product_too_large), is_rest_small)
        guess = builder.select(is_over, builder.sub(guess, _I64(1)), guess)
        rest = builder.select(is_over, builder.add(rest, high), rest)
    return guess


def _long_quotient(builder: ir.IRBuilder, value: ir.Value, divisor: ir.Value) -> ir.Value:
    """`value` (128 bits, unsigned) by `divisor` (1 .. 2**63 - 1), where the quotient is below 2**63."""
    shift = _leading_zeros(builder, divisor)
    divisor = builder.shl(divisor, shift)
    value = builder.shl(value, builder.zext(shift, _I128))
    upper = builder.trunc(builder.lshr(value, _I128(64)), _I64)
    lower = builder.trunc(value, _I64)
    first_digit = builder.lshr(lower, _I64(_HALF_WORD))
    first = _quotient_digit(builder, upper, first_digit, divisor)
    upper = builder.or_(builder.shl(upper, _I64(_HALF_WORD)), first_digit)
    upper = builder.sub(upper, builder.mul(first, divisor))
    second = _quotient_digit(builder, upper, builder.and_(lower, _I64(_HALF_MASK)), divisor)
    return builder.or_(builder.shl(first, _I64(_HALF_WORD)), second)


def _quotient_floor(builder: ir.IRBuilder, value: ir.Value, divisor: ir.Value) -> ir.Value:
    """Floor of a signed 128-bit value by a divisor, saturated to int64; a negative value is divided as complement."""
    divisor = builder.select(builder.icmp_signed("<", divisor, _I64(1)), _I64(1), divisor)
    sign = builder.ashr(value, _I128(127))
    magnitude = builder.xor(value, sign)
    is_short = builder.icmp_unsigned("<=", magnitude, _I128(_INT64_MAX))
    # A quotient of 2**63 or more exists exactly where the value without its low 63 bits reaches the divisor.
    bound = builder.lshr(magnitude, _I128(63))
    is_saturated = builder.icmp_unsigned(">=", bound, builder.zext(divisor, _I128))
    with builder.if_else(is_short, likely=True) as (when_short, when_long):
        with when_short:
            short = builder.udiv(builder.trunc(magnitude, _I64), divisor)
            short_block = builder.block
        with when_long:
            long = _long_quotient(builder, magnitude, divisor)
            long = builder.select(is_saturated, _I64(_INT64_MAX), long)
            long_block = builder.block
    quotient = builder.phi(_I64)
    quotient.add_incoming(short, short_block)
    quotient.add_incoming(long, long_block)
    return builder.xor(quotient, builder.trunc(sign, _I64))


def _emit_mul_div_floor(builder: ir.IRBuilder, left: ir.Value, right: ir.Value, divisor: ir.Value) -> ir.Value:
    return _quotient_floor(builder, _wide_product(builder, left, right), divisor)


def _emit_mul_div_ceil(builder: ir.IRBuilder, left: ir.Value, right: ir.Value, divisor: ir.Value) -> ir.Value:
    negated = builder.neg(_wide_product(builder, left, right))
    floored = _quotient_floor(builder, negated, divisor)
    is_lowest = builder.icmp_signed("==", floored, _I64(-_INT64_MAX - 1))
    return builder.select(is_lowest, _I64(_INT64_MAX), builder.neg(floored))


def _leading_zeros(builder: ir.IRBuilder, bits: ir.Value) -> ir.Value:
    return builder.ctlz(bits, _I1(0))


def _emit_count_trailing_zeros(builder: ir.IRBuilder, bits: ir.Value) -> ir.Value:
    return builder.cttz(bits, _I1(0))


def _make_kernel_operation(plain: Callable[..., Any], emit: Callable[..., ir.Value], arity: int) -> Callable[..., Any]:
    """The compiled operation on `arity` int64 numbers, or its plain twin where nothing is compiled."""
    if not IS_COMPILED:
        return plain
    signature = types.int64(*(types.int64 for _ in range(arity)))

    def generate(_context: Any, builder: ir.IRBuilder, _signature: Any, arguments: Any) -> ir.Value:
        return emit(builder, *arguments)

    def is_admitted(*numbers: Any) -> bool:
        return all(isinstance(number, types.Integer | types.Boolean) for number in numbers)

    def of_one(_typing: Any, bits: Any) -> Any:
        return (signature, generate) if is_admitted(bits) else None

    def of_two(_typing: Any, left: Any, right: Any) -> Any:
        return (signature, generate) if is_admitted(left, right) else None

    def of_three(_typing: Any, left: Any, right: Any, third: Any) -> Any:
        return (signature, generate) if is_admitted(left, right, third) else None

    def of_five(_typing: Any, a: Any, b: Any, c: Any, d: Any, shift: Any) -> Any:
        return (signature, generate) if is_admitted(a, b, c, d, shift) else None

    by_arity: dict[int, Callable[..., Any]] = {1: of_one, 2: of_two, 3: of_three, 5: of_five}
    made: Callable[..., Any] = intrinsic(by_arity[arity])
    return made


def _make_prefetch() -> Callable[..., Any]:
    if not IS_COMPILED:
        return _plain_prefetch

    def generate(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> ir.Value:
        array = context.make_array(signature.args[0])(context, builder, arguments[0])
        stride = builder.extract_value(array.strides, 0)
        address = builder.add(builder.ptrtoint(array.data, _I64), builder.mul(arguments[1], stride))
        address = builder.add(address, arguments[2])
        pointer_type, flag_type = ir.IntType(8).as_pointer(), ir.IntType(32)
        function_type = ir.FunctionType(ir.VoidType(), [pointer_type, flag_type, flag_type, flag_type])
        function = cgutils.get_or_insert_function(builder.module, function_type, "llvm.prefetch.p0")  # type: ignore[no-untyped-call]
        # To be written soon, to be kept in every level of the cache, data rather than code.
        builder.call(function, [builder.inttoptr(address, pointer_type), flag_type(1), flag_type(3), flag_type(1)])
        return context.get_dummy_value()

    @intrinsic
    def prefetch_element(_typing: Any, array: Any, index: Any, offset_bytes: Any) -> Any:
        is_admitted = isinstance(array, types.Array) and array.ndim == 1
        is_admitted = is_admitted and isinstance(index, types.Integer) and isinstance(offset_bytes, types.Integer)
        return (types.void(array, types.int64, types.int64), generate) if is_admitted else None

    made: Callable[..., Any] = prefetch_element
    return made


_mul_high = _make_kernel_operation(_plain_mul_high, _emit_mul_high, 2)
_mul_shift_floor = _make_kernel_operation(_plain_mul_shift_floor, _emit_mul_shift_floor, 3)
_mul_shift_round = _make_kernel_operation(_plain_mul_shift_round, _emit_mul_shift_round, 3)
_mul_sub_shift_round = _make_kernel_operation(_plain_mul_sub_shift_round, _emit_mul_sub_shift_round, 5)
_mul_div_floor = _make_kernel_operation(_plain_mul_div_floor, _emit_mul_div_floor, 3)
_mul_div_ceil = _make_kernel_operation(_plain_mul_div_ceil, _emit_mul_div_ceil, 3)
_count_leading_zeros = _make_kernel_operation(_plain_count_leading_zeros, _leading_zeros, 1)
_count_trailing_zeros = _make_kernel_operation(_plain_count_trailing_zeros, _emit_count_trailing_zeros, 1)
_prefetch = _make_prefetch()


@inlined
def mul_high(left: Number, right: Number) -> Number:
    """`floor(left * right / 2**64)`: the upper half of the signed product, exact for all int64 arguments."""
    return _mul_high(left, right)


@inlined
def mul_shift_floor(left: Number, right: Number, shift: Number) -> Number:
    """`floor(left * right / 2**shift)` for 0 <= shift < 128; the product is exact, the result wraps past int64."""
    return _mul_shift_floor(left, right, shift)


@inlined
def mul_shift_round(left: Number, right: Number, shift: Number) -> Number:
    """`left * right / 2**shift` to the nearest, halves upward; 0 <= shift < 127; the result wraps past int64."""
    return _mul_shift_round(left, right, shift)


@inlined
def mul_sub_shift_round(a: Number, b: Number, c: Number, d: Number, shift: Number) -> Number:
    """`(a * b - c * d) / 2**shift` rounded once, to the nearest, halves upward.

    0 <= shift < 127. Difference and half must stay below 2**127 (they do if all four are below 2**62 in magnitude); the
    result wraps past int64.
    """
    return _mul_sub_shift_round(a, b, c, d, shift)


@inlined
def mul_div_floor(left: Number, right: Number, divisor: Number) -> Number:
    """`floor(left * right / divisor)`, the product exact in 128 bits, any signs of the factors.

    The divisor is positive (one below 1 counts as 1). A quotient outside int64 becomes the nearest int64. A division of
    64 bits where the product fits into 63, of two digits otherwise.
    """
    return _mul_div_floor(left, right, divisor)


@inlined
def mul_div_ceil(left: Number, right: Number, divisor: Number) -> Number:
    """`ceil(left * right / divisor)`, the product exact in 128 bits, any signs of the factors.

    The divisor is positive (one below 1 counts as 1). A quotient outside +-(2**63 - 1) becomes the nearest of these.
    """
    return _mul_div_ceil(left, right, divisor)


@inlined
def count_leading_zeros(bits: Number) -> Number:
    """How many of the 64 bits above the highest set one are 0; 64 for 0, 0 for a negative number."""
    return _count_leading_zeros(bits)


@inlined
def count_trailing_zeros(bits: Number) -> Number:
    """Index of the lowest set bit; 64 for 0."""
    return _count_trailing_zeros(bits)


@inlined
def prefetch(array: Any, index: Number) -> None:
    """Ask the processor to load `array[index]` (one dimension, records too); changes nothing, any index is harmless."""
    _prefetch(array, index, np.int64(0))


@inlined
def prefetch_line(array: Any, index: Number, offset_bytes: Number) -> None:
    """The same for the line of the cache that begins so many bytes behind the element's start."""
    _prefetch(array, index, offset_bytes)
