"""`python -m validator.metric_reference` prints docs/metrics.md: every number of `/metrics`, read from the source."""

import ast
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

SOURCE = Path(__file__).with_name("metric_families.py")
# How the source makes a family: its kind, and whether its third argument is a label's name.
MAKERS = {
    "_gauge": ("gauge", False), "_gauges": ("gauge", True), "_counter": ("counter", False),
    "_counters": ("counter", True), "_histogram": ("histogram", False), "GaugeMetricFamily": ("gauge", False),
    "HistogramMetricFamily": ("histogram", False),
}  # fmt: skip
INTRODUCTION = """# Numbers for Prometheus

`http://127.0.0.1:26660/metrics` (`metrics_host` and `metrics_port` in config.toml) has them from two seconds after a
node's start. Names are CometBFT's where it has such a number, with the prefix `hansa_`. Units are seconds and bytes;
counters end in `_total`, histograms have `_bucket`, `_sum` and `_count`. `process_...` and `python_...` are those of
Prometheus' library. [operate.md](operate.md) says which to watch, and `hansa dashboards export` writes what watches
them.

| metric | kind | labels | meaning |
|---|---|---|---|
"""


@dataclass(frozen=True, slots=True)
class Family:
    """A row; `name` as Prometheus has it."""

    name: str
    kind: str
    labels: tuple[str, ...]
    text: str


def list_families() -> list[Family]:
    """In the order of their names."""
    return sorted(_read_families(ast.parse(SOURCE.read_text())), key=lambda family: family.name)


def _read_families(tree: ast.AST) -> Iterator[Family]:
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Name(id=maker), args=[name, ast.Constant(value=str() as text), *more]) if (
                maker in MAKERS
            ):
                kind, has_label = MAKERS[maker]
                labels = [ast.literal_eval(more[0])] if has_label else []
                labels += [ast.literal_eval(item.value) for item in node.keywords if item.arg == "labels"][:1]
                flat = tuple(label for part in labels for label in ([part] if isinstance(part, str) else part))
                yield Family("hansa_" + _name_of(name) + "_total" * (kind == "counter"), kind, flat, text)


def _name_of(node: ast.AST) -> str:
    """A name, or the prefix and a name."""
    constant = node.right if isinstance(node, ast.BinOp) else node
    assert isinstance(constant, ast.Constant) and isinstance(constant.value, str)
    return constant.value


def make_page() -> str:
    return INTRODUCTION + "".join(map(_make_row, list_families()))


def _make_row(family: Family) -> str:
    labels = ", ".join(f"`{label}`" for label in family.labels) or "-"
    return f"| `{family.name}` | {family.kind} | {labels} | {family.text} |\n"


if __name__ == "__main__":
    sys.stdout.write(make_page())
