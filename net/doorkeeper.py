"""Who may knock at a listening host: connection attempts by address, before any handshake. Pure; the caller passes the
clock.

A handshake costs some 17 ms of processor time, and nobody needs a key to ask for one. So every address has a bucket of
its own, all addresses that no peer has come from share another, and an address of theirs whose attempts come to nothing
is shut out for a while. An address that a peer has come from is spared both: one may share it with an enemy, and what
its own bucket lets through is little.

Where keys are free, as they are to strangers, a peer proves nothing for its address. There a banned peer's address is
shut out with it, or it would be back under another key at once; only connections to come are refused, and where
somebody else of that address is connected and behaves, never for longer than the first time.
"""

import ipaddress
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

from net.peers import TokenBucket

FAILURE_HALF_LIFE_S = 60.0
SHUT_OUT_FIRST_S = 30.0
SHUT_OUT_LAST_S = 600.0
SHUT_OUT_MEMORY_S = 1800.0


@dataclass(frozen=True, slots=True)
class DoorLimits:
    """Attempts begin a connection; `connections_per_address` are open at a time. An attempt may last as long as the
    host lets it: strangers hold at most `strangers_burst + strangers_per_s` times those seconds of its places.
    `are_keys_free`: anybody may be a peer, so that only expected addresses are spared.
    """

    connections_per_address: int = 64
    attempts_per_s: float = 4.0
    attempts_burst: float = 64.0
    strangers_per_s: float = 10.0
    strangers_burst: float = 64.0
    failures_max: float = 16.0
    addresses_max: int = 4096
    are_keys_free: bool = False


@dataclass(slots=True)
class FailureRecord:
    """What came of an address' attempts of late, and until when it is shut out for that."""

    failures: float = 0.0
    failed_s: float = 0.0
    shut_out_until_s: float = 0.0
    shut_out_count: int = 0

    def is_shut_out(self, now_s: float) -> bool:
        return self.shut_out_until_s > now_s

    def fail(self, now_s: float, failures_max: float) -> float:
        """One more failure. Seconds for which that shuts the address out, 0 when it does not. What fails while it is
        shut out came in before, and is part of what it is shut out for.
        """
        if self.is_shut_out(now_s):
            return 0.0
        decay: float = 0.5 ** ((now_s - self.failed_s) / FAILURE_HALF_LIFE_S)
        self.failures, self.failed_s = self.failures * decay + 1, now_s
        if self.failures < failures_max:
            return 0.0
        self.failures = 0.0
        return self.shut_out(now_s)

    def shut_out(self, now_s: float) -> float:
        """For how many seconds from now on: each time twice as long, until it is forgotten."""
        if now_s - self.shut_out_until_s > SHUT_OUT_MEMORY_S:
            self.shut_out_count = 0
        duration_s: float = min(SHUT_OUT_LAST_S, SHUT_OUT_FIRST_S * 2**self.shut_out_count)
        self.shut_out_until_s = now_s + duration_s
        self.shut_out_count += 1
        return duration_s


class Counted(Protocol):
    """Whoever is remembered at a door."""

    open_count: int


Visited = TypeVar("Visited", bound=Counted)


def forget_idle(visitors: OrderedDict[str, Visited], count_max: int) -> None:
    """Those that came longest ago and hold nothing open. Who holds connections is bounded by the host's places."""
    surplus = len(visitors) - count_max
    if surplus > 0:
        idle = (address for address, visitor in visitors.items() if not visitor.open_count)
        for address in [address for _, address in zip(range(surplus), idle)]:
            del visitors[address]


@dataclass(slots=True)
class _Visitor:
    bucket: TokenBucket
    open_count: int = 0
    is_known: bool = False
    record: FailureRecord = field(default_factory=FailureRecord)


class Doorkeeper:
    """Decides about attempts. Whoever was let in has to `leave`."""

    def __init__(self, limits: DoorLimits = DoorLimits()) -> None:
        self._limits = limits
        self._visitors: OrderedDict[str, _Visitor] = OrderedDict()
        burst = limits.strangers_burst
        self._strangers = TokenBucket(limits.strangers_per_s, burst, burst, 0.0)

    def knock(self, address: str, now_s: float, is_expected: bool = False) -> str:
        """The reason for which nobody opens; empty: come in. `is_expected`: a peer is configured to live there."""
        visitor = self._find(address, now_s)
        visitor.is_known = visitor.is_known or is_expected
        if visitor.open_count >= self._limits.connections_per_address:
            return "too many connections"
        if not visitor.is_known and visitor.record.is_shut_out(now_s):
            return "shut out"
        if not _take(visitor.bucket, now_s):
            return "too many attempts"
        if not visitor.is_known and not _take(self._strangers, now_s):
            return "too many strangers"
        visitor.open_count += 1
        return ""

    def admit(self, address: str, now_s: float) -> None:
        """Whoever was let in has proven to be a peer."""
        if self._limits.are_keys_free:
            return
        visitor = self._find(address, now_s)
        visitor.is_known, visitor.record.failures = True, 0.0

    def fail(self, address: str, now_s: float) -> float:
        """An attempt came to nothing. Seconds for which that shuts the address out, 0 when it does not."""
        visitor = self._find(address, now_s)
        return 0.0 if visitor.is_known else visitor.record.fail(now_s, self._limits.failures_max)

    def ban(self, address: str, now_s: float, is_shared: bool = False) -> float:
        """A peer that came from there was banned. Seconds for which that shuts the address out, 0 when it does not.
        `is_shared`: somebody else of that address is connected and behaves.
        """
        visitor = self._find(address, now_s)
        if visitor.is_known or visitor.record.is_shut_out(now_s):
            return 0.0  # who is banned meanwhile was inside before: one burst does not count many times
        if is_shared:
            visitor.record.shut_out_until_s = now_s + SHUT_OUT_FIRST_S
            return SHUT_OUT_FIRST_S
        return visitor.record.shut_out(now_s)

    def is_shut_out(self, address: str, now_s: float) -> bool:
        """Whether `knock` would say so; remembers nothing, so that a refusal costs next to nothing."""
        visitor = self._visitors.get(network_of(address))
        return visitor is not None and not visitor.is_known and visitor.record.is_shut_out(now_s)

    def leave(self, address: str) -> None:
        """One of its connections has ended."""
        self._visitors[network_of(address)].open_count -= 1

    def open_count(self, address: str) -> int:
        visitor = self._visitors.get(network_of(address))
        return visitor.open_count if visitor else 0

    def _find(self, address: str, now_s: float) -> _Visitor:
        address = network_of(address)
        visitor = self._visitors.get(address)
        if visitor is None:
            burst = self._limits.attempts_burst
            visitor = self._visitors[address] = _Visitor(TokenBucket(self._limits.attempts_per_s, burst, burst, now_s))
            forget_idle(self._visitors, self._limits.addresses_max)
        self._visitors.move_to_end(address)
        return visitor


def network_of(address: str) -> str:
    """What is judged as one: an IPv4 address, however a socket spells it, or the /64 of an IPv6 address, for whoever
    has one of its addresses has them all."""
    if ":" not in address:
        return address
    try:
        parsed = ipaddress.IPv6Address(address)
    except ValueError:
        return address
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(ipaddress.IPv6Address(int(parsed) >> 64 << 64))


def _take(bucket: TokenBucket, now_s: float) -> bool:
    """One token, unless there is none; a refusal costs nothing."""
    bucket.take(0.0, now_s)
    if bucket.tokens < 1.0:
        return False
    bucket.take(1.0, now_s)
    return True
