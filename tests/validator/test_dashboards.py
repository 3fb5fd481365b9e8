"""Alert rules and pictures are well formed, ask only for what nodes tell, and lead to a page that says what to do."""

import json
import re
from pathlib import Path

import promql_parser
import pytest
import yaml

from validator import metric_families
from validator.alerts import ALERTS, RUNBOOK
from validator.dashboards import COLUMNS, ROWS, make_dashboard
from validator.dashboards_command import export

ROOT = Path(__file__).parents[2]
# What Prometheus and its Python library add of themselves.
OTHERS = {
    "up", "process_cpu_seconds_total", "process_resident_memory_bytes", "process_open_fds",
}  # fmt: skip
SUFFIXES = ("_total", "_bucket", "_count", "_sum")
EXPRESSIONS = [alert.expression for alert in ALERTS] + [
    expression for _, row in ROWS for panel in row for expression, _ in panel.lines
]
NAME = re.compile(r"\b(hansa_[a-z0-9_]+|process_[a-z_]+|up)\b")


def known_names() -> set[str]:
    """Every name in the source of the families."""
    source = Path(metric_families.__file__).read_text()
    return {"hansa_" + name for name in re.findall(r'"([a-z0-9]+_[a-z0-9_]+)"', source)} | {"hansa_liquidations"}


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_expressions_are_promql_and_ask_for_what_there_is(expression):
    promql_parser.parse(expression)
    names = set(NAME.findall(expression))
    assert names
    for name in names - OTHERS:
        stem = next((name.removesuffix(end) for end in SUFFIXES if name.endswith(end)), name)
        assert stem in known_names() or name in known_names(), name


def test_a_name_that_no_node_tells_is_noticed():
    assert "hansa_consensus_heigth" not in known_names() and "hansa_consensus_height" in known_names()


def test_the_files_are_what_the_programs_read(tmp_path, capsys):
    assert export(tmp_path, target=("a:1", "b:2"), prometheus_url="http://p:9090") == 0
    rules = yaml.safe_load((tmp_path / "rules.yml").read_text())["groups"][0]["rules"]
    assert [rule["alert"] for rule in rules] == [alert.name for alert in ALERTS]
    assert all(rule["labels"]["severity"] in ("page", "ticket") and rule["for"].endswith("s") for rule in rules)
    scrape = yaml.safe_load((tmp_path / "prometheus.yml").read_text())
    assert scrape["scrape_configs"][0]["static_configs"][0]["targets"] == ["a:1", "b:2"]
    (source,) = yaml.safe_load((tmp_path / "grafana/datasources/hansa.yml").read_text())["datasources"]
    board = json.loads((tmp_path / "grafana/dashboards/hansa.json").read_text())
    used = {target["datasource"]["uid"] for panel in board["panels"] for target in panel.get("targets", ())}
    assert used == {source["uid"]} and source["url"] == "http://p:9090"
    assert len(capsys.readouterr().out.splitlines()) == 5


def test_panels_have_room_and_do_not_overlap():
    taken = set()
    for panel in make_dashboard()["panels"]:
        place = panel["gridPos"]
        columns = range(place["x"], place["x"] + place["w"])
        cells = {(x, y) for x in columns for y in range(place["y"], place["y"] + place["h"])}
        assert not cells & taken and max(x for x, _ in cells) < COLUMNS
        taken |= cells


def test_every_alert_has_a_paragraph_with_a_command_on_the_operators_page():
    page = (ROOT / "docs" / "operate.md").read_text()
    for alert in ALERTS:
        _, is_there, after = page.partition(f"### {alert.name}\n")
        assert is_there and "`" in after.split("\n#")[0], alert.name
    assert (ROOT / RUNBOOK.rstrip("#")).exists()
