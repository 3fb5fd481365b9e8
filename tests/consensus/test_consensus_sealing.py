"""EP1-EP5 in one core, and the bytes of what epochs add.

`python tests/consensus/test_consensus_sealing.py` writes the vectors anew; a difference is a change of the protocol.
"""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import cbor2
import pytest
from core_bench import CONFIG, GENESIS, GOOD, ME, RESULT, ROOT, SIGNATURE, Bench, cert, make_block, propose, vote

from consensus import crypto
from consensus.committee import Committee, Member
from consensus.effects import Ban, Build, EpochSealed, Execute, Finalized, Send, VerifyApproval
from consensus.events import Approved, Built, Event, NextCommittee, PayloadChecked, Synced
from consensus.messages import (
    FINALIZE,
    NOTARIZE,
    NULLIFY,
    ZERO_HASH,
    Approval,
    Block,
    DecodeError,
    Proposal,
    Ready,
    Vote,
    compute_domain,
    decode_message,
    encode_message,
    make_bitmap,
    ready_digest,
    vote_digest,
)

VECTORS = Path(__file__).resolve().parent.parent / "vectors" / "epochs.json"
SEALS = replace(CONFIG, epoch_end_ms=1001)
NEXT = b"n" * 32
KNOWN = NextCommittee(NEXT, (1,) * 4)


def approve(signers: tuple[int, ...] = (0, 1, 2), epoch: int = 2, name: bytes = NEXT, size: int = 4) -> Approval:
    return Approval(epoch, name, make_bitmap(list(signers), size), SIGNATURE)


SEALING = make_block(1, next_committee_hash=NEXT)


def propose_seal(block: Block = SEALING, approval: Approval | None = None) -> Proposal:
    return replace(propose(block), approval=approval)


EARLY = make_block(1, next_committee_hash=NEXT, timestamp_ms=1001)
# reason, events before, the proposal, is it voted for
SEAL_ROWS: list[tuple[str, list[Event], Proposal, bool]] = [
    ("all is well", [KNOWN], propose_seal(approval=approve()), True),
    ("approval held already", [KNOWN, Approved(approve((1, 2, 3)))], propose_seal(approval=approve()), True),
    ("all four of them", [KNOWN], propose_seal(approval=approve((0, 1, 2, 3))), True),
    ("the own registry lags", [], propose_seal(approval=approve()), False),
    ("another committee", [NextCommittee(b"o" * 32, (1,) * 4)], propose_seal(approval=approve()), False),
    ("no approval", [KNOWN], propose_seal(), False),
    ("approval below quorum", [KNOWN], propose_seal(approval=approve((0, 1))), False),
    ("approval of another epoch", [KNOWN], propose_seal(approval=approve(epoch=3)), False),
    ("approval of another committee", [KNOWN], propose_seal(approval=approve(name=b"o" * 32)), False),
    ("signer beyond the committee", [KNOWN], propose_seal(approval=approve((0, 1, 5), size=8)), False),
    ("weight below quorum", [NextCommittee(NEXT, (1, 1, 1, 9))], propose_seal(approval=approve()), False),
]


@pytest.mark.parametrize(("_", "before", "proposal", "is_voted"), SEAL_ROWS, ids=[row[0] for row in SEAL_ROWS])
def test_ep3_who_votes_for_a_seal(_: str, before: list[Event], proposal: Proposal, is_voted: bool) -> None:
    bench = Bench(SEALS)
    for event in before:
        bench.handle(event)
    bench.receive(0, proposal)
    bench.handle(PayloadChecked(proposal.block.hash(), True))
    assert ((NOTARIZE, 1, proposal.block.hash()) in bench.signed()) == is_voted


@pytest.mark.parametrize(("end_ms", "is_voted"), [(1000, True), (1001, True), (1002, False), (None, False)])
def test_ep3_no_seal_before_its_time(end_ms: int | None, is_voted: bool) -> None:
    bench = Bench(replace(CONFIG, epoch_end_ms=end_ms))
    bench.handle(KNOWN)
    bench.receive(0, propose_seal(EARLY, approve()))
    bench.handle(PayloadChecked(EARLY.hash(), True))
    assert ((NOTARIZE, 1, EARLY.hash()) in bench.signed()) == is_voted


def test_ep1_a_registry_seen_late_is_in_time_while_the_view_lasts() -> None:
    bench = Bench(SEALS)
    bench.receive(0, propose_seal(approval=approve()))
    bench.handle(PayloadChecked(SEALING.hash(), True))
    assert bench.signed() == []
    bench.handle(KNOWN)
    assert bench.signed() == [(NOTARIZE, 1, SEALING.hash())]


def test_ep3_a_forged_approval_costs_the_leader_its_seat() -> None:
    bench = Bench(SEALS)
    bench.handle(KNOWN)
    bench.verifies = False
    bench.receive(0, propose_seal(approval=approve()))
    bench.handle(PayloadChecked(SEALING.hash(), True))
    assert [effect.approval for effect in bench.of(VerifyApproval)] == [approve()]
    assert [effect.peer for effect in bench.of(Ban)] == [0]
    assert bench.signed() == [(NULLIFY, 1, ZERO_HASH)]


