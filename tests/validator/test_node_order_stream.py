"""A node's side of one order connection: frames answered in order, what was sent before told again."""

from dataclasses import replace

import numpy as np
import pytest
import trio

from engine.commands import CANCEL_ALL, command_id
from engine.results import Code
from net.gateway.backend import CommandResult, Status
from net.order_frames import FLAG_OUTCOMES, Orders, Outcomes, Receipts, decode_answer
from tests.validator.chainlet import SEPARATOR, Chainlet, seal, sign
from tests.validator.test_ingress import Desk
from validator.order_stream import FORGERY_PAUSE_S, LOOK_UP_PAUSE_S, UNANSWERED_BYTES_MAX, NodeOrderStream
from validator.outcomes import OutcomeBook

ORIGIN = 3


class Line:
    """A connection to a desk whose ledger is a dictionary."""

    def __init__(self, chain):
        self.desk, self.results, self.frames = Desk(chain), {}, []
        self.book = OutcomeBook(self.results.get)
        self.stream = NodeOrderStream(
            ORIGIN, lambda data: self.frames.append(decode_answer(data)), self.desk.ingress, self.book, self.results.get
        )

    async def send(self, tag, commands, flags=FLAG_OUTCOMES):
        """What is told in answer to one frame."""
        self.frames.clear()
        await self.stream.submit(Orders(tag, flags, b"".join(command.encode() for command in commands)))
        if commands:
            await self.desk.judge([], lambda: any(isinstance(frame, Receipts) for frame in self.frames))
        return list(self.frames)


@pytest.fixture(scope="module")
def chain():
    made = Chainlet()
    made.fund()
    return made


async def test_a_frame_is_answered_by_its_tag_and_its_messages_carry_the_connection(chain):
    line = Line(chain)
    (empty,) = await line.send(1, [])
    (receipts,) = await line.send(2, [sign(0, CANCEL_ALL, 9, market=0)])
    assert (empty.tag, len(empty.rows), receipts.tag, receipts.rows["code"].tolist()) == (1, 0, 2, [0])
    assert [part.origins.tolist() for part in line.desk.taken] == [[ORIGIN]]


async def test_what_a_block_has_is_told_again_ahead_of_its_receipt(chain):
    line, command = Line(chain), sign(0, CANCEL_ALL, 9, market=0)
    name = command_id(command, SEPARATOR)
    await line.send(1, [command])
    line.results[name] = CommandResult(name, Status.CERTIFIED, cancelled_count=4, height=8, time_ms=7)
    told, receipts = await line.send(2, [command])
    assert isinstance(told, Outcomes) and isinstance(receipts, Receipts) and told.height == 8
    assert told.rows["cancelled_count"].tolist() == [4] and receipts.rows["code"].tolist() == [0]
    assert len(await line.send(3, [command, sign(0, CANCEL_ALL, 10, market=0)])) == 2, "and nothing of what is new"


async def test_what_still_waits_is_told_to_who_asked_last(chain):
    line, command = Line(chain), sign(0, CANCEL_ALL, 9, market=0)
    name = command_id(command, SEPARATOR)
    line.results[name] = CommandResult(name, Status.RECEIVED)
    await line.send(1, [command])
    assert len(await line.send(2, [command])) == 1
    assert line.book._moved == {name: ORIGIN}


async def test_a_spent_message_of_another_node_is_told_by_its_result(chain):
    spent = Chainlet()
    spent.fund()
    line = Line(chain)
    command = sign(0, CANCEL_ALL, 9, market=0)
    name = command_id(command, SEPARATOR)
    line.results[name] = CommandResult(name, Status.ON_CHAIN, Code.OK, height=8, time_ms=7)
    spent.add([seal(1, 1, [command.encode()])])
    line.desk.ingress._state = lambda: spent.executor.final.state
    told, receipts = await line.send(1, [command])
    assert told.height == 8 and receipts.rows["code"].tolist() == [Code.NONCE_REUSED]
    assert np.array_equal(told.message_ids, receipts.rows["message_id"])


async def test_forged_messages_cost_their_sender_time_and_nobody_else(chain):
    line, good = Line(chain), sign(0, CANCEL_ALL, 9, market=0)
    await line.send(1, [good])
    assert line.stream._paused_until_s == 0
    forged = [replace(sign(0, CANCEL_ALL, nonce, market=0), signature=bytes(65)) for nonce in range(10, 14)]
    before_s = trio.current_time()
    (receipts,) = await line.send(2, forged)
    assert receipts.rows["code"].tolist() == [Code.BAD_SIGNATURE] * 4
    assert line.stream._paused_until_s >= before_s + 4 * FORGERY_PAUSE_S
    line.stream._paused_until_s = 0
    await line.send(3, [good] * 5)
    assert line.stream._paused_until_s >= before_s + 5 * LOOK_UP_PAUSE_S


async def test_a_connection_has_so_many_bytes_unanswered_and_waits_with_the_next(chain):
    line, orders = Line(chain), Orders(1, 0, sign(0, CANCEL_ALL, 9, market=0).encode() * 600)
    for _ in range(UNANSWERED_BYTES_MAX // len(orders.messages)):
        await line.stream.submit(orders)
    with trio.move_on_after(0.05) as waiting:
        await line.stream.submit(orders)
    assert waiting.cancelled_caught
    await line.desk.judge([], lambda: not line.stream._unanswered_bytes)
    with trio.fail_after(10):
        await line.stream.submit(orders)


async def test_who_wants_no_outcomes_hears_of_none(chain):
    line, command = Line(chain), sign(0, CANCEL_ALL, 9, market=0)
    await line.send(1, [command], flags=0)
    line.results[command_id(command, SEPARATOR)] = CommandResult(bytes(32), Status.CERTIFIED)
    assert [type(frame) for frame in await line.send(2, [command], flags=0)] == [Receipts]
