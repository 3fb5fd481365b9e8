"""The ASGI application and its server: routes and limits."""

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import hypercorn.config
import trio
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import ClientDisconnect
from starlette.requests import Request as HttpRequest
from starlette.responses import JSONResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.websockets import WebSocket

from net.gateway.api import Api, Call, Method, Reply, answer_now
from net.gateway.backend import Backend
from net.gateway.credits import AddressCredits, CreditPools, credit_headers, hold_back, price_request
from net.gateway.documents import document_routes
from net.gateway.door import Door
from net.gateway.downloads import Downloads
from net.gateway.errors import RATE_LIMITED, REQUEST_TOO_SLOW, TOO_LARGE, TOO_MANY_CONNECTIONS, ApiError
from net.gateway.limits import Admission, Limits
from net.gateway.methods import METHODS
from net.gateway.order_session import OrderSession
from net.gateway.pages import Pages
from net.gateway.server import blame, serve_bounded
from net.gateway.session import CLOSE_TRY_AGAIN_LATER, Session
from net.gateway.wire import Request, RequestError, error_text, now_us, parse_named_request, parse_request

logger = logging.getLogger(__name__)
_RESTART_S = 1.0


@dataclass(frozen=True, slots=True)
class GatewayConfig:
    """Where the API listens. Port 0: any free one."""

    host: str = "127.0.0.1"
    port: int = 8080
    limits: Limits = field(default_factory=Limits)
    is_behind: Callable[[], bool] = lambda: False  # see `Api`
    methods: dict[str, Method] = field(default_factory=lambda: METHODS)


