"""Committees follow each other under faults: `python -m testnet.sim.rotation --seeds 200` (EP1-EP7, P1-P6).

Each seed draws nine nodes, three committees of them, a network that loses and reorders, and one liar, who is never more
than f of any committee. While epochs go by, nodes are cut off and start again at any time. In the end everybody is in
the last epoch on one chain, and what no honest member signs was signed by none.
"""

import argparse
import random
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from rich.console import Console
from rich.table import Table

from consensus.committee import Committee
from consensus.epochs import Schedule
from consensus.messages import (
    FINALIZE,
    NOTARIZE,
    ZERO_HASH,
    Approval,
    Block,
    Header,
    Message,
    Proposal,
    Ready,
    Vote,
    keccak,
    make_bitmap,
    ready_digest,
    vote_digest,
)
from consensus.sealing import are_trailing
from testnet.sim.checkers import Violation
from testnet.sim.fleet import (
    DOMAIN,
    GENESIS,
    Fleet,
    Host,
    fake_aggregate,
    fake_sign,
    make_committee,
    make_config,
    network_key,
)

NODES = 9
SCHEDULE = Schedule(length_ms=600, extension_ms=500, grace_ms=1_500)
HEALED_LIMIT_MS = 20_000
HISTORY_MAX = 400


@dataclass
class Liar:
    """One member's behaviour: what it says instead of a message. Honest members must not be moved by any of it."""

    number: int
    name: str
    rng: random.Random
    fired: Counter[str]
    history: list[Message] = field(default_factory=list)
    altered: dict[bytes, Message] = field(default_factory=dict)

    def alter(self, host: Host, message: Message) -> list[Message]:
        if host.number != self.number:
            return [message]
        if isinstance(message, Proposal):
            return self.propose(host, message)
        if self.name == "silent":
            self.fired[self.name] += 1
            return []
        if self.name == "false ready" and isinstance(message, Ready):
            self.fired[self.name] += 1
            return [replace(message, signature=bytes(96))]
        if self.name == "replayer":
            return [message, *self.replay(message)]
        return [message]

    def replay(self, message: Message) -> list[Message]:
        """Something of long ago, most often of another epoch."""
        if len(self.history) < HISTORY_MAX:
            self.history.append(message)
        if self.rng.randrange(4):
            return []
        self.fired[self.name] += 1
        return [self.rng.choice(self.history)]

    def propose(self, host: Host, proposal: Proposal) -> list[Message]:
        header_hash = proposal.block.hash()
        if header_hash not in self.altered:
            self.altered[header_hash] = self.change(host, proposal)
        return [] if self.name == "silent" else [self.altered[header_hash]]

    def change(self, host: Host, proposal: Proposal) -> Message:
        header = proposal.block.header
        is_plain = header.next_committee_hash == ZERO_HASH
        known = host.holder.next_committee
        match self.name:
            case "seals early" if is_plain and known is not None and header.epoch == known.epoch - 1:
                return self.reseal(host, proposal, known, known.hash(), is_genuine=True)
            case "seals another committee" if known is not None and header.epoch == known.epoch - 1:
                return self.reseal(host, proposal, known, keccak(known.hash()), is_genuine=True)
            case "forges an approval" if proposal.approval is not None and known is not None:
                return self.reseal(host, proposal, known, known.hash(), is_genuine=False)
            case "fills a trailing block" if not is_plain and proposal.approval is None:
                payload = b"more"
                return self.resign(host, proposal, header._replace(payload_root=keccak(payload)), payload, None)
            case _:
                return proposal

    def reseal(
        self, host: Host, proposal: Proposal, committee: Committee, name: bytes, *, is_genuine: bool
    ) -> Proposal:
        bitmap = make_bitmap(list(range(len(committee.members))), len(committee.members))
        signature = fake_aggregate(bitmap, ready_digest(DOMAIN, committee.epoch, name)) if is_genuine else bytes(96)
        approval = Approval(committee.epoch, name, bitmap, signature)
        header = proposal.block.header._replace(next_committee_hash=name)
        return self.resign(host, proposal, header, proposal.block.payload, approval)

    def resign(
        self, host: Host, proposal: Proposal, header: Header, payload: bytes, approval: Approval | None
    ) -> Proposal:
        self.fired[self.name] += 1
        digest = vote_digest(DOMAIN, NOTARIZE, header.epoch, header.view, header.hash())
        vote = Vote(NOTARIZE, header.epoch, header.view, header.hash(), header.proposer, fake_sign(host.number, digest))
        return replace(proposal, block=Block(header, payload), vote=vote, approval=approval)


