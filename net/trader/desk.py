"""Every request of a local client: who asks, may he, and who answers: this machine, a node, or the key.

Public methods and reads go to one node, reads of the account with its owner added. What is signed becomes a command
(`net.trader.scribe`) and goes to several nodes. Logins, subscriptions, heartbeats and cancel_on_disconnect stay here.
"""

import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from net.gateway.errors import (
    INTERNAL,
    INVALID_REQUEST,
    MUST_BE_WEBSOCKET,
    UNKNOWN_INSTRUMENT,
    UNKNOWN_METHOD,
    ApiError,
)
from net.gateway.methods import METHODS
from net.gateway.params import I64_MAX, Params
from net.gateway.wire import NumberText, Request, RequestError, now_us, parse_request
from net.gateway.writes import WRITES
from net.trader.access import Access
from net.trader.api_keys import Grant
from net.trader.certainty import Prover
from net.trader.deadman import SCOPES, DeadMan
from net.trader.exact import encode, with_numbers
from net.trader.faults import READ_ONLY
from net.trader.fitting import Fitting
from net.trader.hub import Hub
from net.trader.key_watch import KeyWatch
from net.trader.labels import Labels
from net.trader.pool import Pool
from net.trader.scopes import needed_for_channels, show_scope
from net.trader.scribe import Scribe, Signed
from net.trader.sender import Sender
from net.trader.session import Session
from net.trader.upstream import NodeRefused

logger = logging.getLogger(__name__)
_VERSION = "hansa gateway"
_CHANNELS_MAX = 500
_HEARTBEAT_S_MIN, _HEARTBEAT_S_MAX = 10, 3600
# Deribit answers these with the number of cancelled orders and nothing else.
_COUNTED = frozenset(
    {"private/cancel_all", "private/cancel_all_by_instrument", "private/cancel_all_by_currency"}
    | {"private/cancel_all_by_kind_or_type", "private/cancel_by_label", "private/cancel_quotes"}
)
_SIGNED_NAMES = frozenset({"owner", "subaccount", "nonce", "expiry_ms", "signature", "x_timeout_s"})


def _nothing() -> None:
    return None


@dataclass(slots=True)
class Ask:
    """One request. `session` is None over HTTP, `grant` None without a login."""

    request: Request
    session: Session | None
    grant: Grant | None
    on_sent: Callable[[], None] = _nothing
    after_reply: Callable[[], None] = _nothing
    params: Params = field(init=False)

    def __post_init__(self) -> None:
        self.params = Params(self.request.params)


@dataclass(frozen=True, slots=True)
class Account:
    """Whose account the gateway trades."""

    owner: str
    subaccount: int


