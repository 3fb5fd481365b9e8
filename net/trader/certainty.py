"""What a client of the gateway is told to be final is proven first (`net.client.verifying`), by any of the nodes."""

import logging
from typing import Any

from net.client.proof import ProofError
from net.client.verifying import Certainty, Verifier
from net.gateway.errors import ApiError
from net.trader.carrying import carry
from net.trader.faults import UNPROVEN
from net.trader.pool import Pool

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
        try:
            return await carry(self._pool, self._certainty.check(answer))
        except ProofError as error:
            height = answer.get("x_height")
            logger.warning("gateway.height_unproven height=%s error=%s", height, error)
            raise ApiError(UNPROVEN, hint=f"height {height}: {error}", x_height=height) from None