FAULTS = ("loss", "late finality", "cut", "restart")
LIES = (
    "silent",
    "false ready",
    "replayer",
    "seals early",
    "seals another committee",
    "forges an approval",
    "fills a trailing block",
)


@dataclass(slots=True)
class Rotation:
    """What came of one seed."""

    seed: int
    lie: str
    height: int = 0
    trailing: int = 0
    restarts: int = 0
    virtual_ms: int = 0
    audit: bytes = b""
    fired: Counter[str] = field(default_factory=Counter)
    failure: str = ""


def run_rotation(seed: int) -> Rotation:
    """Three epochs; the failure says what broke."""
    rng = random.Random(seed)
    numbers = list(range(NODES))
    committees = [make_committee(epoch, sorted(rng.sample(numbers, rng.choice((4, 4, 5, 7))))) for epoch in (1, 2, 3)]
    lie = LIES[seed % len(LIES)]
    result = Rotation(seed, lie)
    seats = [int.from_bytes(member.network_key, "big") for member in committees[rng.randrange(2)].members]
    liar = Liar(rng.choice(seats), lie, rng, result.fired)
    fleet = Fleet(numbers, committees[0], SCHEDULE, make_config(), jitter=rng, alter=liar.alter, liar=liar.number)
    try:
        for committee in committees[1:]:
            disturb(fleet, committee, rng, result)
            heal(fleet, committee)
            check(fleet, committees)
    except AssertionError as error:
        result.failure = str(error) or type(error).__name__
    result.height = max(len(host.chain) for host in fleet.hosts.values())
    result.trailing = max(sum(len(seal.trailing) for seal in host.seals) for host in fleet.hosts.values())
    result.virtual_ms, result.audit = fleet.now_ms, fleet.audit
    return result


def disturb(fleet: Fleet, committee: Committee, rng: random.Random, result: Rotation) -> None:
    """The registry is fixed, the epoch nears its end, and things go wrong meanwhile."""
    loss_percent = rng.choice((0, 5, 15, 30))
    finalize_loss_percent = rng.choice((0, 60, 90))  # so that seals stay open for some views

    def is_lost(_: int, message: Message) -> bool:
        is_finalize = isinstance(message, Vote) and message.kind == FINALIZE
        return rng.randrange(100) < (max(loss_percent, finalize_loss_percent) if is_finalize else loss_percent)

    fleet.is_lost = is_lost
    fleet.run(rng.randrange(50, 300))
    fleet.announce_committee(committee)
    for _ in range(rng.randrange(5, 12)):
        victim = rng.choice(fleet.numbers)
        fleet.cut = []
        match rng.choice(("cut", "restart", "calm")):
            case "cut":
                fleet.cut = [victim]
                result.fired["cut"] += 1
            case "restart" if victim != fleet.liar:
                fleet.restart(victim)
                result.restarts += 1
                result.fired["restart"] += 1
            case _:
                pass
        fleet.run(rng.randrange(20, 250))
    result.fired["loss"] += loss_percent > 0
    result.fired["late finality"] += finalize_loss_percent > 0


def heal(fleet: Fleet, committee: Committee) -> None:
    """P4, P6: with a quorum of both committees in reach, everybody arrives in the next epoch and goes on there."""
    fleet.cut = []
    fleet.is_lost = lambda *_: False
    end_ms = fleet.now_ms + HEALED_LIMIT_MS
    while not all(has_arrived(host, committee) for host in honest(fleet)):
        if fleet.now_ms >= end_ms:
            raise Violation(f"not everybody reached epoch {committee.epoch} within {HEALED_LIMIT_MS} ms")
        fleet.run(100)


