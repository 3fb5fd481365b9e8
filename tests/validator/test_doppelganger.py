"""A key votes only when nobody else does with it, and when its guard remembers what it signed."""

import pytest

from consensus.messages import (
    FINALIZE,
    NOTARIZE,
    NULLIFY,
    ZERO_HASH,
    Block,
    Header,
    Proposal,
    Vote,
    encode_message,
    keccak,
)
from tests.validator.chainlet import DOMAIN, GENESIS, SECRETS, Chainlet, certify
from validator.doppelganger import PATIENCE_FACTOR, Memory, Verdict, VoteWatch
from validator.observing import find_highest_view, has_mark, is_observer, list_public, mark_observer
from validator.signer import Signer

WAIT_MS = 500
ME, MEMBERS = 3, 4
BEFORE = Memory(guard_view=9, journal_view=9)
NEVER = Memory(0, 0)


@pytest.fixture(scope="module")
def certificates():
    """certificates[view]: of a block of that view, counting members 0, 2 and 3."""
    chain = Chainlet()
    blocks = [chain.add([]) for _ in range(12)]
    return {block.header.view: certify(block, (0, 2, 3)) for block in blocks}


def watch(memory, links=((1, 5), (2, 5)), member_count=MEMBERS):
    made = VoteWatch(ME, member_count, memory, WAIT_MS, 0)
    for peer, height in links:
        made.on_peer(0, peer, height)
    return made


@pytest.mark.parametrize(
    ("memory", "seen_view", "verdict"),
    [
        (BEFORE, None, Verdict.VOTE),
        (BEFORE, 9, Verdict.VOTE),
        (BEFORE, 10, Verdict.REFUSE),
        (Memory(8, 10), 10, Verdict.VOTE),  # journalled, and its guard entry was pushed out
        (NEVER, None, Verdict.VOTE),  # a key that never voted
        (NEVER, 1, Verdict.OBSERVE),
        (Memory(0, 4), None, Verdict.OBSERVE),  # the guard is gone, the journal is not
    ],
)
def test_the_verdict_after_the_wait(certificates, memory, seen_view, verdict):
    made = watch(memory)
    if seen_view is not None:
        made.on_certificate(certificates[seen_view])
    assert made.judge(WAIT_MS) is verdict


def test_certificates_without_our_vote_say_nothing(certificates):
    made = VoteWatch(1, MEMBERS, BEFORE, WAIT_MS, 0)
    made.on_peer(0, 0, 5)
    made.on_peer(0, 2, 5)
    made.on_certificate(certificates[12])
    assert made.judge(WAIT_MS) is Verdict.VOTE


def test_the_wait_begins_with_a_quorum_of_links(certificates):
    made = watch(BEFORE, links=[(1, 5)])
    assert made.judge(WAIT_MS) is Verdict.WAIT
    made.on_peer(700, 2, 5)
    assert made.judge(700 + WAIT_MS - 1) is Verdict.WAIT
    made.on_peer_lost(1_000, 1)
    assert made.judge(1_300) is Verdict.WAIT
    made.on_peer(1_400, 0, 5)
    assert made.judge(1_400 + WAIT_MS - 1) is Verdict.WAIT
    assert made.judge(1_400 + WAIT_MS) is Verdict.VOTE


def test_without_links_the_wait_ends_too():
    made = watch(BEFORE, links=[])
    assert made.judge(PATIENCE_FACTOR * WAIT_MS - 1) is Verdict.WAIT
    assert made.judge(PATIENCE_FACTOR * WAIT_MS) is Verdict.VOTE


@pytest.mark.parametrize(
    ("memory", "links", "verdict"),
    [
        (NEVER, [(1, 0), (2, 0)], Verdict.VOTE),
        (NEVER, [(1, 0)], Verdict.WAIT),
        (NEVER, [(0, 7), (1, 0), (2, 0)], Verdict.WAIT),
        (BEFORE, [(1, 0), (2, 0)], Verdict.WAIT),
    ],
)
def test_the_first_block_of_a_network_waits_for_nothing(memory, links, verdict):
    assert watch(memory, links).judge(0) is verdict


def test_a_committee_of_one_has_nobody_to_ask():
    assert VoteWatch(0, 1, BEFORE, WAIT_MS, 0).judge(0) is Verdict.VOTE


@pytest.fixture
def signer(tmp_path):
    signer = Signer(tmp_path / "guard", SECRETS[ME], ME, DOMAIN, 1)
    yield signer
    signer.close()


def test_an_observer_stays_one_until_its_operator_names_a_view(tmp_path, signer):
    assert not is_observer(tmp_path, signer, 1, 0)
    mark_observer(tmp_path, 1, 7)
    assert is_observer(tmp_path, signer, 1, 0) and has_mark(tmp_path, 1)
    assert not is_observer(tmp_path, signer, 1, 30) and not has_mark(tmp_path, 1)
    assert signer.sign(1, NULLIFY, 30, ZERO_HASH) == "at or below the floor"
    assert isinstance(signer.sign(1, NULLIFY, 31, ZERO_HASH), Vote)
    assert signer.highest_view == 31


def test_the_floor_survives_a_restart_and_never_sinks(tmp_path, signer):
    signer.sign(1, NOTARIZE, 4, b"\1" * 32)
    signer.sign(1, NOTARIZE, 12, b"\1" * 32)
    signer.raise_floor(10)
    signer.raise_floor(3)
    signer.close()
    again = Signer(tmp_path / "guard", SECRETS[ME], ME, DOMAIN, 1)
    assert again.sign(1, NULLIFY, 10, ZERO_HASH) == "at or below the floor"
    assert again.sign(1, NOTARIZE, 12, b"\2" * 32) == "notarized another block in this view"
    signer._descriptor = again._descriptor  # the fixture closes it


def test_what_a_journal_says_of_us_and_what_an_observer_may_keep():
    payload = b"payload"
    block = Block(Header(1, 8, 1, GENESIS.hash(), 0, ME, 5, keccak(payload), ZERO_HASH, bytes(320)), payload)
    certificate = certify(block)
    proposal = Proposal(block, Vote(NOTARIZE, 1, 8, block.hash(), ME, bytes(96)), None, ())
    vote = Vote(FINALIZE, 1, 5, b"\1" * 32, ME, bytes(96))
    other = Vote(FINALIZE, 1, 99, b"\1" * 32, 1, bytes(96))
    records = [encode_message(message) for message in (vote, certificate, block, proposal, other)]
    assert find_highest_view(records, ME, 1) == 8 and find_highest_view(records[1:3], ME, 1) == 0
    assert list_public(records) == [encode_message(certificate), encode_message(block)]
