"""A client's binary order entry: frames into the ingress, receipts and outcomes back (docs/protocol.md, section 8)."""

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import trio

from engine.commands import compute_action_ids
from engine.results import Code
from net.gateway.backend import CommandResult, Status
from net.order_frames import FLAG_OUTCOMES, RECEIPT_ROW, Orders, Receipts
from validator.ingress import Entry, Intake, Verdict
from validator.outcomes import OutcomeBook, Push, show_known

UNANSWERED_BYTES_MAX = 256 * 1024  # of one connection, so that none fills the queue of all
# What nobody signed costs us as much as what somebody did, and what is sent again has to be looked up: both cost their
# sender time.
FORGERY_PAUSE_S = 0.01
LOOK_UP_PAUSE_S = 0.002
PAUSE_S_MAX = 5.0
# Said of a message that a block carries already, too.
_SPENT = (Code.EXPIRED, Code.NONCE_REUSED, Code.NONCE_TOO_OLD)


class NodeOrderStream:
    """Implements `OrderStream`."""

    def __init__(
        self, origin: int, push: Push, ingress: Intake, book: OutcomeBook,
        result: Callable[[bytes], CommandResult | None],
    ) -> None:  # fmt: skip
        """`result(action_id)`: what is known of an action."""
        self._origin = origin
        self._push = push
        self._ingress = ingress
        self._book = book
        self._result = result
        self._unanswered_bytes = 0
        self._is_answered = trio.Event()
        self._paused_until_s = 0.0
        self._wants_outcomes = False

    async def submit(self, orders: Orders) -> None:
        """See `OrderStream.submit`."""
        if orders.flags & FLAG_OUTCOMES and not self._wants_outcomes:
            self._wants_outcomes = True
            self._book.listen(self._origin, self._push)
        if not orders.messages:
            self._push(Receipts(orders.tag, 0, np.empty(0, RECEIPT_ROW), b"").encode())
            return
        await trio.sleep_until(self._paused_until_s)
        while self._unanswered_bytes and self._unanswered_bytes + len(orders.messages) > UNANSWERED_BYTES_MAX:
            self._is_answered = trio.Event()
            await self._is_answered.wait()
        self._unanswered_bytes += len(orders.messages)
        deliver = partial(self._deliver, orders.tag, len(orders.messages))
        self._ingress.put(Entry(orders.messages, self._origin, is_frame=True, deliver=deliver))

    def _deliver(self, tag: int, size_bytes: int, verdict: Verdict) -> None:
        self._unanswered_bytes -= size_bytes
        self._is_answered.set()
        self._pause(int((verdict.rows["code"] == Code.BAD_SIGNATURE).sum()) * FORGERY_PAUSE_S)
        if self._wants_outcomes and len(verdict.rows):
            self._tell_known(verdict)
        self._push(Receipts(tag, verdict.code, verdict.rows, verdict.signature).encode())

    def _pause(self, pause_s: float) -> None:
        """The next frame of this connection waits so much longer."""
        if pause_s:
            self._paused_until_s = max(self._paused_until_s, trio.current_time()) + min(pause_s, PAUSE_S_MAX)

    def _tell_known(self, verdict: Verdict) -> None:
        """Of messages that were sent before, here or elsewhere: what became of them, ahead of their receipts; or that
        it is this connection which wants to know.
        """
        codes = verdict.rows["code"]
        known_before = np.flatnonzero(verdict.is_copy | np.isin(codes, _SPENT)).tolist()
        self._pause(len(known_before) * LOOK_UP_PAUSE_S)
        for at in known_before:
            message_id = verdict.rows["message_id"][at].tobytes()
            known = self._find_final(compute_action_ids(message_id, int(verdict.counts[at])))
            if known is not None:
                self._push(show_known(message_id, known).encode())
            elif codes[at] == Code.OK:
                self._book.move(message_id, self._origin)

    def _find_final(self, action_ids: Sequence[bytes]) -> list[CommandResult] | None:
        """What a final block made of all actions of a message; None while no such block is known here."""
        known = list[CommandResult]()
        for action_id in action_ids:
            result = self._result(action_id)
            if result is None or result.status not in (Status.CERTIFIED, Status.ON_CHAIN):
                return None
            known.append(result)
        return known
