"""The gateway's listener on 127.0.0.1: Deribit's paths over HTTP and WebSocket.

Only this machine is served: a request with another Host is refused, so that no web page can reach the gateway through a
name of its own that resolves to 127.0.0.1, and no page of another origin may read an answer.
"""

import logging
from collections.abc import Callable
from typing import Any

import hypercorn.config
import trio
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.websockets import WebSocket

from net.gateway.errors import TOO_LARGE, ApiError
from net.gateway.pages import Pages
from net.gateway.server import serve_bounded
from net.gateway.wire import Request as Call
from net.gateway.wire import RequestError, error_text, now_us, parse_named_request, parse_request
from net.gateway.writes import WRITES
from net.trader.access import Access
from net.trader.desk import Desk
from net.trader.faults import WRONG_HOST
from net.trader.hub import Hub
from net.trader.metrics import CONTENT_TYPE
from net.trader.pool import Pool
from net.trader.session import Session

logger = logging.getLogger(__name__)
BODY_BYTES_MAX = 1 << 20
HEADER_BYTES_MAX = 64 << 10  # ccxt sends orders as the query of a GET
_SHUTDOWN_S = 1.0
_SEND_S_MAX = 10.0
_LOCAL_HOSTS = ("127.0.0.1", "localhost", "[::1]")


class Server:
    """Routes of one gateway."""

    def __init__(
        self, desk: Desk, access: Access, pool: Pool, hub: Hub, host: str, port: int,
        describe: Callable[[], dict[str, Any]], metrics: Callable[[], str],
    ) -> None:  # fmt: skip
        """`describe()`: what `/status` says beside the nodes; `metrics()`: the text of `/metrics`."""
        self._describe, self._metrics = describe, metrics
        self._desk, self._access, self._pool, self._hub = desk, access, pool, hub
        self._host, self._port = host, port

    async def run(self, task_status: Any) -> None:
        """Serves until cancelled; `task_status` receives the URL."""
        config = hypercorn.config.Config.from_mapping({
            "bind": [f"{self._host}:{self._port}"], "errorlog": logging.getLogger("net.trader.server"),
            "websocket_max_message_size": BODY_BYTES_MAX, "h11_max_incomplete_size": HEADER_BYTES_MAX,
            "graceful_timeout": _SHUTDOWN_S, "shutdown_timeout": _SHUTDOWN_S,
        })  # fmt: skip
        async with trio.open_nursery() as nursery:
            urls = await nursery.start(self._serve, config)
            task_status.started(urls[0])

    async def _serve(self, config: hypercorn.config.Config, task_status: Any) -> None:
        app: Any = self.app()
        await serve_bounded(app, config, _SEND_S_MAX, task_status)

    def app(self) -> ASGIApp:
        routes = [
            Route("/status", self._on_status),
            Route("/metrics", self._on_metrics),
            Route("/api/v2", self._on_http, methods=["POST"]),
            Route("/api/v2/{scope:str}/{name:str}", self._on_http, methods=["GET", "POST"]),
            WebSocketRoute("/ws/api/v2", self._on_websocket),
            *Pages("gateway").routes(),
        ]
        return self._local_only(Starlette(routes=routes))

    async def _on_status(self, request: Request) -> Response:
        """What an operator looks at first."""
        first = self._pool.ranked()[:1]
        nodes = [
            {"url": node.url, "connected": node.is_connected, "well": node.is_well, "first": node in first,
             "height": node.height, "latency_ms": round(node.latency_s * 1000, 1)}
            for node in self._pool.nodes
        ]  # fmt: skip
        return JSONResponse({"gateway": "hansa", "nodes": nodes, "channels": self._hub.channels()} | self._describe())

    async def _on_metrics(self, _: Request) -> Response:
        return Response(self._metrics(), media_type=CONTENT_TYPE)

    async def _on_http(self, request: Request) -> Response:
        start_us = now_us()
        try:
            body = await _read_body(request)
            call = _parse(request, body)
            grant = self._access.of_header(
                request.headers.get("authorization"), request.method, _uri(request.scope),
                body.decode("utf-8", "surrogateescape"), call.method in WRITES,
            )  # fmt: skip
            text, http_status = await self._desk.answer_http(call, grant, start_us)
        except RequestError as error:
            text, http_status = self._refusal(error.request_id, error.error, start_us)
        except ApiError as error:
            text, http_status = self._refusal(None, error, start_us)
        except ClientDisconnect:
            return Response(status_code=499)
        return Response(text, http_status, media_type="application/json")

    def _refusal(self, request_id: str | int | None, error: ApiError, start_us: int) -> tuple[str, int]:
        return error_text(request_id, error, start_us, self._pool.is_testnet), error.fault.http_status

    async def _on_websocket(self, websocket: WebSocket) -> None:
        await Session(self._desk, websocket).run()

    def _local_only(self, app: ASGIApp) -> ASGIApp:
        names = (self._host, *_LOCAL_HOSTS)

        async def check(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] not in ("http", "websocket"):
                return await app(scope, receive, send)
            headers = {name.lower(): value.decode("latin-1") for name, value in scope["headers"]}
            host = headers.get(b"host", "")
            origin = headers.get(b"origin", "").partition("://")[2]
            if _host_name(host) in names and (not origin or origin == host):
                return await app(scope, receive, send)
            text = error_text(None, ApiError(WRONG_HOST), now_us(), self._pool.is_testnet)
            return await Response(text, WRONG_HOST.http_status, media_type="application/json")(scope, receive, send)

        return check


def _host_name(host: str) -> str:
    """The Host header without its port."""
    return host[: host.find("]") + 1] if host.startswith("[") else host.partition(":")[0]


def _uri(scope: Scope) -> str:
    """Path and query as they were sent, which is what the client signed."""
    raw: bytes = scope.get("raw_path") or scope["path"].encode()
    query: bytes = scope.get("query_string") or b""
    return (raw.partition(b"?")[0] + (b"?" + query if query else b"")).decode("latin-1")


def _parse(request: Request, body: bytes) -> Call:
    if "scope" not in request.path_params:
        return parse_request(body)
    method = f"{request.path_params['scope']}/{request.path_params['name']}"
    if request.method == "GET" or not body:
        return Call(None, method, dict(request.query_params))
    return parse_named_request(body, method)


async def _read_body(request: Request) -> bytes:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > BODY_BYTES_MAX:
            raise ApiError(TOO_LARGE)
    return bytes(body)
