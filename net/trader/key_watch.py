"""How long the key that signs still may: a session key ends on a day that everybody has forgotten by then.

The account's keys are looked up at a node, at first and every half minute. A key that is near its end is told of in the
log, in `/status`, in the answer to a login and among the metrics; one that has ended signs nothing any more, so that a
program hears at once what is wrong and how it is cured. A key that the account does not list is left to the nodes: it
may be admitted by the next block.
"""

import logging
import time
from dataclasses import dataclass
from typing import Any

import trio

from net.gateway.errors import ApiError
from net.trader.faults import KEY_EXPIRED
from net.trader.pool import Pool
from net.trader.upstream import NodeRefused

logger = logging.getLogger(__name__)
LOOK_INTERVAL_S = 30.0
FIRST_LOOK_INTERVAL_S = 0.5
WARN_MS = 24 * 3_600_000
_LAST_WARN_MS = 3_600_000


@dataclass(frozen=True, slots=True)
class KeyTerms:
    """What the account has granted a session key. `valid_until_ms` by the exchange's clock."""

    valid_until_ms: int
    scopes: tuple[str, ...]


class KeyWatch:
    """Of the key at `address`, which signs for `owner`. The owner's own key never ends: nothing is looked up for it."""

    def __init__(self, pool: Pool, owner: str, subaccount: int, address: str | None) -> None:
        self._pool = pool
        self._account = {"owner": owner, "subaccount": subaccount}
        self.address = address
        self.is_session_key = address is not None and address != owner
        self.terms: KeyTerms | None = None  # None before the first look, and where the account does not list the key
        self.is_looked_up = False
        self._warned_ms = 0

    async def run(self) -> None:
        """Until cancelled."""
        while self.is_session_key:
            try:
                answer = await self._pool.call("private/x_list_session_keys", self._account)
                self._take(answer["keys"])
            except (ApiError, NodeRefused, KeyError, TypeError, ValueError) as error:
                logger.debug("gateway.key_not_looked_up error=%r", error)
            await trio.sleep(LOOK_INTERVAL_S if self.is_looked_up else FIRST_LOOK_INTERVAL_S)

    def check(self) -> None:
        """Raises `ApiError` for a key that has ended."""
        left_ms = self.left_ms()
        if left_ms is not None and left_ms <= 0:
            raise ApiError(KEY_EXPIRED, x_key=self.address, x_valid_until_ms=self._until_ms())

    def left_ms(self) -> int | None:
        """Until the key ends, below 0 afterwards; None for a key that has no end, or none that is known."""
        until_ms = self._until_ms()
        return None if until_ms is None else until_ms - time.time_ns() // 1_000_000

    def describe(self) -> dict[str, Any] | None:
        """For people and programs; None without a key."""
        if self.address is None:
            return None
        shown: dict[str, Any] = {"address": self.address, "is_session_key": self.is_session_key}
        if self.is_session_key:
            left_ms = self.left_ms()
            state = "unknown" if left_ms is None else "expired" if left_ms <= 0 else "valid"
            is_ending = left_ms is not None and left_ms < WARN_MS
            shown |= {
                "state": state, "valid_until_ms": self._until_ms(), "ends_soon": is_ending,
                "scopes": list(self.terms.scopes) if self.terms is not None else [],
            }  # fmt: skip
        return shown

    def _until_ms(self) -> int | None:
        return None if self.terms is None else self.terms.valid_until_ms

    def _take(self, keys: list[dict[str, Any]]) -> None:
        """What a node says of the account's keys."""
        own = next((entry for entry in keys if entry["key"] == self.address), None)
        if own is None and not self.is_looked_up:
            logger.warning("gateway.key_not_admitted key=%s owner=%s", self.address, self._account["owner"])
        self.terms = None if own is None else KeyTerms(int(own["x_valid_until_ms"]), tuple(own["scopes"]))
        self.is_looked_up = True
        self._warn()

    def _warn(self) -> None:
        """Once a day while a day is left, every hour in the last one, and when it is over."""
        left_ms, now_ms = self.left_ms(), time.time_ns() // 1_000_000
        if left_ms is None or left_ms >= WARN_MS or now_ms - self._warned_ms < _LAST_WARN_MS:
            return
        self._warned_ms = now_ms
        if left_ms <= 0:
            logger.error("gateway.key_expired key=%s (admit a new one with hansa session new)", self.address)
        else:
            logger.warning("gateway.key_ends_soon key=%s left_s=%d", self.address, left_ms // 1000)
