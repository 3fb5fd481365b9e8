"""Typed records from tables of a TOML file: types, bounds and choices are checked, and every complaint names line and
key and says what to write instead.

A record is a frozen dataclass whose fields are made with `word`; docs/scenarios.md is generated from the same fields.
"""

import dataclasses
import difflib
import re
import typing
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, dataclass, field
from typing import Any, TypeVar

_HEADER = re.compile(r"\s*(\[\[?)\s*([A-Za-z0-9_-]+)\s*\]\]?")
_KEY = re.compile(r"\s*([A-Za-z0-9_-]+)\s*=")
_TYPE_NAMES: dict[Any, str] = {
    int: "a whole number", float: "a number", str: "text in quotes", bool: "true or false",
    tuple[int, ...]: "a list of whole numbers", tuple[str, ...]: "a list of texts",
}  # fmt: skip

T = TypeVar("T")


class ScenarioError(Exception):
    """The author's mistake; the message says where and what to write instead."""


def word(
    text: str, *, default: Any = MISSING, least: float | None = None, most: float | None = None,
    choices: tuple[str, ...] = (),
) -> Any:  # fmt: skip
    """A field of a record: what it means, what may be written. Without a default it must be written."""
    return field(default=default, metadata={"text": text, "least": least, "most": most, "choices": choices})


@dataclass(frozen=True, slots=True)
class Place:
    """A table of the file: `fault` and 2 is its third `[[fault]]`; the file itself has no name."""

    path: str
    lines: Mapping[tuple[str, int, str], int]
    table: str = ""
    number: int = 0

    def at(self, table: str, number: int = 0) -> "Place":
        return Place(self.path, self.lines, table, number)

    def complain(self, what: str, key: str = "") -> ScenarioError:
        """About that key, or about the whole table."""
        line = self.lines.get((self.table, self.number, key)) or self.lines.get((self.table, self.number, ""))
        where = f"{self.path}:{line}" if line else self.path
        table = f" [{self.table}]" if self.table else ""
        return ScenarioError(f"{where}:{table} {what}")


def find_lines(text: str) -> dict[tuple[str, int, str], int]:
    """The line of every table's header (key empty) and of every key in it, which the parser does not tell."""
    lines: dict[tuple[str, int, str], int] = {}
    counts: dict[str, int] = {}
    table, number = "", 0
    for at, line in enumerate(text.splitlines(), 1):
        if header := _HEADER.match(line):
            table = header[2]
            number = counts.get(table, 0) if header[1] == "[[" else 0
            counts[table] = number + 1
            lines.setdefault((table, number, ""), at)
        elif key := _KEY.match(line):
            lines.setdefault((table, number, key[1]), at)
    return lines


def build(record: type[T], plain: Mapping[str, Any], place: Place, also_known: Sequence[str] = ()) -> T:
    """The record that a table describes; `also_known`: keys of it that others read. Raises `ScenarioError`."""
    items = dataclasses.fields(record)  # type: ignore[arg-type]
    refuse_unknown(plain, [*also_known, *(item.name for item in items)], place)
    types = typing.get_type_hints(record)
    values = {}
    for item in items:
        if item.name in plain:
            values[item.name] = _check(item, types[item.name], plain[item.name], place)
        elif item.default is MISSING:
            raise place.complain(f"{item.name} is missing: {item.metadata['text']}")
    return record(**values)


def refuse_unknown(plain: Mapping[str, Any], known: Sequence[str], place: Place) -> None:
    """Raises `ScenarioError` with the nearest known word."""
    for key in plain:
        if key not in known:
            raise place.complain(f"unknown key {key!r}{suggest(key, known)}", key)


def suggest(given: str, known: Sequence[str]) -> str:
    """The end of a complaint about a word that nobody knows."""
    near = difflib.get_close_matches(given, known, 1)
    return f", did you mean {near[0]!r}?" if near else f": write one of {', '.join(sorted(known))}"


def name_of_type(kind: Any) -> str:
    return _TYPE_NAMES[kind]


def _check(item: "dataclasses.Field[Any]", kind: Any, value: Any, place: Place) -> Any:
    """The value in the type of its field."""
    if kind is float and type(value) is int:
        value = float(value)
    if isinstance(value, list):
        value = tuple(value)
    origin, members = typing.get_origin(kind), typing.get_args(kind)
    is_right = (
        isinstance(value, tuple) and all(type(member) is members[0] for member in value)
        if origin is tuple
        else type(value) is kind
    )  # fmt: skip
    if not is_right:
        raise place.complain(f"{item.name} must be {_TYPE_NAMES[kind]}, not {value!r}", item.name)
    least, most, choices = (item.metadata[name] for name in ("least", "most", "choices"))
    for member in value if origin is tuple else (value,):
        if choices and member not in choices:
            raise place.complain(f"{item.name} {member!r} is not known{suggest(str(member), choices)}", item.name)
        if (least is not None and member < least) or (most is not None and member > most):
            raise place.complain(f"{item.name} goes {describe_bounds(least, most)}, not {member!r}", item.name)
    return value


def describe_bounds(least: float | None, most: float | None) -> str:
    parts = [f"from {least:.12g}" if least is not None else "", f"to {most:.12g}" if most is not None else ""]
    return " ".join(filter(None, parts))
