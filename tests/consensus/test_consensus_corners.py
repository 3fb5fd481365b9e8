"""What happens seldom: forks, forged proofs, hosts that err, members that keep us too busy. One row or test each."""

from collections.abc import Callable

import cbor2
import pytest
from core_bench import (
    CONFIG,
    GENESIS,
    GOOD,
    ME,
    RESULT,
    ROOT,
    SIGNATURE,
    Bench,
    cert,
    finalize,
    make_block,
    propose,
    vote,
)

from consensus.chain import choose_peers
from consensus.committee import Committee
from consensus.committee import Member as Seat
from consensus.core import Core
from consensus.effects import Aggregate, Ban, Build, Diverged, FallenBehind, FetchBlock, Finalized, Halt, Sign
from consensus.events import (
    Aggregated,
    Built,
    CertificatesVerified,
    Executed,
    PayloadChecked,
    PeerConnected,
    Received,
    Signed,
    TimerFired,
)
from consensus.journal import BODY_BYTES_MAX, encode_record
from consensus.messages import (
    COMMITMENT_BYTES,
    FINALIZE,
    HEADER_BYTES,
    NOTARIZE,
    NULLIFICATIONS_MAX,
    NULLIFY,
    PAYLOAD_BYTES_MAX,
    ZERO_HASH,
    Block,
    Certificate,
    Commitment,
    DecodeError,
    Header,
    Proposal,
    Vote,
    decode_message,
    encode_message,
    keccak,
)
from consensus.state import PENDING_PER_PEER_MAX, Wanted

# R7: forks and results that differ


def test_r7_a_finalised_block_with_another_result_than_ours_ends_our_voting() -> None:
    bench = Bench()
    bench.accept(GOOD)
    bench.execute(GOOD, None)
    bench.receive(1, cert(FINALIZE, 1, GOOD.hash()))
    assert bench.of(Diverged) == [Diverged(GOOD.hash(), None, cert(FINALIZE, 1, GOOD.hash()))]
    signed = len(bench.signed())
    bench.fire("advance", 2)
    bench.accept(make_block(2, GOOD.header), cert(NOTARIZE, 1, GOOD.hash()))
    assert len(bench.signed()) == signed
    assert not bench.of(Finalized)
    assert not bench.core.is_following


def test_r7_a_finalised_fork_halts_after_testifying() -> None:
    bench = Bench()
    finalize(bench, GOOD)
    rival = make_block(2, GENESIS, b"rival")
    bench.receive(1, cert(FINALIZE, 2, rival.hash()))
    bench.receive(2, rival)
    assert bench.of(Diverged)  # it does not extend what is final here
    assert [effect.reason for effect in bench.of(Halt)] == ["a finalised block does not extend the last final one"]
    assert bench.core.is_halted
    assert bench.receive(1, cert(NULLIFY, 3)) == []
    assert bench.core.receive(0, 1, cert(NULLIFY, 3)) == []
    assert bench.core.start(0) == []


def test_r7_the_floor_is_known_before_the_block() -> None:
    bench = Bench()
    bench.receive(1, cert(FINALIZE, 5, b"x" * 32))
    assert (bench.core.floor_view, bench.core.final_hash, bench.core.is_syncing) == (5, ROOT, False)
    bench.receive(1, cert(FINALIZE, 200, b"y" * 32))
    assert [effect.target_view for effect in bench.of(FallenBehind)] == [200]
    assert bench.core.is_syncing


# R9


def test_r9_nobody_is_asked_when_everybody_is_shut_out() -> None:
    core = Core(CONFIG, (0, 1, 2, 3))
    core._state.expelled = {0: "a", 1: "b", 2: "c"}
    assert choose_peers(core._state, bytes(32), Wanted(1, 0, 0)) == ()


def test_r9_a_wanted_block_may_come_as_a_late_proposal() -> None:
    bench = Bench()
    bench.receive(1, cert(FINALIZE, 1, GOOD.hash()))
    bench.receive(1, cert(FINALIZE, 4, b"x" * 32))
    bench.now_ms = 1000
    bench.handle(TimerFired(("fetch", 0)))
    assert GOOD.hash() in [effect.block_hash for effect in bench.of(FetchBlock)]
    bench.accept(GOOD)
    bench.execute(GOOD)
    assert [effect.block for effect in bench.of(Finalized)] == [GOOD]


