"""A bench for one core: hand-made messages go in, the effects are collected."""

from dataclasses import dataclass, field
from typing import Any

from consensus.core import Core, CoreConfig
from consensus.effects import (
    Aggregate,
    Effect,
    Persist,
    Sign,
    VerifyApproval,
    VerifyCertificates,
)
from consensus.events import (
    Aggregated,
    CertificatesVerified,
    Event,
    Executed,
    PayloadChecked,
    Received,
    Signed,
    TimerFired,
)
from consensus.messages import (
    FINALIZE,
    NOTARIZE,
    NULLIFY,
    ZERO_HASH,
    Block,
    Certificate,
    Header,
    Message,
    Proposal,
    Vote,
    encode_message,
    keccak,
    make_bitmap,
)

GENESIS = Header(1, 0, 0, ZERO_HASH, 0, 0, 1000, ZERO_HASH, ZERO_HASH, bytes(320))
ROOT = GENESIS.hash()
RESULT = bytes(range(32)) * 10
SIGNATURE = bytes(96)
ME = 3
CONFIG = CoreConfig(domain=b"d" * 32, epoch=1, member_count=4, me=ME, genesis=GENESIS, min_interval_ms=0)


def vote(kind: int, view: int, block_hash: bytes, signer: int, epoch: int = 1) -> Vote:
    return Vote(kind, epoch, view, block_hash, signer, SIGNATURE)


def cert(kind: int, view: int, block_hash: bytes = ZERO_HASH, signers: tuple[int, ...] = (0, 1, 2)) -> Certificate:
    return Certificate(kind, 1, view, block_hash, make_bitmap(list(signers), 4), SIGNATURE)


def make_block(view: int, parent: Header = GENESIS, payload: bytes = b"p", **changes: Any) -> Block:
    parent_hash = parent.hash()
    header = Header(
        1, view, parent.height + 1, parent_hash, parent.view, (view - 1) % 4, parent.timestamp_ms + 1,
        keccak(payload), ZERO_HASH, RESULT,
    )  # fmt: skip
    return Block(header._replace(**changes), payload)


def propose(block: Block, parent: Certificate | None = None, nullified: tuple[int, ...] = ()) -> Proposal:
    own = vote(NOTARIZE, block.header.view, block.hash(), block.header.proposer)
    return Proposal(block, own, parent, tuple(cert(NULLIFY, view) for view in nullified))


@dataclass
class Bench:
    """A core with a host that signs and verifies everything, and executes when told."""

    config: CoreConfig = CONFIG
    durable: list[bytes] = field(default_factory=list)
    verifies: bool = True
    signs: bool = True
    effects: list[Effect] = field(default_factory=list)
    now_ms: int = 0
    leaders: tuple[int, ...] = (0, 1, 2, 3)

    def __post_init__(self) -> None:
        self.core = Core(self.config, self.leaders, tuple(self.durable))
        self.absorb(self.core.start(0))

    def handle(self, event: Event) -> list[Effect]:
        """The event, the host's immediate answers, and all effects of both."""
        start = len(self.effects)
        self.absorb(self.core.handle(self.now_ms, event))
        return self.effects[start:]

    def absorb(self, effects: list[Effect]) -> None:
        self.effects += effects
        for effect in effects:
            match effect:
                case Persist(record):
                    self.durable.append(record)
                case Sign(kind, view, block_hash) if self.signs:
                    answer: Event = Signed(vote(kind, view, block_hash, ME))
                    self.absorb(self.core.handle(self.now_ms, answer))
                case VerifyCertificates(token) | VerifyApproval(token):
                    self.absorb(self.core.handle(self.now_ms, CertificatesVerified(token, self.verifies)))
                case Aggregate(token, kind, view, block_hash, votes):
                    formed = cert(kind, view, block_hash, tuple(known.signer for known in votes))
                    self.absorb(self.core.handle(self.now_ms, Aggregated(token, formed)))
                case _:
                    pass

    def receive(self, peer: int, message: Message) -> list[Effect]:
        return self.handle(Received(peer, encode_message(message)))

    def accept(self, block: Block, parent: Certificate | None = None, nullified: tuple[int, ...] = ()) -> list[Effect]:
        """The leader's proposal, with a payload that the host holds."""
        start = len(self.effects)
        self.receive(block.header.proposer, propose(block, parent, nullified))
        self.handle(PayloadChecked(block.hash(), True))
        return self.effects[start:]

    def execute(self, block: Block, result: bytes | None = RESULT) -> list[Effect]:
        return self.handle(Executed(block.hash(), result))

    def fire(self, name: str, view: int) -> list[Effect]:
        self.now_ms += 1000
        return self.handle(TimerFired((name, view)))

    def signed(self) -> list[tuple[int, int, bytes]]:
        return [(effect.kind, effect.view, effect.header_hash) for effect in self.effects if isinstance(effect, Sign)]

    def of(self, kind: type) -> list[Any]:
        return [effect for effect in self.effects if isinstance(effect, kind)]


def finalize(bench: Bench, block: Block, parent: Certificate | None = None) -> Certificate:
    bench.accept(block, parent)
    bench.execute(block)
    certificate = cert(FINALIZE, block.header.view, block.hash())
    bench.receive(1, certificate)
    return certificate


GOOD = make_block(1)
