"""Before a key votes: does somebody else vote with it, or did it vote before and forget?

Every member sends each other, when their link comes up, the newest finalisation certificate that counts the other's
vote. A certificate speaks for itself, so no peer can talk us out of voting without one. If a certificate counts a vote
of ours in a view above all that our guard remembers, then either another process uses the key, or this disk is older
than the key's last vote. With a guard that remembers nothing it is the lost guard: the node stays an observer until its
operator says otherwise. With a guard that remembers something the node refuses to run.

The wait lasts until a quorum was linked for `wait_ms`, a few views; without links it ends too, because a network in
which few can talk needs every vote, but later. A committee at its very first block need not wait at all.
"""

from dataclasses import dataclass
from enum import Enum

from consensus.messages import Certificate, quorum

PATIENCE_FACTOR = 10


class Verdict(Enum):
    """What the node may do."""

    WAIT = "wait"
    VOTE = "vote"
    OBSERVE = "observe"
    REFUSE = "refuse"


@dataclass(frozen=True, slots=True)
class Memory:
    """The highest view that the guard and the journal know of a vote in; 0: none."""

    guard_view: int
    journal_view: int


class VoteWatch:
    """Listens until the verdict is other than `WAIT`. Times are milliseconds of one monotonic clock."""

    def __init__(self, me: int, member_count: int, memory: Memory, wait_ms: int, now_ms: int) -> None:
        self._me = me
        self._others_needed = quorum(member_count) - 1
        self._memory = memory
        self._wait_ms = wait_ms
        self._started_ms = now_ms
        self._heights: dict[int, int] = {}
        self._quorum_since_ms: int | None = None
        self.seen_view = 0

    def on_peer(self, now_ms: int, peer: int, height: int) -> None:
        """A link is up."""
        self._heights[peer] = height
        self._note_quorum(now_ms)

    def on_peer_lost(self, now_ms: int, peer: int) -> None:
        self._heights.pop(peer, None)
        self._note_quorum(now_ms)

    def _note_quorum(self, now_ms: int) -> None:
        if len(self._heights) < self._others_needed:
            self._quorum_since_ms = None
        elif self._quorum_since_ms is None:
            self._quorum_since_ms = now_ms

    def on_certificate(self, certificate: Certificate) -> None:
        """A certificate whose signatures were checked."""
        if self._me in certificate.signers():
            self.seen_view = max(self.seen_view, certificate.view)

    def judge(self, now_ms: int) -> Verdict:
        """What is known now."""
        memory = self._memory
        if memory.guard_view == 0 and max(memory.journal_view, self.seen_view) > 0:
            return Verdict.OBSERVE
        if self.seen_view > max(memory.guard_view, memory.journal_view):
            return Verdict.REFUSE
        if self._others_needed == 0 or self._is_first_block():
            return Verdict.VOTE
        if self._quorum_since_ms is not None and now_ms - self._quorum_since_ms >= self._wait_ms:
            return Verdict.VOTE
        is_lonely_for_long = now_ms - self._started_ms >= PATIENCE_FACTOR * self._wait_ms
        return Verdict.VOTE if is_lonely_for_long else Verdict.WAIT

    def _is_first_block(self) -> bool:
        """A key without votes, among a quorum without blocks."""
        is_fresh = max(self._memory.guard_view, self._memory.journal_view) == 0
        at_genesis = sum(height == 0 for height in self._heights.values())
        return is_fresh and at_genesis >= self._others_needed and at_genesis == len(self._heights)