# R2 and R3: proposals


FAULTS: list[tuple[str, Proposal]] = [
    ("a parent from the future", propose(make_block(1, parent_view=1))),
    (
        "a wrong nullification",
        Proposal(
            make_block(2, GENESIS), vote(NOTARIZE, 2, make_block(2, GENESIS).hash(), 1), None,
            (cert(NULLIFY, 1, signers=(0, 1)),),
        ),
    ),
]  # fmt: skip


@pytest.mark.parametrize(("reason", "proposal"), FAULTS, ids=[row[0] for row in FAULTS])
def test_r3_faults_of_a_proposal_are_named(reason: str, proposal: Proposal) -> None:
    bench = Bench()
    bench.receive(proposal.vote.signer, proposal)
    assert [effect.reason for effect in bench.of(Ban)] == [reason]


def test_r3_a_forged_certificate_in_a_proposal_costs_the_view_and_its_leader() -> None:
    bench = Bench(verifies=False)
    bench.fire("advance", 1)
    child = make_block(2, GOOD.header)
    bench.receive(1, propose(child, cert(NOTARIZE, 1, GOOD.hash())))
    assert [(effect.peer, effect.reason) for effect in bench.of(Ban)] == [(1, "a forged certificate in a proposal")]
    bench.verifies = True
    bench.receive(0, cert(NULLIFY, 1))
    assert (NULLIFY, 2, ZERO_HASH) in bench.signed()


def test_r3_a_leader_that_keeps_us_too_busy_loses_its_view() -> None:
    core = Core(CONFIG, (0, 1, 2, 3))
    core.start(0)
    for view in range(1, PENDING_PER_PEER_MAX + 1):
        core.handle(0, Received(1, encode_message(cert(NULLIFY, 100 + view))))  # never verified
    assert core.sizes()["pending"][0] == PENDING_PER_PEER_MAX
    assert not core.handle(0, Received(1, encode_message(cert(NULLIFY, 300))))
    child = make_block(2, GOOD.header)
    assert not core.handle(0, Received(1, encode_message(propose(child, cert(NOTARIZE, 1, GOOD.hash())))))
    effects = core.handle(0, Received(2, encode_message(cert(NULLIFY, 1))))
    token = max(core._state.pending)
    assert not [effect for effect in effects if isinstance(effect, Sign)]
    effects = core.handle(0, CertificatesVerified(token, True))
    assert Sign(NULLIFY, 2, ZERO_HASH) in effects


def test_r3_what_does_not_extend_the_final_block_gets_no_vote() -> None:
    bench = Bench()
    bench.accept(GOOD)
    bench.execute(GOOD)
    bench.receive(1, cert(NOTARIZE, 1, GOOD.hash()))
    bench.receive(1, cert(NULLIFY, 3))
    second = make_block(2, GOOD.header)
    bench.receive(1, cert(FINALIZE, 2, second.hash()))
    old = make_block(4, GOOD.header, proposer=3)
    assert bench.core.view == 4  # which this member leads itself, on the final block only
    assert not bench.of(Build)
    bench.receive(1, cert(NULLIFY, 4))
    old = make_block(5, GOOD.header)
    bench.accept(old, cert(NOTARIZE, 1, GOOD.hash()), (2, 3, 4))
    assert (NOTARIZE, 5, old.hash()) not in bench.signed()


# R2: what the host builds


def lead(bench: Bench) -> None:
    """To view 4, where this member leads."""
    for view in (1, 2, 3):
        bench.receive(1, cert(NULLIFY, view))


@pytest.mark.parametrize(("payload", "result"), [(bytes(PAYLOAD_BYTES_MAX + 1), RESULT), (b"", RESULT[1:])])
def test_r2_a_host_that_builds_what_no_block_can_carry_is_stopped(payload: bytes, result: bytes) -> None:
    bench = Bench()
    lead(bench)
    bench.handle(Built(4, ROOT, payload, 2000, result))
    assert [effect.reason for effect in bench.of(Halt)] == ["the host built what no block can carry"]


