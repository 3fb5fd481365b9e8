"""What a running Prometheus must show of a network: targets, rules, numbers that move, and data in every panel."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from testnet.monitoring.prometheus import Programs, Prometheus, run_promtool
from testnet.monitoring.rule_cases import CASES, make_rule_tests
from testnet.verdicts import Row
from validator.alerts import ALERTS
from validator.dashboards import ROWS, make_dashboard

# Counters that must have grown on every node within the last minute of a network that trades.
MOVING = (
    "hansa_consensus_height", "hansa_consensus_txs_total", "hansa_consensus_finality_seconds_count",
    "hansa_consensus_step_duration_seconds_count", "hansa_engine_block_seconds_count", "hansa_engine_orders_total",
    "hansa_fsync_seconds_count", "hansa_event_loop_lag_seconds_count", "hansa_p2p_messages_sent_total",
    "hansa_settlement_last_root_height", "hansa_oracle_age_seconds",
)  # fmt: skip
# Those that stand still on a good day, and must be there.
PRESENT = (
    "hansa_disk_free_bytes", "hansa_signer_up",
    "hansa_build_info", "hansa_clock_offset_seconds", "hansa_escape_seconds_left", "hansa_state_root_mismatch_total",
    "hansa_settlement_endpoint_up", "hansa_insurance_fund_usdc", "hansa_consensus_validator_missed_blocks",
)  # fmt: skip


PICTURE_STEP_S = 5


def check_files(programs: Programs, folder: Path) -> list[Row]:
    """Configuration, rules, and every rule on series that must raise it and series that must not."""
    (folder / "rules_test.yml").write_text(make_rule_tests())
    rows = []
    for name, words, value in (
        ("promtool check config", ("check", "config", "prometheus.yml"), "prometheus.yml"),
        ("promtool check rules", ("check", "rules", "rules.yml"), f"{len(ALERTS)} rules"),
        ("promtool test rules", ("test", "rules", "rules_test.yml"), f"{2 * len(CASES)} tests"),
    ):
        is_content, said = run_promtool(programs, *words, folder=folder)
        rows.append(Row(name, value if is_content else said[-400:], "no error", is_content))
    return rows


async def read_courses(server: Prometheus, end_s: float, duration_s: float) -> dict[str, Any]:
    """The dashboard, and what every line of its panels was in the last seconds: enough to draw it."""
    board, span = make_dashboard(), {"start": f"{end_s - duration_s}", "end": f"{end_s}", "step": f"{PICTURE_STEP_S}"}
    courses = {
        panel["id"]: [
            (await server.ask("query_range", query=target["expr"], **span))["result"] for target in panel["targets"]
        ]
        for panel in board["panels"] if panel["type"] != "row"
    }  # fmt: skip
    shown = {"begin_s": end_s - duration_s, "end_s": end_s, "step_s": PICTURE_STEP_S}
    return {"board": board, "courses": courses, **shown}


async def check_server(server: Prometheus, node_count: int) -> AsyncIterator[Row]:
    """Everything that is asked of a network's Prometheus, one row after the other."""
    up = await server.count_series("up{job='hansa'} == 1")
    yield Row("targets that are up", str(up), f"= {node_count}", up == node_count)
    groups = (await server.ask("rules"))["groups"]
    rules = [rule for group in groups for rule in group["rules"]]
    well = sum(rule["health"] == "ok" for rule in rules)
    yield Row("rules that are evaluated", str(well), f"= {len(ALERTS)}", well == len(ALERTS))
    raised = sorted({rule["name"] for rule in rules if rule["state"] == "firing"})
    yield Row("alerts raised now", ", ".join(raised) or "none")
    for name in PRESENT:
        count = await server.count_series(name)
        yield Row(name, f"{count} series", f">= {node_count}", count >= node_count)
    for name in MOVING:
        moving = await server.count_series(f"sum by (instance) (changes({name}[1m])) > 0")
        yield Row(name, f"moves on {moving} nodes", f"= {node_count}", moving == node_count)
    for title, panels in ROWS:
        for panel in panels:
            counts = [await server.count_series(expression) for expression, _ in panel.lines]
            shown = ", ".join(f"{count} series" for count in counts)
            yield Row(f"panel {title}: {panel.title}", shown, "data in each line", all(counts))
