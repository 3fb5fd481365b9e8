"""Bundles of arrays that kernels take by address.

Numba hands a tuple of arrays over as all their pointers, sizes and strides: two hundred numbers for the tables of a
state, at each call, and each of them is code to be compiled in each function. A `Handle` is such a tuple for Python,
but for kernels it is one pointer to a block of memory that describes the arrays; an attribute is read there when it is
used. The block never changes while a kernel runs, and is marked so, which lets the compiler read each word once.

The description of an array is numba's own: memory owner, parent, items, bytes of an item, data, shape, strides.
"""

import hashlib
from functools import cached_property
from typing import Any

import numpy as np
from llvmlite import ir
from numba import config, types
from numba.core import cgutils
from numba.core.typing.templates import AttributeTemplate, infer_getattr
from numba.extending import NativeValue, lower_getattr_generic, models, register_model, typeof_impl, unbox
from numba.np.numpy_support import from_dtype

WORD_BYTES = 8
_HEAD_WORDS = 5  # before the shape
_WORD = ir.IntType(64)


class Handle:
    """Mixin for a named tuple of arrays and of other handles."""

    @cached_property
    def address(self) -> int:
        """Where the description of the arrays lies; it lives as long as this object. Every call of a kernel asks."""
        parts: list[int] = []
        for item in self:  # type: ignore[attr-defined]
            parts += [item.address] if isinstance(item, Handle) else _describe(item)
        self._words = np.array(parts, dtype=np.int64)
        return int(self._words.ctypes.data)


def _describe(array: np.ndarray) -> list[int]:
    return [0, 0, array.size, array.itemsize, array.ctypes.data, *array.shape, *array.strides]


class HandleType(types.Type):
    """The type of one class of handles with fields of certain types."""

    def __init__(self, title: str, fields: tuple[tuple[str, Any], ...]) -> None:
        self.fields = dict(fields)
        self.words: dict[str, int] = {}
        at = 0
        for name, kind in fields:
            self.words[name] = at
            at += 1 if isinstance(kind, HandleType) else _HEAD_WORDS + 2 * kind.ndim
        digest = hashlib.blake2b(repr(fields).encode(), digest_size=4).hexdigest()
        super().__init__(name=f"{title}_{digest}")  # type: ignore[no-untyped-call]


def _type_of(value: Any) -> Any:
    """Type of a field; all arrays of a handle are C-contiguous."""
    if isinstance(value, Handle):
        return HandleType(type(value).__name__, tuple(zip(value._fields, map(_type_of, value))))  # type: ignore[attr-defined,call-overload]
    return types.Array(from_dtype(value.dtype), value.ndim, "C")  # type: ignore[no-untyped-call]


def _type_handle(value: Handle, _context: Any) -> Any:
    return _type_of(value)


class _HandleAttributes(AttributeTemplate):
    key = HandleType

    def generic_resolve(self, handle: HandleType, attribute: str) -> Any:  # type: ignore[override]
        return handle.fields.get(attribute)


def _load_word(builder: Any, base: Any, word: int, kind: Any = _WORD) -> Any:
    """One word of a description, which never changes. Pointers are read as such: the compiler knows more of them."""
    place = builder.bitcast(builder.gep(base, [_WORD(word)]), kind.as_pointer())
    value = builder.load(place, align=WORD_BYTES)
    value.set_metadata("invariant.load", builder.module.add_metadata([]))
    return value


def _read_attribute(context: Any, builder: Any, kind: HandleType, value: Any, attribute: str) -> Any:
    """A nested handle's pointer, or an array as numba knows it."""
    field, first = kind.fields[attribute], kind.words[attribute]
    base = builder.bitcast(value, _WORD.as_pointer())
    if isinstance(field, HandleType):
        return _load_word(builder, base, first, cgutils.voidptr_t)
    array = context.make_array(field)(context, builder)
    itemsize = context.get_abi_sizeof(context.get_data_type(field.dtype))
    array.meminfo = cgutils.get_null_value(array.meminfo.type)
    array.parent = cgutils.get_null_value(array.parent.type)
    array.nitems = _load_word(builder, base, first + 2)
    array.itemsize = context.get_constant(types.intp, itemsize)
    array.data = _load_word(builder, base, first + 4, array.data.type)
    sizes = [_load_word(builder, base, first + _HEAD_WORDS + axis) for axis in range(field.ndim)]
    steps = [_load_word(builder, base, first + _HEAD_WORDS + field.ndim + axis) for axis in range(field.ndim)]
    array.shape, array.strides = cgutils.pack_array(builder, sizes), cgutils.pack_array(builder, steps)
    return array._getvalue()


def _unbox_handle(_kind: HandleType, value: Any, c: Any) -> Any:
    """The address, as Python tells it."""
    number = c.pyapi.object_getattr_string(value, "address")
    address = c.pyapi.long_as_longlong(number)
    c.pyapi.decref(number)
    return NativeValue(c.builder.inttoptr(address, cgutils.voidptr_t), is_error=c.pyapi.c_api_error())


if not config.DISABLE_JIT:  # type: ignore[attr-defined]
    register_model(HandleType)(models.OpaqueModel)
    typeof_impl.register(Handle)(_type_handle)
    infer_getattr(_HandleAttributes)
    lower_getattr_generic(HandleType)(_read_attribute)
    unbox(HandleType)(_unbox_handle)
