"""Is what a node calls final really so? The block's certificate is asked for and judged on this machine.

Who judges is passed in: pairings are computed in one place (`validator.light`), which a light install has not. Without
a judge nothing is checked, and answers say so.
"""

import logging
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import trio

from consensus.messages import Certificate, DecodeError, Header
from net.gateway.errors import ApiError
from net.trader.faults import UNPROVEN
from net.trader.pool import Pool
from net.trader.upstream import NodeRefused

logger = logging.getLogger(__name__)
_HEIGHTS_REMEMBERED = 4096
_CHAIN_MAX = 8
_BEHIND_S_MAX, _BEHIND_PAUSE_S = 3.0, 0.05

# Raises an exception of its own when the certificate is not the committee's for that header.
Judge = Callable[[Header, Certificate], None]


class Certainty:
    """Remembers the heights that were proven."""

    def __init__(self, pool: Pool, judge: Judge | None) -> None:
        self._pool = pool
        self._judge = judge
        self._proven: OrderedDict[int, None] = OrderedDict()

    async def check(self, answer: dict[str, Any]) -> dict[str, Any]:
        """A final answer with `x_certificate`: `proven`, or `unchecked` without a judge. Raises `ApiError` when no node
        has a certificate of the committee for the block of the answer.
        """
        height = answer.get("x_height")
        if not isinstance(height, int) or not answer.get("x_is_final"):
            return answer
        if self._judge is None:
            return answer | {"x_certificate": "unchecked"}
        if height not in self._proven:
            await self._prove(height, self._judge)
        return answer | {"x_certificate": "proven"}

    async def _ask(self, height: int) -> dict[str, Any]:
        """The node that is asked may have the block a moment later than the one that answered first."""
        give_up_s = trio.current_time() + _BEHIND_S_MAX
        while True:
            try:
                shown: dict[str, Any] = await self._pool.call("public/x_get_certificate", {"height": height})
                return shown
            except NodeRefused:
                if trio.current_time() >= give_up_s:
                    raise
                await trio.sleep(_BEHIND_PAUSE_S)

    async def _prove(self, height: int, judge: Judge) -> None:
        """A block without a certificate of its own is final by that of the first descendant which has one."""
        chain: list[Header] = []
        try:
            while True:
                header, certificate = _decode(await self._ask(height + len(chain)))
                if header.height != height + len(chain) or (chain and header.parent_hash != chain[-1].hash()):
                    raise ValueError(f"no block of height {height + len(chain)} that follows the one before")
                chain.append(header)
                try:
                    judge(header, certificate)
                    break
                except ValueError:
                    if len(chain) == _CHAIN_MAX:
                        raise
        except ApiError:
            raise
        except (NodeRefused, DecodeError, KeyError, TypeError, ValueError) as error:
            logger.warning("gateway.height_unproven height=%d error=%r", height, error)
            raise ApiError(UNPROVEN, hint=f"height {height}: {error}", x_height=height) from None
        self._proven |= dict.fromkeys(range(height, height + len(chain)))
        while len(self._proven) > _HEIGHTS_REMEMBERED:
            self._proven.popitem(last=False)


def _decode(shown: dict[str, Any]) -> tuple[Header, Certificate]:
    header = Header.decode(bytes.fromhex(shown["header"][2:]))
    certificate = Certificate(
        shown["kind"], shown["epoch"], shown["view"], header.hash(), bytes.fromhex(shown["bitmap"][2:]),
        bytes.fromhex(shown["signature"][2:]),
    )  # fmt: skip
    return header, certificate
