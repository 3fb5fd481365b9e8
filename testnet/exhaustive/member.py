"""One honest member: the real core, and a host that answers what it asks."""

from collections import deque
from dataclasses import dataclass, field

from consensus.core import Core
from consensus.effects import (
    Aggregate,
    Ban,
    Build,
    CheckPayload,
    Diverged,
    Effect,
    Execute,
    FallenBehind,
    Halt,
    PublishEvidence,
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
    Received,
    Signed,
    TimerFired,
)
from consensus.evidence import Nothing, judge
from consensus.guard import Allowed, GuardState, check
from consensus.messages import Certificate, Vote, make_bitmap
from testnet.exhaustive.universe import (
    EPOCH,
    LEADERS,
    MEMBERS,
    RELAY,
    SIGNATURE,
    VIEWS,
    Delivery,
    Universe,
    compute_result,
)

PAYLOAD = b"a"  # what an honest leader builds; the parent makes the difference

# What a host may still answer: (what, view, hash of the block or of the parent to build on).
Answer = tuple[str, int, bytes]


@dataclass
class Member:
    """All of it can be copied by pickling."""

    index: int
    core: Core
    said: int = 0  # statements signed, ever
    guard: GuardState = field(default_factory=lambda: GuardState.new(EPOCH))
    answers: tuple[Answer, ...] = ()
    fault: str = ""  # a broken property that one member's behaviour shows


def start_member(universe: Universe, index: int) -> Member:
    member = Member(index, Core(universe.config(index), LEADERS))
    _settle(universe, member, member.core.start(0))
    return member


def receive(universe: Universe, member: Member, delivery: Delivery) -> None:
    """S7: what lacks a quorum of signers must not be believed."""
    peer = delivery.peer
    if peer == RELAY:
        peer = next(other for other in universe.honest if other != member.index)
    held_before = _count_certificates(member)
    _handle(universe, member, Received(peer, delivery.data))
    if delivery.is_short and _count_certificates(member) != held_before:
        note_fault(member, f"S7 member {member.index} believes a {delivery.name}")


def _count_certificates(member: Member) -> int:
    return sum(len(view_state.certificates) for view_state in member.core._state.views.values())


def fire(universe: Universe, member: Member, view: int) -> None:
    """The timer of a view; that of the leader's proposal can do no more."""
    _handle(universe, member, TimerFired(("advance", view)))


def answer(universe: Universe, member: Member, choice: Answer) -> None:
    """The host comes to one of its late answers."""
    member.answers = tuple(other for other in member.answers if other != choice)
    _handle(universe, member, _make_answer(universe, choice))


def _make_answer(universe: Universe, choice: Answer) -> Event:
    what, view, block_hash = choice
    if what == "build":
        parent = universe.headers[block_hash]
        return Built(view, block_hash, PAYLOAD, parent.timestamp_ms + 1, compute_result(parent, PAYLOAD))
    if what == "check":
        return PayloadChecked(block_hash, True)
    block = universe.by_hash[block_hash].block
    return Executed(block_hash, compute_result(universe.headers[block.header.parent_hash], block.payload))


def _handle(universe: Universe, member: Member, event: Event) -> None:
    _settle(universe, member, member.core.handle(0, event))


def _settle(universe: Universe, member: Member, effects: list[Effect]) -> None:
    """Effects in order; the answers that come at once are further events, after all of them."""
    events: deque[Event] = deque()
    _perform(universe, member, effects, events)
    while events:
        _perform(universe, member, member.core.handle(0, events.popleft()), events)


def _perform(universe: Universe, member: Member, effects: list[Effect], events: deque[Event]) -> None:
    for effect in effects:
        match effect:
            case Sign(kind, view, block_hash):
                _sign(universe, member, kind, view, block_hash)
                events.append(Signed(Vote(kind, EPOCH, view, block_hash, member.index, SIGNATURE)))
            case VerifyCertificates(token):
                events.append(CertificatesVerified(token, True))  # only true ones are ever delivered
            case Aggregate(token, kind, view, block_hash, votes):
                bitmap = make_bitmap([vote.signer for vote in votes], MEMBERS)
                formed = Certificate(kind, EPOCH, view, block_hash, bitmap, SIGNATURE)
                events.append(Aggregated(token, formed))
            case Build(view, parent_hash):
                if view <= VIEWS:
                    member.answers = tuple(sorted((*member.answers, ("build", view, parent_hash))))
            case CheckPayload(block) | Execute(block):
                choice = ("check" if isinstance(effect, CheckPayload) else "execute", block.header.view, block.hash())
                if universe.scenario.is_late:
                    member.answers = tuple(sorted((*member.answers, choice)))
                else:
                    events.append(_make_answer(universe, choice))
            case _:
                _judge(universe, member, effect)


def _sign(universe: Universe, member: Member, kind: int, view: int, block_hash: bytes) -> None:
    """The guard is asked, but it stops nobody here: that it would have to is a fault of the core."""
    verdict = check(member.guard, kind, EPOCH, view, block_hash)
    if isinstance(verdict, Allowed):
        member.guard = verdict.state
    elif universe.is_strict:
        note_fault(member, f"S8 member {member.index}: the guard refuses: {verdict}")
    member.said |= universe.bits[(kind, view, block_hash)]


def _judge(universe: Universe, member: Member, effect: Effect) -> None:
    """What no honest member may ever come to while at most one is faulty."""
    byzantine = universe.scenario.byzantine
    match effect:
        case Ban(peer, reason) if peer != byzantine:
            note_fault(member, f"S9 member {member.index} holds {reason} against honest member {peer}")
        case PublishEvidence(evidence):
            verdict = judge(evidence, MEMBERS)
            if isinstance(verdict, Nothing) or verdict.culprits != (byzantine,):
                note_fault(member, f"S9 member {member.index} accuses somebody honest: {verdict}")
        case Halt(reason):
            note_fault(member, f"member {member.index} halts: {reason}")
        case Diverged():
            note_fault(member, f"S10 member {member.index} sees a wrong result finalised")
        case FallenBehind():
            note_fault(member, f"member {member.index} asks for range sync, which is out of scope")
        case _:
            pass


def note_fault(member: Member, text: str) -> None:
    member.fault = member.fault or text
