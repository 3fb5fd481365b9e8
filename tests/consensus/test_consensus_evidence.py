"""R10: what two statements prove, and what a core does with them."""

import json
from pathlib import Path
from typing import Any

import pytest
from core_bench import GENESIS, GOOD, ME, SIGNATURE, Bench, cert, make_block, propose, vote
from hypothesis import given, settings
from hypothesis import strategies as st

from consensus import crypto
from consensus.core import CoreConfig
from consensus.effects import Ban, Effect, Halt, Persist, PublishEvidence, Send, VerifyCertificates
from consensus.events import CertificatesVerified, PeerConnected, Received
from consensus.evidence import (
    CERTIFICATE_PAIR,
    DOUBLE_FINALIZE,
    DOUBLE_NOTARIZE,
    DOUBLE_PROPOSAL,
    NOTARIZE_FINALIZE,
    NULLIFY_FINALIZE,
    OFFENCES,
    Nothing,
    Verdict,
    compute_key,
    find_evidence,
    judge,
)
from consensus.messages import (
    FINALIZE,
    KINDS,
    NOTARIZE,
    NULLIFY,
    ZERO_HASH,
    Certificate,
    DecodeError,
    Evidence,
    Header,
    compute_domain,
    decode_message,
    encode_message,
    make_bitmap,
    make_evidence,
    vote_digest,
)

VECTORS = Path(__file__).resolve().parent.parent / "vectors" / "evidence.json"
RIVAL = make_block(1, payload=b"rival")
A, B = GOOD.hash(), RIVAL.hash()


def say(kind: int, block_hash: bytes, *signers: int, view: int = 1, epoch: int = 1, members: int = 4) -> Certificate:
    return Certificate(kind, epoch, view, block_hash, make_bitmap(list(signers), members), SIGNATURE)


# What is proven: rows in order of precedence.

NOTHING = [
    ("views", say(NOTARIZE, A, 2), say(NOTARIZE, B, 2, view=2), (), "different views"),
    ("epochs", say(NOTARIZE, A, 2), say(NOTARIZE, B, 2, epoch=2), (), "different views"),
    ("equal", say(NOTARIZE, A, 2), say(NOTARIZE, A, 2, 3), (), "same statement"),
    ("equal nullify", say(NULLIFY, ZERO_HASH, 2), say(NULLIFY, ZERO_HASH, 2, 3), (), "same statement"),
    ("notarize then nullify", say(NOTARIZE, A, 2), say(NULLIFY, ZERO_HASH, 2), (), "may make both"),
    ("notarize then finalize", say(NOTARIZE, A, 2), say(FINALIZE, A, 2), (), "may make both"),
    ("another committee", say(NOTARIZE, A, 2, members=9), say(NOTARIZE, B, 2, members=9), (), "length"),
    ("out of range", say(NOTARIZE, A, 2, 4), say(NOTARIZE, B, 2), (), "out of range"),
    ("nobody twice", say(NOTARIZE, A, 1), say(NOTARIZE, B, 2), (), "nobody signed both"),
    ("no signers", say(NOTARIZE, A), say(NOTARIZE, B), (), "nobody signed both"),
    ("not the proposer", say(NOTARIZE, A, 2), say(NOTARIZE, B, 2), (GOOD.header, RIVAL.header), "did not propose"),
    ("headers of votes", say(NOTARIZE, A, 0), say(FINALIZE, B, 0), (GOOD.header, RIVAL.header), "did not propose"),
]


@pytest.mark.parametrize(("_", "one", "two", "headers", "reason"), NOTHING, ids=[row[0] for row in NOTHING])
def test_what_proves_nothing(
    _: str, one: Certificate, two: Certificate, headers: tuple[Header, ...], reason: str
) -> None:
    verdict = judge(make_evidence(one, two, headers), 4)
    assert isinstance(verdict, Nothing) and reason in verdict.reason


