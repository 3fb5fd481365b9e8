"""One command of the JSON API on its way through the ingress, and its verdict in the API's terms."""

from collections import OrderedDict

import trio

from engine.results import Code
from net.gateway.backend import Receipt, Submission
from net.gateway.errors import REFUSAL_FAULTS
from validator.ingress import Verdict

RECEIPTS_MAX = 20_000
_REFUSALS = {fault.number: refusal for refusal, fault in REFUSAL_FAULTS.items()}


class NodeTicket:
    """Implements `Ticket`."""

    def __init__(self, node_index: int, receipts: "ReceiptBook") -> None:
        self._node_index = node_index
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
            self._receipts.put(receipt)

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
        return Submission(identifier, Receipt(self._node_index, identifier, received_ms, verdict.signature))


class ReceiptBook:
    """The receipts of the last commands, by their ids."""

    def __init__(self, count_max: int = RECEIPTS_MAX) -> None:
        self._count_max = count_max
        self._receipts: OrderedDict[bytes, Receipt] = OrderedDict()

    def put(self, receipt: Receipt) -> None:
        """The first one stands: a copy of a command is answered with it."""
        self._receipts.setdefault(receipt.command_id, receipt)
        while len(self._receipts) > self._count_max:
            self._receipts.popitem(last=False)

    def get(self, command_id: bytes) -> Receipt | None:
        return self._receipts.get(command_id)
