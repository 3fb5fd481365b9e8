"""One run: the plan drawn from a seed, the heap of events, the two phases."""

import hashlib
import heapq
import random
from dataclasses import dataclass, field
from typing import Any

from consensus.core import CoreConfig
from consensus.leaders import compute_leaders
from consensus.messages import (
    COMMITMENT_BYTES,
    ZERO_HASH,
    Block,
    Certificate,
    Header,
    Proposal,
    compute_domain,
    fault_bound,
)
from testnet.sim.byzantine import BEHAVIOURS, Behaviour, Twin
from testnet.sim.checkers import Checkers, Violation
from testnet.sim.hashchain import execute_block
from testnet.sim.keys import Keys, decode
from testnet.sim.network import Network
from testnet.sim.node import Node

DELTA_MS = 100
LIVENESS_LIMIT_MS = 60_000
LIVENESS_BLOCKS = 10
TIP_DISTANCE_MAX = 2
EVENTS_MAX = 400_000
GENESIS = Header(1, 0, 0, ZERO_HASH, 0, 0, 0, ZERO_HASH, ZERO_HASH, bytes(COMMITMENT_BYTES))


@dataclass(slots=True)
class Plan:
    """Everything drawn before the first event."""

    seed: int
    member_count: int
    byzantine: dict[int, type[Behaviour]]
    delay_mean_ms: float
    loss: float
    duplicates: float
    execution_mean_ms: float
    payload_late: float
    payload_never: float
    crash_times_ms: list[int]
    partition_times_ms: list[int]
    retain_views: int
    has_long_outage: bool  # whoever crashes first stays down until the second phase
    safety_ms: int
    has_guard: bool = True
    syncs_before_send: bool = True
    is_calm: bool = False

    def draw_execution_ms(self, rng: random.Random) -> int:
        return 1 + int(rng.expovariate(1.0 / self.execution_mean_ms))

    def draw_payload_ms(self, rng: random.Random) -> int | None:
        """0: held; None: never in this phase."""
        if self.is_calm:
            return 0
        draw = rng.random()
        if draw < self.payload_never:
            return None
        return rng.randint(20, 1200) if draw < self.payload_never + self.payload_late else 0


def draw_plan(seed: int, safety_ms: int = 8_000) -> Plan:
    """Swarm: ranges first, so that most runs lack most faults and some have plenty of one."""
    rng = random.Random(seed)
    member_count = rng.choice((4,) * 9 + (7,))
    faulty = rng.randint(0, fault_bound(member_count))
    byzantine = {index: rng.choice(BEHAVIOURS) for index in rng.sample(range(member_count), faulty)}
    return Plan(
        seed=seed,
        member_count=member_count,
        byzantine=byzantine,
        delay_mean_ms=rng.choice((2.0, 10.0, 30.0, 80.0)),
        loss=rng.choice((0.01, 0.05, 0.15, 0.3)),
        duplicates=rng.choice((0.0, 0.0, 0.1, 0.3)),
        execution_mean_ms=rng.choice((2.0, 2.0, 20.0, 200.0)),
        payload_late=rng.choice((0.0, 0.0, 0.1, 0.4)),
        payload_never=rng.choice((0.0, 0.0, 0.02, 0.1)),
        crash_times_ms=sorted(rng.randint(200, safety_ms - 1500) for _ in range(rng.choice((1, 1, 2, 4, 8)))),
        partition_times_ms=sorted(rng.randint(100, safety_ms) for _ in range(rng.choice((0, 0, 1, 3)))),
        retain_views=rng.choice((6, 16, 64)),
        has_long_outage=rng.random() < 0.25,
        safety_ms=safety_ms,
    )


@dataclass(slots=True)
class Result:
    """What came of one seed."""

    seed: int
    height: int = 0
    crashes: int = 0
    events: int = 0
    evidence: int = 0
    virtual_ms: int = 0
    syncs: int = 0
    audit: str = ""
    failure: str = ""
    behaviours: list[str] = field(default_factory=list)


