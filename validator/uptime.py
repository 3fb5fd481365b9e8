"""Who signed what was finalised lately: the bitmaps of finalisation certificates are a record of participation.

A certificate is formed at the first quorum, so of n members that are all prompt each is in about q of n certificates
(three of four when n is 4). What shows is the difference: a member that is in far fewer than the others is slow, one
that is in none is absent. A node is in all certificates that it formed itself, so others tell better about it. Nothing
is decided by it.
"""

from collections import deque
from collections.abc import Iterable

from consensus.messages import Certificate

WINDOW_BLOCKS = 1_000


class Uptime:
    """Counts over the last `window_blocks` blocks with a certificate of their own."""

    def __init__(self, member_count: int, window_blocks: int = WINDOW_BLOCKS) -> None:
        self.signed_counts = [0] * member_count
        self._window_blocks = window_blocks
        self._seen: deque[tuple[int, list[int]]] = deque()

    def begin(self, member_count: int) -> None:
        """A committee of its own: indices mean others from here on."""
        self.signed_counts[:] = [0] * member_count
        self._seen.clear()

    def restore(self, certificates: Iterable[tuple[int, Certificate]]) -> None:
        """Heights with their own certificates, ascending."""
        for height, certificate in certificates:
            self.add(height, certificate)

    def add(self, height: int, certificate: Certificate) -> None:
        """The certificate of the block at `height`, which is above all before."""
        signers = certificate.signers()
        self._seen.append((height, signers))
        self._count(signers, 1)
        if len(self._seen) > self._window_blocks:
            self._count(self._seen.popleft()[1], -1)

    def _count(self, signers: list[int], change: int) -> None:
        for signer in signers:
            if signer < len(self.signed_counts):
                self.signed_counts[signer] += change

    @property
    def block_count(self) -> int:
        return len(self._seen)

    @property
    def heights(self) -> tuple[int, int]:
        """First and last that are counted; zeros before the first."""
        return (self._seen[0][0], self._seen[-1][0]) if self._seen else (0, 0)