def test_r2_a_second_answer_and_one_that_was_overtaken_are_dropped() -> None:
    bench = Bench()
    lead(bench)
    bench.handle(Built(4, ROOT, b"a", 2000, RESULT))
    bench.handle(Built(4, ROOT, b"b", 2000, RESULT))
    assert len([kind for kind, _, _ in bench.signed() if kind == NOTARIZE]) == 1
    late = Bench()
    lead(late)
    late.fire("advance", 4)
    late.handle(Built(4, ROOT, b"a", 2000, RESULT))
    assert [kind for kind, view, _ in late.signed() if view == 4] == [NULLIFY]


# Votes, and a host that errs


def test_votes_of_views_that_are_gone_are_nobodys_business() -> None:
    bench = Bench(signs=False)
    bench.fire("advance", 1)
    bench.receive(1, cert(FINALIZE, 90, b"x" * 32))
    assert bench.handle(Signed(vote(NULLIFY, 1, ZERO_HASH, ME))) == []
    assert not bench.core.is_halted


HOST_ERRORS: list[tuple[str, Callable[[Bench], object]]] = [
    ("the signer signed what nobody asked for", lambda b: b.handle(Signed(vote(NULLIFY, 1, ZERO_HASH, ME)))),
    ("the host aggregated another statement", lambda b: b.handle(Aggregated(ask(b), cert(NULLIFY, 2)))),
    ("the own signature does not verify: wrong key", lambda b: b.handle(Aggregated(ask(b, own=True), None, (ME,)))),
]


def ask(bench: Bench, own: bool = False) -> int:
    """The token of an aggregation under way."""
    if own:
        bench.core.handle(0, TimerFired(("advance", 1)))
        bench.core.handle(0, Signed(vote(NULLIFY, 1, ZERO_HASH, ME)))
    effects = []
    for signer in (1, 2) if own else (0, 1, 2):
        kind, block_hash = (NULLIFY, ZERO_HASH) if own else (FINALIZE, GOOD.hash())
        effects += bench.core.handle(0, Received(signer, encode_message(vote(kind, 1, block_hash, signer))))
    (token,) = [effect.token for effect in effects if isinstance(effect, Aggregate)]
    return token


@pytest.mark.parametrize(("reason", "err"), HOST_ERRORS, ids=[row[0] for row in HOST_ERRORS])
def test_a_host_that_errs_is_stopped(reason: str, err: Callable[[Bench], object]) -> None:
    bench = Bench(signs=False)
    err(bench)
    assert [effect.reason for effect in bench.of(Halt)] == [reason]


def test_signed_twice_is_said_once_and_answers_to_nothing_are_ignored() -> None:
    bench = Bench()
    bench.fire("advance", 1)
    assert bench.handle(Signed(vote(NULLIFY, 1, ZERO_HASH, ME))) == []
    for answer in (
        Aggregated(77, None, (1,)),
        CertificatesVerified(77, False),
        PayloadChecked(bytes(32), True),
        Executed(bytes(32), None),
        PeerConnected(ME),
        PeerConnected(9),
        TimerFired(("nothing", 1)),
    ):
        assert bench.handle(answer) == []
    assert bench.core.start(0) == []
    assert not bench.core.is_halted


def test_an_aggregation_of_a_view_that_is_gone_forms_nothing() -> None:
    bench = Bench()
    token = ask(bench)
    bench.receive(1, cert(FINALIZE, 90, b"x" * 32))
    assert bench.handle(Aggregated(token, cert(FINALIZE, 1, GOOD.hash()))) == []


def test_messages_may_come_decoded() -> None:
    bench = Bench()
    effects = bench.core.receive(0, 1, cert(NULLIFY, 1))
    assert effects
    assert bench.core.receive(0, ME, cert(NULLIFY, 1)) == []


# Wrong beginnings


def test_a_journal_of_another_member_is_refused() -> None:
    core = Core(CONFIG, (0, 1, 2, 3), (encode_message(vote(NULLIFY, 1, ZERO_HASH, 0)),))
    assert core.is_halted
    assert not Core(CONFIG, (0, 1, 2, 3), (encode_message(vote(NULLIFY, 1, ZERO_HASH, 0, epoch=2)),)).is_halted


