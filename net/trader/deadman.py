"""`cancel_on_disconnect`, kept twice: the gateway cancels when the client goes, and the exchange itself cancels when
the gateway goes, because a signed `cancel_all_after` runs out that only a living gateway renews.
"""

import logging
import time
from collections.abc import Awaitable, Callable
from typing import Any

import trio

from net.gateway.errors import ApiError
from net.trader.session import Session
from net.trader.upstream import NodeRefused

logger = logging.getLogger(__name__)
DEADLINE_S = 60
RENEW_S = 15
SCOPES = ("connection", "account")

# Signs and sends one private method.
Write = Callable[[str, dict[str, Any]], Awaitable[Any]]


class DeadMan:
    """Which connections want their orders gone with them."""

    def __init__(self, write: Write) -> None:
        self._write = write
        self._sessions: dict[Session, None] = {}
        self.is_for_account = False
        self._changed = trio.Event()
        self._is_armed = False

    def scope_of(self, session: Session | None) -> str | None:
        """`connection`, `account`, or None where it is off."""
        if session is not None and session in self._sessions:
            return "connection"
        return "account" if self.is_for_account else None

    def enable(self, session: Session | None, scope: str) -> None:
        if scope == "account":
            self.is_for_account = True
        elif session is not None:
            self._sessions[session] = None
        self._tell()

    def disable(self, session: Session | None, scope: str) -> None:
        if scope == "account":
            self.is_for_account = False
        elif session is not None:
            self._sessions.pop(session, None)
        self._tell()

    async def end_session(self, session: Session) -> None:
        """Cancels what was asked for when a connection has ended."""
        is_own = self._sessions.pop(session, 0) is None
        self._tell()
        try:
            if self.is_for_account:
                await self._write("private/cancel_all", {})
            elif is_own:
                for order_id in session.order_ids:
                    await self._cancel(order_id)
        except (ApiError, NodeRefused) as error:
            logger.warning("gateway.orders_left error=%s (those of a connection that ended were not cancelled)", error)

    async def run(self) -> None:
        """Renews the deadline while anybody wants it, and takes it back afterwards."""
        while True:
            is_wanted = self.is_for_account or bool(self._sessions)
            if is_wanted or self._is_armed:
                deadline_ms = time.time_ns() // 1_000_000 + DEADLINE_S * 1000 if is_wanted else 0
                try:
                    await self._write("private/x_cancel_all_after", {"x_deadline_ms": deadline_ms})
                    self._is_armed = is_wanted
                except (ApiError, NodeRefused) as error:
                    logger.warning("gateway.deadline_not_renewed error=%s", error)
            with trio.move_on_after(RENEW_S if is_wanted or self._is_armed else float("inf")):
                await self._changed.wait()

    async def _cancel(self, order_id: str) -> None:
        try:
            await self._write("private/cancel", {"order_id": order_id})
        except NodeRefused as error:
            logger.debug("gateway.order_gone order=%s error=%s", order_id, error)

    def _tell(self) -> None:
        self._changed.set()
        self._changed = trio.Event()
