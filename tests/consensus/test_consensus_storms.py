"""Anything may happen to a core, in any order: it never raises, keeps its bounds, asks for no forbidden signature."""

from collections.abc import Iterator
from dataclasses import replace
from functools import cache

from core_bench import CONFIG, GENESIS, ME, RESULT, SIGNATURE, cert, make_block, propose, vote
from hypothesis import given, settings
from hypothesis import strategies as st

from consensus.core import Core
from consensus.effects import (
    Aggregate,
    Build,
    CheckPayload,
    Effect,
    Execute,
    Persist,
    Sign,
    VerifyCertificates,
)
from consensus.events import (
    Aggregated,
    Built,
    CertificatesVerified,
    Event,
    Executed,
    PayloadChecked,
    PeerConnected,
    Received,
    Refused,
    Signed,
    Synced,
    TimerFired,
)
from consensus.guard import Allowed, GuardState, Refusal, check
from consensus.messages import (
    FINALIZE,
    NOTARIZE,
    NULLIFY,
    ZERO_HASH,
    Block,
    Message,
    Proposal,
    encode_message,
    make_evidence,
)

VIEWS = 6
STORM = CONFIG.__class__(**{**vars(CONFIG), "retain_views": 3, "future_views": 4, "unfinalized_depth_max": 2})
TIMERS = ("leader", "advance", "retry", "propose", "forward", "standstill", "fetch", "nothing")


@cache
def list_blocks() -> tuple[Block, ...]:
    """In each view one on the chain, a rival of it, and one that skips the view before."""
    chain = [GENESIS]
    blocks = []
    for view in range(1, VIEWS + 1):
        grandparent = chain[-2] if len(chain) > 1 else GENESIS
        fresh = [make_block(view, chain[-1]), make_block(view, chain[-1], b"r"), make_block(view, grandparent, b"s")]
        blocks += fresh
        chain.append(fresh[0].header)
    return (*blocks, make_block(1, payload=b"w", commitment=bytes(320)))


@cache
def list_messages() -> tuple[bytes, ...]:
    return tuple(encode_message(message) for message in make_messages())


def make_messages() -> Iterator[Message]:
    """Everything that members may say about these blocks, true or not."""
    for view in range(1, VIEWS + 1):
        yield cert(NULLIFY, view)
        yield cert(NULLIFY, view, signers=(0, 1))
        yield from (vote(NULLIFY, view, ZERO_HASH, signer) for signer in range(3))
    for block in list_blocks():
        view, block_hash = block.header.view, block.hash()
        yield block
        for kind in (NOTARIZE, FINALIZE):
            yield cert(kind, view, block_hash)
            yield cert(kind, view, block_hash, (0, 2, 3))
            yield from (vote(kind, view, block_hash, signer) for signer in range(3))
        before = block.header.parent_view
        parent = cert(NOTARIZE, before, block.header.parent_hash) if before else None
        skipped = tuple(range(before + 1, view))
        yield propose(block, parent, skipped)
        yield propose(block, None, skipped)
        yield Proposal(block, vote(NOTARIZE, view, block_hash, block.header.proposer), cert(NULLIFY, view), ())
    one, two = (block.hash() for block in list_blocks()[:2])
    yield make_evidence(cert(NOTARIZE, 1, one, (1,)), cert(NOTARIZE, 1, two, (1, 2)))
    yield make_evidence(cert(NULLIFY, 2, signers=(0,)), cert(FINALIZE, 2, two, (0,)))


