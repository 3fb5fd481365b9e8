"""The documents say what the code does."""

import re
from pathlib import Path

import pytest

from engine.results import Code
from net.gateway.backend import Refusal
from net.gateway.deribit import (
    ABSENT,
    ABSENT_CHANNELS,
    DERIBIT_CHANNELS,
    DIFFERENT,
    SECTIONS,
    deribit_text,
    find_row,
)
from net.gateway.errors import ENGINE_FAULTS, REFUSAL_FAULTS, table
from net.gateway.methods import METHODS
from net.gateway.reference import PAGES, api_text, errors_text

DOCS = Path(__file__).resolve().parents[2] / "docs"


def test_every_code_of_the_engine_and_the_node_has_one_row() -> None:
    assert set(ENGINE_FAULTS) == set(Code) - {Code.OK}
    assert set(REFUSAL_FAULTS) == set(Refusal)
    numbers = [fault.number for fault in table()]
    assert len(numbers) == len(set(numbers)) and len({fault.reason for fault in table()}) == len(numbers)


def test_errors_page_is_the_table() -> None:
    text = (DOCS / "errors.md").read_text(encoding="utf-8")
    assert text == errors_text(), "python -m net.gateway.reference errors > docs/errors.md"
    listed = [int(number) for number in re.findall(r"^\| (\d+) \|", text, re.M)]
    assert listed == [fault.number for fault in table()]


def test_api_page_is_generated() -> None:
    text = (DOCS / "api.md").read_text(encoding="utf-8")
    assert text == api_text(), "python -m net.gateway.reference > docs/api.md"
    assert all(f"## {name}\n" in text for name in METHODS)


def test_each_method_of_deribit_is_served_or_its_absence_has_a_reason() -> None:
    names = [name for section in SECTIONS.values() for name in section]
    assert len(names) == len(set(names)) > 180
    assert {name for name in names if name not in METHODS} == ABSENT.keys(), "a reason more or less than absent methods"
    assert DIFFERENT.keys() <= METHODS.keys() & set(names)
    absent = {name for name, example in DERIBIT_CHANNELS.items() if find_row(example) is None}
    assert absent == ABSENT_CHANNELS.keys()


def test_deribit_page_is_generated() -> None:
    text = (DOCS / "deribit.md").read_text(encoding="utf-8")
    assert text == deribit_text(), "python -m net.gateway.reference deribit > docs/deribit.md"
    assert all(f"`{name}`" in text for section in SECTIONS.values() for name in section)


@pytest.mark.parametrize(
    ("page", "file"), [("openapi", "openapi.json"), ("asyncapi", "asyncapi.json"), ("llms", "llms.txt")]
)
def test_descriptions_of_the_api_are_generated(page: str, file: str) -> None:
    is_fresh = (DOCS / file).read_text(encoding="utf-8") == PAGES[page]()
    assert is_fresh, f"python -m net.gateway.reference {page} > docs/{file}"