def has_arrived(host: Host, committee: Committee) -> bool:
    return host.holder.current.epoch == committee.epoch and host.chain[-1].header.epoch == committee.epoch


def honest(fleet: Fleet) -> list[Host]:
    return [host for host in fleet.hosts.values() if host.number != fleet.liar]


def require(condition: bool, claim: str) -> None:
    if not condition:
        raise Violation(claim)


def check(fleet: Fleet, committees: list[Committee]) -> None:
    """One chain; one seal an epoch, in time and of the registry's committee; bounded memory; observers silent."""
    longest = max(honest(fleet), key=lambda host: len(host.chain)).chain
    require([block.header.height for block in longest] == list(range(1, len(longest) + 1)), "S2: heights have gaps")
    for host in honest(fleet):
        require(host.chain == longest[: len(host.chain)], "S1: two chains")
        sealing = [block.header for block in host.chain if block.header.next_committee_hash != ZERO_HASH]
        require([header.epoch for header in sealing] == list(range(1, len(sealing) + 1)), "P1: seals and epochs differ")
        require(len(sealing) == host.holder.current.epoch - 1 == len(host.seals), "P1: an epoch without its one seal")
        root = GENESIS
        for header, seal, committee in zip(sealing, host.seals, committees[1:]):
            require(header.timestamp_ms >= root.timestamp_ms + SCHEDULE.length_ms, "EP3: sealed before its time")
            require(header.next_committee_hash == committee.hash(), "EP3: sealed for another committee")
            require(are_trailing(header, seal.trailing), "EP4: a trailing block changes something")
            last = (seal.block, *seal.trailing)[-1]
            require(last.hash() == seal.certificate.header_hash, "EP5: the certificate proves another block")
            root = header
        seats = {committee.epoch for committee in committees if committee.find(network_key(host.number)) is not None}
        require({epoch for epoch, _, _ in host.signed} <= seats, "P3: signed in an epoch without a seat")
        sizes: dict[str, tuple[int, int]] = host.holder.sizes() | host.holder.current.core.sizes()
        over = [name for name, (size, bound) in sizes.items() if size > bound]
        require(not over, f"B4: more than their bounds: {over}")


def make_table(results: list[Rotation]) -> Table:
    fired: Counter[str] = sum((result.fired for result in results), Counter())
    table = Table("what", "times", title="Committees follow each other")
    for name in (*FAULTS, *LIES):
        table.add_row(name, str(fired[name]))
    table.add_row("trailing blocks above seals", str(sum(result.trailing for result in results)))
    table.add_row("blocks", str(sum(result.height for result in results)))
    table.add_row("virtual seconds", str(sum(result.virtual_ms for result in results) // 1000))
    return table


def find_unfired(results: list[Rotation]) -> list[str]:
    """A fault that never happened was not tested."""
    fired: Counter[str] = sum((result.fired for result in results), Counter())
    return [name for name in (*FAULTS, *LIES) if not fired[name]]


def main(run: Callable[[int], Rotation] = run_rotation) -> int:
    parser = argparse.ArgumentParser(prog="python -m testnet.sim.rotation", description=__doc__)
    parser.add_argument("--seeds", type=int, default=140, help="how many seeds, from 0 (default 140)")
    parser.add_argument("--seed", type=int, help="only this one")
    options = parser.parse_args()
    console = Console()
    results = [run(seed) for seed in ([options.seed] if options.seed is not None else range(options.seeds))]
    for result in results:
        if result.failure:
            console.print(f"seed {result.seed} ({result.lie}): {result.failure}", style="red")
            console.print(f"  replay: python -m testnet.sim.rotation --seed {result.seed}")
    console.print(make_table(results))
    unfired = find_unfired(results) if options.seed is None else []
    if unfired:
        console.print(f"never happened: {', '.join(unfired)}", style="red")
    return 1 if unfired or any(result.failure for result in results) else 0


if __name__ == "__main__":
    sys.exit(main())
