"""Keys whose signatures are as long as the real ones and checked as strictly, but cost a microsecond.

A signature is keccak(secret ‖ digest), three times over; an aggregate is the bitwise sum of its parts. Nobody in the
simulator computes another member's signature.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import Protocol

from consensus.messages import (
    FINALIZE,
    Certificate,
    Message,
    Vote,
    decode_message,
    keccak,
    make_bitmap,
    vote_digest,
)


@lru_cache(maxsize=4096)
def decode(data: bytes) -> Message:
    """What the omniscient parts of the simulator read; the core decodes for itself."""
    return decode_message(data)


class KeyRing(Protocol):
    """All members' keys of one run, cheap or real."""

    member_count: int

    def sign(self, member: int, kind: int, epoch: int, view: int, header_hash: bytes) -> Vote: ...

    def is_genuine_vote(self, vote: Vote) -> bool: ...

    def is_genuine(self, certificate: Certificate) -> bool: ...

    def aggregate(self, votes: Sequence[Vote]) -> tuple[Certificate | None, tuple[int, ...]]: ...


class Keys:
    """The cheap ones."""

    def __init__(self, seed: int, member_count: int, domain: bytes) -> None:
        self.domain = domain
        self.member_count = member_count
        self._secrets = [keccak(b"member" + seed.to_bytes(8, "big") + bytes([i])) for i in range(member_count)]
        self._memory: dict[tuple[int, int, int, int, bytes], bytes] = {}

    def sign(self, member: int, kind: int, epoch: int, view: int, header_hash: bytes) -> Vote:
        signature = self._signature(member, kind, epoch, view, header_hash)
        return Vote(kind, epoch, view, header_hash, member, signature)

    def is_genuine_vote(self, vote: Vote) -> bool:
        return vote.signature == self._signature(vote.signer, vote.kind, vote.epoch, vote.view, vote.header_hash)

    def is_genuine(self, certificate: Certificate) -> bool:
        """Only the aggregate; how many signers there are is not asked here."""
        total = 0
        for member in certificate.signers():
            if member >= self.member_count:
                return False
            statement = (certificate.kind, certificate.epoch, certificate.view, certificate.header_hash)
            total ^= int.from_bytes(self._signature(member, *statement), "big")
        return total.to_bytes(96, "big") == certificate.signature

    def aggregate(self, votes: Sequence[Vote]) -> tuple[Certificate | None, tuple[int, ...]]:
        bad = tuple(vote.signer for vote in votes if not self.is_genuine_vote(vote))
        if bad:
            return None, bad
        total = 0
        for vote in votes:
            total ^= int.from_bytes(vote.signature, "big")
        first = votes[0]
        bitmap = make_bitmap([vote.signer for vote in votes], self.member_count)
        signature = total.to_bytes(96, "big")
        return Certificate(first.kind, first.epoch, first.view, first.header_hash, bitmap, signature), ()

    def _signature(self, member: int, kind: int, epoch: int, view: int, header_hash: bytes) -> bytes:
        key = (member, kind, epoch, view, header_hash)
        signature = self._memory.get(key)
        if signature is None:
            assert kind <= FINALIZE
            digest = vote_digest(self.domain, kind, epoch, view, header_hash)
            signature = self._memory[key] = keccak(self._secrets[member] + digest) * 3
        return signature
