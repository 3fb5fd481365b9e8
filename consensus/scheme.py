"""What the host asks of a signature scheme. `consensus.crypto` is the one that counts; the simulator has a cheap one of
the same shape, as strict.
"""

from collections.abc import Sequence
from typing import Protocol

from consensus.messages import Approval, Certificate, Ready, Vote


class Scheme(Protocol):
    """Multisignatures over 32-byte digests. Total: wrong bytes are wrong signatures."""

    def sign(self, secret: bytes, digest: bytes) -> bytes: ...

    def verify_aggregate(self, keys: Sequence[bytes], digest: bytes, signature: bytes) -> bool: ...

    def make_certificate(
        self, votes: Sequence[Vote], keys: Sequence[bytes], digest: bytes, epoch: int, member_count: int
    ) -> tuple[Certificate | None, tuple[int, ...]]: ...

    def make_approval(
        self, readies: Sequence[Ready], keys: Sequence[bytes], digest: bytes
    ) -> tuple[Approval | None, tuple[int, ...]]: ...