PROVEN = [
    ("E1", say(NOTARIZE, A, 2), say(NOTARIZE, B, 2), (), DOUBLE_NOTARIZE, (2,)),
    ("E2", say(FINALIZE, A, 2), say(FINALIZE, B, 2), (), DOUBLE_FINALIZE, (2,)),
    ("E3", say(NULLIFY, ZERO_HASH, 2), say(FINALIZE, A, 2), (), NULLIFY_FINALIZE, (2,)),
    ("E4", say(NOTARIZE, A, 2), say(FINALIZE, B, 2), (), NOTARIZE_FINALIZE, (2,)),
    ("E5", say(NOTARIZE, A, 0), say(NOTARIZE, B, 0), (GOOD.header, RIVAL.header), DOUBLE_PROPOSAL, (0,)),
    ("E6 of E2", say(FINALIZE, A, 0, 1, 2), say(FINALIZE, B, 1, 2, 3), (), CERTIFICATE_PAIR, (1, 2)),
    ("E6 of E3", say(NULLIFY, ZERO_HASH, 0, 1, 2), say(FINALIZE, B, 0, 2, 3), (), CERTIFICATE_PAIR, (0, 2)),
    ("E6 of E4", say(NOTARIZE, A, 0, 1, 2), say(FINALIZE, B, 0, 1, 2), (), CERTIFICATE_PAIR, (0, 1, 2)),
    ("E6 of E1", say(NOTARIZE, A, 0, 1, 2), say(NOTARIZE, B, 0, 1, 3), (), CERTIFICATE_PAIR, (0, 1)),
    ("vote and certificate", say(NULLIFY, ZERO_HASH, 1), say(FINALIZE, A, 0, 1, 2), (), NULLIFY_FINALIZE, (1,)),
]


@pytest.mark.parametrize(("_", "one", "two", "headers", "offence", "culprits"), PROVEN, ids=[row[0] for row in PROVEN])
def test_what_is_proven_in_either_order(
    _: str, one: Certificate, two: Certificate, headers: tuple[Header, ...], offence: int, culprits: tuple[int, ...]
) -> None:
    evidence = make_evidence(one, two, headers)
    assert judge(evidence, 4) == Verdict(1, 1, offence, culprits)
    assert make_evidence(two, one, headers[::-1]) == evidence
    assert decode_message(encode_message(evidence)) == evidence


def test_the_key_counts_a_double_proposal_as_a_double_notarization() -> None:
    keys = [compute_key(Verdict(1, 1, offence, (0,))) for offence in OFFENCES]
    assert keys[DOUBLE_PROPOSAL - 1] == keys[DOUBLE_NOTARIZE - 1]
    assert len(set(keys)) == len(OFFENCES) - 1


