"""Alert rules and pictures are well formed, ask only for what nodes tell, and lead to a page that says what to do."""

import json
import re
from pathlib import Path

import promql_parser
import pytest
import yaml

from testnet.monitoring.rule_cases import CASES, make_rule_tests
from validator.alerts import ALERTS, RUNBOOK
from validator.config import NodeConfig, save_toml
from validator.dashboards import COLUMNS, ROWS, make_dashboard
from validator.dashboards_command import export
from validator.metric_reference import list_families

ROOT = Path(__file__).parents[2]
# What Prometheus and its Python library add of themselves.
OTHERS = {
    "up", "ALERTS", "process_cpu_seconds_total", "process_resident_memory_bytes", "process_open_fds",
}  # fmt: skip
HISTOGRAM_SUFFIXES = ("_bucket", "_count", "_sum")
EXPRESSIONS = [alert.expression for alert in ALERTS] + [
    expression for _, row in ROWS for panel in row for expression, _ in panel.lines
]
NAME = re.compile(r"\b(hansa_[a-z0-9_]+|process_[a-z_]+|up|ALERTS)\b")


def known_names() -> set[str]:
    """Every series that a node tells."""
    return {
        family.name + suffix
        for family in list_families()
        for suffix in (HISTOGRAM_SUFFIXES if family.kind == "histogram" else ("",))
    }


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_expressions_are_promql_and_ask_for_what_there_is(expression):
    promql_parser.parse(expression)
    names = set(NAME.findall(expression))
    assert names
    assert names - OTHERS <= known_names()


def test_a_name_that_no_node_tells_is_noticed():
    assert "hansa_consensus_heigth" not in known_names() and "hansa_consensus_height" in known_names()


def read_targets(folder):
    (job,) = yaml.safe_load((folder / "prometheus.yml").read_text())["scrape_configs"]
    return [(*row["targets"], row.get("labels", {}).get("instance")) for row in job["static_configs"]]


def test_the_files_are_what_the_programs_read(tmp_path, capsys):
    assert export(tmp_path, target=("a:1", "b:2"), prometheus_url="http://p:9090") == 0
    rules = yaml.safe_load((tmp_path / "rules.yml").read_text())["groups"][0]["rules"]
    assert [rule["alert"] for rule in rules] == [alert.name for alert in ALERTS]
    assert all(rule["labels"]["severity"] in ("page", "ticket") and rule["for"].endswith("s") for rule in rules)
    assert read_targets(tmp_path) == [("a:1", None), ("b:2", None)]
    grafana = tmp_path / "grafana"
    (source,) = yaml.safe_load((grafana / "provisioning/datasources/hansa.yml").read_text())["datasources"]
    (provider,) = yaml.safe_load((grafana / "provisioning/dashboards/hansa.yml").read_text())["providers"]
    board = json.loads((grafana / "dashboards/hansa.json").read_text())
    used = {target["datasource"]["uid"] for panel in board["panels"] for target in panel.get("targets", ())}
    assert used == {source["uid"]} and source["url"] == "http://p:9090"
    assert provider["options"]["path"] == "/etc/grafana/dashboards"
    assert len(capsys.readouterr().out.splitlines()) == 5


def test_targets_come_from_the_folders_of_nodes(tmp_path, capsys):
    for name, port in (("node0", 23001), ("node1", 0), ("node10", 23003), ("node2", 23002)):
        save_toml(tmp_path / "net" / name / "config.toml", NodeConfig(0, ("http://c",), metrics_port=port))
    assert export(tmp_path / "watch", testnet=tmp_path / "net") == 0
    expected = [("127.0.0.1:23001", "node0"), ("127.0.0.1:23002", "node2"), ("127.0.0.1:23003", "node10")]
    assert read_targets(tmp_path / "watch") == expected
    assert export(tmp_path / "watch", home=(tmp_path / "net" / "node2",)) == 0
    assert read_targets(tmp_path / "watch") == [("127.0.0.1:23002", "node2")]
    assert export(tmp_path / "watch", testnet=tmp_path) == 2 and "holds no node" in capsys.readouterr().err


def test_legends_name_labels_that_their_series_have():
    for panel in (panel for _, row in ROWS for panel in row):
        for expression, legend in panel.lines:
            named = set(re.findall(r"\{\{(\w+)\}\}", legend))
            assert legend.count("{") == legend.count("}") == 4 * len(named) / 2, legend
            for grouped in re.findall(r"\bby \(([^)]*)\)", expression):
                assert named <= {name.strip() for name in grouped.split(",")}, (expression, legend)


def test_every_alert_has_series_that_raise_it_and_series_that_do_not():
    assert sorted(case.alert for case in CASES) == sorted(alert.name for alert in ALERTS)
    assert all(set(case.raising) >= set(case.quiet) and case.raising != case.quiet for case in CASES)
    tests = json.loads(make_rule_tests())["tests"]
    assert [bool(test["alert_rule_test"][0]["exp_alerts"]) for test in tests] == [True, False] * len(CASES)


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
