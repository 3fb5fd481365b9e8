"""Sends one signed command to several nodes at once, until one tells its result or it has expired.

The same bytes may go to any node any number of times: the nonce makes them one command. So the first node that tells
the final result is believed (its certificate is checked by `net.trader.certainty`), a node that dies is replaced, and a
node's own trouble (syncing, queue full) is no answer as long as another may have one.
"""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from math import inf
from typing import Any

import trio

from engine.results import Code
from net.gateway.errors import ApiError
from net.trader.faults import NO_NODE, OUTCOME_UNKNOWN
from net.trader.pool import ELSEWHERE, Pool
from net.trader.scribe import Signed
from net.trader.upstream import NodeLost, NodeRefused, Upstream

logger = logging.getLogger(__name__)
_WAIT_S = 10
_GRACE_S = 5.0  # above what the node itself waits
_AGAIN_S = 0.1
_PATIENCE_S = 15.0  # for a first node; nothing has been sent before there is one
# What a node says of a command that it may have seen before: no verdict while a node that took it may have gone silent.
_OF_A_COPY = frozenset({int(Code.EXPIRED), int(Code.NONCE_REUSED), int(Code.NONCE_TOO_OLD)})


@dataclass(slots=True)
class _Verdict:
    """What is known so far: at most one of the two in the end."""

    result: dict[str, Any] | None = None
    refused: NodeRefused | None = None
    elsewhere: NodeRefused | None = None
    is_out: bool = False  # a node has it, or went silent after it was sent it: it may execute


class Sender:
    """`fanout` nodes are asked at once; `wait` is `final` or `received`."""

    def __init__(self, pool: Pool, fanout: int = 3, wait: str = "final") -> None:
        self._pool = pool
        self._fanout = fanout
        self._wait = wait

    async def send(self, signed: Signed, on_sent: Callable[[], None]) -> dict[str, Any]:
        """The answer of the first node that has one. Raises `NodeRefused` for a refusal that stands, `ApiError` when no
        node could be asked, or none told the outcome. `on_sent` is called when the first nodes have it.
        """
        params = {"x_wait": self._wait, "x_timeout_s": _WAIT_S} | signed.params
        verdict = _Verdict()
        remaining_s = signed.expiry_ms / 1000 - time.time() + _WAIT_S
        with trio.move_on_after(max(1.0, remaining_s)):
            while verdict.result is None and verdict.refused is None:
                await self._ask_around(signed.method, params, verdict, on_sent)
        return self._told(verdict)

    def _told(self, verdict: _Verdict) -> dict[str, Any]:
        if verdict.result is not None:
            height = verdict.result.get("x_height")
            if isinstance(height, int):
                self._pool.seen_height = max(self._pool.seen_height, height)
            return verdict.result
        if verdict.refused is not None:
            raise verdict.refused
        raise ApiError(OUTCOME_UNKNOWN if verdict.is_out else NO_NODE)

    async def _ask_around(
        self, method: str, params: dict[str, Any], verdict: _Verdict, on_sent: Callable[[], None]
    ) -> None:
        """One round: the best nodes at once, and another for each that is lost. Ends at the first answer."""
        await self._pool.wait_node(inf if verdict.is_out else _PATIENCE_S)
        asked = self._pool.ranked()[: self._fanout]
        posted = []
        for node in asked:
            try:
                posted.append((node, await node.post(method, params)))
            except NodeLost:
                verdict.is_out = True
        on_sent()
        refusals: list[NodeRefused] = []

        async def hear(node: Upstream, request_id: int | None, scope: trio.CancelScope) -> None:
            while True:
                try:
                    if request_id is None:
                        request_id = await node.post(method, params)
                    answer = await node.wait_answer(request_id, _WAIT_S + _GRACE_S)
                except NodeLost:
                    verdict.is_out = True
                    others = [other for other in self._pool.ranked() if other not in asked]
                    if not others:
                        return
                    node, request_id = others[0], None
                    asked.append(node)
                    continue
                except NodeRefused as error:
                    if error.number in ELSEWHERE:
                        verdict.elsewhere = error
                    elif error.data.get("stage") == "final":
                        verdict.refused = error
                        scope.cancel()
                    else:
                        refusals.append(error)
                    return
                if params["x_wait"] != "final" or answer.get("x_is_final", True):
                    verdict.result = answer
                    scope.cancel()
                verdict.is_out = True
                return

        async with trio.open_nursery() as nursery:
            for node, request_id in posted:
                nursery.start_soon(hear, node, request_id, nursery.cancel_scope)
        if verdict.result is None and verdict.refused is None:
            await self._conclude(verdict, refusals)

    async def _conclude(self, verdict: _Verdict, refusals: list[NodeRefused]) -> None:
        """No result yet: a refusal stands unless the command may execute, or may have, through another node."""
        standing = [error for error in refusals if not (verdict.is_out and error.number in _OF_A_COPY)]
        if standing:
            verdict.refused = standing[0]
        elif verdict.elsewhere is not None and not verdict.is_out:
            verdict.refused = verdict.elsewhere
        else:
            await trio.sleep(_AGAIN_S)
