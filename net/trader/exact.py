"""The nodes' decimals are text; Deribit's clients expect numbers. They are written as numbers here, digit by digit, and
never become floats on the way: `"0.010"` becomes `0.010`. Which fields are decimals the shapes of the answers say.
"""

import json
import re
from collections.abc import Iterator
from decimal import Decimal
from typing import Annotated, Any, get_args, get_origin, get_type_hints, is_typeddict

from net.gateway.methods import METHODS
from net.gateway.shapes.scalars import Says

_DECIMAL = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?", re.ASCII)
# A decimal on its way through `json`, which knows floats only. Whatever else looks like one is a number too.
_MARK = "\0"
_MARKED = re.compile(r'"\\u0000(-?[0-9]+(?:\.[0-9]+)?)"')
# What a node reads again as it is: signed parameters, proofs, and the engine's own parameters of a market.
_AS_THEY_ARE = frozenset({"x_params", "x_receipt", "label", "data"})


def _is_decimal(shape: Any) -> bool:
    """Whether a field holds decimal text, or lists of it."""
    if get_origin(shape) is Annotated and any(
        isinstance(item, Says) and item.form == "decimal" for item in get_args(shape)
    ):
        return True
    return not is_typeddict(shape) and any(_is_decimal(part) for part in get_args(shape))


def _decimal_names(shape: Any, visited: set[Any]) -> Iterator[str]:
    if is_typeddict(shape):
        if shape in visited:
            return
        visited.add(shape)
        for name, kind in get_type_hints(shape, include_extras=True).items():
            if _is_decimal(kind):
                yield name
            yield from _decimal_names(kind, visited)
    for part in get_args(shape):
        yield from _decimal_names(part, visited)


def _of_all_methods() -> frozenset[str]:
    visited: set[Any] = set()
    rows = (row for row in METHODS.values() if not row.name.partition("/")[2].startswith("x_"))
    return frozenset(name for row in rows for name in _decimal_names(row.result, visited)) | {"bids", "asks"}


DECIMAL_FIELDS = _of_all_methods() - _AS_THEY_ARE


def with_numbers(value: Any, is_decimal: bool = False) -> Any:
    """The value with the text of decimal fields as `Decimal`; lists of a decimal field are decimals throughout."""
    if isinstance(value, str):
        return Decimal(value) if is_decimal and _DECIMAL.fullmatch(value) else value
    if isinstance(value, list):
        return [with_numbers(item, is_decimal) for item in value]
    if isinstance(value, dict):
        return {
            name: item if name in _AS_THEY_ARE else with_numbers(item, name in DECIMAL_FIELDS)
            for name, item in value.items()
        }
    return value


def encode(value: object) -> str:
    """JSON; a `Decimal` is a number with its own digits."""
    return _MARKED.sub(r"\1", json.dumps(value, default=_mark))


def _mark(value: object) -> str:
    if not isinstance(value, Decimal):
        raise TypeError(f"{type(value).__name__} has no JSON")
    return f"{_MARK}{value:f}"
