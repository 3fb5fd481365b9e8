"""Each rule of agreement by itself: one core, hand-made messages, the effects it answers with."""

from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consensus.core import Core, CoreConfig
from consensus.effects import (
    Aggregate,
    Ban,
    Build,
    CheckPayload,
    Diverged,
    Effect,
    Evidence,
    Execute,
    FallenBehind,
    FetchBlock,
    Finalized,
    Halt,
    Persist,
    Send,
    SetTimer,
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
    decode_message,
    encode_message,
    keccak,
    make_bitmap,
)
from consensus.timeouts import compute_delta_ms, compute_fetch_ms

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

    def __post_init__(self) -> None:
        self.core = Core(self.config, (0, 1, 2, 3), tuple(self.durable))
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
                case VerifyCertificates(token):
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


# R1


def test_r1_entering_arms_the_timers_of_the_view() -> None:
    bench = Bench()
    armed = {effect.timer_id: effect.at_ms for effect in bench.of(SetTimer)}
    assert armed == {("standstill", 0): 1000, ("leader", 1): 200, ("advance", 1): 400}


@pytest.mark.parametrize(
    ("certificate", "view"),
    [(cert(NULLIFY, 1), 2), (cert(NULLIFY, 7), 8), (cert(FINALIZE, 5, b"x" * 32), 6), (cert(NOTARIZE, 1, b"x" * 32), 1)],
)
def test_r1_views_are_entered_by_certificate(certificate: Certificate, view: int) -> None:
    bench = Bench()
    bench.receive(1, certificate)
    assert bench.core.view == view


@pytest.mark.parametrize(("result", "view"), [(RESULT, 2), (None, 1), (bytes(320), 1)])
def test_r1_notarization_opens_the_next_view_only_after_the_own_verdict(result: bytes | None, view: int) -> None:
    bench, block = Bench(), make_block(1)
    bench.accept(block)
    bench.receive(1, cert(NOTARIZE, 1, block.hash()))
    assert bench.core.view == 1
    bench.execute(block, result)
    assert bench.core.view == view


# R2


def test_r2_leader_builds_on_the_best_base_and_proves_it() -> None:
    bench, block = Bench(), make_block(1)
    bench.accept(block)
    bench.execute(block)
    bench.receive(1, cert(NOTARIZE, 1, block.hash()))
    bench.receive(1, cert(NULLIFY, 2))
    bench.receive(1, cert(NULLIFY, 3))
    (build,) = bench.of(Build)
    assert (build.view, build.parent_hash) == (4, block.hash())
    bench.handle(Built(4, block.hash(), b"mine", block.header.timestamp_ms + 5, RESULT))
    (sent,) = [decode_message(effect.data) for effect in bench.of(Send) if effect.data[:2] == b"\x82\x03"]
    assert isinstance(sent, Proposal)
    assert sent.parent_certificate == cert(NOTARIZE, 1, block.hash())
    assert [known.view for known in sent.nullifications] == [2, 3]
    assert sent.block.header[:7] == (1, 4, 2, block.hash(), 1, ME, block.header.timestamp_ms + 5)
    assert encode_message(sent) in bench.durable


def test_r2_no_base_without_nullifications() -> None:
    bench, block = Bench(), make_block(1)
    bench.receive(1, cert(NOTARIZE, 1, block.hash()))
    bench.receive(1, cert(NULLIFY, 3))
    assert bench.core.view == 4
    assert not bench.of(Build)
    bench.receive(1, cert(NULLIFY, 2))
    assert not bench.of(Build)
    bench.receive(1, cert(NULLIFY, 1))
    assert [build.parent_hash for build in bench.of(Build)] == [ROOT]


