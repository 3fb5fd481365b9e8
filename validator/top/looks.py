"""What one look at a node says: its API's answers and, where there is one, its page for Prometheus."""

import re
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from statistics import median_low
from typing import Any

WINDOW_LOOKS = 10
_SAMPLE = re.compile(r"([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)")
_LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')


@dataclass(frozen=True, slots=True)
class Member:
    """A member of the committee as one node sees it: how many of the last certificates its vote is in."""

    index: int
    number: int
    signed: int
    blocks: int
    is_this_node: bool


@dataclass(frozen=True, slots=True)
class Index:
    """A price as the last block's reports make it. `age_s` by this machine's clock."""

    name: str
    price_usd: str
    age_s: float
    is_fresh: bool
    dispersion_bps: int


@dataclass(frozen=True, slots=True)
class Gauges:
    """What only the page for Prometheus says; None: it does not say. Quantiles are of what came in the last looks."""

    escape_s_left: float | None = None
    waiting_count: int | None = None
    fsync_p99_s: float | None = None
    loop_lag_p99_s: float | None = None
    block_p99_s: float | None = None
    clock_ahead_s: float | None = None
    refused_count: int | None = None
    is_signer_up: bool = True
    free_bytes: int | None = None
    mismatch_count: int | None = None
    missed_count: int | None = None
    resident_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class Look:
    """`fault`: why the node told nothing; all else is empty then. `at_s`: when it was asked, by this clock."""

    name: str
    url: str
    at_s: float
    fault: str = ""
    height: int = 0
    view: int = 0
    epoch: int = 0
    block_age_s: float = 0.0
    peer_count: int = 0
    validator_count: int = 0
    is_syncing: bool = False
    is_halted: bool = False
    finality_p50_ms: int = 0
    finality_p99_ms: int = 0
    actions_per_s: int = 0
    onchain_height: int = 0
    posted_height: int = 0
    endpoints: tuple[tuple[str, str], ...] = ()  # name, and what is wrong with it
    members: tuple[Member, ...] = ()
    quorum: int = 0
    indexes: tuple[Index, ...] = ()
    culprits: tuple[int, ...] = ()
    state_roots: Mapping[int, str] = field(default_factory=dict)  # by height, of the heights that were asked for
    gauges: Gauges = Gauges()

    @property
    def is_there(self) -> bool:
        return not self.fault

    @property
    def unchained_blocks(self) -> int:
        """Final blocks above the last checkpoint on the settlement chain."""
        return self.height - self.onchain_height


def make_look(name: str, url: str, at_s: float, answers: Mapping[str, Any], gauges: Gauges) -> Look:
    """From the results of the API's methods by their names."""
    status, committee = answers["public/status"], answers["public/x_get_validators"]
    oracle: Mapping[str, Any] = answers.get("public/x_get_oracle_round") or {"indexes": ()}
    certificate = answers.get("public/x_get_certificate")
    return Look(
        name, url, at_s,
        height=status["height"], view=status["view"], epoch=status["epoch"],
        block_age_s=max(0.0, at_s - status["time_ms"] / 1000), peer_count=status["peer_count"],
        validator_count=status["validator_count"], is_syncing=status["is_syncing"], is_halted=status["is_halted"],
        finality_p50_ms=status["finality_p50_ms"], finality_p99_ms=status["finality_p99_ms"],
        actions_per_s=status["commands_per_s"], onchain_height=status["onchain_height"],
        posted_height=status["onchain_posted_height"],
        endpoints=tuple(
            (item["name"], "" if item["is_well"] else item["fault"] or "unwell") for item in status["endpoints"]
        ),
        members=tuple(
            Member(item["index"], item["number"], item["signed"], committee["blocks"], item["is_this_node"])
            for item in committee["validators"]
        ),
        quorum=committee["quorum"],
        indexes=tuple(
            Index(
                item["name"], item["price"] or "-", max(0.0, at_s - item["timestamp"] / 1000), item["is_fresh"],
                item["dispersion_bps"],
            )
            for item in oracle["indexes"]
        ),
        culprits=tuple(sorted({culprit for item in answers["public/x_get_evidence"] for culprit in item["culprits"]})),
        state_roots={certificate["height"]: certificate["state_root"]} if certificate else {},
        gauges=gauges,
    )  # fmt: skip