@pytest.mark.parametrize(
    ("events", "timestamp_ms", "is_sealing"),
    [
        ([KNOWN, Approved(approve())], 1001, True),
        ([KNOWN, Approved(approve())], 1500, True),
        ([KNOWN], 1500, False),
        ([Approved(approve()), KNOWN], 1500, False),  # an approval of nobody known
        ([KNOWN, Approved(approve()), NextCommittee(b"o" * 32, (1,) * 4)], 1500, False),  # the registry moved on
        ([KNOWN, Approved(approve((0, 1)))], 1500, False),
    ],
)
def test_ep2_a_leader_seals_when_time_registry_and_approval_agree(
    events: list[Event], timestamp_ms: int, is_sealing: bool
) -> None:
    bench = Bench(SEALS)
    for event in events:
        bench.handle(event)
    for view in (1, 2, 3):
        bench.receive(1, cert(NULLIFY, view))
    bench.handle(Built(4, ROOT, b"mine", timestamp_ms, RESULT))
    (sent,) = [decode_message(effect.data) for effect in bench.of(Send) if effect.data[:2] == b"\x82\x03"]
    assert isinstance(sent, Proposal)
    assert (sent.block.header.next_committee_hash, sent.approval) == (
        (NEXT, approve()) if is_sealing else (ZERO_HASH, None)
    )


def test_ep2_not_before_the_end_of_the_epoch() -> None:
    bench = Bench(replace(CONFIG, epoch_end_ms=1501))
    bench.handle(KNOWN)
    bench.handle(Approved(approve()))
    for view in (1, 2, 3):
        bench.receive(1, cert(NULLIFY, view))
    bench.handle(Built(4, ROOT, b"mine", 1500, RESULT))
    (sent,) = [decode_message(effect.data) for effect in bench.of(Send) if effect.data[:2] == b"\x82\x03"]
    assert isinstance(sent, Proposal)
    assert sent.block.header.next_committee_hash == ZERO_HASH


def sealed_bench() -> Bench:
    """View 1 sealed the epoch; the seal is notarised and executed, not final."""
    bench = Bench(SEALS)
    bench.handle(KNOWN)
    bench.receive(0, propose_seal(approval=approve()))
    bench.handle(PayloadChecked(SEALING.hash(), True))
    bench.execute(SEALING)
    bench.receive(1, cert(NOTARIZE, 1, SEALING.hash()))
    assert bench.core.view == 2
    return bench


def make_trailing(view: int = 2, parent: Block = SEALING, **changes: Any) -> Block:
    return make_block(view, parent.header, b"", **{"next_committee_hash": NEXT} | changes)


TRAILING_ROWS: list[tuple[str, Block, bool]] = [
    ("the only one possible", make_trailing(), True),
    ("a payload", make_block(2, SEALING.header, b"p", next_committee_hash=NEXT), False),
    ("another commitment", make_trailing(commitment=bytes(320)), False),
    ("another committee", make_trailing(next_committee_hash=b"o" * 32), False),
    ("no committee", make_trailing(next_committee_hash=ZERO_HASH), False),
    ("another time", make_trailing(timestamp_ms=SEALING.header.timestamp_ms + 2), False),
]


@pytest.mark.parametrize(("_", "block", "is_voted"), TRAILING_ROWS, ids=[row[0] for row in TRAILING_ROWS])
def test_ep4_only_a_block_that_changes_nothing_extends_a_seal(_: str, block: Block, is_voted: bool) -> None:
    bench = sealed_bench()
    bench.accept(block, cert(NOTARIZE, 1, SEALING.hash()))
    assert ((NOTARIZE, 2, block.hash()) in bench.signed()) == is_voted
    assert [effect.block for effect in bench.of(Execute)] == [SEALING]  # nobody executes it


def test_ep4_the_leader_needs_no_host_for_it() -> None:
    bench = sealed_bench()
    for view in (2, 3):
        bench.receive(1, cert(NULLIFY, view))
    assert not bench.of(Build)
    (sent,) = [decode_message(effect.data) for effect in bench.of(Send) if effect.data[:2] == b"\x82\x03"]
    assert isinstance(sent, Proposal)
    assert (sent.block, sent.approval) == (make_trailing(4, proposer=ME), None)


def test_ep5_any_finalisation_over_the_seal_closes_the_epoch() -> None:
    for is_direct in (True, False):
        bench = sealed_bench()
        above = make_trailing()
        bench.accept(above, cert(NOTARIZE, 1, SEALING.hash()))
        final = cert(FINALIZE, 1, SEALING.hash()) if is_direct else cert(FINALIZE, 2, above.hash())
        bench.receive(1, final)
        assert bench.of(Finalized) == [Finalized(SEALING, final)]
        assert bench.of(EpochSealed) == [EpochSealed(SEALING, final, NEXT, () if is_direct else (above,))]
        assert (bench.core.is_closed, bench.core.final_header) == (True, SEALING.header)
        signed = bench.signed()
        bench.receive(1, cert(NULLIFY, 3))
        for name in ("leader", "advance", "retry", "standstill"):
            bench.fire(name, 0 if name == "standstill" else bench.core.view)
        assert bench.signed() == signed
        assert bench.core.block(SEALING.hash()) == SEALING  # for stragglers
        effects = bench.receive(2, vote(NULLIFY, 2, ZERO_HASH, 2))
        assert Send(2, encode_message(final)) in effects


