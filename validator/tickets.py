"""One command of the JSON API on its way through the ingress, and its verdict in the API's terms."""

import numpy as np
import trio

from engine.results import Code
from net.gateway.backend import Receipt, Submission
from net.gateway.errors import REFUSAL_FAULTS
from validator.ingress import Verdict

RECEIPTS_MAX = 20_000
_REFUSALS = {fault.number: refusal for refusal, fault in REFUSAL_FAULTS.items()}


class NodeTicket:
    """Implements `Ticket`."""

    def __init__(self, receipts: "ReceiptBook") -> None:
        self._receipts = receipts
        self._is_judged = trio.Event()
        self._verdict: Verdict | None = None

    def deliver(self, verdict: Verdict) -> None:
        """The verdict on a submission of this one command."""
        self._verdict = verdict
        self._is_judged.set()
        if not verdict.code and not int(verdict.rows["code"][0]):
            receipt = self._show(verdict).receipt
            assert receipt is not None
            self._receipts.put(receipt, is_copy=bool(verdict.is_copy[0]))

    async def wait(self) -> Submission:
        """See `Ticket.wait`. Raises `ValueError` where the judging failed: the command is not taken."""
        await self._is_judged.wait()
        assert self._verdict is not None
        return self._show(self._verdict)

    def _show(self, verdict: Verdict) -> Submission:
        code = verdict.code or int(verdict.rows["code"][0])
        identifier = verdict.rows["message_id"][0].tobytes() if len(verdict.rows) else bytes(32)
        if code in _REFUSALS:
            return Submission(identifier, refusal=_REFUSALS[code])
        if code != Code.OK:
            return Submission(identifier, code=Code(code))
        received_ms = int(verdict.rows["received_ms"][0])
        return Submission(identifier, Receipt(self._receipts.node_index, identifier, received_ms, verdict.signature))


class ReceiptBook:
    """This node's receipts of the last commands, found by their ids. In columns: as objects they took five times as
    much. Their memory is taken at once, or a quiet exchange would grow by it for hours.
    """

    def __init__(self, node_index: int, count_max: int = RECEIPTS_MAX) -> None:
        self.node_index, self._count_max = node_index, count_max
        self._keys = np.full(count_max, 0, np.uint64)  # the first eight bytes of each id
        self._ids = np.full((count_max, 32), 0, np.uint8)
        self._received_ms = np.full(count_max, 0, np.int64)
        self._signatures = np.full((count_max, 64), 0, np.uint8)
        self._count = 0  # ever put

    def put(self, receipt: Receipt, is_copy: bool) -> None:
        """The first one stands: a copy of a command is answered with it. Only copies are looked for, in all there are;
        the first may have come by another way than this.
        """
        if is_copy and self._find(receipt.command_id) is not None:
            return
        at = self._count % self._count_max
        self._keys[at] = _key_of(receipt.command_id)
        self._ids[at] = np.frombuffer(receipt.command_id, np.uint8)
        self._received_ms[at] = receipt.received_ms
        self._signatures[at] = np.frombuffer(receipt.signature, np.uint8)
        self._count += 1

    def get(self, command_id: bytes) -> Receipt | None:
        at = self._find(command_id)
        if at is None:
            return None
        return Receipt(self.node_index, command_id, int(self._received_ms[at]), self._signatures[at].tobytes())

    def _find(self, command_id: bytes) -> int | None:
        used = min(self._count, self._count_max)
        for at in np.flatnonzero(self._keys[:used] == _key_of(command_id)).tolist():
            if self._ids[at].tobytes() == command_id:
                return int(at)
        return None


def _key_of(command_id: bytes) -> np.uint64:
    return np.uint64(int.from_bytes(command_id[:8], "little"))
