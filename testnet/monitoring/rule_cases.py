"""Series for every alert rule, one that must raise it and one that must not, as `promtool test rules` reads them."""

import json
from dataclasses import dataclass

from validator.alerts import ALERTS, RUNBOOK

# Values by series: those that raise the alert, and quiet ones.
Pair = tuple[dict[str, str], dict[str, str]]
STEP_S, SAMPLES, EVALUATED_S = 15, 60, 720
NODE = 'instance="node0",job="hansa"'


@dataclass(frozen=True, slots=True)
class Case:
    """`raising` and `quiet`: values in promtool's notation by series, `a+bxn` being n steps of b after a. `labels`:
    what the alert carries beside the node's.
    """

    alert: str
    raising: dict[str, str]
    quiet: dict[str, str]
    labels: tuple[tuple[str, str], ...] = ()


def _gauge(name: str, raising: float, quiet: float, label: tuple[str, str] | None = None) -> Pair:
    series = _series(name, "" if label is None else f'{label[0]}="{label[1]}"')
    return {series: f"{raising}x{SAMPLES}"}, {series: f"{quiet}x{SAMPLES}"}


def _series(name: str, labels: str = "") -> str:
    return f"hansa_{name}{{{NODE}{',' if labels else ''}{labels}}}"


def _buckets(name: str, low_s: float, high_s: float, is_slow: bool) -> dict[str, str]:
    """A histogram with ten observations a step, all of them below `low_s` or all between the two."""
    rising = f"0+10x{SAMPLES}"
    return {
        _series(f"{name}_bucket", f'le="{low_s}"'): f"0x{SAMPLES}" if is_slow else rising,
        _series(f"{name}_bucket", f'le="{high_s}"'): rising,
        _series(f"{name}_bucket", 'le="+Inf"'): rising,
    }


def _slow(name: str, low_s: float, high_s: float) -> Pair:
    return _buckets(name, low_s, high_s, True), _buckets(name, low_s, high_s, False)


def _beside(name: str, value: float, pair: Pair) -> Pair:
    """A gauge that is the same in both."""
    same = {_series(name): f"{value}x{SAMPLES}"}
    return same | pair[0], same | pair[1]


_UP, _HEIGHT, _MISSED = f"up{{{NODE}}}", _series("consensus_height"), _series("consensus_validator_missed_blocks")
_REFUSED = _series("signer_refused_total", 'reason="nullified this view"')
_MISMATCH = _series("state_root_mismatch_total", 'seat="2"')

CASES = (
    Case("HansaDown", {_UP: f"0x{SAMPLES}"}, {_UP: f"1x{SAMPLES}"}),
    Case("HansaStalled", {_HEIGHT: f"0+30x20 600x{SAMPLES}"}, {_HEIGHT: f"0+30x{SAMPLES}"}),
    Case("HansaNotSigning", *_beside("consensus_is_member", 1, (
        {_MISSED: f"0+5x{SAMPLES}"}, {_MISSED: f"250x{SAMPLES}"}))),
    Case("HansaNearQuorum", *_beside("consensus_validators", 4, _gauge("consensus_missing_validators", 1, 0))),
    Case("HansaByzantine", *_gauge("consensus_byzantine_validators", 1, 0)),
    Case("HansaRootMismatch", {_MISMATCH: f"0x30 1x{SAMPLES}"}, {_MISMATCH: f"1x{SAMPLES}"}, (("seat", "2"),)),
    Case("HansaClockOff", *_gauge("clock_offset_seconds", -0.7, 0.02)),
    Case("HansaCatchingUp", *_gauge("consensus_catching_up", 1, 0)),
    # It appears with its first refusal; an old one is no news.
    Case("HansaSignerRefuses", {_REFUSED: f"_x40 1x{SAMPLES}"}, {_REFUSED: f"1x{SAMPLES}"},
         (("reason", "nullified this view"),)),
    Case("HansaSignerAway", *_gauge("signer_up", 0, 1)),
    Case("HansaDiskFull", *_gauge("disk_free_bytes", 1_000_000_000, 50_000_000_000)),
    Case("HansaFewPeers", *_beside("consensus_validators", 4, _gauge("p2p_peers", 1, 3))),
    Case("HansaSlowFinality", *_slow("consensus_finality_seconds", 0.5, 2.0)),
    Case("HansaOracleStale", *_gauge("oracle_age_seconds", 30, 0.5, ("index", "BTC")), (("index", "BTC"),)),
    Case("HansaOracleSpread", *_gauge("oracle_spread_bps", 150, 3, ("index", "BTC")), (("index", "BTC"),)),
    Case("HansaEscapeNear", *_gauge("escape_seconds_left", 1700, 80000)),
    Case("HansaCheckpointLag", *_gauge("settlement_lag_blocks", 30000, 10)),
    Case("HansaChainEndpointDown", *_gauge("settlement_endpoint_up", 0, 1, ("endpoint", "a")), (("endpoint", "a"),)),
    Case("HansaSlowDisk", *_slow("fsync_seconds", 0.05, 0.5)),
    Case("HansaLoopLag", *_slow("event_loop_lag_seconds", 0.05, 0.5)),
    Case("HansaInsuranceLow", *_gauge("insurance_fund_usdc", 500, 100000)),
)  # fmt: skip


def make_rule_tests() -> str:
    """The text of a file beside rules.yml. JSON is YAML."""
    tests = [_make_test(case, is_raising) for case in CASES for is_raising in (True, False)]
    body = {"rule_files": ["rules.yml"], "evaluation_interval": f"{STEP_S}s", "tests": tests}
    return json.dumps(body, indent=1) + "\n"


def _make_test(case: Case, is_raising: bool) -> dict[str, object]:
    alert = next(alert for alert in ALERTS if alert.name == case.alert)
    raised = {
        "exp_labels": {"severity": alert.severity, "instance": "node0", "job": "hansa", **dict(case.labels)},
        "exp_annotations": {"summary": alert.summary, "runbook_url": RUNBOOK + alert.name.lower()},
    }
    series = case.raising if is_raising else case.quiet
    return {
        "interval": f"{STEP_S}s",
        "input_series": [{"series": name, "values": values} for name, values in series.items()],
        "alert_rule_test": [
            {"eval_time": f"{EVALUATED_S}s", "alertname": case.alert, "exp_alerts": [raised] if is_raising else []}
        ],
    }
