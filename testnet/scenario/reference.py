"""`python -m testnet.scenario.reference --write`: docs/scenarios.md with its words made anew from the records.

Between two marks of that page stands what this module writes; the rest is written by hand. Without `--write` the page
goes to stdout.
"""

import dataclasses
import sys
import typing
from collections.abc import Iterator, Mapping
from dataclasses import MISSING
from pathlib import Path
from typing import Any

from testnet.scenario.conditions import CONDITIONS
from testnet.scenario.harms import KINDS, WITHOUT_TARGETS
from testnet.scenario.probes import TRIALS
from testnet.scenario.records import LoadPlan, NetworkPlan
from testnet.scenario.words import describe_bounds, name_of_type

PAGE = Path(__file__).resolve().parent.parent.parent / "docs" / "scenarios.md"
BEGIN, END = "<!-- words: written by testnet.scenario.reference -->", "<!-- end of words -->"


def list_lines() -> Iterator[str]:
    yield from _table_of_keys("[network]", NetworkPlan)
    yield from _table_of_keys("[load]", LoadPlan)
    yield from _table_of_kinds("[[fault]]", "Besides `kind`, each has `at_s`, `for_s` (0: to the end) and `targets` (a "
                               'list of numbers, or `"all"`), where it is not said otherwise.', KINDS)  # fmt: skip
    yield from _table_of_kinds("[[probe]]", "Each has `kind` and `at_s`.", TRIALS)
    yield from _table_of_kinds("[[assert]]", "Each has `kind`.", CONDITIONS)


def _table_of_keys(title: str, record: type) -> Iterator[str]:
    yield from ("", f"### `{title}`", "", _first_sentences(record), "")
    yield from ("| key | | default | meaning |", "|---|---|---|---|")
    for name, kind, default, text in _list_keys(record):
        yield f"| `{name}` | {kind} | {default} | {text} |"


def _table_of_kinds(title: str, intro: str, kinds: Mapping[str, type]) -> Iterator[str]:
    yield from ("", f"### `{title}`", "", intro, "", "| kind | what it is | keys |", "|---|---|---|")
    for name, record in kinds.items():
        keys = "<br>".join(
            f"`{key}`: {text} ({kind}{'' if default == '-' else f', {default}'})"
            for key, kind, default, text in _list_keys(record)
        )
        if record in WITHOUT_TARGETS:
            keys = "<br>".join(filter(None, [keys, "no `targets`"]))
        yield f"| `{name}` | {_first_sentences(record)} | {keys} |"


def _list_keys(record: type) -> Iterator[tuple[str, str, str, str]]:
    """Key, what may be written, default, meaning."""
    types = typing.get_type_hints(record)
    for item in dataclasses.fields(record):
        metadata: Mapping[str, Any] = item.metadata
        bounds = describe_bounds(metadata["least"], metadata["most"])
        choices = ", ".join(f"`{choice}`" for choice in metadata["choices"])
        kind = choices or " ".join(filter(None, [name_of_type(types[item.name]), bounds]))
        default = "-" if item.default is MISSING else _write(item.default)
        yield item.name, kind, default, metadata["text"]


def _write(value: object) -> str:
    """As it would stand in the file."""
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    return f'`"{value}"`' if isinstance(value, str) else f"`{value:g}`" if isinstance(value, float) else f"`{value}`"


def _first_sentences(record: type) -> str:
    return " ".join((record.__doc__ or "").split())


def render(page: str) -> str:
    """The page with its words as the records have them."""
    before, _, rest = page.partition(BEGIN)
    _, found, after = rest.partition(END)
    if not found:
        raise ValueError(f"{PAGE} has no {BEGIN!r} and {END!r}")
    return before + BEGIN + "\n" + "\n".join(list_lines()) + "\n\n" + END + after


if __name__ == "__main__":
    written = render(PAGE.read_text())
    if "--write" in sys.argv:
        PAGE.write_text(written)
    else:
        sys.stdout.write(written)
