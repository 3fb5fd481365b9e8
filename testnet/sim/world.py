"""One run: the heap of events, all nodes, the two phases.

First the safety phase, in which the plan's faults are at work; then everything is mended and the committee has to
make progress within a bound (L1).
"""

import hashlib
import heapq
import logging
import random
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from consensus.leaders import compute_leaders
from consensus.messages import Block, Certificate, DecodeError, Header, Proposal
from engine.apply import BlockResult
from testnet.sim.byzantine import BEHAVIOURS, WHOLESALE, Behaviour
from testnet.sim.checkers import Checkers, Violation
from testnet.sim.checkers.disks import check_refusal
from testnet.sim.checkers.exchange import ExchangeChecker
from testnet.sim.clocks import START_MS
from testnet.sim.crowd import Crowd
from testnet.sim.exchange import EPOCH, Auditor, Exchange, Shared, make_exchange
from testnet.sim.faults import FaultDriver
from testnet.sim.keys import decode
from testnet.sim.network import Network
from testnet.sim.node import OPERATOR_MS, Node
from testnet.sim.oracle import Oracle
from testnet.sim.plan import Plan
from testnet.sim.scheme import SchemeKeys
from testnet.sim.script import Script
from testnet.sim.settlement import Deposits, SettlementChain
from testnet.sim.trace import describe
from validator.executor import to_commitment

LIVENESS_LIMIT_MS = 60_000
LIVENESS_BLOCKS = 10
TIP_DISTANCE_MAX = 2
EVENTS_MAX = 1_000_000
EVENTS_OF_A_PAIR_MAX = 400  # messages go from each to each: what a hundred members need is more
SIZES_EVERY_EVENTS = 64
KINDS = {kind.name: kind for kind in (*BEHAVIOURS, *WHOLESALE)}

logging.getLogger("hansa").addHandler(logging.NullHandler())  # a faulty node complains a lot, rightly


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
    messages: int = 0  # of traders, executed in final blocks
    deposits: int = 0
    audit: str = ""
    failure: str = ""
    behaviours: list[str] = field(default_factory=list)
    fired: dict[str, int] = field(default_factory=dict)


