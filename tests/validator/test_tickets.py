"""One JSON command's verdict in the API's terms."""

from dataclasses import replace

import pytest

from engine.commands import CANCEL_ALL, command_id
from engine.results import Code
from net.gateway.backend import Receipt, Refusal
from net.gateway.errors import INTERNAL, QUEUE_FULL
from tests.validator.chainlet import SEPARATOR, Chainlet, sign
from tests.validator.test_ingress import NOW_MS, Desk
from validator.ingress import refuse_unseen
from validator.tickets import NodeTicket, ReceiptBook


async def judged(verdict):
    ticket = NodeTicket(ReceiptBook(2))
    ticket.deliver(verdict)
    return await ticket.wait()


async def test_a_verdict_is_a_receipt_a_code_or_a_refusal():
    chain = Chainlet()
    chain.fund()
    good, spent = sign(0, CANCEL_ALL, 9, market=0), sign(0, CANCEL_ALL, 8, market=5)
    taken, refused = await Desk(chain).judge([good.encode(), spent.encode()])
    submission = await judged(taken)
    assert submission.receipt.command_id == submission.command_id == command_id(good, SEPARATOR)
    assert (submission.receipt.received_ms, submission.receipt.node_index) == (NOW_MS, 2)
    assert submission.receipt.signature == taken.signature
    submission = await judged(refused)
    assert (submission.code, submission.receipt) == (Code.UNKNOWN_MARKET, None)
    assert (await judged(refuse_unseen(QUEUE_FULL.number))).refusal == Refusal.QUEUE_FULL
    assert (await judged(refuse_unseen(Code.MALFORMED))).code == Code.MALFORMED


async def test_a_failure_of_ours_is_the_callers_and_not_the_loops():
    with pytest.raises(ValueError, match=str(INTERNAL.number)):
        await judged(refuse_unseen(INTERNAL.number))


async def test_the_last_receipts_are_known_by_their_commands():
    chain, book = Chainlet(), ReceiptBook(2, count_max=2)
    chain.fund()
    commands = [sign(0, CANCEL_ALL, nonce, market=0) for nonce in (7, 8, 9)]
    for verdict in await Desk(chain).judge([command.encode() for command in commands]):
        NodeTicket(book).deliver(verdict)
    NodeTicket(book).deliver(refuse_unseen(Code.MALFORMED))
    names = [command_id(command, SEPARATOR) for command in commands]
    receipts = [book.get(name) for name in names]
    assert receipts[0] is None and [receipt.command_id for receipt in receipts[1:]] == names[1:]
    book.put(replace(receipts[1], received_ms=0), is_copy=True)
    assert [book.get(name) for name in names] == receipts
    book.put(Receipt(2, bytes(32), 5, bytes(64)), is_copy=True)  # of what came in a frame
    assert book.get(bytes(32)).received_ms == 5 and book.get(names[1]) is None
    assert (receipts[2].node_index, receipts[2].received_ms, len(receipts[2].signature)) == (2, NOW_MS, 64)
