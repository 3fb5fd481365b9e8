"""All that can exist in one scenario: blocks, statements, messages, and which of them follow from what was said.

Members lead in the order of their index, so view v is led by member v - 1. Statements are bits of one integer; a set
of statements is such a mask.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property

from consensus.core import CoreConfig
from consensus.messages import (
    COMMITMENT_BYTES,
    FINALIZE,
    NOTARIZE,
    NULLIFY,
    SIGNATURE_BYTES,
    ZERO_HASH,
    Block,
    Certificate,
    Header,
    Proposal,
    Vote,
    encode_message,
    keccak,
    make_bitmap,
)

MEMBERS = 4
QUORUM = 3
VIEWS = 2
EPOCH = 1
LEADERS = tuple(range(MEMBERS))
SIGNATURE = bytes(SIGNATURE_BYTES)
RELAY = -1
GENESIS = Header(EPOCH, 0, 0, ZERO_HASH, 0, 0, 0, ZERO_HASH, ZERO_HASH, bytes(COMMITMENT_BYTES))
ROOT = GENESIS.hash()
KIND_NAMES = {NOTARIZE: "notarize", NULLIFY: "nullify", FINALIZE: "finalize"}

Statement = tuple[int, int, bytes]  # kind, view, hash of the block


@dataclass(frozen=True, slots=True)
class Scenario:
    """Who is byzantine, and what its blocks are like."""

    name: str
    byzantine: int
    is_late: bool = False  # the host's checks and executions are answered at any time, or never
    has_wrong_block: bool = False  # the byzantine leader's second block carries a result that execution does not give


SCENARIOS = (
    Scenario("byzantine leads view 1", 0),
    Scenario("byzantine leads view 2", 1),
    Scenario("byzantine leads neither", 3),
    Scenario("byzantine leads view 1, late hosts", 0, is_late=True),
    Scenario("byzantine leads view 2, late hosts", 1, is_late=True),
    Scenario("byzantine leads neither, late hosts", 3, is_late=True),
    Scenario("byzantine leads view 1, one wrong block", 0, has_wrong_block=True),
    Scenario("byzantine leads view 2, one wrong block", 1, has_wrong_block=True),
)


def leader_of(view: int) -> int:
    return (view - 1) % MEMBERS


def compute_result(parent: Header, payload: bytes) -> bytes:
    """The engine of this world."""
    return keccak(parent.commitment[:32] + payload) * (COMMITMENT_BYTES // 32)


def make_block(view: int, parent: Header, payload: bytes, is_wrong: bool = False) -> Block:
    result = bytes(COMMITMENT_BYTES) if is_wrong else compute_result(parent, payload)
    header = Header(
        EPOCH, view, parent.height + 1, parent.hash(), parent.view, leader_of(view), parent.timestamp_ms + 1,
        keccak(payload), ZERO_HASH, result,
    )  # fmt: skip
    return Block(header, payload)


@dataclass(frozen=True, slots=True)
class Named:
    """A block and how traces call it."""

    name: str
    block: Block
    hash: bytes
    is_wrong: bool


@dataclass(frozen=True, slots=True)
class Delivery:
    """A message from `peer`, deliverable once everything in `needs` is certified and `needs_said` was said."""

    name: str
    peer: int  # RELAY: any honest member passes it on
    data: bytes
    needs: int  # mask of statements, each with a quorum
    needs_said: int  # mask of statements, each by its honest author
    is_short: bool = False  # a certificate without a quorum


class Universe:
    """The finite world of one scenario. `is_strict`: what one member signs against the rules is a fault by itself (S8);
    else only what comes of it."""

    def __init__(self, scenario: Scenario, is_strict: bool = True) -> None:
        self.scenario = scenario
        self.is_strict = is_strict
        self.honest = tuple(member for member in range(MEMBERS) if member != scenario.byzantine)
        self.blocks = tuple(self._make_blocks())
        self.by_hash = {known.hash: known for known in self.blocks}
        self.headers = {ROOT: GENESIS, **{known.hash: known.block.header for known in self.blocks}}
        statements: list[Statement] = [(NULLIFY, view, ZERO_HASH) for view in range(1, VIEWS + 1)]
        for known in self.blocks:
            statements += [(kind, known.block.header.view, known.hash) for kind in (NOTARIZE, FINALIZE)]
        self.statements = tuple(statements)
        self.bits = {statement: 1 << place for place, statement in enumerate(statements)}

    def _make_blocks(self) -> Iterator[Named]:
        """A byzantine leader has two blocks on every parent, an honest one makes one of its own accord."""
        parents = [("genesis", GENESIS)]
        for view in range(1, VIEWS + 1):
            is_byzantine = leader_of(view) == self.scenario.byzantine
            fresh = []
            for parent_name, parent in parents:
                for variant in ("a", "b") if is_byzantine else ("a",):
                    is_wrong = self.scenario.has_wrong_block and variant == "b"
                    block = make_block(view, parent, variant.encode(), is_wrong)
                    name = f"{view}{variant}({parent_name})" if view > 1 else f"{view}{variant}"
                    yield Named(name, block, block.hash(), is_wrong)
                    fresh.append((name, block.header))
            parents += fresh

    def config(self, member: int) -> CoreConfig:
        return CoreConfig(
            domain=bytes(32), epoch=EPOCH, member_count=MEMBERS, me=member, genesis=GENESIS, min_interval_ms=0
        )

    @cached_property
    def deliveries(self) -> tuple[Delivery, ...]:
        """Everything that anybody may ever receive; the bytes are those for the first honest member."""
        return self.deliveries_to(self.honest[0])

    def deliveries_to(self, receiver: int) -> tuple[Delivery, ...]:
        """In the same order for everyone. Certificates are signed by all but the receiver.

        Who signed makes no difference to a core, unless it knows a vote of a signer that contradicts the certificate.
        It knows only its own votes and those in proposals, and what an honest leader proposed has no rival.
        """
        signers = tuple(member for member in range(MEMBERS) if member != receiver)
        return self.make_deliveries(lambda _: signers)

    def make_deliveries(self, find_signers: Callable[[Statement], tuple[int, ...]]) -> tuple[Delivery, ...]:
        """With certificates signed by whom the caller says."""
        found = [self._certificate_delivery(statement, find_signers(statement)) for statement in self.statements]
        found += [self._short_delivery(statement) for statement in self.statements]
        for known in self.blocks:
            found += self._proposal_deliveries(known, find_signers)
            author = known.block.header.proposer
            is_public = author == self.scenario.byzantine
            said = 0 if is_public else self.bits[(NOTARIZE, known.block.header.view, known.hash)]
            found.append(Delivery(f"block {known.name}", RELAY, encode_message(known.block), 0, said))
        return tuple(found)

    def _certificate_delivery(self, statement: Statement, signers: tuple[int, ...]) -> Delivery:
        data = encode_message(make_certificate(statement, signers))
        return Delivery(f"certificate {self.describe(statement)}", RELAY, data, self.bits[statement], 0)

    def _short_delivery(self, statement: Statement) -> Delivery:
        """The byzantine member's own vote in the shape of a certificate."""
        data = encode_message(make_certificate(statement, (self.scenario.byzantine,)))
        return Delivery(
            f"short certificate {self.describe(statement)}", self.scenario.byzantine, data, 0, 0, is_short=True
        )

    def _proposal_deliveries(
        self, known: Named, find_signers: Callable[[Statement], tuple[int, ...]]
    ) -> Iterator[Delivery]:
        """The right proposal with either kind of parent certificate; a byzantine leader also leaves things out."""
        header = known.block.header
        author = header.proposer
        said = 0 if author == self.scenario.byzantine else self.bits[(NOTARIZE, header.view, known.hash)]
        skipped: list[Statement] = [(NULLIFY, view, ZERO_HASH) for view in range(header.parent_view + 1, header.view)]
        parents: list[Statement | None] = [None]
        if header.parent_view:
            parents = [(kind, header.parent_view, header.parent_hash) for kind in (NOTARIZE, FINALIZE)]
        vote = Vote(NOTARIZE, EPOCH, header.view, known.hash, author, SIGNATURE)
        for parent in parents:
            carried = [*(() if parent is None else (parent,)), *skipped]
            proposal = Proposal(
                known.block,
                vote,
                None if parent is None else make_certificate(parent, find_signers(parent)),
                tuple(make_certificate(statement, find_signers(statement)) for statement in skipped),
            )
            name = f"proposal {known.name}" + (f" with {self.describe(parent)}" if parent else "")
            needs = sum(self.bits[statement] for statement in carried)
            yield Delivery(name, author, encode_message(proposal), needs, said)
        if author == self.scenario.byzantine and (skipped or header.parent_view):
            short = None
            if header.parent_view:
                short = make_certificate((NOTARIZE, header.parent_view, header.parent_hash), (author,))
            data = encode_message(Proposal(known.block, vote, short, ()))
            yield Delivery(f"proposal {known.name} without proof of its ancestry", author, data, 0, 0)

    def describe(self, statement: Statement) -> str:
        kind, view, block_hash = statement
        what = f"of view {view}" if kind == NULLIFY else self.by_hash[block_hash].name
        return f"{KIND_NAMES[kind]} {what}"

    def describe_mask(self, mask: int) -> str:
        names = [self.describe(statement) for statement, bit in self.bits.items() if mask & bit]
        return ", ".join(names) or "nothing"


def make_certificate(statement: Statement, signers: tuple[int, ...]) -> Certificate:
    kind, view, block_hash = statement
    return Certificate(kind, EPOCH, view, block_hash, make_bitmap(list(signers), MEMBERS), SIGNATURE)