class World:
    def __init__(self, plan: Plan, trace: bool = False) -> None:
        self.plan = plan
        self.trace = trace
        self.rng = random.Random(plan.seed ^ 0x5EED)
        self.now_ms = 0
        members = plan.member_count
        domain = compute_domain(31337, bytes(20))
        self.keys = Keys(plan.seed, members, domain)
        self.network = Network(self.rng, members, plan.delay_mean_ms, plan.loss, plan.duplicates)
        self.leaders = compute_leaders(plan.seed.to_bytes(32, "big"), 1, members)
        self.checkers = Checkers(self.keys, GENESIS, tuple(plan.byzantine), execute_block, self.leaders)
        self.headers: dict[bytes, Header] = {GENESIS.hash(): GENESIS}
        self.certificates: dict[tuple[int, int], Certificate] = {}
        self.audit = hashlib.blake2b(digest_size=16)
        self.heap: list[tuple[int, int, Node, int, str, Any]] = []
        self.event_count = 0
        self.sync_count = 0
        self._post_count = 0
        self._payload_count = 0
        self.members: list[list[Node]] = []
        for index in range(members):
            kind = plan.byzantine.get(index)
            names = [index, members + index] if kind is Twin else [index]
            self.members.append([self._make_node(index, name, kind, domain) for name in names])
        self.nodes = [node for group in self.members for node in group]

    def _make_node(self, index: int, name: int, kind: type[Behaviour] | None, domain: bytes) -> Node:
        behaviour = None if kind is None else kind(self.rng)
        config = CoreConfig(
            domain=domain, epoch=1, member_count=self.plan.member_count, me=index, genesis=GENESIS,
            delta_ms=DELTA_MS, min_interval_ms=250, execution_budget_ms=100,
            retain_views=self.plan.retain_views,
        )  # fmt: skip
        return Node(self, index, config, behaviour, name)

    @property
    def honest(self) -> list[Node]:
        return [node for node in self.nodes if node.is_honest]

    def post_at(self, at_ms: int, node: Node, what: str, data: Any) -> None:
        self._post_count += 1
        heapq.heappush(self.heap, (at_ms, self._post_count, node, node.incarnation, what, data))

    def post_node(self, delay_ms: int, node: Node, what: str, data: Any) -> None:
        self.post_at(self.now_ms + delay_ms, node, what, data)

    def post(self, delay_ms: int, index: int, what: str, data: Any) -> None:
        for node in self.members[index]:
            self.post_node(delay_ms, node, what, data)

    def transmit(self, source: Node, peer: int | None, data: Any, what: str = "message") -> None:
        """Onto the links; a link survives the crash of its ends, messages do not."""
        targets = range(self.plan.member_count) if peer is None else (peer,)
        for target in targets:
            if target == source.index:
                continue
            for node in self.members[target]:
                for delay_ms in self.network.deliveries_ms(source.index, target):
                    self.post_node(delay_ms, node, what, (source.index, data) if what == "message" else data)

    def draw_payload(self) -> bytes:
        self._payload_count += 1
        return b"payload %d" % self._payload_count

    def note_certificate(self, data: bytes) -> None:
        certificate = decode(data)
        assert isinstance(certificate, Certificate)
        self.checkers.on_certificate(certificate, data)
        self.certificates.setdefault((certificate.kind, certificate.view), certificate)

    def find_certificate(self, kind: int, view: int) -> Certificate | None:
        return self.certificates.get((kind, view))

    def note_crash(self, node: Node) -> None:
        wait_ms = 50 if self.plan.is_calm else self.rng.randint(50, 2500)
        if self.plan.has_long_outage and not self.plan.is_calm:
            self.plan.has_long_outage = False
            wait_ms = self.plan.safety_ms - self.now_ms + wait_ms
        node.incarnation += 1
        self.post_node(wait_ms, node, "boot", None)

    def run(self) -> Result:
        """Both phases; a broken property ends the run with its name in `failure`."""
        result = Result(self.plan.seed, behaviours=[kind.name for kind in self.plan.byzantine.values()])
        try:
            for node in self.nodes:
                self.post_at(self.rng.randint(0, 50), node, "boot", None)
            self.schedule_faults()
            self.run_until(self.plan.safety_ms)
            self.calm_down()
            self.run_liveness()
            self.checkers.on_end()
        except Violation as violation:
            result.failure = str(violation)
        except Exception as error:
            if self.trace:
                raise
            result.failure = f"exception {type(error).__name__}: {error}"
        result.height = self.checkers.height
        result.crashes = sum(node.crash_count for node in self.nodes)
        result.events, result.virtual_ms = self.event_count, self.now_ms
        result.evidence, result.audit, result.syncs = (
            self.checkers.evidence_count,
            self.audit.hexdigest(),
            self.sync_count,
        )
        return result

    def schedule_faults(self) -> None:
        for at_ms in self.plan.crash_times_ms:
            self.post_at(at_ms, self.rng.choice(self.honest), "arm_crash", self.rng.randint(0, 12))
        for at_ms in self.plan.partition_times_ms:
            self.post_at(at_ms, self.nodes[0], "partition", None)
            self.post_at(at_ms + self.rng.randint(300, 4000), self.nodes[0], "heal", None)

    def run_until(self, end_ms: int) -> None:
        while self.heap and self.heap[0][0] <= end_ms:
            self.step()
        self.now_ms = end_ms

    def calm_down(self) -> None:
        self.plan.is_calm = True
        self.plan.execution_mean_ms = min(self.plan.execution_mean_ms, 20.0)
        self.network.calm_down()
        for node in self.nodes:
            node.crash_after_effects = None
            node.calm_down()

    def run_liveness(self) -> None:
        """L1: ten more blocks, and every honest node within two of the tip."""
        start_height, deadline_ms = self.checkers.height, self.now_ms + LIVENESS_LIMIT_MS
        while not self.is_live(start_height):
            if self.now_ms > deadline_ms or not self.heap:
                heights = [node.core.final_header.height if node.core else -1 for node in self.honest]
                raise Violation(f"L1 from height {start_height} to {self.checkers.height}, nodes at {heights}")
            self.step()

    def is_live(self, start_height: int) -> bool:
        height = self.checkers.height
        return height >= start_height + LIVENESS_BLOCKS and all(
            node.core is not None and node.core.final_header.height >= height - TIP_DISTANCE_MAX for node in self.honest
        )

    def step(self) -> None:
        at_ms, _, node, incarnation, what, data = heapq.heappop(self.heap)
        self.now_ms = at_ms
        if what in ("partition", "heal", "arm_crash"):
            self.apply_fault(node, what, data)
            return
        if incarnation != node.incarnation:
            return
        self.event_count += 1
        if self.event_count > EVENTS_MAX:
            raise Violation("L7 too many events")
        self.audit.update(b"%d %d %s" % (at_ms, node.name, what.encode()))
        if what == "message":
            self.audit.update(data[1])
        if self.trace:
            print(f"{at_ms:6d} {node.name} {what} {describe(data)}")
        self.dispatch(node, what, data)
        if self.event_count % 64 == 0 and node.core is not None:
            self.checkers.on_tick(node.name, node.core.sizes())

    def apply_fault(self, node: Node, what: str, data: Any) -> None:
        if self.plan.is_calm:
            return
        if what == "arm_crash":
            node.crash_after_effects = data
        elif what == "partition":
            self.network.partition()
        else:
            self.network.heal_partition()

    def dispatch(self, node: Node, what: str, data: Any) -> None:
        if what == "boot":
            node.boot()
            return
        if node.core is None:
            return
        match what:
            case "message":
                self.learn_header(data[1])
                node.on_message(*data)
            case "timer":
                node.on_timer(data)
            case "event":
                node.turn(data)
            case "build":
                node.build(data)
            case "execute":
                node.execute(data)
            case "fetch":
                node.answer_fetch(*data)
            case "range":
                node.answer_range(*data)
            case "range_answer":
                self.sync_count += 1
                node.take_range(*data)
            case "ask_range":
                node.ask_range()

    def learn_header(self, data: bytes) -> None:
        """The omniscient table of headers that fake execution looks parents up in."""
        if data[:2] in (b"\x82\x03", b"\x82\x04"):
            message = decode(data)
            block = message.block if isinstance(message, Proposal) else message
            assert isinstance(block, Block)
            self.headers[block.hash()] = block.header


def describe(data: Any) -> str:
    """A line of a trace."""
    if isinstance(data, tuple) and len(data) == 2 and isinstance(data[1], bytes) and data[1][:1] == b"\x82":
        message = decode(data[1])
        fields = [type(message).__name__] + [
            str(getattr(message, name)) for name in ("kind", "view", "signer") if hasattr(message, name)
        ]
        if isinstance(message, Proposal):
            fields.append(str(message.block.header.view))
        return f"from {data[0]}: {' '.join(fields)}"
    return str(data)[:120]
