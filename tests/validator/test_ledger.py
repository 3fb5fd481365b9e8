"""What a node tells its clients of finalised blocks: the truth, once, and only of what their owners signed."""

import pytest

from engine.commands import BUY, HEADER_BYTES, IMMEDIATE_OR_CANCEL, PLACE, POST_ONLY, SELL, WITHDRAW, command_id
from engine.results import Code, OrderState
from tests.validator.chainlet import GENESIS_STATE, MARK_TICKS, OWNERS, SEPARATOR, Chainlet, certify, seal, sign
from validator.ledger import Ledger
from validator.stats import Stats
from validator.store import Store


class Teller:
    """A chain and the ledger that follows it."""

    def __init__(self, folder) -> None:
        self.chain = Chainlet()
        self.store = Store(folder / "blocks.sqlite")
        self.ledger = Ledger(self.store, Stats(lambda: 0), GENESIS_STATE)
        self.follow(self.chain.fund(), [])

    def follow(self, block, batches) -> None:
        self.ledger.apply(block, certify(block), self.chain.executor.final, batches, is_live=True)
        self.ledger.publish()

    def run(self, *batches) -> None:
        self.follow(self.chain.add(list(batches)), list(batches))

    def result(self, command):
        return self.ledger.result(command_id(command, SEPARATOR), 0)


@pytest.fixture
def teller(tmp_path):
    return Teller(tmp_path)


def place(trader, nonce, side, size_lots, time_in_force=POST_ONLY, ticks=MARK_TICKS):
    return sign(trader, PLACE, nonce, side=side, time_in_force=time_in_force, price_ticks=ticks, size_lots=size_lots)


def test_a_broken_copy_in_an_earlier_block_does_not_speak_for_the_command(teller):
    command = place(0, 1, BUY, 3)
    record = command.encode()
    forged = record[:50] + bytes([record[50] ^ 1]) + record[51:]  # signed by some address, not the owner's
    padded = record[: HEADER_BYTES - 1] + b"\1" + record[HEADER_BYTES:]
    copies = [forged, record[:40] + bytes(65) + record[105:], padded, record[:-1] + b"\1"]
    teller.run(seal(3, 1, copies))
    assert teller.result(command) is None
    teller.run(seal(0, 1, [record]))
    assert (teller.result(command).code, teller.result(command).order_state) == (Code.OK, OrderState.OPEN)


def test_a_replay_keeps_the_first_result(teller):
    command = place(0, 1, BUY, 3)
    teller.run(seal(0, 1, [command.encode()]))
    teller.run(seal(1, 1, [command.encode()]))
    assert teller.result(command).code == Code.OK
    assert len(teller.ledger.orders.open_of(OWNERS[0], 0)) == 1


def test_the_rest_of_an_immediate_order_is_not_open(teller):
    resting, taking = place(0, 1, SELL, 2), place(1, 1, BUY, 5, IMMEDIATE_OR_CANCEL)
    teller.run(seal(0, 1, [resting.encode(), taking.encode()]))
    result = teller.result(taking)
    assert (result.order_state, result.filled_lots) == (OrderState.CANCELLED, 2)
    assert [fill.size_lots for fill in result.fills] == [2]
    assert teller.ledger.orders.open_of(OWNERS[1], 0) == [] == teller.ledger.orders.open_of(OWNERS[0], 0)
    assert teller.ledger.orders.get(result.order_id).state == OrderState.CANCELLED


def test_a_day_of_a_market_is_summed_by_minutes(teller):
    for nonce, ticks in ((1, MARK_TICKS), (2, MARK_TICKS + 50), (3, MARK_TICKS - 70)):
        commands = [place(0, nonce, SELL, nonce, ticks=ticks), place(1, nonce, BUY, nonce, IMMEDIATE_OR_CANCEL, ticks)]
        teller.run(seal(0, nonce, [command.encode() for command in commands]))
    turnover = MARK_TICKS + 2 * (MARK_TICKS + 50) + 3 * (MARK_TICKS - 70)
    assert teller.store.market_day(0, 0) == (6, MARK_TICKS + 50, MARK_TICKS - 70, turnover)
    assert teller.store.market_day(1, 0) == (0, 0, 0, 0)


def test_withdrawals_are_listed_by_owner_with_their_time(teller):
    command = sign(2, WITHDRAW, 1, size_lots=77)
    teller.run(seal(0, 1, [command.encode()]))
    head = teller.chain.head
    assert teller.result(command).withdrawal_index == 0
    (row,) = teller.store.withdrawals_of(OWNERS[2])
    assert row[:3] == (0, head.height, head.timestamp_ms) and row[4:] == (OWNERS[2], 77, 0)
    assert teller.store.withdrawals(head.height) == [row] and teller.store.withdrawals(head.height - 1) == []
    assert teller.store.has_withdrawal_above(head.height - 1) and not teller.store.has_withdrawal_above(head.height)
