"""Everything about a run that is decided before its first event, as plain data: a plan can be written down, cut by the
reducer, and run again.
"""

import json
from dataclasses import asdict, dataclass, field
from typing import Any

from consensus.messages import fault_bound


@dataclass(slots=True)
class Fault:
    """One thing that goes wrong at `at_ms` of virtual time. What the other fields mean: `faults.py`, by kind."""

    kind: str
    at_ms: int
    lasts_ms: int = 0
    member: int = -1
    degree: int = 0
    shape: str = ""
    side: tuple[int, ...] = ()


@dataclass(slots=True)
class Plan:
    """Times are virtual milliseconds; means are those of exponential distributions; shares are probabilities."""

    seed: int
    member_count: int = 4
    profile: str = "swarm"
    byzantine: dict[int, str] = field(default_factory=dict)  # member -> name of its behaviour
    faults: list[Fault] = field(default_factory=list)
    safety_ms: int = 30_000
    # network
    delay_least_ms: int = 1
    delay_mean_ms: float = 5.0
    loss: float = 0.0
    duplicates: float = 0.0
    bandwidth_bytes_per_ms: int = 0  # of one link; 0: no limit
    # machines
    execution_mean_ms: float = 1.0
    sync_mean_ms: float = 0.5
    wall_offsets_ms: dict[int, int] = field(default_factory=dict)
    wall_drifts_ppm: dict[int, int] = field(default_factory=dict)
    timer_drifts_ppm: dict[int, int] = field(default_factory=dict)
    # load: messages a second, from so many seconds on
    load_per_s: float = 2.0
    deposits_per_minute: float = 4.0
    # protocol
    delta_ms: int = 100
    interval_ms: int = 200
    retain_views: int = 64
    snapshot_blocks: int = 32
    snapshot_gap_blocks: int = 1_000_000
    # switches: planted bugs take the guard away, a few seeds take the short cuts away
    has_guard: bool = True
    syncs_before_send: bool = True
    has_memo: bool = True
    has_real_signatures: bool = False

    @property
    def fault_bound(self) -> int:
        return fault_bound(self.member_count)

    @property
    def lost_members(self) -> tuple[int, ...]:
        """Those whose vote is gone for the rest of the epoch, because their disk is."""
        return tuple(dict.fromkeys(fault.member for fault in self.faults if fault.kind in ("disk lost", "disk rot")))


def encode_plan(plan: Plan) -> str:
    """One line of JSON, without what is as by default."""
    plain, usual = asdict(plan), asdict(Plan(plan.seed))
    return json.dumps({name: plain[name] for name in plain if name == "seed" or plain[name] != usual[name]})


def decode_plan(text: str) -> Plan:
    """Inverse of `encode_plan`. Raises `TypeError` or `ValueError` for what is no plan."""
    plain: dict[str, Any] = json.loads(text)
    for name in ("byzantine", "wall_offsets_ms", "wall_drifts_ppm", "timer_drifts_ppm"):
        plain[name] = {int(member): value for member, value in plain.get(name, {}).items()}
    plain["faults"] = [Fault(**{**item, "side": tuple(item["side"])}) for item in plain.get("faults", ())]
    return Plan(**plain)
