"""R1 to R6, each by itself: one core, hand-made messages, the effects it answers with."""

import pytest
from core_bench import GENESIS, GOOD, ME, RESULT, ROOT, SIGNATURE, Bench, cert, make_block, propose, vote

from consensus.effects import Aggregate, Ban, Build, CheckPayload, Execute, FetchBlock, Send, SetTimer
from consensus.events import Aggregated, Built, PayloadChecked, Received, Signed, TimerFired
from consensus.messages import (
    FINALIZE,
    NOTARIZE,
    NULLIFY,
    ZERO_HASH,
    Certificate,
    Proposal,
    decode_message,
    encode_message,
)

# R1


def test_r1_entering_arms_the_timers_of_the_view() -> None:
    bench = Bench()
    armed = {effect.timer_id: effect.at_ms for effect in bench.of(SetTimer)}
    assert armed == {("standstill", 0): 1000, ("leader", 1): 200, ("advance", 1): 400}


@pytest.mark.parametrize(
    ("certificate", "view"),
    [
        (cert(NULLIFY, 1), 2),
        (cert(NULLIFY, 7), 8),
        (cert(FINALIZE, 5, b"x" * 32), 6),
        (cert(NOTARIZE, 1, b"x" * 32), 1),
    ],
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


def test_r3_a_certificate_makes_a_refused_block_run_but_nobody_vouch_for_it() -> None:
    bench = Bench()
    bench.receive(0, propose(GOOD))
    bench.receive(1, cert(NOTARIZE, 1, GOOD.hash()))
    bench.handle(PayloadChecked(GOOD.hash(), False))
    assert [effect.block for effect in bench.of(Execute)] == [GOOD]
    assert bench.signed() == []
    bench.execute(GOOD)
    assert bench.signed() == [(FINALIZE, 1, GOOD.hash())]


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
