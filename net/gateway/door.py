"""Who may connect to the API: sockets by address, before a byte of them is read. Pure; the caller passes the clock.

A handshake costs 3 to 4 ms of processor time, whoever asks for it and whatever comes of it. So only so many sockets of
an address are read from, those beyond a burst begin one after the other, and an address whose connections end badly
time and again is shut out for a while. Whoever behaves there keeps what is open.

A socket that is refused stays open for a while, unread. Whoever is hung up on at once comes again at once, and that
costs more than his place in a table. Being refused is no bad ending: it costs the same, for whatever reason.
"""

from collections import OrderedDict
from dataclasses import dataclass, field

from net.doorkeeper import FailureRecord, forget_idle, network_of
from net.gateway.limits import Limits
from net.peers import TokenBucket


@dataclass(frozen=True, slots=True)
class Visit:
    """One socket. `address`: what is judged, see `network_of`. `refusal`: why it is not read from, empty: it is.
    `wait_s`: until then its handshake does not begin; of one that is refused, until then it is not closed.
    """

    address: str
    refusal: str
    wait_s: float


@dataclass(slots=True)
class _Visitor:
    bucket: TokenBucket
    open_count: int = 0
    record: FailureRecord = field(default_factory=FailureRecord)


class Door:
    """Decides about sockets. Every visit has to `leave`."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._visitors: OrderedDict[str, _Visitor] = OrderedDict()
        self._open_count = 0
        self._refused_count = 0

    def knock(self, address: str, now_s: float) -> Visit:
        """What becomes of a new socket."""
        address = network_of(address)
        visitor = self._find(address, now_s)
        refusal = self._refuse(visitor, now_s)
        if refusal:
            is_held = self._refused_count < self._limits.refused_sockets_max
            self._refused_count += 1
            return Visit(address, refusal, self._limits.refused_socket_s if is_held else 0.0)
        self._open_count += 1
        visitor.open_count += 1
        # In debt for one handshake at most for every socket that is open, so nobody waits for ever.
        return Visit(address, "", visitor.bucket.take(1.0, now_s))

    def leave(self, visit: Visit) -> None:
        """The socket is closed."""
        if visit.refusal:
            self._refused_count -= 1
        else:
            self._open_count -= 1
            self._visitors[visit.address].open_count -= 1

    def fail(self, address: str, now_s: float) -> float:
        """A connection has ended badly. Seconds for which that shuts its address out, 0 when it does not."""
        return self._find(network_of(address), now_s).record.fail(now_s, self._limits.bad_endings_max)

    def _refuse(self, visitor: _Visitor, now_s: float) -> str:
        if visitor.record.is_shut_out(now_s):
            return "shut out"
        if visitor.open_count >= self._limits.connections_per_address_max:
            return "too many connections of the address"
        return "too many connections" if self._open_count >= self._limits.sockets_max else ""

    def _find(self, address: str, now_s: float) -> _Visitor:
        visitor = self._visitors.get(address)
        if visitor is None:
            rate, burst = float(self._limits.handshakes_per_s), float(self._limits.handshakes_burst)
            visitor = self._visitors[address] = _Visitor(TokenBucket(rate, burst, burst, now_s))
            forget_idle(self._visitors, self._limits.addresses_max)
        self._visitors.move_to_end(address)
        return visitor
