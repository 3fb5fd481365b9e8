"""What Grafana shows of a network: one dashboard, made from a table of panels."""

from dataclasses import dataclass
from typing import Any

COLUMNS, HEIGHT = 24, 8
WIDTH = 8
NUMBER_WIDTH, NUMBER_HEIGHT = 3, 4
DATASOURCE = {"type": "prometheus", "uid": "hansa"}


@dataclass(frozen=True, slots=True)
class Panel:
    """One picture: `lines` are (expression, legend); `unit` is Grafana's name of it."""

    title: str
    lines: tuple[tuple[str, str], ...]
    unit: str = "short"
    is_number: bool = False  # the last value in large digits instead of its course
    limits: tuple[float, ...] = ()  # from which on a number is yellow, then red; falling when less is worse


def _quantiles(metric: str, by: str = "") -> tuple[tuple[str, str], ...]:
    labels = f"le, {by}" if by else "le"
    whose = f" {{{{{by}}}}}" if by else ""
    return tuple(
        (f"histogram_quantile({share}, sum by ({labels}) (rate({metric}_bucket[1m])))", f"p{percent}{whose}")
        for share, percent in ((0.5, 50), (0.99, 99))
    )


ROWS: tuple[tuple[str, tuple[Panel, ...]], ...] = (
    ("Now", (
        Panel("Final blocks", (("max(hansa_consensus_height)", "height"),), is_number=True),
        Panel("Nodes that answer", (("sum(up{job='hansa'})", "up"),), is_number=True),
        Panel("Silent members", (("max(hansa_consensus_missing_validators)", "silent"),), is_number=True,
              limits=(1, 2)),
        Panel("Finality, p99",
              (("histogram_quantile(0.99, sum by (le) (rate(hansa_consensus_finality_seconds_bucket[1m])))", "p99"),),
              "s", is_number=True, limits=(0.5, 1)),
        Panel("Blocks not on chain", (("max(hansa_settlement_lag_blocks)", "blocks"),), is_number=True,
              limits=(5_000, 20_000)),
        Panel("Until a freeze", (("min(hansa_escape_seconds_left)", "left"),), "s", is_number=True,
              limits=(7_200, 1_800)),
        Panel("Age of prices", (("max(hansa_oracle_age_seconds)", "oldest"),), "s", is_number=True, limits=(5, 10)),
        Panel("Alerts", (("count(ALERTS{alertstate='firing'}) or vector(0)", "raised"),), is_number=True,
              limits=(1, 3)),
    )),
    ("Agreement", (
        Panel("Height", (("hansa_consensus_height", "{{instance}}"),)),
        Panel("Blocks a second", (("rate(hansa_consensus_height[1m])", "{{instance}}"),)),
        Panel("Time to finality", _quantiles("hansa_consensus_finality_seconds"), "s"),
        Panel("Steps of a block, median",
              (("histogram_quantile(0.5, sum by (le, step) (rate(hansa_consensus_step_duration_seconds_bucket[1m])))",
                "{{step}}"),), "s"),
        Panel("Missed of the last 1,000 certificates", (("hansa_consensus_validator_missed_blocks", "{{instance}}"),)),
        Panel("Blocks whose roots we contradict",
              (("sum by (instance) (increase(hansa_state_root_mismatch_total[5m]))", "{{instance}}"),)),
        Panel("Members, and those who are silent",
              (("max(hansa_consensus_validators)", "members"), ("max(hansa_consensus_missing_validators)", "silent"),
               ("max(hansa_consensus_byzantine_validators)", "convicted"))),
    )),
    ("Exchange", (
        Panel("Actions a second", (("rate(hansa_consensus_txs_total[1m])", "{{instance}}"),), "ops"),
        Panel("Results", (("sum by (result) (rate(hansa_engine_orders_total[1m]))", "{{result}}"),), "ops"),
        Panel("Execution of a block", _quantiles("hansa_engine_block_seconds"), "s"),
        Panel("Open interest, lots", (("max by (instrument) (hansa_engine_open_interest_lots)", "{{instrument}}"),)),
        Panel("Liquidations", (("max(increase(hansa_liquidations_total[5m]))", "in five minutes"),)),
        Panel("Insurance fund, USDC", (("max(hansa_insurance_fund_usdc)", "fund"),)),
        Panel("Accounts", (("max(hansa_engine_accounts)", "accounts"),)),
        Panel("Waiting for a block", (("hansa_mempool_size", "{{instance}}"),)),
        Panel("Age of prices", (("max by (index) (hansa_oracle_age_seconds)", "{{index}}"),), "s"),
        Panel("Spread of reports, bps", (("max by (index) (hansa_oracle_spread_bps)", "{{index}}"),)),
    )),
    ("Settlement", (
        Panel("Checkpoint on chain", (("hansa_settlement_last_root_height", "{{instance}}"),)),
        Panel("Blocks above it", (("hansa_settlement_lag_blocks", "{{instance}}"),)),
        Panel("Until anyone may freeze", (("min(hansa_escape_seconds_left)", "left"),), "s"),
        Panel("Endpoints that are well", (("hansa_settlement_endpoint_up", "{{instance}} {{endpoint}}"),)),
        Panel("Inbox that waits", (("hansa_settlement_inbox_pending", "{{instance}}"),)),
    )),
    ("Machines", (
        Panel("Links", (("hansa_p2p_peers", "{{instance}}"),)),
        Panel("Sent", (("sum by (instance) (rate(hansa_p2p_peer_send_bytes_total[1m]))", "{{instance}}"),), "Bps"),
        Panel("Frames a second",
              (("sum by (instance) (rate(hansa_p2p_messages_sent_total[1m]))", "{{instance}}"),), "ops"),
        Panel("Processor", (("rate(process_cpu_seconds_total{job='hansa'}[1m])", "{{instance}}"),), "percentunit"),
        Panel("Memory", (("process_resident_memory_bytes{job='hansa'}", "{{instance}}"),), "bytes"),
        Panel("Waits for the disk", _quantiles("hansa_fsync_seconds", "instance"), "s"),
        Panel("Lateness of the loop", _quantiles("hansa_event_loop_lag_seconds", "instance"), "s"),
        Panel("Clock ahead of the others", (("hansa_clock_offset_seconds", "{{instance}}"),), "s"),
        Panel("Refused by the guard",
              (("hansa_signer_refused_total or on (instance) 0 * up{job='hansa'}", "{{instance}} {{reason}}"),)),
        Panel("Room on the disk", (("hansa_disk_free_bytes", "{{instance}}"),), "bytes"),
        Panel("Voting keys at hand", (("hansa_signer_up", "{{instance}}"),)),
        Panel("Open files", (("process_open_fds{job='hansa'}", "{{instance}}"),)),
    )),
)  # fmt: skip