@pytest.mark.parametrize(
    "built",
    [
        Built(3, ROOT, b"", 2000, RESULT),
        Built(4, b"x" * 32, b"", 2000, RESULT),
        Built(4, ROOT, b"", 1000, RESULT),
    ],
)
def test_r2_unfitting_builds_are_dropped(built: Built) -> None:
    bench = Bench()
    for view in (1, 2, 3):
        bench.receive(1, cert(NULLIFY, view))
    bench.handle(built)
    assert not [kind for kind, _, _ in bench.signed() if kind == NOTARIZE]


# R3


def test_r3_notarizes_once_and_before_execution() -> None:
    bench, block = Bench(), make_block(1)
    bench.accept(block)
    assert bench.signed() == [(NOTARIZE, 1, block.hash())]
    assert [effect.block for effect in bench.of(Execute)] == [block]
    assert encode_message(block) in bench.durable
    bench.accept(block)
    assert len(bench.signed()) == 1


GOOD = make_block(1)
FAULTS = [
    ("another proposer", 0, propose(make_block(1, proposer=1))),
    ("height", 0, propose(make_block(1, height=2))),
    ("time stands still", 0, propose(make_block(1, timestamp_ms=1000))),
    ("seals an epoch", 0, propose(make_block(1, next_committee_hash=b"n" * 32))),
    ("unknown parent without certificate", 0, propose(make_block(1, parent_hash=b"x" * 32))),
    ("another epoch", 0, propose(make_block(1, epoch=2))),
    ("not the leader's link", 1, propose(GOOD)),
    ("vote for another block", 0, Proposal(GOOD, vote(NOTARIZE, 1, b"o" * 32, 0), None, ())),
    ("vote of another kind", 0, Proposal(GOOD, vote(FINALIZE, 1, GOOD.hash(), 0), None, ())),
    ("vote of another member", 0, Proposal(GOOD, vote(NOTARIZE, 1, GOOD.hash(), 1), None, ())),
    ("nullification out of place", 0, propose(GOOD, None, (1,))),
    ("future view's leader", 1, propose(make_block(2))),
]


@pytest.mark.parametrize(("_", "peer", "proposal"), FAULTS, ids=[row[0] for row in FAULTS])
def test_r3_faulty_proposals_get_no_vote(_: str, peer: int, proposal: Proposal) -> None:
    bench = Bench()
    bench.receive(peer, proposal)
    bench.handle(PayloadChecked(proposal.block.hash(), True))
    assert not [kind for kind, _, _ in bench.signed() if kind == NOTARIZE]


ANCESTRY = [
    ("complete", cert(NOTARIZE, 1, GOOD.hash()), (2,), True),
    ("finalised parent", cert(FINALIZE, 1, GOOD.hash()), (2,), True),
    ("skips a view", cert(NOTARIZE, 1, GOOD.hash()), (), False),
    ("certificate of another view", cert(NOTARIZE, 2, GOOD.hash()), (2,), False),
    ("certificate of another block", cert(NOTARIZE, 1, b"o" * 32), (2,), False),
    ("no certificate", None, (2,), False),
    ("short certificate", cert(NOTARIZE, 1, GOOD.hash(), (0, 1)), (2,), False),
    ("nullifications in excess", cert(NOTARIZE, 1, GOOD.hash()), (1, 2), False),
]


@pytest.mark.parametrize(("_", "parent", "nullified", "is_voted"), ANCESTRY, ids=[row[0] for row in ANCESTRY])
def test_r3_ancestry(_: str, parent: Certificate | None, nullified: tuple[int, ...], is_voted: bool) -> None:
    bench = Bench()
    bench.accept(GOOD)
    bench.execute(GOOD)
    bench.receive(1, cert(NOTARIZE, 1, GOOD.hash()))
    bench.receive(1, cert(NULLIFY, 2))
    child = make_block(3, GOOD.header)
    bench.accept(child, parent, nullified)
    assert ((NOTARIZE, 3, child.hash()) in bench.signed()) == is_voted