class Host:
    """Answers what the core asked, at any time, rightly or not; or crashes and starts again."""

    def __init__(self, is_observer: bool = False) -> None:
        self.config = replace(STORM, me=None) if is_observer else STORM
        self.durable: list[bytes] = []
        self.guard = GuardState.new(1)
        self.refusals: list[Refusal] = []
        self.restarts = 0
        self.boot()

    def boot(self) -> None:
        self.now_ms = 0
        self.asked: list[Effect] = []
        self.core = Core(self.config, (0, 1, 2, 3), tuple(self.durable))
        self.take(self.core.start(0))

    def restart(self) -> None:
        if not self.core.is_halted:
            self.restarts += 1
            self.boot()

    def handle(self, event: Event) -> None:
        self.take(self.core.handle(self.now_ms, event))
        for name, (held, bound) in self.core.sizes().items():
            assert held <= bound, f"{held} {name}, bound {bound}"

    def take(self, effects: list[Effect]) -> None:
        for effect in effects:
            match effect:
                case Persist(record):
                    self.durable.append(record)
                case Sign(kind, view, block_hash):
                    verdict = check(self.guard, kind, 1, view, block_hash)
                    if isinstance(verdict, Allowed):
                        self.guard = verdict.state
                    elif isinstance(verdict, Refusal):
                        self.refusals.append(verdict)
                        self.handle(Refused(kind, view, verdict.reason))
                        continue
                    self.handle(Signed(vote(kind, view, block_hash, ME)))
                case Aggregate() | Build() | CheckPayload() | Execute() | VerifyCertificates():
                    self.asked.append(effect)
                case _:
                    pass

    def answer(self, choice: int) -> None:
        """One open question; every fifth answer is a bad one."""
        if not self.asked:
            return
        effect = self.asked.pop(choice % len(self.asked))
        is_good = choice % 5 != 0
        match effect:
            case Aggregate(token, kind, view, block_hash, votes):
                signers = tuple(known.signer for known in votes)
                bad = tuple(signer for signer in signers if signer != ME)[:1]
                formed = cert(kind, view, block_hash, signers)
                self.handle(Aggregated(token, formed) if is_good or not bad else Aggregated(token, None, bad))
            case VerifyCertificates(token):
                self.handle(CertificatesVerified(token, is_good))
            case Build(view, parent_hash, parent):
                self.handle(Built(view, parent_hash, b"own %d" % view, parent.timestamp_ms + choice % 5, RESULT))
            case CheckPayload(block):
                self.handle(PayloadChecked(block.hash(), is_good))
            case Execute(block):
                self.handle(Executed(block.hash(), block.header.commitment if is_good else (None, RESULT)[choice % 2]))
            case _:
                raise AssertionError(effect)


def blow(host: Host, action: int, choice: int) -> None:
    """One thing that happens."""
    messages, blocks = list_messages(), list_blocks()
    data = messages[choice % len(messages)]
    match action:
        case 0 | 1 | 2 | 3:
            host.handle(Received(choice // len(messages) % 5 - 1, data))
        case 4:
            at = choice % len(data)
            host.handle(Received(choice % 3, data[:at] + bytes([choice % 256]) + data[at + 1 :]))
        case 5:
            host.handle(Received(choice % 3, data[: choice % 400]))
        case 6 | 7 | 8:
            host.answer(choice)
        case 9:
            host.now_ms += choice % 1500
            host.handle(TimerFired((TIMERS[choice % len(TIMERS)], max(0, host.core.view - choice % 3))))
        case 10:
            host.handle(PeerConnected(choice % 6 - 1))
        case 11:
            block = blocks[choice % len(blocks)]
            host.handle(Synced(block, cert(FINALIZE, block.header.view, block.hash())))
        case 12:
            host.handle(Refused(choice % 4, choice % 7, "why not"))
        case 13:
            host.handle(Aggregated(choice % 9, cert(NULLIFY, 1 + choice % VIEWS)))
        case _:
            host.restart()


STORMS = st.lists(st.tuples(st.integers(0, 14), st.integers(0, 1 << 16)), min_size=20, max_size=160)


@settings(max_examples=250, deadline=None)
@given(STORMS)
def test_nothing_makes_a_core_raise_or_outgrow_its_bounds(storm: list[tuple[int, int]]) -> None:
    host = Host()
    for action, choice in storm:
        blow(host, action, choice)
    assert not [refusal for refusal in host.refusals if not host.restarts], "the guard had to help"


@settings(max_examples=40, deadline=None)
@given(STORMS)
def test_an_observer_asks_for_no_signature(storm: list[tuple[int, int]]) -> None:
    host = Host(is_observer=True)
    for action, choice in storm:
        blow(host, action, choice)
    assert host.guard == GuardState.new(1)
    assert not host.refusals


@settings(max_examples=60, deadline=None)
@given(st.lists(st.binary(max_size=200), max_size=20))
def test_junk_leaves_a_core_as_it_was(junk: list[bytes]) -> None:
    host = Host()
    before = host.core.sizes()
    for data in junk:
        host.handle(Received(1, data))
    assert (host.core.view, host.core.sizes(), host.core.is_halted) == (1, before, False)


def test_the_storm_reaches_what_it_should() -> None:
    """A fixed walk through all messages, so that a storm that only ever sees closed doors is noticed."""
    host = Host()
    for data in list_messages():
        host.handle(Received(data[-1] % 3, data))
        while host.asked:
            host.answer(1)
    assert host.core.is_halted  # it saw two chains certified
    assert len({record[:2] for record in host.durable}) >= 3
    assert SIGNATURE in b"".join(host.durable)
