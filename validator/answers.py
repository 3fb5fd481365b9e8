"""What became of the inbox's entries: one answer each, from the final block that consumed it."""

from collections.abc import Sequence

import cbor2

from consensus.messages import Block
from engine.apply import BlockResult
from engine.payload import KIND_DEPOSIT, InboxEntry, Payload
from engine.results import Code
from engine.tables import NOTICE_FORCED
from net.gateway.backend import InboxView
from validator.store import AnswerRow

PAID_BACK = -1  # number of a deposit that found no account


def make_answers(block: Block, result: BlockResult) -> list[AnswerRow]:
    """A row for every entry that the block consumed, in inbox order; one of an unknown kind is refused as malformed."""
    said = {
        int(row["subject"]): (int(row["value_b"]), int(row["value_d"]))
        for row in result.notices[result.notices["kind"] == NOTICE_FORCED]
    }
    said |= {credit.inbox_index: (int(Code.OK), credit.account) for credit in result.credits}
    height, time_ms = block.header.height, block.header.timestamp_ms
    rows = []
    for entry in Payload.decode(block.payload).inbox_entries:
        code, number = said.get(entry.index, (int(Code.MALFORMED), 0))
        data = cbor2.dumps(entry.to_cbor(), canonical=True)
        rows.append((entry.index, height, time_ms, owner_of(entry), code, number, data))
    return rows


def owner_of(entry: InboxEntry) -> bytes:
    """Whose account an entry means."""
    return entry.beneficiary if entry.kind == KIND_DEPOSIT else entry.sender


def show_answer(row: AnswerRow) -> InboxView:
    """A stored answer as the API shows it."""
    _, height, time_ms, _, code, number, data = row
    return _show(InboxEntry.from_cbor(cbor2.loads(data)), height, time_ms, code, number)


def show_waiting(entries: Sequence[InboxEntry], owner: bytes) -> list[InboxView]:
    """Those of an owner that no final block has consumed."""
    return [_show(entry, 0, 0, int(Code.OK), 0) for entry in entries if owner_of(entry) == owner]


def _show(entry: InboxEntry, height: int, time_ms: int, code: int, number: int) -> InboxView:
    return InboxView(
        index=entry.index, kind=entry.kind, owner=owner_of(entry), subaccount=entry.subaccount, token=entry.token,
        amount_units=entry.amount, data=entry.data, entered_s=entry.time_s, height=height, time_ms=time_ms,
        code=Code(code), number=number,
    )  # fmt: skip
