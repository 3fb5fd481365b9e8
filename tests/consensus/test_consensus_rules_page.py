"""docs/protocol.md, section 7, beside consensus/: every rule has its line, every line its rule and its functions."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "protocol.md").read_text()
SOURCES = {path.name: path.read_text() for path in sorted((ROOT / "consensus").glob("*.py"))}

ID = re.compile(r"\b(?:R|EP|CO|S)\d{1,2}\b")
RANGE = re.compile(r"\b(R|EP|CO|S)(\d{1,2})-(?:R|EP|CO|S)?(\d{1,2})\b")
ROW = re.compile(r"^\| ((?:R|EP|CO|S)\d{1,2}) \| (.+) \| (.+) \|$", re.MULTILINE)
RULES = [(name, where) for name, _, where in ROW.findall(PAGE) if not name.startswith("S")]


def find_ids(text: str) -> set[str]:
    """Rule ids in a text, ranges spelled out."""
    found = set(ID.findall(text))
    for kind, first, last in RANGE.findall(text):
        found |= {f"{kind}{number}" for number in range(int(first), int(last) + 1)}
    return found


def find_function(file: str, name: str) -> str | None:
    """The source of a function or method, with the docstring of its module's rules left out."""
    for node in ast.walk(ast.parse(SOURCES[file])):
        if isinstance(node, ast.FunctionDef) and node.name == name:
            return ast.get_source_segment(SOURCES[file], node)
    return None


def list_places(where: str) -> list[tuple[str, str]]:
    """`file`: `function`, `function`; `file`: ..."""
    places = []
    for part in where.split("; "):
        file, functions = part.split(": ")
        places += [(file.strip("`"), function.strip("`")) for function in functions.split(", ")]
    return places


def test_the_page_and_the_code_know_the_same_rules() -> None:
    on_page = {name for name, _, _ in ROW.findall(PAGE)}
    in_code = set().union(*(find_ids(source) for source in SOURCES.values()))
    assert in_code - on_page == set(), "cited in consensus/, not on the page"
    assert {name for name in on_page - in_code if not name.startswith("S")} == set(), "on the page, not in consensus/"


def test_rules_are_complete_and_in_order() -> None:
    names = [name for name, _ in RULES]
    assert names == [f"R{i}" for i in range(1, 11)] + [f"EP{i}" for i in range(1, 8)] + ["CO1", "CO2", "CO3"]


@pytest.mark.parametrize(("name", "where"), RULES, ids=[name for name, _ in RULES])
def test_each_function_that_the_page_names_cites_the_rule(name: str, where: str) -> None:
    for file, function in list_places(where):
        source = find_function(file, function)
        assert source is not None, f"{file} has no {function}"
        assert name in find_ids(source), f"{function} in {file} does not cite {name}"


def test_the_round_reads_in_the_order_of_the_page() -> None:
    """R1 to R5 stand in round.py in the order of the rows, so that both can be read side by side."""
    order = [(name, function) for name, where in RULES for file, function in list_places(where) if file == "round.py"]
    lines = {function: SOURCES["round.py"].index(f"\ndef {function}(") for _, function in order}
    assert [name for name, _ in sorted(order, key=lambda entry: lines[entry[1]])] == [name for name, _ in order]


def test_unknown_rules_would_be_found() -> None:
    assert find_ids("R3, R4 and EP2-EP4 (CO1); not XR5, not R123") == {"R3", "R4", "EP2", "EP3", "EP4", "CO1"}
