"""HTTP around the development chain, one thread for each connection, and the thread that keeps its clock going."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from contracts.devchain.rpc import Rpc

BODY_BYTES_MAX = 4 * 1024 * 1024
# py_ecc lifts Python's recursion limit so far that deeply nested JSON would overflow the stack and end the process.
BRACKETS_MAX = 10_000
_IDLE_CONNECTION_S = 120
_WAITING_CONNECTIONS_MAX = 128


class Server(ThreadingHTTPServer):
    """Serves `rpc` on `host:port`; port 0 takes a free one."""

    daemon_threads = True

    def __init__(self, rpc: Rpc, host: str, port: int) -> None:
        super().__init__((host, port), _Handler)
        self.rpc = rpc

    def server_activate(self) -> None:
        self.socket.listen(_WAITING_CONNECTIONS_MAX)

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that went away is no event."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # A small answer must not wait for the next packet (Nagle).
    disable_nagle_algorithm = True
    wbufsize = -1
    server: Server

    def setup(self) -> None:
        self.request.settimeout(_IDLE_CONNECTION_S)
        super().setup()

    def do_POST(self) -> None:
        length = self.headers.get("Content-Length", "")
        if not length.isdigit() or int(length) > BODY_BYTES_MAX:
            self.close_connection = True
            self._reply_error(-32600, "body too large")
            return
        body = self.rfile.read(int(length))
        if body.count(b"[") + body.count(b"{") > BRACKETS_MAX:
            self._reply_error(-32700, "too many brackets")
            return
        try:
            request = json.loads(body)
        except ValueError:
            self._reply_error(-32700, "not JSON")
            return
        self._reply(200, self.server.rpc.answer(request))

    def do_GET(self) -> None:
        self._reply(405, {"error": "POST JSON-RPC requests"})

    def log_message(self, format: str, *args: object) -> None:
        """Silent: validators poll several times a second."""

    def _reply_error(self, code: int, message: str) -> None:
        self._reply(200, {"jsonrpc": "2.0", "id": None, "error": {"code": code, "message": message}})

    def _reply(self, status: int, value: object) -> None:
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


class Ticker(threading.Thread):
    """Mines an empty block whenever none came for `interval_s`."""

    def __init__(self, rpc: Rpc, interval_s: float) -> None:
        super().__init__(name="devchain-ticker", daemon=True)
        self._rpc = rpc
        self._interval_s = interval_s
        self._stopped = threading.Event()

    def run(self) -> None:
        while not self._stopped.wait(self._interval_s):
            self._rpc.chain.mine(if_idle_for_s=self._interval_s)

    def stop(self) -> None:
        self._stopped.set()
        self.join()
