"""What an operator is called for, as rules for Prometheus. docs/operate.md says what to do."""

import json
from dataclasses import dataclass

RUNBOOK = "docs/operate.md#"


@dataclass(frozen=True, slots=True)
class Alert:
    """`severity`: page (somebody gets up) or ticket (somebody looks in the morning)."""

    name: str
    expression: str
    for_s: int
    severity: str
    summary: str


def _grew(counter: str, window: str) -> str:
    """Whether it grew, or began above zero: a series that appears with its first event has no increase."""
    return f"increase({counter}[{window}]) > 0 or ({counter} > 0 unless {counter} offset {window})"


ALERTS = (
    Alert("HansaDown", "up{job='hansa'} == 0", 30, "page",
          "The node does not answer. Exit code 3 in its log: it stopped itself before it signed something wrong"),
    Alert("HansaStalled", "increase(hansa_consensus_height[1m]) == 0", 30, "page",
          "No block is final: too few validators are up, or this node is cut off"),
    Alert("HansaNotSigning",
          "hansa_consensus_is_member == 1 and delta(hansa_consensus_validator_missed_blocks[2m]) > 20",
          60, "page", "Certificates come without this node's vote"),
    Alert("HansaNearQuorum",
          "hansa_consensus_missing_validators >= floor((hansa_consensus_validators - 1) / 3) and "
          "hansa_consensus_missing_validators > 0",
          60, "page", "One more validator away and nothing is final"),
    Alert("HansaByzantine", "hansa_consensus_byzantine_validators > 0", 0, "page",
          "A validator is proven to have contradicted itself: hansa evidence list"),
    Alert("HansaRootMismatch", "increase(hansa_state_root_mismatch_total[10m]) > 0", 0, "page",
          "A block was proposed whose roots this node does not compute: it, or its proposer, executes wrongly"),
    Alert("HansaClockOff", "abs(hansa_clock_offset_seconds) > 0.5", 30, "ticket",
          "This clock differs from the committee's by half a second: much more, and its price reports are void"),
    Alert("HansaCatchingUp", "hansa_consensus_catching_up == 1", 300, "ticket",
          "Behind for five minutes: it does not vote meanwhile"),
    Alert("HansaSignerRefuses", _grew("hansa_signer_refused_total", "5m"), 0, "page",
          "The guard refused a vote: is this key in use elsewhere?"),
    Alert("HansaSignerAway", "hansa_signer_up == 0", 15, "page",
          "Whoever holds the voting key does not answer: the node follows and does not vote"),
    Alert("HansaFewPeers", "hansa_p2p_peers < 2 / 3 * (hansa_consensus_validators - 1)", 60, "ticket",
          "Linked to less than two thirds of the others"),
    Alert("HansaSlowFinality",
          "histogram_quantile(0.99, rate(hansa_consensus_finality_seconds_bucket[5m])) > 1", 300, "ticket",
          "One block in a hundred takes more than a second"),
    Alert("HansaOracleStale", "hansa_oracle_age_seconds > 10", 15, "page",
          "An index has no fresh price: nothing is liquidated, and orders that add risk are refused"),
    Alert("HansaOracleSpread", "hansa_oracle_spread_bps > 100", 60, "ticket",
          "The validators' prices lie a percent apart: is yours right?"),
    Alert("HansaEscapeNear", "hansa_escape_seconds_left < 1800", 0, "page",
          "In half an hour anyone may freeze the settlement contract for ever: post a checkpoint, take the inbox in"),
    Alert("HansaCheckpointLag", "hansa_settlement_lag_blocks > 20000", 300, "ticket",
          "Certified blocks are not reaching the settlement chain"),
    Alert("HansaChainEndpointDown", "hansa_settlement_endpoint_up == 0", 300, "ticket",
          "An endpoint of the settlement chain is not well: hansa status says why"),
    Alert("HansaSlowDisk", "histogram_quantile(0.99, rate(hansa_fsync_seconds_bucket[5m])) > 0.1", 300, "ticket",
          "The disk takes a tenth of a second before each vote"),
    Alert("HansaDiskFull", "hansa_disk_free_bytes < 2e9", 60, "page",
          "Two gigabytes are left where the node writes; without room it stops"),
    Alert("HansaLoopLag", "histogram_quantile(0.9, rate(hansa_event_loop_lag_seconds_bucket[5m])) > 0.1", 120, "ticket",
          "The node's loop is late: the machine has too little to give"),
    Alert("HansaInsuranceLow", "hansa_insurance_fund_usdc < 1000", 60, "ticket",
          "The insurance fund is nearly empty: the next loss is shared by those who win"),
)  # fmt: skip


def make_rules() -> str:
    """The text of rules.yml. JSON strings are YAML strings."""
    lines = ["groups:", "  - name: hansa", "    rules:"]
    for alert in ALERTS:
        lines += [
            f"      - alert: {alert.name}",
            f"        expr: {json.dumps(alert.expression)}",
            f"        for: {alert.for_s}s",
            "        labels:",
            f"          severity: {alert.severity}",
            "        annotations:",
            f"          summary: {json.dumps(alert.summary)}",
            f"          runbook_url: {json.dumps(RUNBOOK + alert.name.lower())}",
        ]
    return "\n".join(lines) + "\n"
