"""One call, whichever way it came: look up the method, run it, make the answer.

Nothing a client sends leaves here as an exception.
"""

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

from net.gateway.backend import Backend
from net.gateway.channel import Channel
from net.gateway.errors import INTERNAL, MUST_BE_WEBSOCKET, SYNCING, UNKNOWN_METHOD, ApiError
from net.gateway.feeds import Hub
from net.gateway.instruments import Instruments
from net.gateway.kept import KeptTexts
from net.gateway.limits import Backlog, Limits
from net.gateway.params import Params
from net.gateway.wire import Request, error_text, result_text

logger = logging.getLogger(__name__)


class Credits(Protocol):
    """What the client of a call may still ask for."""

    credits_max: int
    credits_per_s: int

    def left(self) -> dict[str, int]: ...


# What says nothing of the exchange but how far this node is.
ANSWERED_ALWAYS = frozenset(
    f"public/{name}"
    for name in (
        "test", "hello", "get_time", "status", "auth", "set_heartbeat", "disable_heartbeat", "unsubscribe",
        "unsubscribe_all", "x_get_counters", "x_get_limits",
    )
)  # fmt: skip


class Subscription(Protocol):
    """The parts of a WebSocket connection that methods may use."""

    account: tuple[bytes, int] | None  # owner and subaccount, after `public/auth`

    def check_room(self, channels: list[Channel]) -> None: ...

    def subscribe(self, channels: list[Channel], seen: dict[str, int]) -> None: ...

    def unsubscribe(self, names: list[str]) -> list[str]: ...

    def unsubscribe_all(self) -> None: ...

    def set_heartbeat(self, interval_s: int) -> None: ...


@dataclass(frozen=True, slots=True)
class Pending:
    """A result that needs time."""

    complete: Callable[[], Awaitable[object]]


@dataclass(frozen=True, slots=True)
class Reply:
    """Text for the wire; `http_status` matters over HTTP only."""

    text: str
    http_status: int = 200


@dataclass(frozen=True, slots=True)
class Param:
    """One named parameter, for the reference and the schemas. `kind`: text, integer, decimal, hex, address, true or
    false, list of text, object, list of objects. `choices`: the only values; `low`, `high`: of an integer.
    """

    name: str
    kind: str
    text: str
    is_required: bool = True
    choices: tuple[str, ...] = ()
    low: int | None = None
    high: int | None = None
    size_bytes: int | None = None  # of hex


@dataclass(frozen=True, slots=True)
class Method:
    """One row of the method table: what runs and what the reference says. `result` is the type of the answer, made of
    `net.gateway.shapes`.
    """

    name: str
    handler: Callable[["Call"], Awaitable[object]]
    summary: str
    params: tuple[Param, ...] = ()
    example: str = ""  # parameters of an example call, as the query of a URL
    result: Any = field(kw_only=True)
    is_websocket_only: bool = field(default=False, kw_only=True)
    credits: int = field(default=500, kw_only=True)  # what a call costs, see `net.gateway.credits`: 500 for some 1.3 ms

    @property
    def is_signed(self) -> bool:
        """Whether it changes an account, and so needs a signature."""
        return any(param.name in ("signature", "command") for param in self.params) and self.name not in UNSIGNED


# Takes a signed message only to explain it.
UNSIGNED = frozenset({"public/x_decode_action"})


@dataclass(frozen=True, slots=True)
class ChannelRow:
    """One row of the table of channels. `data` is the type of what comes over it, `example` a name without braces in
    which `0x…` stands for an address.
    """

    name: str
    text: str
    data: Any
    example: str


class Api:
    """What all calls share."""

    def __init__(
        self, backend: Backend, limits: Limits, methods: dict[str, Method],
        is_behind: Callable[[], bool] = lambda: False,
    ) -> None:  # fmt: skip
        """`is_behind()`: what the backend would answer is old, and about to be replaced; then it is not asked."""
        self.backend = backend
        self.is_behind = is_behind
        self.limits = limits
        self.backlog = Backlog(limits)
        self.methods = methods
        self.instruments = Instruments(backend.market_data)
        self.instrument_texts = KeptTexts()
        self.hub = Hub(backend, self.instruments)
        self.is_testnet = backend.domain.is_testnet


@dataclass(slots=True)
class Call:
    """One request on its way to an answer. `session` is None over HTTP."""

    api: Api
    request: Request
    start_us: int
    session: Subscription | None = None
    credits: Credits | None = None
    params: Params = field(init=False)
    _after_reply: list[Callable[[], None]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.params = Params(self.request.params)

    @property
    def backend(self) -> Backend:
        return self.api.backend

    @property
    def instruments(self) -> Instruments:
        return self.api.instruments

    def need_session(self) -> Subscription:
        if self.session is None:
            raise ApiError(MUST_BE_WEBSOCKET)
        return self.session

    def after_reply(self, action: Callable[[], None]) -> None:
        """Runs `action` once the answer is queued."""
        self._after_reply.append(action)

    def run_after_reply(self) -> None:
        for action in self._after_reply:
            action()

    def result(self, result: object) -> Reply:
        is_private = self.request.method.startswith("private/")
        left = self.credits.left() if self.credits is not None and is_private else None
        return Reply(result_text(self.request.request_id, result, self.start_us, self.api.is_testnet, left))

    def error(self, error: ApiError) -> Reply:
        text = error_text(self.request.request_id, error, self.start_us, self.api.is_testnet)
        return Reply(text, error.fault.http_status)


async def answer(call: Call) -> Reply | Pending:
    """Runs the method."""
    method = call.api.methods.get(call.request.method)
    if method is None:
        return call.error(ApiError(UNKNOWN_METHOD, hint=f"{call.request.method[:80]!r}: {UNKNOWN_METHOD.hint}"))
    if method.name not in ANSWERED_ALWAYS and call.api.is_behind():
        return call.error(ApiError(SYNCING))
    return await _reply(call, lambda: method.handler(call))


async def complete(call: Call, pending: Pending) -> Reply:
    """The answer of a pending call."""
    reply = await _reply(call, pending.complete)
    assert isinstance(reply, Reply)
    return reply


async def answer_now(call: Call) -> Reply:
    """`answer` for transports where every request waits for its own answer."""
    outcome = await answer(call)
    return await complete(call, outcome) if isinstance(outcome, Pending) else outcome


async def _reply(call: Call, work: Callable[[], Awaitable[object]]) -> Reply | Pending:
    """Work that fails is our mistake: it is logged and answered as `internal`."""
    try:
        result = await work()
        return result if isinstance(result, Pending) else call.result(result)
    except ApiError as error:
        return call.error(error)
    except Exception:
        logger.exception("api.method_failed method=%s", call.request.method)
        return call.error(ApiError(INTERNAL))