def merge_members(looks: Sequence[Look]) -> list[Member]:
    """The committee of the newest epoch, each member as the others see it: a node is in every certificate that it
    formed itself, so its own word counts only where there is no other.
    """
    newest = max((look.epoch for look in looks if look.is_there), default=0)
    views = [look for look in looks if look.is_there and look.epoch == newest and look.members]
    merged = []
    for members in zip(*(look.members for look in views)):
        told = [member for member in members if not member.is_this_node] or list(members)
        blocks = median_low(member.blocks for member in told)
        signed = median_low(member.signed * blocks // max(1, member.blocks) for member in told)
        merged.append(replace(told[0], signed=signed, blocks=blocks, is_this_node=False))
    return merged


@dataclass(frozen=True, slots=True)
class Sample:
    """A line of the page."""

    name: str
    labels: Mapping[str, str]
    value: float


def parse_page(text: str) -> list[Sample]:
    """The samples of Prometheus' text format; comments and what is not understood are left out."""
    samples = []
    for line in text.splitlines():
        found = None if line.startswith("#") else _SAMPLE.fullmatch(line.strip())
        if found is not None:
            samples.append(Sample(found[1], dict(_LABEL.findall(found[2] or "")), float(found[3])))
    return samples


class Page:
    """Reads a node's page again and again; a histogram is what came to it within `WINDOW_LOOKS`."""

    def __init__(self) -> None:
        self._buckets: dict[str, deque[dict[float, float]]] = {}

    def read(self, text: str) -> Gauges:
        samples = parse_page(text)
        values: dict[str, float] = {}
        for sample in samples:
            values[sample.name] = values.get(sample.name, 0.0) + sample.value
        escape_s, ahead_s = values.get("hansa_escape_seconds_left"), values.get("hansa_clock_offset_seconds")
        return Gauges(
            escape_s_left=escape_s, clock_ahead_s=ahead_s,
            waiting_count=_whole(values.get("hansa_mempool_size")),
            fsync_p99_s=self._quantile(samples, "hansa_fsync_seconds_bucket"),
            loop_lag_p99_s=self._quantile(samples, "hansa_event_loop_lag_seconds_bucket"),
            block_p99_s=self._quantile(samples, "hansa_engine_block_seconds_bucket"),
            refused_count=round(values.get("hansa_signer_refused_total", 0.0)),
            is_signer_up=values.get("hansa_signer_up", 1.0) > 0,
            free_bytes=_whole(values.get("hansa_disk_free_bytes")),
            mismatch_count=_whole(values.get("hansa_state_root_mismatch_total")),
            missed_count=_whole(values.get("hansa_consensus_validator_missed_blocks")),
            resident_bytes=_whole(values.get("process_resident_memory_bytes")),
        )  # fmt: skip

    def _quantile(self, samples: list[Sample], name: str) -> float | None:
        """The bound below which 99 of 100 lie; of all since the node's start on the first look."""
        now = {float(item.labels["le"]): item.value for item in samples if item.name == name}
        seen = self._buckets.setdefault(name, deque(maxlen=WINDOW_LOOKS))
        before = seen[0] if seen else {}
        seen.append(now)
        counts = [(bound, count - before.get(bound, 0.0)) for bound, count in sorted(now.items())]
        if not counts or counts[-1][1] <= 0:
            return None
        needed = 0.99 * counts[-1][1]
        bound = next(bound for bound, count in counts if count >= needed)
        return bound if bound != float("inf") else counts[-2][0]


def _whole(value: float | None) -> int | None:
    return None if value is None else round(value)
