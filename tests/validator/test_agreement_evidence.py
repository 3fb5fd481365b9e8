"""The driver around the core: evidence is on the disk and out before anything else, also when the node stops."""

from pathlib import Path

import pytest
from chainlet import DOMAIN, MEMBERS, SECRETS
from machine import ME, Machine

from consensus import crypto
from consensus.messages import (
    FINALIZE,
    NULLIFY,
    ZERO_HASH,
    Certificate,
    Evidence,
    Vote,
    encode_message,
    make_bitmap,
    vote_digest,
)
from validator.agreement import Stop

BLOCK = b"x" * 32


def vote(signer: int, kind: int, block_hash: bytes, view: int = 3) -> Vote:
    signature = crypto.sign(SECRETS[signer], vote_digest(DOMAIN, kind, 1, view, block_hash))
    return Vote(kind, 1, view, block_hash, signer, signature)


def certificate(kind: int, block_hash: bytes, *signers: int) -> Certificate:
    signature = crypto.aggregate([vote(signer, kind, block_hash).signature for signer in signers])
    assert signature is not None
    return Certificate(kind, 1, 3, block_hash, make_bitmap(list(signers), MEMBERS), signature)


def test_a_liar_is_stored_told_of_and_banned_and_a_restart_knows(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    machine.receive(2, vote(2, NULLIFY, ZERO_HASH), vote(2, FINALIZE, BLOCK))
    (evidence,) = machine.evidence_stored()
    assert machine.evidence_sent() == [evidence]
    assert machine.banned == [2]
    machine.close()
    again = Machine(tmp_path)
    again.agreement.tick()
    assert again.evidence_stored() == again.evidence_sent() == [evidence]
    assert again.banned == [2]
    again.close()


def test_a_forged_vote_accuses_nobody(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    forged = Vote(FINALIZE, 1, 3, BLOCK, 2, vote(3, FINALIZE, BLOCK).signature)
    machine.receive(2, vote(2, NULLIFY, ZERO_HASH), forged)
    assert machine.evidence_stored() == machine.evidence_sent() == []
    assert machine.banned == [2]
    machine.close()


def test_a_fork_stops_the_node_after_it_has_told_and_stops_it_again(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    pair = certificate(NULLIFY, ZERO_HASH, 0, 1, 2), certificate(FINALIZE, BLOCK, 1, 2, 3)
    with pytest.raises(Stop, match="contradict each other"):
        machine.receive(1, *pair)
    assert machine.evidence_sent() == machine.evidence_stored() == [Evidence(*pair)]
    assert machine.store.nullifications(10) == [pair[0]]  # kept for weeks, as others may hold the other half
    machine.close()
    again = Machine(tmp_path)
    with pytest.raises(Stop, match="contradict each other"):
        again.agreement.tick()
    assert again.evidence_sent() == [Evidence(*pair)]
    assert [data for _, data in again.sent] == [encode_message(Evidence(*pair))]  # and nothing signed
    again.close()


def test_evidence_against_the_own_key_stops_the_node(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    pair = [certificate(NULLIFY, ZERO_HASH, ME), certificate(FINALIZE, BLOCK, ME)]
    machine.agreement.receive(1, encode_message(Evidence(pair[0], pair[1])))
    with pytest.raises(Stop, match="this node's key signed contradicting statements"):
        machine.agreement.tick()
    assert machine.evidence_stored() == [Evidence(pair[0], pair[1])]
    machine.close()