class Gateway:
    """Routes of one node's API."""

    def __init__(self, backend: Backend, config: GatewayConfig) -> None:
        limits = config.limits
        self.api = Api(backend, limits, config.methods, config.is_behind)
        self._admission = Admission(limits)
        self._credits = AddressCredits(limits)
        self._downloads = Downloads(backend)
        self._pages = Pages()

    def app(self) -> ASGIApp:
        """The Starlette application, refusing more connections than allowed."""
        routes = [
            Route("/health", self._on_health),
            Route("/api/v2", self._on_post, methods=["POST"]),
            Route("/api/v2/{scope:str}/{name:str}", self._on_named, methods=["GET", "POST"]),
            WebSocketRoute("/ws/api/v2", self._on_websocket),
            WebSocketRoute("/ws/orders", self._on_order_websocket),
            *document_routes(),
            *self._downloads.routes(),
            *self._pages.routes(),
        ]
        cors = Middleware(CORSMiddleware, allow_origins=["*"], allow_methods=["GET", "POST"], allow_headers=["*"])
        return _admitted(Starlette(routes=routes, middleware=[cors]), self._admission)

    async def _on_health(self, request: HttpRequest) -> Response:
        status = self.api.backend.status()
        is_well = not status.is_syncing and not status.is_halted
        body = {"ok": is_well, "height": status.height, "syncing": status.is_syncing, "halted": status.is_halted}
        return JSONResponse(body, 200 if is_well else 503)

    async def _on_post(self, request: HttpRequest) -> Response:
        return await self._on_http(request, None)

    async def _on_named(self, request: HttpRequest) -> Response:
        return await self._on_http(request, f"{request.path_params['scope']}/{request.path_params['name']}")

    async def _on_http(self, request: HttpRequest, method: str | None) -> Response:
        start_us = now_us()
        pools = self._credits.over_http(_address(request.scope), trio.current_time())
        headers: dict[str, str] = {}
        try:
            await self._demand(pools.wait_for_any_ms(trio.current_time()))
            body = await self._read_body(request)
            reply = await answer_now(await self._make_call(request, method, body, start_us, pools))
        except RequestError as error:
            text = error_text(error.request_id, error.error, start_us, self.api.is_testnet)
            reply = Reply(text, error.error.fault.http_status)
            if error.error.fault is RATE_LIMITED:
                headers["retry-after"] = str(-(-int(str(error.error.details["retry_after_ms"])) // 1000))
        except ClientDisconnect:
            return Response(status_code=499)
        headers |= credit_headers(pools)
        return Response(reply.text, reply.http_status, media_type="application/json", headers=headers)

    async def _make_call(
        self, request: HttpRequest, method: str | None, body: bytes, start_us: int, pools: CreditPools
    ) -> Call:
        """The call, paid for. Raises `RequestError`."""
        limits, now_s = self.api.limits, trio.current_time()
        try:
            parsed = _http_request(request, method, body)
        except RequestError:
            pools.take(*price_request(None, limits, len(body)), now_s)
            raise
        cost = price_request(self.api.methods.get(parsed.method), limits, len(body))
        await self._demand(pools.take(*cost, now_s), parsed.request_id)
        return Call(self.api, parsed, start_us, credits=pools)

    async def _demand(self, wait_ms: int, request_id: str | int | None = None) -> None:
        """Raises `RequestError` when there are not enough credits for so long, and not at once: whoever does not wait
        is made to, for his connection is not read meanwhile.
        """
        if wait_ms:
            held_s, left_ms = hold_back(wait_ms, self.api.limits)
            await trio.sleep(held_s)
            raise RequestError(request_id, ApiError(RATE_LIMITED, retry_after_ms=left_ms))

    async def _read_body(self, request: HttpRequest) -> bytes:
        body = bytearray()
        with trio.move_on_after(self.api.limits.request_s_max) as scope:
            async for chunk in request.stream():
                body += chunk
                if len(body) > self.api.limits.body_bytes_max:
                    raise RequestError(None, ApiError(TOO_LARGE))
        if scope.cancelled_caught:
            blame("it did not finish a request")
            raise RequestError(None, ApiError(REQUEST_TOO_SLOW))
        return bytes(body)

    async def _on_order_websocket(self, websocket: WebSocket) -> None:
        await OrderSession(self.api, websocket, trio.current_time()).run()

    async def _on_websocket(self, websocket: WebSocket) -> None:
        pools = self._credits.of_connection(_address(websocket.scope), trio.current_time())
        await Session(self.api, websocket, pools).run()


def _http_request(request: HttpRequest, method: str | None, body: bytes) -> Request:
    """GET: the query is the parameters. POST with a method in the path: the body is the call or its parameters."""
    if method is None:
        return parse_request(body)
    if request.method == "GET" or not body:
        return Request(None, method, dict(request.query_params))
    return parse_named_request(body, method)


def _address(scope: Scope) -> str:
    client = scope.get("client")
    return client[0] if client else ""


def _admitted(app: ASGIApp, admission: Admission) -> ASGIApp:
    """`app` behind the connection limits; a WebSocket counts while it is open, a request while it is served."""

    async def admit(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            return await app(scope, receive, send)
        address = _address(scope)
        if not admission.open_connection(address):
            return await _refuse(scope, receive, send)
        try:
            await app(scope, receive, send)
        finally:
            admission.close_connection(address)
        return None

    return admit


async def _refuse(scope: Scope, receive: Receive, send: Send) -> None:
    error = ApiError(TOO_MANY_CONNECTIONS)
    if scope["type"] == "websocket":
        websocket = WebSocket(scope, receive, send)
        await websocket.accept()
        return await websocket.close(CLOSE_TRY_AGAIN_LATER, f"{error.fault.number} {error.fault.reason}")
    text = error_text(None, error, now_us(), True)
    return await Response(text, error.fault.http_status, media_type="application/json")(scope, receive, send)


async def serve(backend: Backend, config: GatewayConfig, task_status: Any = trio.TASK_STATUS_IGNORED) -> None:
    """Serves until cancelled; `task_status` receives the URLs."""
    gateway = Gateway(backend, config)
    limits = config.limits
    server = hypercorn.config.Config.from_mapping({
        "bind": [f"{config.host}:{config.port}"], "errorlog": logging.getLogger("net.gateway.server"),
        "websocket_max_message_size": limits.transport_message_bytes_max,
        "h11_max_incomplete_size": limits.header_bytes_max, "graceful_timeout": limits.shutdown_s,
        "shutdown_timeout": limits.shutdown_s,
    })  # fmt: skip
    async with trio.open_nursery() as nursery:
        nursery.start_soon(gateway.api.hub.run)
        start = partial(serve_bounded, gateway.app(), server, limits.send_s_max, door=Door(limits))
        task_status.started(await nursery.start(_serve, start))


async def _serve(start: Callable[..., Awaitable[None]], task_status: Any) -> None:
    """The server, again after it failed: no client may end the node through it."""
    is_first = True
    while True:
        try:
            async with trio.open_nursery() as nursery:
                urls = await nursery.start(start)
                if is_first:
                    task_status.started(urls)
                is_first = False
        except Exception:
            if is_first:
                raise
            logger.exception("api.server_failed (started again)")
            await trio.sleep(_RESTART_S)
