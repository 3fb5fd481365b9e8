"""What one client may use of a node. Pure; the caller passes the clock."""

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """Every bound of the API in one place."""

    body_bytes_max: int = 64 * 1024
    message_bytes_max: int = 32 * 1024
    transport_message_bytes_max: int = 256 * 1024  # above it the connection is closed instead of answered
    header_bytes_max: int = 16 * 1024
    # Of each pool of credits (`net.gateway.credits`): per WebSocket connection, and per address over HTTP.
    requests_per_s: int = 500
    requests_burst: int = 1000
    address_share: int = 16  # all connections of an address together have so many times as much
    # Of what is not signed, per WebSocket connection: so many at once, the next ones when their turn comes.
    reads_per_s: int = 200
    reads_burst: int = 100
    request_unit_bytes: int = 2048  # a longer request counts as one for each part of that length
    order_messages_per_s: int = 5_000  # signed messages per connection for binary order entry
    order_messages_burst: int = 10_000
    order_outgoing_bytes_max: int = 8 * 1024 * 1024  # above it a connection that does not read is closed
    connections_max: int = 1024
    connections_per_address_max: int = 256
    # At the door (`net.gateway.door`), before a byte is read.
    sockets_max: int = 1280  # read from at a time; more than `connections_max`, so that most of the rest hear why
    handshakes_per_s: int = 20  # per address, after a burst; more wait for their turn
    handshakes_burst: int = 64
    bad_endings_max: int = 32  # connections of an address; more of late, and it is shut out for a while
    refused_sockets_max: int = 512  # held open unread; more are closed at once
    refused_socket_s: float = 5.0
    request_s_max: float = 10.0  # for the whole body
    refusal_ms_min: int = 500  # for lack of credits: it is told so much later, and it is no use to come again sooner
    refusal_ms_max: int = 1000
    refusals_waiting_max: int = 16  # per WebSocket connection; above it nothing more is read from it
    channels_per_connection_max: int = 64
    waiting_per_connection_max: int = 256
    outgoing_messages_max: int = 1024
    outgoing_bytes_max: int = 8 * 1024 * 1024  # notifications above it end the connection
    answer_bytes_max: int = 256 * 1024  # above it nothing more is read from the connection
    outgoing_bytes_all_max: int = 256 * 1024 * 1024  # all connections together; above it each has `fair_bytes`
    fair_bytes: int = 64 * 1024
    send_s_max: int = 10
    close_grace_s: float = 5.0
    final_wait_s: float = 10.0
    final_wait_s_max: int = 60
    heartbeat_s_min: int = 10
    addresses_max: int = 4096
    shutdown_s: float = 1.0


@dataclass(slots=True)
class TokenBucket:
    """`rate_per_s` tokens a second, at most `burst` saved."""

    rate_per_s: float
    burst: float
    tokens: float
    updated_s: float

    def is_allowed(self, now_s: float, count: int = 1) -> bool:
        """Takes so many tokens, if they are there."""
        self.refill(now_s)
        if self.tokens < count:
            return False
        self.tokens -= count
        return True

    def refill(self, now_s: float) -> None:
        self.tokens = min(self.burst, self.tokens + (now_s - self.updated_s) * self.rate_per_s)
        self.updated_s = now_s

    def wait_s(self, count: int) -> float:
        """How long until so many tokens are there; for ever, where nothing comes back."""
        missing = count - self.tokens
        return 0.0 if missing <= 0 else missing / self.rate_per_s if self.rate_per_s else math.inf


def count_units(limits: Limits, size_bytes: int) -> int:
    """What a request of that size counts as: what it costs us grows with the actions in it."""
    return max(1, -(-size_bytes // limits.request_unit_bytes))


@dataclass(slots=True)
class Backlog:
    """Bytes that wait for clients to read them, of all connections."""

    limits: Limits
    waiting_bytes: int = 0

    def has_room(self, own_bytes: int, own_bytes_max: int) -> bool:
        """Whether a connection may let `own_bytes` wait in all. Who reads nothing fills his own share, and when many do
        so together, not even that: the node's memory is not theirs.
        """
        is_full = self.waiting_bytes > self.limits.outgoing_bytes_all_max
        return own_bytes <= (min(own_bytes_max, self.limits.fair_bytes) if is_full else own_bytes_max)


class Admission:
    """Counts connections per address."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._connections: dict[str, int] = {}
        self.connection_count = 0

    def open_connection(self, address: str) -> bool:
        """False when there are too many already; true obliges the caller to `close_connection`."""
        held = self._connections.get(address, 0)
        if self.connection_count >= self._limits.connections_max or held >= self._limits.connections_per_address_max:
            return False
        self.connection_count += 1
        self._connections[address] = held + 1
        return True

    def close_connection(self, address: str) -> None:
        self.connection_count -= 1
        self._connections[address] -= 1
        if not self._connections[address]:
            del self._connections[address]