class Desk:
    """`answer` never raises. `scribe` is None for a gateway that only reads."""

    def __init__(
        self, pool: Pool, hub: Hub, access: Access, labels: Labels, account: Account, sender: Sender,
        prover: Prover, scribe: Scribe | None, key: KeyWatch,
    ) -> None:  # fmt: skip
        self._pool, self._hub, self._access, self._labels = pool, hub, access, labels
        self._account, self._sender, self._prover, self._scribe = account, sender, prover, scribe
        self._key = key
        self._fitting = Fitting(pool, account.owner, account.subaccount)
        self.deadman = DeadMan(self.write)
        self._local: dict[str, Callable[[Ask], Awaitable[object]]] = {
            "public/auth": self._auth, "private/logout": self._logout, "public/hello": self._hello,
            "public/test": self._test, "public/get_time": self._time,
            "public/subscribe": self._subscribe, "private/subscribe": self._subscribe,
            "public/unsubscribe": self._unsubscribe, "private/unsubscribe": self._unsubscribe,
            "public/unsubscribe_all": self._unsubscribe_all, "private/unsubscribe_all": self._unsubscribe_all,
            "public/set_heartbeat": self._set_heartbeat, "public/disable_heartbeat": self._disable_heartbeat,
            "private/enable_cancel_on_disconnect": self._enable_cancel,
            "private/disable_cancel_on_disconnect": self._disable_cancel,
            "private/get_cancel_on_disconnect": self._get_cancel,
        }  # fmt: skip

    async def answer_text(
        self, text: str | bytes, session: Session, on_sent: Callable[[], None]
    ) -> tuple[str, Callable[[], None]]:
        """One message of a WebSocket."""
        start_us = now_us()
        try:
            request = parse_request(text)
        except RequestError as error:
            return self._envelope(error.request_id, {"error": error.error.to_json()}, start_us), _nothing
        grant = self._access.of_params(request.params) or session.grant
        ask = Ask(request, session, grant, on_sent)
        key, value, _ = await self.answer(ask)
        return self._envelope(request.request_id, {key: value}, start_us), ask.after_reply

    async def answer_http(self, request: Request, grant: Grant | None, start_us: int) -> tuple[str, int]:
        """The text of the answer and its HTTP status."""
        ask = Ask(request, None, grant or self._access.of_params(request.params))
        key, value, http_status = await self.answer(ask)
        return self._envelope(request.request_id, {key: value}, start_us), http_status

    async def answer(self, ask: Ask) -> tuple[str, object, int]:
        """`result` or `error`, its value, and the HTTP status."""
        try:
            return "result", await self._result(ask), 200
        except ApiError as error:
            return "error", error.to_json(), error.fault.http_status
        except NodeRefused as error:
            return "error", error.error, 400
        except Exception:
            logger.exception("gateway.method_failed method=%s", ask.request.method)
            return "error", ApiError(INTERNAL).to_json(), 500

    async def end_session(self, session: Session) -> None:
        """What a connection leaves behind."""
        await self._hub.unsubscribe(session)
        await self.deadman.end_session(session)

    async def write(self, method: str, params: dict[str, Any], on_sent: Callable[[], None] = _nothing) -> Any:
        """Signs and sends. Raises `ApiError`, `NodeRefused`."""
        if self._scribe is None:
            raise ApiError(READ_ONLY)
        self._key.check()
        network = await self._pool.network()
        try:
            signed = self._scribe.sign(network, method, params)
        except ApiError as error:
            if error.fault is not UNKNOWN_INSTRUMENT:
                raise
            network = await self._pool.network(is_renewed=True)  # it may have been listed since
            signed = self._scribe.sign(network, method, params)
        return await self._prover.check(await self._sender.send(signed, on_sent))

    async def _result(self, ask: Ask) -> object:
        method = ask.request.method
        if not method.startswith(("public/", "private/")):
            raise ApiError(UNKNOWN_METHOD)
        row, is_signed = METHODS.get(method), method in WRITES
        if method.startswith("private/") and ask.request.params.get("owner") is not None:
            return await self._pass_on(ask, is_signed)
        if method.startswith("private/"):
            self._access.check(ask.grant, method, is_signed)
        handler = self._local.get(method)
        if handler is not None:
            ask.on_sent()
            return await handler(ask)
        params = self._labels.to_numbers({n: _plain(v) for n, v in ask.request.params.items() if n != "access_token"})
        if is_signed:
            result = await self._write_all(ask, {n: v for n, v in params.items() if n not in _SIGNED_NAMES})
        else:
            ask.on_sent()
            if row is not None and method.startswith("private/") and any(param.name == "owner" for param in row.params):
                params |= {"owner": self._account.owner, "subaccount": self._account.subaccount}
            result = await self._pool.call(method, params, is_fresh=method.startswith("private/"))
        if method.startswith("private/"):
            result = self._with_labels(result)
        return result if "/x_" in method else with_numbers(result)

    async def _pass_on(self, ask: Ask, is_signed: bool) -> object:
        """A request as a node takes it, its owner named and its signature made elsewhere: nothing is added, so no login
        is asked for. The pages that the gateway serves sign in the browser.
        """
        params = {name: _plain(value) for name, value in ask.request.params.items()}
        if not is_signed:
            ask.on_sent()
            return await self._pool.call(ask.request.method, params, is_fresh=True)
        expiry_ms = ask.params.integer("expiry_ms", 0, I64_MAX)
        return await self._sender.send(Signed(ask.request.method, params, "", expiry_ms), ask.on_sent)

    async def _write_all(self, ask: Ask, params: dict[str, Any]) -> Any:
        """The result of the one command that the request comes to, or how many orders several cancelled."""
        given = {name: value for name, value in params.items() if value is not None}
        parts = await self._fitting.complete(ask.request.method, given)
        results = [await self.write(ask.request.method, part, ask.on_sent) for part in parts]
        if ask.request.method in _COUNTED:
            return sum(result.get("cancelled") or 0 for result in results)
        self._note_order(ask.session, results[0])
        return results[0]

    def _note_order(self, session: Session | None, result: Any) -> None:
        """Remembers what a connection has in the book, for `cancel_on_disconnect`."""
        order = result.get("order") if isinstance(result, dict) else None
        if session is not None and isinstance(order, dict) and isinstance(order.get("order_id"), str):
            session.order_ids.pop(order["order_id"], None)
            if order.get("order_state") in ("open", "untriggered"):
                session.order_ids[order["order_id"]] = None

    def _with_labels(self, value: Any) -> Any:
        if isinstance(value, list):
            return [self._with_labels(item) for item in value]
        if isinstance(value, dict):
            return {
                name: self._labels.text(item) if name == "label" and isinstance(item, str) else self._with_labels(item)
                for name, item in value.items()
            }
        return value

    def _envelope(self, request_id: str | int | None, body: dict[str, object], start_us: int) -> str:
        end_us = now_us()
        times = {"usIn": start_us, "usOut": end_us, "usDiff": end_us - start_us, "testnet": self._pool.is_testnet}
        return encode({"jsonrpc": "2.0", "id": request_id} | body | times)

    # What is answered here.

    async def _auth(self, ask: Ask) -> object:
        grant = self._access.log_in(ask.params)
        if ask.session is not None:
            ask.session.grant = grant
        now_ms = time.time_ns() // 1_000_000
        return {
            "access_token": grant.access_token, "refresh_token": grant.refresh_token, "token_type": "bearer",
            "expires_in": max(0, grant.until_ms - now_ms) // 1000, "scope": show_scope(grant.levels),
            "enabled_features": [], "x_owner": self._account.owner, "x_subaccount": self._account.subaccount,
            "x_key": self._key.describe(),
        }  # fmt: skip

    async def _logout(self, ask: Ask) -> object:
        if ask.grant is not None:
            self._access.forget(ask.grant)
        if ask.session is not None:
            ask.session.grant = None
        return "ok"

    async def _hello(self, ask: Ask) -> object:
        return {"version": _VERSION}

    async def _test(self, ask: Ask) -> object:
        if ask.request.params.get("expected_result") == "exception":
            raise ApiError(INVALID_REQUEST, "expected_result", "the exception that was asked for")
        return {"version": _VERSION}

    async def _time(self, ask: Ask) -> object:
        return time.time_ns() // 1_000_000

    async def _subscribe(self, ask: Ask) -> object:
        session = _need_session(ask)
        names = ask.params.text_list("channels", _CHANNELS_MAX)
        for needed in needed_for_channels(names):
            self._access.check_level(ask.grant, needed)
        session.hold(names)
        ask.after_reply = lambda: session.release(names)
        return await self._hub.subscribe(session, names)

    async def _unsubscribe(self, ask: Ask) -> object:
        return await self._hub.unsubscribe(_need_session(ask), ask.params.text_list("channels", _CHANNELS_MAX))

    async def _unsubscribe_all(self, ask: Ask) -> object:
        await self._hub.unsubscribe(_need_session(ask))
        return "ok"

    async def _set_heartbeat(self, ask: Ask) -> object:
        interval_s = ask.params.integer("interval", _HEARTBEAT_S_MIN, _HEARTBEAT_S_MAX)
        _need_session(ask).heartbeat_s = interval_s
        return "ok"

    async def _disable_heartbeat(self, ask: Ask) -> object:
        _need_session(ask).heartbeat_s = 0
        return "ok"

    async def _enable_cancel(self, ask: Ask) -> object:
        if self._scribe is None:
            raise ApiError(READ_ONLY)
        self.deadman.enable(*self._cancel_scope(ask))
        return "ok"

    async def _disable_cancel(self, ask: Ask) -> object:
        self.deadman.disable(*self._cancel_scope(ask))
        return "ok"

    async def _get_cancel(self, ask: Ask) -> object:
        scope = self.deadman.scope_of(ask.session)
        return {"enabled": scope is not None, "scope": scope or "connection"}

    def _cancel_scope(self, ask: Ask) -> tuple[Session | None, str]:
        scope = ask.params.choice("scope", {name: name for name in SCOPES}, "connection")
        return (_need_session(ask) if scope == "connection" else ask.session), scope


def _need_session(ask: Ask) -> Session:
    if ask.session is None:
        raise ApiError(MUST_BE_WEBSOCKET)
    return ask.session


def _plain(value: Any) -> Any:
    """As it goes to a node: numbers that are no small integers travel as text, exactly as the client wrote them."""
    if isinstance(value, NumberText):
        return str(value)
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list) else value
