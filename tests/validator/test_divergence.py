"""A block with other roots than ours is counted against its proposer, and the log says in which words it differs."""

import logging

from consensus.messages import COMMITMENT_BYTES, ZERO_HASH, Block, Commitment, Header
from validator.divergence import Mismatches, describe_divergence

OWN = bytes(COMMITMENT_BYTES)


def propose(seat: int, commitment: bytes) -> Block:
    return Block(Header(1, 7, 5, ZERO_HASH, 6, seat, 1_000, ZERO_HASH, ZERO_HASH, commitment), b"")


def test_only_other_roots_are_counted(caplog):
    other = Commitment.decode(OWN)._replace(state_root=b"\1" * 32, account_root=b"\2" * 32).encode()
    seen = Mismatches()
    with caplog.at_level(logging.ERROR):
        seen.note(propose(1, OWN), OWN)
        seen.note(propose(2, other), None)
        assert not seen.by_seat and not caplog.records
        seen.note(propose(3, other), OWN)
    assert seen.by_seat == {3: 1}
    (record,) = caplog.records
    assert "root.mismatch height=5 view=7 seat=3 words=['state_root', 'account_root']" in record.getMessage()
    assert describe_divergence(propose(3, other), OWN).endswith(
        "another state_root, account_root than the committee certified"
    )
