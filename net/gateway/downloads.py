"""Claims files for whoever wants to mirror them: `GET /claims` lists them, `GET /claims/ROOT` is one of them,
`GET /claims/withdrawals` the withdrawals file.

They prove themselves, so a mirror needs no trust and no encryption. Few are sent at once, because they are large; the
rest is told to come again.
"""

import logging
import os
from pathlib import Path
from typing import BinaryIO

import trio
from starlette.requests import Request as HttpRequest
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from net.gateway.backend import Backend

logger = logging.getLogger(__name__)
DOWNLOADS_MAX = 8
DOWNLOAD_S_MAX = 900
_CHUNK_BYTES = 256 * 1024
_RETRY_AFTER_S = 10


class Downloads:
    """See the module's text."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._slots: list[object] = []  # one item for each file that is being sent

    def routes(self) -> list[Route]:
        return [
            Route("/claims", self._on_index),
            Route("/claims/withdrawals", self._on_withdrawals),
            Route("/claims/{root:str}", self._on_claims),
        ]

    async def _on_index(self, request: HttpRequest) -> Response:
        rows = [
            {
                "account_root": "0x" + view.account_root.hex(), "height": view.height,
                "header_hash": "0x" + view.header_hash.hex(), "size_bytes": view.size_bytes,
                "path": f"/claims/0x{view.account_root.hex()}",
            }
            for view in self._backend.claims()
        ]  # fmt: skip
        withdrawals = None if self._backend.withdrawals_path() is None else "/claims/withdrawals"
        return JSONResponse({"claims": rows, "withdrawals": withdrawals})

    async def _on_claims(self, request: HttpRequest) -> Response:
        try:
            root = bytes.fromhex(request.path_params["root"].removeprefix("0x"))
        except ValueError:
            root = b""
        return self._send(self._backend.claims_path(root), "public, max-age=31536000, immutable")

    async def _on_withdrawals(self, request: HttpRequest) -> Response:
        return self._send(self._backend.withdrawals_path(), "no-cache")

    def _send(self, path: Path | None, cache_control: str) -> Response:
        if path is None:
            return JSONResponse({"error": "no such file here: /claims lists what there is"}, 404)
        if len(self._slots) >= DOWNLOADS_MAX:
            busy = {"retry-after": str(_RETRY_AFTER_S)}
            return JSONResponse({"error": "too many downloads at once: come again"}, 503, headers=busy)
        try:
            # Opened here: a file that is dropped while it is sent stays readable.
            file = path.open("rb")
        except FileNotFoundError:
            return JSONResponse({"error": "the file has just been dropped: /claims lists newer ones"}, 404)
        return _FileResponse(file, os.fstat(file.fileno()).st_size, cache_control, self._slots)


class _FileResponse(Response):
    """Sends an open file, as long as it is now, while it holds a slot; a client that reads too slowly is cut off."""

    def __init__(self, file: BinaryIO, size_bytes: int, cache_control: str, slots: list[object]) -> None:
        headers = {"content-length": str(size_bytes), "cache-control": cache_control}
        super().__init__(headers=headers, media_type="application/octet-stream")
        self._file, self._left_bytes = file, size_bytes
        self._slots = slots

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._slots.append(self)
        try:
            with self._file as file, trio.fail_after(DOWNLOAD_S_MAX):
                await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
                while self._left_bytes > 0:
                    chunk = await trio.to_thread.run_sync(file.read, min(_CHUNK_BYTES, self._left_bytes))
                    self._left_bytes -= len(chunk) or self._left_bytes
                    await send({"type": "http.response.body", "body": chunk, "more_body": True})
                await send({"type": "http.response.body", "body": b"", "more_body": False})
        except trio.TooSlowError:
            logger.info("api.download_ended seconds_max=%d (it took longer)", DOWNLOAD_S_MAX)
        finally:
            self._slots.remove(self)
