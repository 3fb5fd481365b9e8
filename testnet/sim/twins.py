"""Twins: every small scenario with one key on two machines, as far as a budget reaches.

Four members, one of them on two machines: five cores. A case says for each of its three or four rounds who leads and
how the cores are split; a message of a round's view crosses no split until the round's time is over. Afterwards the
network is whole and has to finalise `TAIL_BLOCKS` more. Cases that differ only in the names of the three honest
members, or of the two machines, are one case. Most known breaks of agreement protocols show in such a case.

The list is deterministic: case k is always the same, and the first thousands are spread over the whole space.

Source: Bano et al., "Twins: BFT Systems Made Robust" (arXiv 2004.10617).
"""

import hashlib
import itertools
import random
from collections.abc import Iterator
from dataclasses import dataclass

from consensus.core import CoreConfig
from consensus.messages import (
    COMMITMENT_BYTES,
    ZERO_HASH,
    Block,
    Certificate,
    Evidence,
    Header,
    Proposal,
    Vote,
    compute_domain,
)
from testnet.sim.checkers import Checkers, Violation, require
from testnet.sim.checkers.accountability import name_conflict
from testnet.sim.cores import Host, Lab, Watch
from testnet.sim.hashchain import execute_block
from testnet.sim.keys import Keys, decode

MEMBERS = 4
TWIN = 3  # on two machines, which are cores 3 and 4
CORES = 5
SIDES_MAX = 3
ROUNDS = (3, 4)  # cases have these lengths in turn
ROUND_MS = 600  # a round's split lasts so long: enough to give the view up inside of it
DELAY_MS = 10
JITTER_MS = 5
TAIL_BLOCKS = 10
TAIL_LIMIT_MS = 30_000
EVENTS_MAX = 60_000

GENESIS = Header(1, 0, 0, ZERO_HASH, 0, 0, 0, ZERO_HASH, ZERO_HASH, bytes(COMMITMENT_BYTES))
DOMAIN = compute_domain(31337, bytes(20))
Split = tuple[int, ...]  # the side of each core, numbered in order of appearance
Round = tuple[int, Split]  # the leader and the split
Case = tuple[Round, ...]


def normalise(sides: tuple[int, ...]) -> Split:
    """Sides have no names: number them in order of appearance."""
    numbers: dict[int, int] = {}
    return tuple(numbers.setdefault(side, len(numbers)) for side in sides)


def make_rounds() -> tuple[Round, ...]:
    """Everything that one round may be."""
    splits = sorted({normalise(sides) for sides in itertools.product(range(SIDES_MAX), repeat=CORES)})
    return tuple((leader, split) for leader in range(MEMBERS) for split in splits)


def rename(case: Case, order: tuple[int, ...]) -> Case:
    """The case after core i has taken the place of core `order[i]`."""
    return tuple(
        (min(order[leader], TWIN), normalise(tuple(split[order.index(core)] for core in range(CORES))))
        for leader, split in case
    )


def make_canonical(case: Case) -> Case:
    """The least of all cases that differ in names only."""
    orders = [(*honest, *twins) for honest in itertools.permutations((0, 1, 2)) for twins in ((3, 4), (4, 3))]
    return min(rename(case, order) for order in orders)


