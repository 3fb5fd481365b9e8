"""What a client of the gateway is told to be final is proven first (`net.client.verifying`), by any of the nodes."""

import logging
from typing import Any

import trio

from net.client.proof import ProofError
from net.client.protocol import make_error
from net.client.verifying import Certainty, Verifier
from net.gateway.errors import ApiError
from net.trader.faults import UNPROVEN
from net.trader.pool import Pool
from net.trader.upstream import NodeRefused

logger = logging.getLogger(__name__)


class Prover:
    """`verifier` None: nothing is proven, and answers say so."""

    def __init__(self, pool: Pool, verifier: Verifier | None) -> None:
        self._pool = pool
        self._certainty = Certainty(verifier)

    async def check(self, answer: dict[str, Any]) -> dict[str, Any]:
        """A final answer with `x_certificate`. Raises `ApiError` when no node has a certificate of the committee for
        the block of the answer.
        """
        asking = self._certainty.check(answer)
        try:
            call = next(asking)
            while True:
                await trio.sleep(call.pause_s)
                try:
                    shown = await self._pool.call(call.method, call.params)
                except NodeRefused as error:
                    call = asking.throw(make_error(error.error))
                else:
                    call = asking.send(shown)
        except StopIteration as done:
            checked: dict[str, Any] = done.value
            return checked
        except ProofError as error:
            height = answer.get("x_height")
            logger.warning("gateway.height_unproven height=%s error=%s", height, error)
            raise ApiError(UNPROVEN, hint=f"height {height}: {error}", x_height=height) from None