def honest_statements(choices: list[int]) -> list[Certificate]:
    """Of one honest member: R3 to R5 are the guard's exclusions, one choice a view."""
    said = []
    for view, choice in enumerate(choices, 1):
        block = bytes([choice % 2 + 1]) * 32
        menu = (
            [(NOTARIZE, block)],
            [(NULLIFY, ZERO_HASH)],
            [(NOTARIZE, block), (NULLIFY, ZERO_HASH)],
            [(NOTARIZE, block), (FINALIZE, block)],
            [(FINALIZE, block)],
        )
        said += [say(kind, block_hash, 1, view=view) for kind, block_hash in menu[choice // 2]]
    return said


@given(st.lists(st.integers(0, 9), max_size=8))
def test_an_honest_member_leaves_no_evidence(choices: list[int]) -> None:
    assert find_evidence(honest_statements(choices)) == []


def test_searching_statements_finds_every_pair_once() -> None:
    fork = [say(FINALIZE, A, 0, 1, 2), say(NULLIFY, ZERO_HASH, 1, 2, 3), say(NOTARIZE, A, 0, 1, 2)]
    found = find_evidence([*fork, *fork, say(FINALIZE, B, 3)])
    assert found == [make_evidence(fork[0], fork[1]), make_evidence(fork[1], say(FINALIZE, B, 3))]


# Bytes

MALFORMED = [
    ("equal", lambda item: [item[0], item[1], item[1], item[3]]),
    ("out of order", lambda item: [item[0], item[2], item[1], item[3]]),
    ("one header", lambda item: [*item[:3], item[3][:1]]),
    ("headers swapped", lambda item: [*item[:3], item[3][::-1]]),
    ("header of no bytes", lambda item: [*item[:3], [1, 2]]),
    ("short", lambda item: item[:3]),
    ("statement of four", lambda item: [item[0], item[1][:4], item[2], item[3]]),
    ("huge epoch", lambda item: [1 << 32, *item[1:]]),
]


@pytest.mark.parametrize(("_", "change"), MALFORMED, ids=[row[0] for row in MALFORMED])
def test_malformed_evidence_is_refused(_: str, change: Any) -> None:
    evidence = make_evidence(say(NOTARIZE, A, 0), say(NOTARIZE, B, 0), (GOOD.header, RIVAL.header))
    item = evidence.to_cbor()
    assert Evidence.from_cbor(item) == evidence
    with pytest.raises(DecodeError):
        Evidence.from_cbor(change(item))


STATEMENTS = st.builds(
    lambda kind, view, block_hash, bitmap: Certificate(
        kind, 1, view, ZERO_HASH if kind == NULLIFY else block_hash, bitmap, SIGNATURE
    ),
    st.sampled_from(KINDS), st.integers(1, 3), st.sampled_from([A, B]), st.binary(min_size=1, max_size=2),
)  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(STATEMENTS, STATEMENTS, st.integers(1, 16))
def test_the_accused_signed_both_of_a_conflicting_pair(one: Certificate, two: Certificate, members: int) -> None:
    verdict = judge(make_evidence(one, two), members)
    if isinstance(verdict, Verdict):
        both = set(one.signers()) & set(two.signers())
        assert set(verdict.culprits) == both and both and max(both) < members
        assert (one.view == two.view and FINALIZE in (one.kind, two.kind)) or one.kind == two.kind == NOTARIZE


# The core finds it.

CONFLICTS = [
    ("E1", (NOTARIZE, A), (NOTARIZE, B)),
    ("E2", (FINALIZE, A), (FINALIZE, B)),
    ("E3", (NULLIFY, ZERO_HASH), (FINALIZE, A)),
    ("E4", (NOTARIZE, A), (FINALIZE, B)),
]


def steps(effects: list[Effect]) -> list[type]:
    wanted = (Persist, PublishEvidence, Send, Ban, Halt)
    return [type(effect) for effect in effects if isinstance(effect, wanted)]


@pytest.mark.parametrize("is_swapped", [False, True])
@pytest.mark.parametrize(("_", "one", "two"), CONFLICTS, ids=[row[0] for row in CONFLICTS])
def test_conflicting_votes_are_durable_published_and_passed_on_before_the_ban(
    _: str, one: tuple[int, bytes], two: tuple[int, bytes], is_swapped: bool
) -> None:
    first, second = (vote(kind, 1, block_hash, 2) for kind, block_hash in ((two, one) if is_swapped else (one, two)))
    bench = Bench()
    bench.receive(2, first)
    assert not bench.of(PublishEvidence)
    effects = bench.receive(2, second)
    evidence = make_evidence(say(*one, 2), say(*two, 2))
    assert bench.of(PublishEvidence) == [PublishEvidence(evidence)]
    assert steps(effects) == [Persist, PublishEvidence, Send, Ban]
    assert encode_message(evidence) in bench.durable
    assert bench.receive(2, second) == []


def test_a_conflicting_vote_with_a_wrong_signature_is_its_senders_fault() -> None:
    bench = Bench(verifies=False)
    bench.receive(2, vote(FINALIZE, 1, A, 2))
    bench.receive(2, vote(FINALIZE, 1, B, 2))
    assert not bench.of(PublishEvidence)
    assert [ban.peer for ban in bench.of(Ban)] == [2]


@pytest.mark.parametrize("pair", [(NOTARIZE, NULLIFY), (NOTARIZE, FINALIZE)])
def test_what_an_honest_member_may_say_is_not_even_verified(pair: tuple[int, int]) -> None:
    bench = Bench()
    for kind in pair:
        bench.receive(2, vote(kind, 1, ZERO_HASH if kind == NULLIFY else A, 2))
    assert not bench.of(VerifyCertificates)


def test_votes_below_the_floor_still_convict() -> None:
    bench = Bench()
    bench.receive(2, vote(FINALIZE, 1, A, 2))
    bench.receive(1, cert(FINALIZE, 40, b"x" * 32))
    bench.receive(2, vote(NULLIFY, 1, ZERO_HASH, 2))
    assert bench.of(PublishEvidence) == [
        PublishEvidence(make_evidence(say(FINALIZE, A, 2), say(NULLIFY, ZERO_HASH, 2)))
    ]
    bench.receive(1, cert(FINALIZE, 140, b"y" * 32, (0, 1, 3)))
    start = len(bench.effects)
    bench.receive(1, vote(FINALIZE, 1, A, 1))  # nothing of that view is kept any more
    bench.receive(1, vote(FINALIZE, 1, B, 1))
    assert not [effect for effect in bench.effects[start:] if isinstance(effect, VerifyCertificates)]


def test_two_proposals_of_a_leader_are_evidence_with_both_headers() -> None:
    bench = Bench()
    bench.receive(0, propose(GOOD))
    bench.receive(0, propose(RIVAL))
    evidence = make_evidence(say(NOTARIZE, A, 0), say(NOTARIZE, B, 0), (GOOD.header, RIVAL.header))
    assert bench.of(PublishEvidence) == [PublishEvidence(evidence)]
    assert judge(evidence, 4) == Verdict(1, 1, DOUBLE_PROPOSAL, (0,))
    late = Bench()
    late.receive(0, propose(GOOD))
    late.receive(1, cert(FINALIZE, 9, b"x" * 32))
    late.receive(0, propose(RIVAL))
    assert late.of(PublishEvidence) == [PublishEvidence(evidence)]


@pytest.mark.parametrize("is_vote_first", [False, True])
def test_a_vote_against_a_certificate_that_its_signer_signed_convicts(is_vote_first: bool) -> None:
    bench = Bench()
    lie, certificate = vote(NULLIFY, 1, ZERO_HASH, 1), cert(FINALIZE, 1, A)
    bench.receive(*((1, lie) if is_vote_first else (0, certificate)))
    bench.receive(*((0, certificate) if is_vote_first else (1, lie)))
    evidence = make_evidence(say(NULLIFY, ZERO_HASH, 1), certificate)
    assert bench.of(PublishEvidence) == [PublishEvidence(evidence)]
    assert [ban.peer for ban in bench.of(Ban)] == [1]


def test_contradicting_certificates_are_evidence_and_the_end() -> None:
    bench = Bench()
    bench.receive(1, cert(FINALIZE, 1, A))
    effects = bench.receive(2, cert(NULLIFY, 1))
    assert bench.of(PublishEvidence) == [PublishEvidence(make_evidence(cert(NULLIFY, 1), cert(FINALIZE, 1, A)))]
    assert steps(effects) == [Persist, PublishEvidence, Send, Halt]
    assert bench.fire("leader", 2) == []


# Others tell it.

TOLD = make_evidence(say(FINALIZE, A, 2), say(FINALIZE, B, 2))


def test_evidence_is_passed_on_once_and_its_culprit_banned() -> None:
    bench = Bench()
    effects = bench.receive(1, TOLD)
    assert steps(effects) == [Persist, PublishEvidence, Send, Ban]
    assert bench.of(Ban)[0].peer == 2
    assert Send(None, encode_message(TOLD)) in effects
    again = make_evidence(say(FINALIZE, A, 2, view=7), say(FINALIZE, B, 2, view=7))
    assert bench.receive(1, TOLD) == bench.receive(0, TOLD) == bench.receive(0, again) == []
    worse = make_evidence(say(NOTARIZE, A, 2), say(FINALIZE, B, 2))
    assert steps(bench.receive(0, worse)) == [Persist, PublishEvidence, Send]


def test_forged_evidence_bans_who_sent_it_and_nobody_else() -> None:
    bench = Bench(verifies=False)
    bench.receive(1, TOLD)
    assert [ban.peer for ban in bench.of(Ban)] == [1]
    assert not bench.of(PublishEvidence) and not bench.core.sizes()["proven"][0]
    innocent = Bench()
    innocent.receive(1, make_evidence(say(NOTARIZE, A, 2), say(NULLIFY, ZERO_HASH, 2)))
    assert [ban.peer for ban in innocent.of(Ban)] == [1]
    assert not innocent.of(VerifyCertificates)


def test_evidence_of_another_epoch_is_left_alone() -> None:
    bench = Bench()
    assert bench.receive(1, make_evidence(say(FINALIZE, A, 2, epoch=2), say(FINALIZE, B, 2, epoch=2))) == []


def test_one_verification_at_a_time_for_one_piece() -> None:
    bench = Bench()
    for peer in (0, 1):
        bench.effects += bench.core.handle(0, Received(peer, encode_message(TOLD)))
    (question,) = bench.of(VerifyCertificates)
    bench.absorb(bench.core.handle(0, CertificatesVerified(question.token, True)))
    assert bench.of(PublishEvidence) == [PublishEvidence(TOLD)]


def test_what_is_kept_and_passed_on_is_bounded() -> None:
    bench = Bench()
    for view in range(1, 200):
        for member in (1, 2):
            bench.receive(0, make_evidence(say(FINALIZE, A, member, view=view), say(FINALIZE, B, member, view=view)))
    assert len(bench.of(PublishEvidence)) == len(bench.of(VerifyCertificates)) == 2
    assert bench.core.sizes()["proven"] == (2, 4 * len(OFFENCES))


def test_observers_publish_and_say_nothing() -> None:
    bench = Bench(config=CoreConfig(domain=b"d" * 32, epoch=1, member_count=4, me=None, genesis=GENESIS))
    bench.receive(1, TOLD)
    assert bench.of(PublishEvidence) and not bench.of(Send)


def test_the_accused_says_so_itself_but_does_not_ban_itself() -> None:
    bench = Bench()
    bench.receive(1, make_evidence(say(FINALIZE, A, ME), say(FINALIZE, B, ME)))
    assert bench.of(PublishEvidence) and not bench.of(Ban)


# A crash of its finder


def test_a_restart_publishes_again_and_does_not_forgive() -> None:
    bench = Bench()
    bench.receive(1, TOLD)
    for records in (list(bench.durable), bench.core.snapshot()):
        again = Bench(durable=records)
        assert again.of(PublishEvidence) == [PublishEvidence(TOLD)]
        assert Send(None, encode_message(TOLD)) in again.effects
        assert [ban.peer for ban in again.of(Ban)] == [2]
        assert again.receive(2, vote(NULLIFY, 1, ZERO_HASH, 2)) == []
        assert again.receive(1, TOLD) == []
        linked = again.handle(PeerConnected(0))
        assert Send(0, encode_message(TOLD)) in linked


def test_a_restart_after_a_fork_stays_stopped() -> None:
    bench = Bench()
    bench.receive(1, cert(FINALIZE, 1, A))
    bench.receive(2, cert(NULLIFY, 1))
    again = Bench(durable=list(bench.durable))
    assert steps(again.effects) == [PublishEvidence, Send, Halt]
    assert again.core.is_halted and again.fire("leader", 1) == []


# Golden vectors, shared with the court's tests.


def make_vectors() -> dict[str, Any]:
    secrets = [crypto.derive_secret(bytes([index + 1]) * 32) for index in range(4)]
    domain = compute_domain(31337, bytes(range(20)))

    def sign(kind: int, block_hash: bytes, signers: tuple[int, ...]) -> Certificate:
        digest = vote_digest(domain, kind, 1, 1, block_hash)
        signature = crypto.aggregate([crypto.sign(secrets[signer], digest) for signer in signers])
        assert signature is not None
        return Certificate(kind, 1, 1, block_hash, make_bitmap(list(signers), 4), signature)

    cases = []
    for name, one, two, headers, offence, culprits in PROVEN:
        signed = [sign(known.kind, known.header_hash, tuple(known.signers())) for known in (one, two)]
        evidence = make_evidence(signed[0], signed[1], headers)
        key = compute_key(Verdict(1, 1, offence, culprits))
        cases.append(
            {"name": name, "evidence": encode_message(evidence).hex(), "offence": offence, "culprits": list(culprits),
             "key": key.hex()}
        )  # fmt: skip
    return {"domain": domain.hex(), "secret_keys": [secret.hex() for secret in secrets], "cases": cases}


def test_vectors() -> None:
    assert json.loads(VECTORS.read_text()) == make_vectors()


if __name__ == "__main__":
    VECTORS.write_text(json.dumps(make_vectors(), indent=1) + "\n")