def iterate_cases() -> Iterator[Case]:
    """All cases, none twice, short and long in turn, in steps that spread over the whole space."""
    options = make_rounds()
    seen: dict[Case, None] = {}
    for step in range(len(ROUNDS) * len(options) ** max(ROUNDS)):
        length = ROUNDS[step % len(ROUNDS)]
        space = len(options) ** length
        # An odd step near the golden section of the space; it has no factor of 2 or 41 in common with it.
        stride = (space * 618_034 // 1_000_000) // 82 * 82 + 1
        number = step // len(ROUNDS) * stride % space
        digits = [number // len(options) ** place % len(options) for place in range(length)]
        case = make_canonical(tuple(options[digit] for digit in digits))
        if case not in seen:
            seen[case] = None
            yield case


@dataclass(slots=True)
class CaseResult:
    """What came of one case."""

    number: int
    rounds: int
    height: int = 0
    evidence: int = 0
    events: int = 0
    virtual_ms: int = 0
    audit: str = ""
    failure: str = ""


class CheckedWatch(Watch):
    """All checkers look at the honest cores."""

    def __init__(self, checkers: Checkers) -> None:
        self.checkers = checkers
        self.final_count = 0

    def on_sent(self, host: Host, data: bytes, durable: dict[Vote, None]) -> None:
        self.checkers.on_sent(host.name, data, durable)

    def on_certificate(self, host: Host, certificate: Certificate, data: bytes) -> None:
        self.checkers.on_certificate(certificate, data)

    def on_final(self, host: Host, block: Block) -> None:
        self.final_count += 1
        self.checkers.on_final(host.name, block)

    def on_evidence(self, host: Host, evidence: Evidence) -> None:
        self.checkers.on_evidence(evidence)

    def on_halt(self, host: Host, reason: str) -> None:
        raise Violation(f"node {host.name} halted: {reason}")


class TwinsRun:
    """One case."""

    def __init__(self, number: int, case: Case, delay_ms: int) -> None:
        self.case = case
        self.delay_ms = delay_ms
        self.result = CaseResult(number, len(case))
        self._rng = random.Random(number)
        self._opened_ms: dict[int, int] = {}  # view -> when its first message was sent
        keys = Keys(number, MEMBERS, DOMAIN)
        self.checkers = Checkers(keys, GENESIS, (TWIN,), execute_block)
        self._watch = CheckedWatch(self.checkers)
        config = CoreConfig(
            domain=DOMAIN, epoch=1, member_count=MEMBERS, me=None, genesis=GENESIS,
            delta_ms=100, min_interval_ms=50, execution_budget_ms=0,
        )  # fmt: skip
        copies = tuple(2 if member == TWIN else 1 for member in range(MEMBERS))
        self.lab = Lab(
            keys, tuple(range(MEMBERS)), copies, config, self.find_delays_ms, self._watch,
            first_leaders=tuple(leader for leader, _ in case),
        )  # fmt: skip
        self._heard: dict[tuple[int, int], list[Vote]] = {}  # by honest host and view: votes of the twin
        self._must_accuse: dict[int, None] = {}
        self._audit = hashlib.blake2b(digest_size=16)

    def find_delays_ms(self, source: Host, target: Host, view: int) -> list[int]:
        if view <= len(self.case):
            split = self.case[view - 1][1]
            opened_ms = self._opened_ms.setdefault(view, self.lab.now_ms)
            if split[source.name] != split[target.name] and self.lab.now_ms < opened_ms + ROUND_MS:
                return []
        return [self.delay_ms + self._rng.randrange(JITTER_MS)]

    def run(self) -> CaseResult:
        result = self.result
        try:
            self.lab.start()
            self.run_until_final_beyond(len(self.case))
            self.checkers.on_end()
        except Violation as violation:
            result.failure = str(violation)
        result.height, result.evidence = self.checkers.height, self.checkers.evidence_count
        result.virtual_ms, result.audit = self.lab.now_ms, self._audit.hexdigest()
        return result

    def run_until_final_beyond(self, rounds: int) -> None:
        """L1: every honest core delivers `TAIL_BLOCKS` blocks of views after the case's."""
        limit_ms = rounds * ROUND_MS + TAIL_LIMIT_MS
        honest = self.lab.honest
        final_count = 0
        while self._watch.final_count == final_count or not all(is_done(host, rounds) for host in honest):
            final_count = self._watch.final_count
            if self.lab.now_ms > limit_ms or self.result.events > EVENTS_MAX:
                heights = [len(host.chain) for host in honest]
                raise Violation(f"L1 heights {heights} after {self.lab.now_ms} ms")
            at_ms, host, what, data = self.lab.step()
            self.result.events += 1
            self._audit.update(b"%d %d %s" % (at_ms, host.name, what.encode()))
            if what == "message":
                self._audit.update(data[1])
                if host.is_honest and data[0] == TWIN:
                    self.hear(host, data[1])
        for host in honest:
            self.checkers.on_tick(host.name, host.core.sizes())
            is_silent = host.name in self._must_accuse and not host.evidence
            require(not is_silent, f"R10 node {host.name} heard a contradiction and accused nobody")

    def hear(self, host: Host, data: bytes) -> None:
        """R10: whoever gets two votes of the twin that contradict each other has to say so."""
        message = decode(data)
        vote = message.vote if isinstance(message, Proposal) else message
        if isinstance(vote, Vote):
            heard = self._heard.setdefault((host.name, vote.view), [])
            if any(name_conflict(vote, other) for other in heard):
                self._must_accuse[host.name] = None
            heard.append(vote)


def is_done(host: Host, rounds: int) -> bool:
    return len(host.chain) >= TAIL_BLOCKS and host.chain[-TAIL_BLOCKS].header.view > rounds


def run_case(number: int, case: Case, delay_ms: int = DELAY_MS) -> CaseResult:
    return TwinsRun(number, case, delay_ms).run()


def run_cases(count: int) -> Iterator[CaseResult]:
    """The first `count` cases, each twice: Z1 says that both runs are the same."""
    for number, case in enumerate(itertools.islice(iterate_cases(), count)):
        first, second = run_case(number, case), run_case(number, case)
        if first != second:
            first.failure = first.failure or f"Z1 two runs of Twins case {number} differ"
        yield first
