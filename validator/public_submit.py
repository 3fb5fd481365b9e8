"""Orders of light clients that reach public hosts only: passed on, one signed message at a time, to a node's API.

The host believes nothing and decides nothing: the API checks the signature and answers with a receipt or a numbered
refusal, which goes back as it is. What all strangers together may bring is bounded, so that they never take more of the
API than any other client may.
"""

import json
import logging

import httpx
import trio

from net.peers import TokenBucket
from net.public.messages import PublicError

SUBMIT_PROTOCOL = "/hansa/submit/1"
SUBMIT_BYTES_MAX = 16 * 1024
SUBMITS_PER_S = 50.0
SUBMITS_BURST = 200.0
TIMEOUT_S = 10.0
BUSY = b'{"error":{"code":10028,"message":"too_many_requests"}}'
AWAY = b'{"error":{"code":10040,"message":"the node does not answer"}}'

log = logging.getLogger("hansa.public")


class Submitting:
    """`api_url`: that of the node, such as http://127.0.0.1:8645."""

    def __init__(self, api_url: str) -> None:
        self._url = f"{api_url.rstrip('/')}/api/v2"
        self._client = httpx.AsyncClient(timeout=TIMEOUT_S)
        self._budget = TokenBucket(SUBMITS_PER_S, SUBMITS_BURST, SUBMITS_BURST, 0)

    async def answer(self, _peer: bytes, request: bytes) -> bytes:
        """The API's answer in JSON: `result` with the receipt, or `error` with a number."""
        if not request:
            raise PublicError("nothing to submit")
        if self._budget.take(0, trio.current_time()) > 0 or self._budget.tokens < 1:
            return BUSY
        self._budget.take(1, trio.current_time())
        params = {"command": "0x" + request.hex(), "x_wait": "received"}
        call = {"jsonrpc": "2.0", "id": 1, "method": "public/x_submit", "params": params}
        try:
            said = (await self._client.post(self._url, json=call)).json()
        except (httpx.HTTPError, ValueError) as error:
            log.info("public.submit_failed error=%r", error)
            return AWAY
        kept = {name: said[name] for name in ("result", "error") if name in said}
        return json.dumps(kept, separators=(",", ":")).encode()
