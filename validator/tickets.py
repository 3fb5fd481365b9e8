"""One command of the JSON API on its way through the ingress, and its verdict in the API's terms."""

import trio

from engine.results import Code
from net.gateway.backend import Receipt, Submission
from net.gateway.errors import REFUSAL_FAULTS
from validator.ingress import Verdict

_REFUSALS = {fault.number: refusal for refusal, fault in REFUSAL_FAULTS.items()}


class NodeTicket:
    """Implements `Ticket`."""

    def __init__(self, node_index: int) -> None:
        self._node_index = node_index
        self._is_judged = trio.Event()
        self._verdict: Verdict | None = None

    def deliver(self, verdict: Verdict) -> None:
        """The verdict on a submission of this one command."""
        self._verdict = verdict
        self._is_judged.set()

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