def make_dashboard() -> dict[str, Any]:
    """The JSON model that Grafana imports or is provisioned with."""
    panels: list[dict[str, Any]] = []
    y = 0
    for title, row in ROWS:
        place = {"x": 0, "y": y, "w": COLUMNS, "h": 1}
        panels.append({"type": "row", "title": title, "gridPos": place, "collapsed": False, "panels": []})
        y += 1
        width, height = (NUMBER_WIDTH, NUMBER_HEIGHT) if row[0].is_number else (WIDTH, HEIGHT)
        per_line = COLUMNS // width
        for at, panel in enumerate(row):
            place = {"x": at % per_line * width, "y": y + at // per_line * height, "w": width, "h": height}
            panels.append(_draw(panel, place))
        y += -(-len(row) // per_line) * height
    for number, drawn in enumerate(panels, 1):
        drawn["id"] = number
    return {
        "uid": "hansa", "title": "Hansa", "tags": ["hansa"], "timezone": "utc", "schemaVersion": 39, "version": 1,
        "refresh": "5s", "time": {"from": "now-15m", "to": "now"}, "panels": panels, "templating": {"list": []},
    }  # fmt: skip


def _draw(panel: Panel, place: dict[str, int]) -> dict[str, Any]:
    targets = [
        {"refId": chr(ord("A") + at), "expr": expression, "legendFormat": legend, "datasource": DATASOURCE}
        for at, (expression, legend) in enumerate(panel.lines)
    ]
    drawn = {"title": panel.title, "gridPos": place, "datasource": DATASOURCE, "targets": targets}
    return drawn | (_draw_number(panel) if panel.is_number else _draw_course(panel))


def _draw_course(panel: Panel) -> dict[str, Any]:
    custom = {"lineWidth": 1, "fillOpacity": 8, "showPoints": "never"}
    return {
        "type": "timeseries",
        "fieldConfig": {"defaults": {"unit": panel.unit, "custom": custom}, "overrides": []},
        "options": {
            "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True, "calcs": []},
            "tooltip": {"mode": "multi", "sort": "desc"},
        },
    }


def _draw_number(panel: Panel) -> dict[str, Any]:
    colours = ["green", "yellow", "red"]
    if panel.limits and panel.limits[0] > panel.limits[-1]:
        steps = list(zip(reversed(colours), (None, *reversed(panel.limits))))
    else:
        steps = list(zip(colours, (None, *panel.limits)))
    thresholds = {"mode": "absolute", "steps": [{"color": colour, "value": limit} for colour, limit in steps]}
    return {
        "type": "stat",
        "fieldConfig": {"defaults": {"unit": panel.unit, "thresholds": thresholds}, "overrides": []},
        "options": {
            "reduceOptions": {"values": False, "calcs": ["lastNotNull"], "fields": ""}, "orientation": "auto",
            "textMode": "value", "colorMode": "value", "graphMode": "area", "justifyMode": "auto",
            "wideLayout": True, "showPercentChange": False, "percentChangeColorMode": "standard",
        },
    }  # fmt: skip