def test_r3_parent_must_be_executed_and_data_held() -> None:
    bench, child = Bench(), make_block(2, GOOD.header)
    bench.accept(GOOD)
    bench.receive(1, propose(child, cert(NOTARIZE, 1, GOOD.hash())))
    assert [effect.block for effect in bench.of(CheckPayload)] == [GOOD]
    bench.execute(GOOD)
    assert [effect.block for effect in bench.of(CheckPayload)] == [GOOD, child]
    assert (NOTARIZE, 2, child.hash()) not in bench.signed()
    bench.handle(PayloadChecked(child.hash(), True))
    assert (NOTARIZE, 2, child.hash()) in bench.signed()


def test_r3_nothing_after_nullify_and_nothing_in_an_old_view() -> None:
    bench = Bench()
    bench.fire("leader", 1)
    bench.accept(GOOD)
    assert bench.signed() == [(NULLIFY, 1, ZERO_HASH)]
    late = Bench()
    late.receive(1, cert(NULLIFY, 1))
    late.accept(GOOD)
    assert late.signed() == []


def test_r3_more_skipped_views_than_a_proposal_carries_need_own_knowledge() -> None:
    gap = tuple(range(1, 81))
    block = make_block(81)
    for known, is_voted in ((gap[:-64], True), (gap[1:-64], False)):
        bench = Bench()
        for view in known:
            bench.receive(1, cert(NULLIFY, view))
        bench.receive(0, vote(NULLIFY, 18, ZERO_HASH, 0))  # a leader that was heard is waited for
        bench.receive(1, cert(NULLIFY, 80))
        bench.accept(block, None, gap[-64:])
        assert ((NOTARIZE, 81, block.hash()) in bench.signed()) == is_voted


# R4


def test_r4_finalizes_what_is_notarised_and_executed() -> None:
    bench = Bench()
    bench.accept(GOOD)
    bench.execute(GOOD)
    assert bench.signed() == [(NOTARIZE, 1, GOOD.hash())]
    bench.receive(1, cert(NOTARIZE, 1, GOOD.hash()))
    assert bench.signed()[1:] == [(FINALIZE, 1, GOOD.hash())]


@pytest.mark.parametrize("result", [None, bytes(320)])
def test_r4_never_finalizes_another_result(result: bytes | None) -> None:
    bench = Bench()
    bench.accept(GOOD)
    bench.receive(1, cert(NOTARIZE, 1, GOOD.hash()))
    bench.execute(GOOD, result)
    assert bench.signed() == [(NOTARIZE, 1, GOOD.hash()), (NULLIFY, 1, ZERO_HASH)]  # R5: execution verdict


def test_r4_never_after_nullify() -> None:
    bench = Bench()
    bench.accept(GOOD)
    bench.fire("advance", 1)
    bench.execute(GOOD)
    bench.receive(1, cert(NOTARIZE, 1, GOOD.hash()))
    assert bench.core.view == 2
    assert FINALIZE not in [kind for kind, _, _ in bench.signed()]


def test_r4_never_another_block_than_notarized() -> None:
    bench, rival = Bench(), make_block(1, payload=b"rival")
    bench.accept(GOOD)
    bench.receive(1, cert(NOTARIZE, 1, rival.hash()))
    bench.now_ms = 100
    bench.handle(TimerFired(("fetch", 0)))
    assert [effect.block_hash for effect in bench.of(FetchBlock)] == [rival.hash()]
    bench.receive(2, rival)
    bench.handle(PayloadChecked(rival.hash(), True))
    bench.execute(rival)
    assert bench.core.view == 2
    assert bench.signed() == [(NOTARIZE, 1, GOOD.hash())]


def test_r4_closes_the_view_for_notarizing() -> None:
    bench = Bench()
    bench.receive(1, cert(NOTARIZE, 1, GOOD.hash()))
    bench.now_ms = 100
    bench.handle(TimerFired(("fetch", 0)))
    bench.receive(2, GOOD)
    bench.handle(PayloadChecked(GOOD.hash(), False))  # a certificate overrides the refusal
    bench.execute(GOOD)
    bench.accept(GOOD)
    assert bench.signed() == [(FINALIZE, 1, GOOD.hash())]


