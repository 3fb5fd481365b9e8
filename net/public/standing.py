"""Standing of strangers: allowances, offences, bans. Pure; the caller passes the clock.

Strangers are many and cost nothing to make, so what is remembered of them is bounded, and an address has an allowance
of new connections before any of its handshakes is paid for. A ban is of a peer id and short at first: an honest relay
may have passed on what it could not judge.
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
    """What one stranger may do, and one address, and all addresses together."""

    messages_per_s: float = 50.0
    messages_burst: float = 500.0
    bytes_per_s: float = 2.0 * 1024 * 1024
    bytes_burst: float = 8.0 * 1024 * 1024
    requests_per_s: float = 20.0
    requests_burst: float = 100.0
    connections_per_s: float = 0.5
    connections_burst: float = 16.0
    all_connections_per_s: float = 10.0
    all_connections_burst: float = 60.0


@dataclass(slots=True)
class _Stranger:
    buckets: list[TokenBucket] = field(default_factory=list)
    offence_times_s: list[float] = field(default_factory=list)
    banned_until_s: float = 0.0
    ban_count: int = 0


class Strangers:
    """The standing of whoever is connected, and of a bounded number of those who were. Keys are peer ids as bytes, or
    addresses."""

    def __init__(self, limits: StrangerLimits = StrangerLimits()) -> None:
        self._limits = limits
        self._known: OrderedDict[bytes, _Stranger] = OrderedDict()
        self._addresses: OrderedDict[str, TokenBucket] = OrderedDict()
        self._all = TokenBucket(
            limits.all_connections_per_s, limits.all_connections_burst, limits.all_connections_burst, 0
        )

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

    def admits_address(self, address: str, now_s: float) -> bool:
        """Whether one more connection from an address is worth a handshake; counts it."""
        limits = self._limits
        bucket = self._addresses.pop(address, None)
        if bucket is None:
            bucket = TokenBucket(limits.connections_per_s, limits.connections_burst, limits.connections_burst, now_s)
        self._addresses[address] = bucket
        if len(self._addresses) > REMEMBERED_MAX:
            self._addresses.popitem(last=False)
        return _may_take(bucket, now_s) and _may_take(self._all, now_s)

    def report(self, peer: bytes, now_s: float) -> bool:
        """Counts an offence; True when it bans the peer."""
        stranger = self._get(peer)
        recent = [time_s for time_s in stranger.offence_times_s if now_s - time_s < OFFENCE_MEMORY_S]
        stranger.offence_times_s = [*recent, now_s]
        if len(stranger.offence_times_s) < OFFENCES_PER_BAN:
            return False
        stranger.offence_times_s = []
        stranger.banned_until_s = now_s + min(BAN_LAST_S, BAN_FIRST_S * 2.0**stranger.ban_count)
        stranger.ban_count += 1
        return True

    def is_banned(self, peer: bytes, now_s: float) -> bool:
        known = self._known.get(peer)
        return known is not None and known.banned_until_s > now_s

    def banned_count(self, now_s: float) -> int:
        return sum(stranger.banned_until_s > now_s for stranger in self._known.values())

    def _get(self, peer: bytes) -> _Stranger:
        stranger = self._known.pop(peer, None) or _Stranger()
        self._known[peer] = stranger
        if len(self._known) > REMEMBERED_MAX:
            self._known.popitem(last=False)
        return stranger


def _may_take(bucket: TokenBucket, now_s: float) -> bool:
    """A token, unless the bucket is empty: refusals put nobody into debt."""
    if bucket.take(0, now_s) > 0 or bucket.tokens < 1:
        return False
    bucket.take(1, now_s)
    return True
