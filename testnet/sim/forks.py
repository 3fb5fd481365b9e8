"""More than f liars: they can fork the chain, and are named for it (A1).

n is 4 or 7; f+1 to 2f members run two machines each, one on either side of a
split that the honest members cannot see across. Both sides reach quorums, and sooner or later two blocks are final at
one height. Then the split heals. Two judges must each name at least f+1 members, and never an honest one: the pairs of
certificates that honest nodes hold, and the evidence that honest nodes publish by themselves.
"""

import itertools
import random
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from consensus.core import CoreConfig
from consensus.leaders import compute_leaders
from consensus.messages import (
    COMMITMENT_BYTES,
    ZERO_HASH,
    Block,
    Evidence,
    Header,
    Proposal,
    Vote,
    compute_domain,
    fault_bound,
    quorum,
)
from testnet.sim.checkers import Violation
from testnet.sim.checkers.accountability import check_accusation, expose, name_conflict
from testnet.sim.checkers.signatures import SignatureChecker
from testnet.sim.cores import Host, Lab, Watch
from testnet.sim.keys import KeyRing, Keys, decode
from testnet.sim.realkeys import RealKeys

FORK_LIMIT_MS = 10_000
HEAL_LIMIT_MS = 20_000
EVENTS_MAX = 300_000
GENESIS = Header(1, 0, 0, ZERO_HASH, 0, 0, 0, ZERO_HASH, ZERO_HASH, bytes(COMMITMENT_BYTES))
DOMAIN = compute_domain(31337, bytes(20))


@dataclass(frozen=True, slots=True)
class ForkPlan:
    """Drawn from the seed before the first event."""

    seed: int
    member_count: int
    twins: tuple[int, ...]
    left: tuple[int, ...]  # the honest members of the left side; the others are on the right
    delay_mean_ms: float
    loss: float
    leak: float  # of the messages that should not cross
    linger_ms: int  # the split lasts so much longer than the fork needs


def draw_fork_plan(seed: int) -> ForkPlan:
    rng = random.Random(seed)
    member_count = rng.choice((4, 7))
    faults, members = fault_bound(member_count), list(range(member_count))
    rng.shuffle(members)
    twin_count = rng.randint(faults + 1, 2 * faults)
    twins, honest = members[:twin_count], members[twin_count:]
    side_min = quorum(member_count) - twin_count  # either side needs so many honest members for a quorum
    left_count = rng.randint(side_min, len(honest) - side_min)
    return ForkPlan(
        seed=seed,
        member_count=member_count,
        twins=tuple(sorted(twins)),
        left=tuple(sorted(honest[:left_count])),
        delay_mean_ms=rng.choice((2.0, 10.0, 40.0)),
        loss=rng.choice((0.0, 0.0, 0.05, 0.15)),
        leak=rng.choice((0.0, 0.0, 0.0, 0.003)),
        linger_ms=rng.choice((0, 0, 300, 2000)),
    )


@dataclass(slots=True)
class ForkResult:
    """What came of one seed."""

    seed: int
    member_count: int
    twins: tuple[int, ...]
    is_fork: bool = False
    height: int = 0  # at which two blocks are final
    by_certificates: int = 0  # members named by pairs of certificates
    by_nodes: int = 0  # members named by what honest nodes published
    rules: dict[str, int] = field(default_factory=dict)  # conflicts between certificates, per rule of evidence
    node_rules: dict[str, int] = field(default_factory=dict)  # published by nodes; E6: a pair of certificates
    virtual_ms: int = 0
    failure: str = ""

    @property
    def needed(self) -> int:
        return fault_bound(self.member_count) + 1


class ForkWatch(Watch):
    """No honest key lies (S8), no honest member is accused (S9). Agreement is lost, so nothing asks for it."""

    def __init__(self, keys: KeyRing, twins: tuple[int, ...]) -> None:
        self._keys = keys
        self._twins = twins
        self._signatures = SignatureChecker()
        self._final: dict[int, bytes] = {}
        self.fork_height = 0
        self.culprits: dict[int, None] = {}
        self.rules: Counter[str] = Counter()
        self.evidence: dict[Evidence, None] = {}

    def on_sent(self, host: Host, data: bytes, durable: dict[Vote, None]) -> None:
        message = decode(data)
        if isinstance(message, Proposal):
            message = message.vote
        if isinstance(message, Vote):
            self._signatures.on_vote(host.name, message)

    def on_final(self, host: Host, block: Block) -> None:
        height = block.header.height
        if self._final.setdefault(height, block.hash()) != block.hash() and not self.fork_height:
            self.fork_height = height

    def on_evidence(self, host: Host, evidence: Evidence) -> None:
        one, two = evidence.first, evidence.second
        self.culprits.update(dict.fromkeys(check_accusation(self._keys, self._twins, one, two)))
        is_aggregate = max(len(one.signers()), len(two.signers())) > 1
        self.rules["E6" if is_aggregate else name_conflict(one, two)] += 1
        self.evidence[evidence] = None