# R5


def test_r5_reasons_to_nullify() -> None:
    for name in ("leader", "advance"):
        bench = Bench()
        bench.fire(name, 1)
        bench.fire(name, 1)
        assert bench.signed() == [(NULLIFY, 1, ZERO_HASH)]
    bench = Bench()
    bench.receive(0, vote(NULLIFY, 1, ZERO_HASH, 0))
    assert bench.signed() == [(NULLIFY, 1, ZERO_HASH)]
    bench = Bench()
    bench.receive(1, vote(NULLIFY, 1, ZERO_HASH, 1))
    assert bench.signed() == []
    bench = Bench()
    bench.receive(0, propose(GOOD))
    bench.handle(PayloadChecked(GOOD.hash(), False))
    assert bench.signed() == [(NULLIFY, 1, ZERO_HASH)]


def test_r5_never_after_finalize() -> None:
    bench = Bench(signs=False)
    bench.accept(GOOD)
    bench.execute(GOOD)
    bench.handle(Signed(vote(NOTARIZE, 1, GOOD.hash(), ME)))
    bench.receive(1, cert(NOTARIZE, 1, GOOD.hash()))
    for name in ("leader", "advance"):
        bench.fire(name, 1)
    assert [kind for kind, view, _ in bench.signed() if view == 1] == [NOTARIZE, FINALIZE]


def test_r5_leader_timer_is_satisfied_by_a_proposal() -> None:
    bench = Bench()
    bench.accept(GOOD)
    bench.fire("leader", 1)
    assert bench.signed() == [(NOTARIZE, 1, GOOD.hash())]
    bench.fire("advance", 1)
    assert bench.signed()[1:] == [(NULLIFY, 1, ZERO_HASH)]


def test_r5_inactive_leader_is_skipped_after_three_turns() -> None:
    bench = Bench()
    for view in range(1, 13):
        bench.receive(1, cert(NULLIFY, view))
    assert bench.core.view == 13
    assert bench.signed() == [(NULLIFY, 13, ZERO_HASH)]
    bench = Bench()
    for view in range(1, 13):
        bench.receive(1, cert(NULLIFY, view))
        bench.receive(0, vote(NULLIFY, view, ZERO_HASH, 0))
    assert (NULLIFY, 13, ZERO_HASH) not in bench.signed()


def test_r5_depth_limit_yields_to_nullified_views() -> None:
    bench = Bench()
    parent, certificate = GENESIS, None
    for view in range(1, 10):
        block = make_block(view, parent)
        if view % 4 == 0:
            bench.receive(1, cert(NOTARIZE, view, block.hash()))
            bench.now_ms += 100
            bench.handle(TimerFired(("fetch", 0)))
            bench.receive(1, block)
            bench.handle(PayloadChecked(block.hash(), True))
        else:
            bench.accept(block, certificate)
            bench.receive(1, cert(NOTARIZE, view, block.hash()))
        bench.execute(block)
        if view < 9:
            parent, certificate = block.header, cert(NOTARIZE, view, block.hash())
    votes = [view for kind, view, _ in bench.signed() if kind == NOTARIZE]
    assert 7 in votes
    assert 9 not in votes  # nine blocks above genesis
    assert (NULLIFY, 9, ZERO_HASH) in bench.signed()
    bench.receive(1, cert(NULLIFY, 9))
    again = make_block(10, parent)
    bench.accept(again, certificate, (9,))
    assert (NOTARIZE, 10, again.hash()) in bench.signed()


# R6


