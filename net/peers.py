"""Standing of the other members: token buckets, offence scores, bans. Pure; the caller passes the clock.

A ban is short at first and doubles: in a small committee a member that is silenced for long costs everybody liveness.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from net.allowance import MEMBER, Kind, Rate


class Offence(StrEnum):
    """What a peer can do wrong, as seen by the link or by the node above it."""

    MALFORMED_FRAME = "malformed frame"
    WRONG_HELLO = "wrong hello"
    INVALID_SIGNATURE = "invalid signature"
    INVALID_MESSAGE = "invalid message"
    UNREQUESTED = "unrequested answer"
    STREAM_FLOOD = "too many streams"
    NOT_READING = "not reading"


# A score of BAN_SCORE bans. One malformed frame is proof of a broken or hostile peer, since links are authenticated;
# a message that merely came late or twice is everyday life and no offence at all. To ping and not
# to read is no accident, for a peer that is stopped or cut off is silent as well, and each new link costs us answers.
PENALTIES: dict[Offence, float] = {
    Offence.MALFORMED_FRAME: 50.0,
    Offence.WRONG_HELLO: 20.0,
    Offence.INVALID_SIGNATURE: 50.0,
    Offence.INVALID_MESSAGE: 25.0,
    Offence.UNREQUESTED: 2.0,
    Offence.STREAM_FLOOD: 25.0,
    Offence.NOT_READING: 50.0,
}
BAN_SCORE = 90.0
SCORE_HALF_LIFE_S = 60.0
BAN_FIRST_S = 10.0
BAN_LAST_S = 300.0
BAN_MEMORY_S = 1800.0


@dataclass(slots=True)
class TokenBucket:
    """`rate` tokens per second up to `burst`. A take may overdraw; the answer says how long to wait before the next."""

    rate: float
    burst: float
    tokens: float
    updated_s: float

    def take(self, count: float, now_s: float) -> float:
        """Takes `count` tokens; the seconds until the bucket is out of debt, 0 when it is not in debt."""
        self.tokens = min(self.burst, self.tokens + max(0.0, now_s - self.updated_s) * self.rate) - count
        self.updated_s = max(self.updated_s, now_s)
        return max(0.0, -self.tokens / self.rate)

    def debt_s(self, now_s: float) -> float:
        """Seconds until the bucket is out of debt, without taking."""
        return self.take(0, now_s)


def make_bucket(rate: float, burst_s: float, now_s: float) -> TokenBucket:
    """A full bucket that holds what comes in `burst_s`."""
    return TokenBucket(rate, rate * burst_s, rate * burst_s, now_s)


@dataclass(slots=True)
class _Standing:
    score: float = 0.0
    scored_s: float = 0.0
    banned_until_s: float = 0.0
    ban_count: int = 0
    buckets: dict[Kind, tuple[TokenBucket, TokenBucket]] = field(default_factory=dict)


class PeerBook:
    """The standing of every peer, by committee index."""

    def __init__(self) -> None:
        self._standings: dict[int, _Standing] = {}

    def take(
        self, peer: int, kind: Kind, size_bytes: int, now_s: float, rates: Mapping[Kind, Rate] = MEMBER, count: int = 1
    ) -> float:
        """Accounts for a frame of a peer, or for `count` of what it made us do; seconds that it should wait."""
        buckets = self._standing(peer).buckets
        if kind not in buckets:
            rate = rates[kind]
            buckets[kind] = (
                make_bucket(rate.frames_per_s, rate.burst_s, now_s), make_bucket(rate.bytes_per_s, rate.burst_s, now_s)
            )  # fmt: skip
        frame_bucket, byte_bucket = buckets[kind]
        return max(frame_bucket.take(count, now_s), byte_bucket.take(size_bytes, now_s))

    def report(self, peer: int, offence: Offence, now_s: float) -> bool:
        """Adds an offence to a peer's score; True when that bans it. What is heard of a banned peer was said before,
        and counts no more: or one burst of bad frames would ban it for as long as ever is possible.
        """
        standing = self._standing(peer)
        if now_s < standing.banned_until_s:
            return False
        standing.score = self.score(peer, now_s) + PENALTIES[offence]
        standing.scored_s = now_s
        if standing.score < BAN_SCORE:
            return False
        if now_s - standing.banned_until_s > BAN_MEMORY_S:
            standing.ban_count = 0
        standing.banned_until_s = now_s + min(BAN_LAST_S, BAN_FIRST_S * 2**standing.ban_count)
        standing.ban_count += 1
        standing.score = 0.0
        return True

    def score(self, peer: int, now_s: float) -> float:
        """The score after decay."""
        standing = self._standing(peer)
        decay: float = 0.5 ** (max(0.0, now_s - standing.scored_s) / SCORE_HALF_LIFE_S)
        return standing.score * decay

    def banned_for_s(self, peer: int, now_s: float) -> float:
        """Seconds left of a ban, 0 when there is none."""
        return max(0.0, self._standing(peer).banned_until_s - now_s)

    def _standing(self, peer: int) -> _Standing:
        return self._standings.setdefault(peer, _Standing())