class ForkRun:
    """One seed: split, fork, heal, judge."""

    def __init__(self, plan: ForkPlan, keys: KeyRing) -> None:
        members = plan.member_count
        self.plan = plan
        self.keys = keys
        self.result = ForkResult(plan.seed, members, plan.twins)
        self.watch = ForkWatch(keys, plan.twins)
        self.is_healed = False
        self._rng = random.Random(plan.seed ^ 0xF02C)
        config = CoreConfig(
            domain=DOMAIN, epoch=1, member_count=members, me=None, genesis=GENESIS,
            delta_ms=100, min_interval_ms=50, execution_budget_ms=0,
        )  # fmt: skip
        leaders = compute_leaders(plan.seed.to_bytes(32, "big"), 1, members)
        copies = tuple(2 if member in plan.twins else 1 for member in range(members))
        self.lab = Lab(keys, leaders, copies, config, self.find_delays_ms, self.watch)
        self._events = 0

    def is_left(self, host: Host) -> bool:
        """A twin's first machine is on the left, its second on the right."""
        return host.name in self.plan.left if host.is_honest else host.name < self.plan.member_count

    def find_delays_ms(self, source: Host, target: Host, view: int) -> list[int]:
        rng, plan = self._rng, self.plan
        if not self.is_healed:
            crosses = self.is_left(source) != self.is_left(target)
            if rng.random() < plan.loss or (crosses and rng.random() >= plan.leak):
                return []
        return [1 + int(rng.expovariate(1.0 / plan.delay_mean_ms))]

    def run(self) -> ForkResult:
        result, lab, watch = self.result, self.lab, self.watch
        try:
            lab.start()
            self.run_until(lambda: watch.fork_height > 0, FORK_LIMIT_MS)
            self.run_until(lambda: False, lab.now_ms + self.plan.linger_ms)
            self.is_healed = True
            self.run_until(lambda: len(watch.culprits) >= result.needed, lab.now_ms + HEAL_LIMIT_MS)
            self.judge()
        except Violation as violation:
            result.failure = str(violation)
        result.virtual_ms = lab.now_ms
        return result

    def run_until(self, is_done: Callable[[], bool], limit_ms: int) -> None:
        while not is_done() and not self.lab.is_idle() and self.lab.now_ms < limit_ms:
            self.lab.step()
            self._events += 1
            if self._events > EVENTS_MAX:
                raise Violation("L7 too many events")

    def judge(self) -> None:
        result, watch = self.result, self.watch
        result.is_fork, result.height = watch.fork_height > 0, watch.fork_height
        held = {data: known for host in self.lab.honest for data, known in host.certificates.items()}
        culprits, result.rules = expose(held.values())
        result.by_certificates, result.by_nodes = len(culprits), len(watch.culprits)
        result.node_rules = dict(sorted(watch.rules.items()))
        innocent = [member for member in culprits if member not in self.plan.twins]
        if innocent:
            raise Violation(f"S9 certificates name the honest members {innocent}")
        if result.is_fork and result.by_certificates < result.needed:
            raise Violation(f"A1 certificates name {result.by_certificates} of at least {result.needed}")
        if result.is_fork and result.by_nodes < result.needed:
            raise Violation(f"A1 the nodes name {result.by_nodes} of at least {result.needed}")


def run_fork(seed: int, has_real_keys: bool = False) -> ForkRun:
    """One seed from plan to verdict; real keys for what the contract shall judge too."""
    plan = draw_fork_plan(seed)
    keys = (RealKeys if has_real_keys else Keys)(seed, plan.member_count, DOMAIN)
    run = ForkRun(plan, keys)
    run.run()
    return run


def iterate_forks(fork_count: int, first_seed: int = 0) -> Iterator[ForkResult]:
    """Seeds until so many of them have forked, or one has failed, or twice as many seeds were not enough."""
    forked = 0
    for seed in itertools.count(first_seed):
        if forked >= fork_count or seed - first_seed >= 2 * fork_count:
            return
        result = run_fork(seed).result
        forked += result.is_fork
        yield result