def test_r6_forms_a_certificate_at_quorum_and_makes_it_durable() -> None:
    bench = Bench()
    for signer in (0, 1):
        bench.receive(signer, vote(NULLIFY, 1, ZERO_HASH, signer))
    assert (NULLIFY, 1, ZERO_HASH) in bench.signed()  # the leader's own nullify was one of them
    assert [len(effect.votes) for effect in bench.of(Aggregate)] == [3]
    assert encode_message(cert(NULLIFY, 1, signers=(0, 1, 3))) in bench.durable
    assert bench.core.view == 2


CERTIFICATES = [
    ("too few", cert(NULLIFY, 1, signers=(0, 1))),
    ("another epoch", Certificate(NULLIFY, 2, 1, ZERO_HASH, b"\x07", SIGNATURE)),
    ("bit beyond the committee", Certificate(NULLIFY, 1, 1, ZERO_HASH, b"\x70", SIGNATURE)),
    ("long bitmap", Certificate(NULLIFY, 1, 1, ZERO_HASH, b"\x07\x00", SIGNATURE)),
]


@pytest.mark.parametrize(("_", "certificate"), CERTIFICATES, ids=[row[0] for row in CERTIFICATES])
def test_r6_certificates_below_quorum_are_refused(_: str, certificate: Certificate) -> None:
    bench = Bench()
    bench.receive(1, certificate)
    assert bench.core.view == 1
    assert [effect.peer for effect in bench.of(Ban)] == [1]


def test_r6_forged_aggregate_costs_its_sender_our_attention() -> None:
    bench = Bench(verifies=False)
    bench.receive(1, cert(NULLIFY, 1))
    assert (bench.core.view, [effect.peer for effect in bench.of(Ban)]) == (1, [1])
    bench.verifies = True
    bench.receive(1, cert(NULLIFY, 1))
    assert bench.core.view == 1
    bench.receive(2, cert(NULLIFY, 1))
    assert bench.core.view == 2


def test_r6_forwards_to_those_not_seen_beyond_the_view() -> None:
    bench = Bench()
    bench.receive(0, cert(NULLIFY, 1))
    bench.receive(2, vote(NULLIFY, 2, ZERO_HASH, 2))
    start = len(bench.effects)
    bench.fire("forward", 1)
    sent = [(effect.peer, effect.data) for effect in bench.effects[start:] if isinstance(effect, Send)]
    assert sent == []  # 0 sent it, 1 got it at once as the next leader, 2 is in view 2
    assert Send(1, encode_message(cert(NULLIFY, 1))) in bench.effects


def test_r6_bad_signers_are_dropped_and_counted_without() -> None:
    bench = Bench()
    core = bench.core
    core.handle(0, Received(0, encode_message(vote(FINALIZE, 1, GOOD.hash(), 0))))
    core.handle(0, Received(1, encode_message(vote(FINALIZE, 1, GOOD.hash(), 1))))
    (request,) = core.handle(0, Received(2, encode_message(vote(FINALIZE, 1, GOOD.hash(), 2))))
    assert isinstance(request, Aggregate)
    effects = core.handle(0, Aggregated(request.token, None, (1,)))
    assert effects == [Ban(1, "a forged signature on a vote")]
    assert core.handle(0, Received(1, encode_message(vote(FINALIZE, 1, GOOD.hash(), 1)))) == []


# R7


def test_r7_commits_ancestors_in_order_once() -> None:
    bench = Bench()
    child = make_block(2, GOOD.header)
    bench.accept(GOOD)
    bench.execute(GOOD)
    bench.accept(child, cert(NOTARIZE, 1, GOOD.hash()))
    bench.execute(child)
    final = cert(FINALIZE, 2, child.hash())
    bench.receive(1, final)
    bench.receive(2, cert(FINALIZE, 1, GOOD.hash()))
    bench.receive(2, final)
    assert bench.of(Finalized) == [Finalized(GOOD, final), Finalized(child, final)]
    assert (bench.core.view, bench.core.final_header) == (3, child.header)