class World:
    def __init__(
        self,
        plan: Plan,
        trace: bool = False,
        exchange: Exchange | None = None,
        crowd: Crowd | None = None,
        settlement: Deposits | None = None,
    ) -> None:
        """`exchange`, `crowd`, `settlement`: other markets, traders and chains than those of campaigns."""
        self.plan = plan
        self.trace = trace
        self.rng = random.Random(plan.seed ^ 0x5EED)
        self.now_ms = 0
        self.leap_ms = 0  # how far everybody's time of day has gone ahead of the run's own
        self.is_calm = False
        self.fired: Counter[str] = Counter()
        members = plan.member_count
        self.exchange = exchange or make_exchange(members)
        self._crowd = crowd or Script()
        self.keys = SchemeKeys(plan.seed, members, self.exchange.domain, plan.has_real_signatures)
        self.leaders = compute_leaders(plan.seed.to_bytes(32, "big"), EPOCH, members)
        self.network = Network(
            self.rng, self.fired, delay_least_ms=plan.delay_least_ms, delay_mean_ms=plan.delay_mean_ms, loss=plan.loss,
            duplicates=plan.duplicates, bandwidth_bytes_per_ms=plan.bandwidth_bytes_per_ms,
        )  # fmt: skip
        self.shared = Shared(self.exchange, plan.has_memo)
        self.auditor = Auditor(self.exchange, self.shared.run_block)
        byzantine = tuple(plan.byzantine)
        self.settlement: Deposits = settlement or SettlementChain(self.rng, self._crowd.deposits())
        self.exchange_checker = ExchangeChecker(
            self.exchange, self.auditor, self.shared, self.settlement.entries, lambda: self.now_ms, self.wall_ms,
            is_quiet=not plan.faults and not plan.loss,
        )  # fmt: skip
        self.checkers = Checkers(
            self.keys, self.exchange.header, byzantine, self.exchange_checker.execute, self.leaders
        )
        self.oracle = Oracle(self.rng, self.exchange, self.fired, lambda: self.now_ms)
        self.faults = FaultDriver(self, self.rng)
        self.headers: dict[bytes, Header] = {self.exchange.header.hash(): self.exchange.header}
        self.certificates: dict[tuple[int, int], Certificate] = {}
        self.audit = hashlib.blake2b(digest_size=16)
        self.heap: list[tuple[int, int, Node | None, int, str, Any]] = []
        self.event_count = 0
        self.message_count = 0
        self._post_count = 0
        self.members: list[list[Node]] = []
        for index in range(members):
            machines = KINDS[plan.byzantine[index]].machines if index in plan.byzantine else 1
            names = [index + members * machine for machine in range(machines)]
            self.members.append([Node(self, index, name, self.make_behaviour(index)) for name in names])
        self.nodes = [node for group in self.members for node in group]

    def make_behaviour(self, index: int) -> Behaviour | None:
        """How a member lies; None: not at all."""
        if index not in self.plan.byzantine:
            return None
        kind = KINDS[self.plan.byzantine[index]]
        if kind.machines > 1:
            self.fired[f"behaviour: {kind.name}"] += 1
        return kind(self.rng)

    def wall_ms(self) -> int:
        """What a clock that is right shows."""
        return START_MS + self.now_ms + self.leap_ms

    @property
    def honest(self) -> list[Node]:
        return [node for node in self.nodes if node.is_honest]

    # the heap

    def post_at(self, at_ms: int, node: Node, what: str, data: Any) -> None:
        self._post_count += 1
        heapq.heappush(self.heap, (at_ms, self._post_count, node, node.incarnation, what, data))

    def post_node(self, delay_ms: int, node: Node, what: str, data: Any) -> None:
        self.post_at(self.now_ms + delay_ms, node, what, data)

    def post_fault(self, at_ms: int, what: str, data: Any) -> None:
        self._post_count += 1
        heapq.heappush(self.heap, (at_ms, self._post_count, None, 0, what, data))

    def transmit(self, source: Node, peer: int | None, what: str, data: Any) -> None:
        """Onto the links; a link survives the crash of its ends, messages do not."""
        targets = range(self.plan.member_count) if peer is None else (peer,)
        sent_ms = self.now_ms + source.elapsed_ms * source.slowness
        for target in targets:
            if target == source.index:
                continue
            for node in self.members[target]:
                for delay_ms in self.network.deliveries_ms(self.now_ms, source.index, target, what, data):
                    self.post_at(sent_ms + delay_ms, node, what, (source.index, data))

    def say_hello(self, node: Node) -> None:
        """Both ends of every link that can be up learn that it is."""
        height = node.executor.final.height
        for other in self.nodes:
            if other.index == node.index or not other.is_up or self.network.is_cut(node.index, other.index):
                continue
            self.post_node(1, other, "hello", (node.index, height))
            self.post_node(1, node, "hello", (other.index, other.executor.final.height))

    def reconnect(self, links: list[tuple[int, int]]) -> None:
        """Links that were cut come up again."""
        for source, target in links:
            if not self.network.is_cut(source, target):
                for node in self.members[target]:
                    for other in self.members[source]:
                        if node.is_up and other.is_up:
                            self.post_node(1, node, "hello", (source, other.executor.final.height))

    def is_linked(self, node: Node, peer: int) -> bool:
        """Whether a connection to the peer stands, as far as the node can know."""
        return any(other.is_up for other in self.members[peer]) and not self.network.is_cut(node.index, peer)

    # what nodes ask and tell

    def draw_execution_ms(self) -> int:
        return int(self.rng.expovariate(1.0 / self.plan.execution_mean_ms)) + self.faults.execution_extra_ms

    def is_stalled(self, member: int) -> bool:
        if member in self.faults.stalled:
            self.fired["fault: rpc stall"] += 1
            return True
        return False

    @staticmethod
    def to_commitment(result: BlockResult) -> bytes:
        return to_commitment(result).encode()

    def note_certificate(self, data: bytes) -> None:
        certificate = decode(data)
        assert isinstance(certificate, Certificate)
        self.checkers.on_certificate(certificate, data)
        self.certificates.setdefault((certificate.kind, certificate.view), certificate)

    def find_certificate(self, kind: int, view: int) -> Certificate | None:
        return self.certificates.get((kind, view))

    def on_final(self, node: Node, block: Block) -> None:
        """An honest node delivers a block."""
        is_first = block.header.height > self.checkers.height
        self.checkers.on_final(node.name, block)
        if is_first:
            self.audit.update(block.hash())
            executed = node.executor.final.result
            self.message_count += 0 if executed is None else len(executed.receipts)
        if self.trace:
            self.print_line(node, f"final height {block.header.height} view {block.header.view}")

    def on_crash(self, node: Node) -> None:
        wait_ms = 50 if self.is_calm else max(50, node.down_ms)
        node.down_ms = 0
        node.incarnation += 1
        self.post_node(wait_ms, node, "boot", None)
        for other in self.nodes:
            if other.index != node.index:
                self.post_node(1, other, "peer lost", node.index)
        if self.trace:
            self.print_line(node, f"crash, boots in {wait_ms} ms")

    def on_refusal(self, node: Node, reason: str) -> None:
        """A node that will not start: a damaged journal makes it an observer with empty disks, anything else is tried
        again.
        """
        self.fired["disk: start refused"] += 1
        check_refusal(node.name, reason, node.disk.is_damaged or not node.is_honest)
        if self.trace:
            self.print_line(node, f"does not start: {reason}")
        node.disk.crash()
        node.store.crash()
        if "damaged" in reason:
            self.damage_disk(node, is_lost=True)
        node.incarnation += 1
        self.post_node(OPERATOR_MS, node, "boot", None)

    def damage_disk(self, node: Node, is_lost: bool) -> None:
        if is_lost:
            node.is_observer = True  # its key has signed what nobody knows any more: no vote until the next epoch
            node.disk.wipe()
            node.store.wipe()
        else:
            node.disk.rot()

    # running

    def run(self) -> Result:
        """Both phases; a broken property ends the run with its name in `failure`."""
        result = Result(self.plan.seed, behaviours=list(self.plan.byzantine.values()))
        try:
            for node in self.nodes:
                self.post_at(self.rng.randint(0, 50), node, "boot", None)
            self.faults.schedule(self.plan.faults)
            self.post_fault(1000, "load", None)
            self.post_fault(3000, "deposit", None)
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
        result.evidence, result.audit = self.checkers.evidence_count, self.audit.hexdigest()
        result.syncs = self.fired["repair: range taken"]
        result.messages, result.deposits = self.message_count, self.auditor.state.inbox_cursor
        result.fired = dict(self.fired)
        return result

    def run_until(self, end_ms: int) -> None:
        while self.heap and self.heap[0][0] <= end_ms:
            self.step()
        self.now_ms = end_ms

    def calm_down(self) -> None:
        self.is_calm = True
        self.faults.calm_down()
        self.plan.execution_mean_ms = min(self.plan.execution_mean_ms, 20.0)
        self.plan.sync_mean_ms = min(self.plan.sync_mean_ms, 5.0)
        for node in self.nodes:
            if node.is_up:
                self.say_hello(node)
                node.wake()

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
        self.event_count += 1
        if self.event_count > max(EVENTS_MAX, EVENTS_OF_A_PAIR_MAX * self.plan.member_count**2):
            raise Violation("L7 too many events")
        if node is None:
            self.apply(what, data)
            return
        if incarnation != node.incarnation:
            return
        if node.paused_until_ms > at_ms and what != "boot":
            self.post_at(node.paused_until_ms, node, what, data)
            return
        self.audit.update(b"%d %d %s" % (at_ms, node.name, what.encode()))
        if what == "consensus":
            self.audit.update(data[1])
        if self.trace and what != "tick":
            self.print_line(node, describe(what, data))
        self.dispatch(node, what, data)
        if self.event_count % SIZES_EVERY_EVENTS == 0 and node.core is not None:
            self.checkers.on_tick(node.name, node.core.sizes())

    def apply(self, what: str, data: Any) -> None:
        """What happens to no node in particular."""
        match what:
            case "begin" | "end" if self.is_calm:
                pass
            case "begin":
                if self.trace:
                    print(f"{self.now_ms / 1000:8.3f} fault begins: {self.plan.faults[data]}")
                self.faults.begin(data, self.plan.faults[data])
            case "end":
                self.faults.end(data, self.plan.faults[data])
            case "cut" if not self.is_calm:
                self.network.cut(data)
            case "mend" if not self.is_calm:
                self.network.mend(data)
                self.reconnect(data)
            case "load":
                self.send_load()
            case "deposit":
                self.fired["settlement: deposit"] += 1
                self.settlement.deposit(self.now_ms)
                self.post_next("deposit", self.plan.deposits_per_minute / 60)

    def post_next(self, what: str, per_s: float) -> None:
        if per_s > 0:
            self.post_fault(self.now_ms + 1 + int(self.rng.expovariate(per_s / 1000)), what, None)

    def send_load(self) -> None:
        """The next message of a trader goes to a node that is up."""
        per_s = self.plan.load_per_s + self.faults.load_extra_per_s
        up = [node for node in self.nodes if node.is_up and not node.is_observer]
        if up and per_s > 0:
            if self.faults.load_extra_per_s:
                self.fired["fault: burst"] += 1
            record, signer = self._crowd.next_message(self.auditor.state, self.oracle.feeds_e8)
            self.fired["load: message"] += 1
            self.post_node(0, self.rng.choice(up), "order", (record, signer))
        self.post_next("load", per_s or 1.0)

    def dispatch(self, node: Node, what: str, data: Any) -> None:
        if what == "boot":
            node.boot()
            return
        if node.is_up:
            if what == "consensus":
                self.learn_header(data[1])
            node.on_event(what, data)

    def learn_header(self, data: bytes) -> None:
        """The omniscient table of headers, for those who forge."""
        if data[:2] in (b"\x82\x03", b"\x82\x04"):
            try:
                message = decode(data)
            except DecodeError:
                return
            block = message.block if isinstance(message, Proposal) else message
            assert isinstance(block, Block)
            self.headers[block.hash()] = block.header

    def print_line(self, node: Node, text: str) -> None:
        """One line of the trace: time, node, view and height, what happened."""
        core = node.core
        place = "down" if core is None else f"view {core.view} height {core.final_header.height}"
        print(f"{self.now_ms / 1000:8.3f} node {node.name} ({place}): {text}")
