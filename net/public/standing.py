"""Standing of strangers: allowances, offences, bans. Pure; the caller passes the clock.

Strangers are many and cost nothing to make, so what is remembered of them is bounded. A ban is of a peer id and short
at first; what becomes of its address is `net/doorkeeper.py`'s business. Most offences are doubtful, for an honest relay
may have passed on what it could not judge: it takes two. What no honest peer ever sends bans at once.
"""

from collections import OrderedDict
from dataclasses import dataclass, field

from net.peers import TokenBucket

OFFENCES_PER_BAN = 2
OFFENCE_MEMORY_S = 120.0
BAN_FIRST_S = 30.0
BAN_LAST_S = 1800.0
REMEMBERED_MAX = 4096


@dataclass(frozen=True, slots=True)
class StrangerLimits:
    """What one stranger may do."""

    messages_per_s: float = 50.0
    messages_burst: float = 500.0
    bytes_per_s: float = 2.0 * 1024 * 1024
    bytes_burst: float = 8.0 * 1024 * 1024
    requests_per_s: float = 20.0
    requests_burst: float = 100.0


@dataclass(slots=True)
class _Stranger:
    buckets: list[TokenBucket] = field(default_factory=list)
    offence_times_s: list[float] = field(default_factory=list)
    banned_until_s: float = 0.0
    ban_count: int = 0
    address: str = ""


class Strangers:
    """The standing of whoever is connected, and of a bounded number of those who were. Keys are peer ids as bytes."""

    def __init__(self, limits: StrangerLimits = StrangerLimits()) -> None:
        self._limits = limits
        self._known: OrderedDict[bytes, _Stranger] = OrderedDict()

    def note_address(self, peer: bytes, address: str) -> None:
        """Where the newest connection with a peer leads to."""
        self._get(peer).address = address

    def address(self, peer: bytes) -> str:
        """Where a peer was last connected from; empty when nobody knows."""
        known = self._known.get(peer)
        return "" if known is None else known.address

    def take(self, peer: bytes, messages: int, size_bytes: int, requests: int, now_s: float) -> float:
        """Accounts for what a peer sent; seconds that its reader should pause."""
        stranger, limits = self._get(peer), self._limits
        if not stranger.buckets:
            stranger.buckets = [
                TokenBucket(rate, burst, burst, now_s)
                for rate, burst in (
                    (limits.messages_per_s, limits.messages_burst),
                    (limits.bytes_per_s, limits.bytes_burst),
                    (limits.requests_per_s, limits.requests_burst),
                )
            ]
        taken = zip(stranger.buckets, (messages, size_bytes, requests))
        return max(bucket.take(count, now_s) for bucket, count in taken)

    def report(self, peer: bytes, now_s: float, is_certain: bool = False) -> bool:
        """Counts an offence; True when it bans the peer. `is_certain`: no honest peer commits it. What is heard of a
        banned peer was said before, and counts no more.
        """
        stranger = self._get(peer)
        if stranger.banned_until_s > now_s:
            return False
        stranger.offence_times_s = [*_recent(stranger.offence_times_s, now_s), now_s]
        if not is_certain and len(stranger.offence_times_s) < OFFENCES_PER_BAN:
            return False
        stranger.offence_times_s = []
        stranger.banned_until_s = now_s + min(BAN_LAST_S, BAN_FIRST_S * 2.0**stranger.ban_count)
        stranger.ban_count += 1
        return True

    def is_banned(self, peer: bytes, now_s: float) -> bool:
        known = self._known.get(peer)
        return known is not None and known.banned_until_s > now_s

    def behaves(self, peer: bytes, now_s: float) -> bool:
        """Neither banned nor on the way to it."""
        known = self._known.get(peer)
        if known is None:
            return True
        return known.banned_until_s <= now_s and not _recent(known.offence_times_s, now_s)

    def banned_count(self, now_s: float) -> int:
        return sum(stranger.banned_until_s > now_s for stranger in self._known.values())

    def _get(self, peer: bytes) -> _Stranger:
        stranger = self._known.pop(peer, None) or _Stranger()
        self._known[peer] = stranger
        if len(self._known) > REMEMBERED_MAX:
            self._known.popitem(last=False)
        return stranger


def _recent(times_s: list[float], now_s: float) -> list[float]:
    return [time_s for time_s in times_s if now_s - time_s < OFFENCE_MEMORY_S]