def test_r7_contradicting_execution_stops_signing() -> None:
    bench = Bench()
    bench.accept(GOOD)
    bench.execute(GOOD, bytes(320))
    final = cert(FINALIZE, 1, GOOD.hash())
    bench.receive(1, final)
    assert bench.of(Diverged) == [Diverged(GOOD.hash(), bytes(320), final)]
    signed = bench.signed()
    bench.fire("leader", 2)
    bench.fire("advance", 2)
    assert bench.signed() == signed
    assert not bench.of(Finalized)


def test_r7_out_of_reach_is_left_to_range_sync_and_not_signed_meanwhile() -> None:
    bench = Bench()
    far = make_block(200, GOOD.header)
    bench.receive(1, cert(FINALIZE, 200, far.hash()))
    assert [effect.target_view for effect in bench.of(FallenBehind)] == [200]
    bench.fire("leader", 201)
    assert bench.signed() == []
    bench.handle(Synced(far, cert(FINALIZE, 200, far.hash())))
    assert (bench.core.final_header, bench.core.is_syncing) == (far.header, False)
    bench.fire("advance", 201)
    assert bench.signed() == [(NULLIFY, 201, ZERO_HASH)]
    assert all(size <= bound for size, bound in bench.core.sizes().values())


# R8, R9


def test_r8_retry_says_nullify_and_the_entry_certificate_again() -> None:
    bench = Bench()
    bench.receive(1, cert(NULLIFY, 1))
    bench.fire("leader", 2)
    effects = bench.fire("retry", 2)
    own = encode_message(vote(NULLIFY, 2, ZERO_HASH, ME))
    entry = encode_message(cert(NULLIFY, 1))
    sends = [(effect.peer, effect.data) for effect in effects if isinstance(effect, Send)]
    assert sends == [(peer, data) for peer in (0, 1, 2) for data in (entry, own)]
    assert [effect.timer_id for effect in effects if isinstance(effect, SetTimer)] == [("retry", 2)]


def test_r8_standstill_sends_everything_above_the_top_finalisation() -> None:
    bench = Bench()
    final = finalize(bench, GOOD)
    bench.receive(1, cert(NULLIFY, 2))
    bench.fire("leader", 3)
    effects = bench.fire("standstill", 0)
    sent = [decode_message(effect.data) for effect in effects if isinstance(effect, Send) and effect.peer == 0]
    assert sent == [final, cert(NULLIFY, 2), vote(NULLIFY, 3, ZERO_HASH, ME)]


def test_r8_repair_traffic_is_capped_per_peer() -> None:
    bench = Bench()
    for view in range(1, 900):
        bench.receive(1, cert(NULLIFY, view))
    start = len(bench.effects)
    bench.now_ms = 5000
    bench.handle(TimerFired(("standstill", 0)))
    bench.handle(TimerFired(("standstill", 0)))
    sent_bytes = sum(len(e.data) for e in bench.effects[start:] if isinstance(e, Send) and e.peer == 2)
    assert 60_000 < sent_bytes <= 64 * 1024
    first = [e.data for e in bench.effects[start:] if isinstance(e, Send) and e.peer == 2]
    bench.now_ms = 7000
    second = [e.data for e in bench.handle(TimerFired(("standstill", 0))) if isinstance(e, Send) and e.peer == 2]
    assert set(first).isdisjoint(second)  # the next round goes on where this one ended


def test_r8_laggard_and_new_link_get_the_entry_certificate_once_per_delta() -> None:
    bench = Bench()
    bench.receive(1, cert(NULLIFY, 1))
    entry = Send(2, encode_message(cert(NULLIFY, 1)))
    bench.now_ms = 500
    assert entry in bench.receive(2, vote(NULLIFY, 1, ZERO_HASH, 2))
    assert entry not in bench.handle(PeerConnected(2))
    bench.now_ms = 700
    assert entry in bench.handle(PeerConnected(2))