def test_configurations_that_cannot_be_are_refused() -> None:
    with pytest.raises(ValueError, match="permutation"):
        Core(CONFIG, (0, 1, 2, 2))
    with pytest.raises(ValueError, match="one weight"):
        Core(CONFIG.__class__(**{**vars(CONFIG), "weights": (1, 1)}), (0, 1, 2, 3))
    with pytest.raises(ValueError, match="too large"):
        encode_record(1, 1, bytes(BODY_BYTES_MAX + 1))


SEAT = (b"k" * 48, b"n" * 32)
SEATS: list[tuple[str, tuple[Seat, ...]]] = [
    ("1 to 255 members", ()),
    ("48 bytes", (Seat(b"k" * 47, b"n" * 32, 1),)),
    ("48 bytes", (Seat(b"k" * 48, b"n" * 31, 1),)),
    ("positive", (Seat(*SEAT, 0),)),
    ("positive", (Seat(*SEAT, 1 << 32),)),
]


@pytest.mark.parametrize(("reason", "seats"), SEATS)
def test_committees_that_cannot_be_are_refused(reason: str, seats: tuple[Seat, ...]) -> None:
    with pytest.raises(ValueError, match=reason):
        Committee(1, seats)


# Bytes


def respell(proposal: Proposal, **parts: object) -> bytes:
    """A proposal with some of its parts replaced, as bytes."""
    item = dict(zip(("block", "vote", "parent", "nullifications"), proposal.to_cbor())) | parts
    return cbor2.dumps([3, list(item.values())], canonical=True)


HEAD = GOOD.header.encode()
WRONG_BYTES: list[tuple[str, bytes]] = [
    ("payload too large", cbor2.dumps([4, [HEAD, bytes(PAYLOAD_BYTES_MAX + 1)]], canonical=True)),
    ("payload root", cbor2.dumps([4, [HEAD, b"q"]], canonical=True)),
    ("a header has", cbor2.dumps([4, [HEAD[1:], b"p"]], canonical=True)),
    ("signer out of range", encode_message(Vote(NULLIFY, 1, 1, ZERO_HASH, 255, SIGNATURE))),
    ("bitmap out of range", encode_message(Certificate(NULLIFY, 1, 1, ZERO_HASH, b"", SIGNATURE))),
    ("too many nullifications", respell(propose(GOOD), nullifications=[[]] * (NULLIFICATIONS_MAX + 1))),
    ("unknown message tag", cbor2.dumps([99, []], canonical=True)),
    ("canonical", encode_message(GOOD)[:1] + b"\x18\x04" + encode_message(GOOD)[2:]),
]


@pytest.mark.parametrize(("reason", "data"), WRONG_BYTES, ids=[row[0] for row in WRONG_BYTES])
def test_wrong_bytes_are_refused_by_name(reason: str, data: bytes) -> None:
    with pytest.raises(DecodeError, match=reason):
        decode_message(data)


def test_a_commitment_is_ten_words() -> None:
    words = Commitment(b"a" * 32, 2, b"c" * 32, 4, b"e" * 32, b"f" * 32, b"g" * 32, b"h" * 32, 9, 10)
    assert len(words.encode()) == COMMITMENT_BYTES
    assert Commitment.decode(words.encode()) == words
    with pytest.raises(DecodeError, match="320 bytes"):
        Commitment.decode(bytes(COMMITMENT_BYTES + 1))
    with pytest.raises(DecodeError, match="640 bytes"):
        Header.decode(bytes(HEADER_BYTES + 1))


def test_words_hold_what_fits_them() -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        GOOD.header._replace(parent_hash=b"short").hash()
    with pytest.raises(ValueError, match="does not fit"):
        GOOD.header._replace(height=1 << 256).hash()
    with pytest.raises(TypeError, match="no consensus message"):
        encode_message(GOOD.header)  # type: ignore[arg-type]
    assert keccak(b"") != ZERO_HASH
    assert Block(GOOD.header, b"p") == GOOD