def test_ep5_a_node_that_synced_the_seal_is_closed_too() -> None:
    bench = Bench(SEALS)
    above = make_trailing()
    final = cert(FINALIZE, 2, above.hash())
    bench.handle(Synced(SEALING, final, (above,)))
    assert bench.of(EpochSealed) == [EpochSealed(SEALING, final, NEXT, (above,))]
    assert bench.core.block(above.hash()) == above


def test_ep6_a_root_that_sealed_the_epoch_before_binds_nobody() -> None:
    root = GENESIS._replace(next_committee_hash=NEXT, view=77)
    bench = Bench(replace(CONFIG, genesis=root))
    block = make_block(1, root, parent_view=0)
    bench.accept(block)
    assert bench.signed() == [(NOTARIZE, 1, block.hash())]


def make_vectors() -> dict[str, Any]:
    domain = compute_domain(31337, bytes(range(20)))
    secrets = [crypto.derive_secret(bytes([index + 1]) * 32) for index in range(4)]
    keys = [crypto.derive_public_key(secret) for secret in secrets]
    committee = Committee(2, tuple(Member(key, bytes([index]) * 32) for index, key in enumerate(keys)))
    digest = ready_digest(domain, 2, committee.hash())
    readies = [Ready(2, committee.hash(), index, crypto.sign(secrets[index], digest)) for index in (0, 1, 3)]
    approval, _ = crypto.make_approval(readies, keys, digest)
    assert approval is not None
    header = GOOD.header._replace(next_committee_hash=committee.hash())
    signature = crypto.sign(secrets[0], vote_digest(domain, NOTARIZE, 1, 1, header.hash()))
    own = Vote(NOTARIZE, 1, 1, header.hash(), 0, signature)
    return {
        "committee": [[member.bls_key.hex(), member.network_key.hex(), member.weight] for member in committee.members],
        "committee_hash": committee.hash().hex(),
        "ready_digest": digest.hex(),
        "ready": encode_message(readies[0]).hex(),
        "approval": cbor2.dumps(approval.to_cbor(), canonical=True).hex(),
        "sealing_proposal": encode_message(Proposal(Block(header, b"p"), own, None, (), approval)).hex(),
    }


def test_golden_vectors() -> None:
    assert make_vectors() == json.loads(VECTORS.read_text())


def test_golden_bytes_decode() -> None:
    for name in ("ready", "sealing_proposal"):
        data = bytes.fromhex(json.loads(VECTORS.read_text())[name])
        assert encode_message(decode_message(data)) == data


def test_approvals_are_verified_and_liars_named() -> None:
    secrets = [crypto.derive_secret(bytes([index + 1]) * 32) for index in range(4)]
    keys = [crypto.derive_public_key(secret) for secret in secrets]
    digest = ready_digest(b"d" * 32, 2, NEXT)
    readies = [Ready(2, NEXT, index, crypto.sign(secrets[index], digest)) for index in range(3)]
    approval, bad = crypto.make_approval(readies, keys, digest)
    assert approval is not None
    assert (approval.signers(), bad) == ([0, 1, 2], ())
    readies[1] = replace(readies[1], signature=readies[0].signature)
    assert crypto.make_approval(readies, keys, digest) == (None, (1,))


BAD_BYTES = [
    [6, [2, ZERO_HASH, 0, SIGNATURE]],
    [6, [0, NEXT, 0, SIGNATURE]],
    [6, [2, NEXT[:31], 0, SIGNATURE]],
    [6, [2, NEXT, 255, SIGNATURE]],
    [6, [2, NEXT, 0, SIGNATURE[:95]]],
    [6, [2, NEXT, True, SIGNATURE]],
    [6, [2, NEXT, 0, SIGNATURE, 0]],
    [3, [*propose(GOOD).to_cbor(), None]],
    [3, [*propose(GOOD).to_cbor(), [2, NEXT, b"", SIGNATURE]]],
    [3, [*propose(GOOD).to_cbor(), [2, NEXT, b"\x07", SIGNATURE], 0]],
]


@pytest.mark.parametrize("item", BAD_BYTES)
def test_malformed_bytes_are_refused(item: object) -> None:
    with pytest.raises(DecodeError):
        decode_message(cbor2.dumps(item, canonical=True))


def test_a_certificate_of_the_committee_is_no_approval() -> None:
    """P2: the tag keeps what is signed apart, even for one and the same hash."""
    digests = [vote_digest(b"d" * 32, kind, 2, 1, NEXT) for kind in (NOTARIZE, NULLIFY, FINALIZE)]
    assert ready_digest(b"d" * 32, 2, NEXT) not in digests


if __name__ == "__main__":
    VECTORS.write_text(json.dumps(make_vectors(), indent=1) + "\n")