def test_r9_missing_parent_is_asked_for_with_growing_patience() -> None:
    bench, child = Bench(), make_block(2, GOOD.header)
    bench.receive(1, propose(child, cert(NOTARIZE, 1, GOOD.hash())))
    times = []
    for bench.now_ms in range(0, 6000, 10):
        times += [bench.now_ms for effect in bench.handle(TimerFired(("fetch", 0))) if isinstance(effect, FetchBlock)]
    assert [b - a for a, b in zip(times, times[1:])] == [500, 750, 1130, 1690]
    bench.receive(0, child)
    assert GOOD.hash() in {effect.block_hash for effect in bench.of(FetchBlock)}
    bench.receive(0, GOOD)
    assert [effect.block for effect in bench.of(CheckPayload)] == [GOOD]


# R10

RIVAL = make_block(1, payload=b"rival")
CONFLICTS = [
    ("E1", (NOTARIZE, GOOD.hash()), (NOTARIZE, RIVAL.hash())),
    ("E2", (FINALIZE, GOOD.hash()), (FINALIZE, RIVAL.hash())),
    ("E3", (NULLIFY, ZERO_HASH), (FINALIZE, GOOD.hash())),
    ("E4", (NOTARIZE, GOOD.hash()), (FINALIZE, RIVAL.hash())),
]


@pytest.mark.parametrize("is_swapped", [False, True])
@pytest.mark.parametrize(("_", "one", "two"), CONFLICTS, ids=[row[0] for row in CONFLICTS])
def test_r10_conflicting_votes_are_evidence(
    _: str, one: tuple[int, bytes], two: tuple[int, bytes], is_swapped: bool
) -> None:
    first, second = (vote(kind, 1, block_hash, 2) for kind, block_hash in ((two, one) if is_swapped else (one, two)))
    bench = Bench()
    bench.receive(2, first)
    assert not bench.of(Evidence)
    bench.receive(2, second)
    assert bench.of(Evidence) == [Evidence(encode_message(first), encode_message(second))]
    assert [effect.peer for effect in bench.of(Ban)] == [2]
    kinds = [type(effect) for effect in bench.effects]
    assert kinds.index(Evidence) < kinds.index(Ban)
    unverified = Bench(verifies=False)
    unverified.receive(2, first)
    unverified.receive(2, second)
    assert (len(unverified.of(Evidence)), len(unverified.of(Ban))) == (0, 1)


@pytest.mark.parametrize("pair", [(NOTARIZE, NULLIFY), (NOTARIZE, FINALIZE)])
def test_r10_honest_pairs_are_no_evidence(pair: tuple[int, int]) -> None:
    bench = Bench()
    for kind in pair:
        bench.receive(2, vote(kind, 1, ZERO_HASH if kind == NULLIFY else GOOD.hash(), 2))
    assert not bench.of(VerifyCertificates)


def test_r10_contradicting_certificates_are_evidence_and_the_end() -> None:
    bench = Bench()
    bench.receive(1, cert(FINALIZE, 1, GOOD.hash()))
    bench.receive(2, cert(NULLIFY, 1))
    assert len(bench.of(Evidence)) == len(bench.of(Halt)) == 1
    assert bench.fire("leader", 2) == []


# Recovery and refusals


def test_restart_says_the_same_again_and_nothing_else() -> None:
    bench = Bench()
    bench.accept(GOOD)
    bench.execute(GOOD)
    bench.receive(1, cert(NOTARIZE, 1, GOOD.hash()))
    again = Bench(durable=list(bench.durable))
    assert again.core.view == 2
    own = [vote(NOTARIZE, 1, GOOD.hash(), ME), vote(FINALIZE, 1, GOOD.hash(), ME)]
    assert again.of(Send) == [Send(None, encode_message(known)) for known in own]
    again.handle(PayloadChecked(GOOD.hash(), True))
    again.execute(GOOD)
    again.fire("leader", 1)
    assert again.signed() == []
    shorter = Bench(durable=bench.core.snapshot())
    assert (shorter.core.view, shorter.of(Send)) == (again.core.view, again.of(Send))


def test_restart_at_every_record_never_contradicts() -> None:
    bench = Bench()
    bench.accept(GOOD)
    bench.execute(GOOD)
    bench.receive(1, cert(NOTARIZE, 1, GOOD.hash()))
    bench.fire("leader", 2)
    for length in range(len(bench.durable) + 1):
        again = Bench(durable=bench.durable[:length])
        said = {
            (known.view, known.kind)
            for known in map(decode_message, bench.durable[:length])
            if isinstance(known, Vote)
        }
        for view in (1, 2):
            again.fire("advance", view)
        for kind, view, _ in again.signed():
            assert (view, kind) not in said
            assert not (kind == NULLIFY and (view, FINALIZE) in said)


def test_refused_statement_is_not_asked_for_again() -> None:
    bench = Bench(signs=False)
    bench.fire("leader", 1)
    bench.handle(Refused(NULLIFY, 1, "finalized in this view"))
    bench.fire("advance", 1)
    assert bench.signed() == [(NULLIFY, 1, ZERO_HASH)]
    bench.accept(GOOD)
    bench.execute(GOOD)
    bench.receive(1, cert(NOTARIZE, 1, GOOD.hash()))
    assert bench.signed()[-1] == (FINALIZE, 1, GOOD.hash())


def test_observer_follows_and_says_nothing() -> None:
    bench = Bench(config=CoreConfig(domain=b"d" * 32, epoch=1, member_count=4, me=None, genesis=GENESIS))
    finalize(bench, GOOD)
    bench.fire("leader", 2)
    bench.fire("retry", 2)
    bench.fire("standstill", 0)
    assert len(bench.of(Finalized)) == 1
    assert not bench.of(Sign) and not bench.of(Send)


def test_own_broken_invariants_halt() -> None:
    bench = Bench()
    bench.handle(Signed(vote(FINALIZE, 1, GOOD.hash(), ME)))
    assert len(bench.of(Halt)) == 1
    assert bench.core.is_halted
    assert Bench(durable=[b"garbage"]).core.is_halted


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(st.integers(-1, 5), st.binary(max_size=80)), max_size=10), st.integers(0, 40))
def test_no_peer_can_raise(noise: list[tuple[int, bytes]], cut: int) -> None:
    bench = Bench()
    data = encode_message(propose(GOOD))
    for peer, junk in noise:
        bench.handle(Received(peer, junk))
        bench.handle(Received(peer, data[:cut] + junk + data[cut + len(junk) :]))
    assert not bench.core.is_halted


# Time


def test_l4_delta_grows_with_views_since_the_last_final_one_and_resets_exactly() -> None:
    assert [compute_delta_ms(CONFIG, view, 10) for view in (11, 12, 13, 14)] == [100, 120, 144, 172]
    assert compute_delta_ms(CONFIG, 10 + 21, 10) == compute_delta_ms(CONFIG, 500, 10) == 3833
    assert compute_delta_ms(CoreConfig(b"", 1, 4, 0, GENESIS, delta_ms=5000), 500, 10) == 30_000
    assert [compute_fetch_ms(CONFIG, attempts) for attempts in (0, 1, 2, 20)] == [500, 750, 1125, 5000]
    bench = Bench()
    for view in range(1, 6):
        bench.receive(1, cert(NULLIFY, view))
    leader_ms = [effect.at_ms for effect in bench.of(SetTimer) if effect.timer_id[0] == "leader"]
    assert leader_ms == [200, 240, 288, 344, 414, 496]
    bench.receive(1, cert(FINALIZE, 6, GOOD.hash()))
    assert [effect.at_ms for effect in bench.of(SetTimer) if effect.timer_id == ("leader", 7)] == [200]
