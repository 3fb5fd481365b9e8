"""What a node tells its clients of finalised blocks: the truth, once, and only of what their owners signed."""

import pytest
import trio

from engine.commands import (
    ALL_MARKETS,
    AMEND,
    AT_MARKET,
    BUY,
    CANCEL_ALL,
    HEADER_BYTES,
    IMMEDIATE_OR_CANCEL,
    PLACE,
    POST_ONLY,
    REDUCE_ONLY,
    SELL,
    TRIGGER,
    WITHDRAW,
    command_id,
)
from engine.payload import InboxEntry
from engine.results import Code, OrderState
from engine.tables import BY_OWNER_ALL
from engine.views import find_account
from tests.validator.chainlet import GENESIS_STATE, MARK_TICKS, OWNERS, SEPARATOR, TOKEN, Chainlet, certify, seal, sign
from validator import ledger as ledger_module
from validator.answers import show_answer, show_waiting
from validator.history import first_place
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


def follow_anew(teller):
    """The open orders that a ledger finds in the state alone."""
    fresh = Ledger(teller.store, Stats(lambda: 0), teller.chain.executor.final.state)
    return {(order.order_id, order.price_ticks, order.remaining_lots): order.is_waiting
            for owner in OWNERS for order in fresh.orders.open_of(owner, 0)}  # fmt: skip


def open_orders(teller):
    return {(order.order_id, order.price_ticks, order.remaining_lots): order.is_waiting
            for owner in OWNERS for order in teller.ledger.orders.open_of(owner, 0)}  # fmt: skip


def count_fills(teller, order_id):
    """How many of the market's trades name an order."""
    trades = teller.ledger.history.fills_of_market(0, 100)
    return sum(order_id in (trade.row["maker_order_id"], trade.row["taker_order_id"]) for trade in trades)


def test_an_order_that_trades_before_it_rests_has_one_name(teller):
    crossing = place(1, 1, BUY, 5, time_in_force=0)
    teller.run(seal(0, 1, [place(0, 1, SELL, 2).encode(), crossing.encode()]))
    result = teller.result(crossing)
    assert (result.order_state, result.remaining_lots, len(result.fills)) == (OrderState.OPEN, 3, 1)
    (order,) = teller.ledger.orders.open_of(OWNERS[1], 0)
    assert (order.order_id, order.remaining_lots) == (result.order_id, 3)
    assert count_fills(teller, result.order_id) == 1
    teller.run(seal(0, 2, [place(2, 1, SELL, 3, IMMEDIATE_OR_CANCEL).encode()]))
    assert count_fills(teller, result.order_id) == 2
    assert teller.ledger.orders.get(result.order_id).state == OrderState.FILLED


def test_an_edited_order_keeps_its_name_and_what_it_had(teller):
    command = place(0, 1, BUY, 9)
    teller.run(seal(0, 1, [command.encode(), place(1, 1, SELL, 2, IMMEDIATE_OR_CANCEL).encode()]))
    order_id = teller.result(command).order_id
    teller.run(seal(0, 2, [sign(0, AMEND, 2, order_id=order_id, price_ticks=MARK_TICKS - 5, size_lots=6).encode()]))
    (order,) = teller.ledger.orders.open_of(OWNERS[0], 0)
    assert (order.order_id, order.price_ticks, order.size_lots, order.remaining_lots) == (
        order_id, MARK_TICKS - 5, 6, 4,
    )  # fmt: skip
    assert open_orders(teller) == follow_anew(teller)


def test_a_trigger_waits_fires_and_becomes_an_order(teller):
    waiting = sign(0, TRIGGER, 1, side=BUY, trigger_ticks=MARK_TICKS + 1, price_ticks=MARK_TICKS, size_lots=4)
    due = sign(1, TRIGGER, 1, side=BUY, trigger_ticks=MARK_TICKS, price_ticks=MARK_TICKS - 9, size_lots=3, client_id=8)
    teller.run(seal(0, 1, [waiting.encode(), due.encode()]))
    assert set(open_orders(teller).values()) == {True} and open_orders(teller) == follow_anew(teller)
    teller.run()
    assert open_orders(teller) == follow_anew(teller)
    (order,) = teller.ledger.orders.open_of(OWNERS[1], 0)
    assert (order.is_waiting, order.price_ticks, order.remaining_lots, order.client_id) == (False, MARK_TICKS - 9, 3, 8)
    trigger = teller.ledger.orders.get(teller.result(due).order_id)
    assert trigger.is_waiting and trigger.state == OrderState.FILLED
    teller.run(seal(0, 2, [sign(0, CANCEL_ALL, 2, market=ALL_MARKETS).encode()]))
    gone = teller.ledger.orders.get(teller.result(waiting).order_id)
    assert (gone.state, gone.cancel_reason) == (OrderState.CANCELLED, BY_OWNER_ALL)


def test_a_whole_position_is_closed_by_a_trigger_that_names_no_size(teller):
    teller.run(seal(0, 1, [place(0, 1, BUY, 5).encode(), place(1, 1, SELL, 5, IMMEDIATE_OR_CANCEL).encode()]))
    stop = sign(0, TRIGGER, 2, side=SELL, time_in_force=IMMEDIATE_OR_CANCEL, flags=REDUCE_ONLY | AT_MARKET,
                trigger_ticks=MARK_TICKS)  # fmt: skip
    teller.run(seal(0, 2, [stop.encode(), place(2, 1, BUY, 7).encode()]))
    teller.run()
    filled = [order for order in teller.ledger.orders.closed() if order.owner == OWNERS[0] and order.flags]
    assert [(order.size_lots, order.remaining_lots, order.state) for order in filled if not order.is_waiting] == [
        (5, 0, OrderState.FILLED)
    ]
    assert open_orders(teller) == follow_anew(teller)


def test_a_reduce_only_order_is_as_large_as_its_position(teller):
    teller.run(seal(0, 1, [place(0, 1, BUY, 5).encode(), place(1, 1, SELL, 5, IMMEDIATE_OR_CANCEL).encode()]))
    resting = sign(0, PLACE, 2, side=SELL, flags=REDUCE_ONLY, price_ticks=MARK_TICKS + 9, size_lots=5)
    teller.run(seal(0, 2, [resting.encode(), place(2, 1, BUY, 3).encode()]))
    teller.run(seal(0, 3, [place(0, 3, SELL, 3, IMMEDIATE_OR_CANCEL).encode()]))
    (order,) = teller.ledger.orders.open_of(OWNERS[0], 0)
    assert (order.size_lots, order.remaining_lots) == (2, 2)
    assert open_orders(teller) == follow_anew(teller)


def test_inbox_entries_are_answered_by_owner_newest_first(teller):
    """What waits comes from the inbox; what a final block consumed has its code and height."""
    chain, cursor = teller.chain, teller.chain.executor.final.state.inbox_cursor
    asked = ((4, 0, OWNERS[0], 5), (4, 9, OWNERS[0], 5), (9, 0, OWNERS[0], 5), (1, 0, OWNERS[1], 8))
    entries = tuple(
        InboxEntry(cursor + at, kind, TOKEN, OWNERS[0], sub, sender, amount, bytes(32), 1_700_000_000)
        for at, (kind, sub, sender, amount) in enumerate(asked)
    )
    assert [view.index for view in show_waiting(entries, OWNERS[0])] == [cursor, cursor + 1, cursor + 2, cursor + 3]
    assert show_waiting(entries, OWNERS[1]) == []
    account = find_account(chain.executor.final.state, OWNERS[0], 0)
    block = chain.add([], entries, with_prices=True)
    teller.follow(block, [])
    views = [show_answer(row) for row in teller.store.answers_of(OWNERS[0], 4)]
    assert [(view.index - cursor, view.code, view.number) for view in views] == [
        (3, Code.OK, account), (2, Code.MALFORMED, 0), (1, Code.UNKNOWN_ACCOUNT, 0), (0, Code.OK, 0),
    ]  # fmt: skip
    assert {(view.height, view.time_ms) for view in views} == {(block.header.height, block.header.timestamp_ms)}
    assert [view.amount_units for view in views] == [8, 5, 5, 5] and len(teller.store.answers_of(OWNERS[0], 2)) == 2
    assert [row[0] for row in teller.store.answers_of(OWNERS[1], 10)] == [1]  # its first deposit


def test_withdrawals_are_listed_by_owner_with_their_time(teller):
    command = sign(2, WITHDRAW, 1, size_lots=77)
    teller.run(seal(0, 1, [command.encode()]))
    head = teller.chain.head
    assert teller.result(command).withdrawal_index == 0
    (row,) = teller.store.withdrawals_of(OWNERS[2])
    assert row[:3] == (0, head.height, head.timestamp_ms) and row[4:] == (OWNERS[2], 77, 0)
    assert teller.store.withdrawals(head.height) == [row] and teller.store.withdrawals(head.height - 1) == []
    has_between = teller.store.has_withdrawal_between
    assert has_between(head.height - 1, head.height) and has_between(0, head.height + 9)
    assert not has_between(head.height, head.height + 9) and not has_between(0, head.height - 1)


def test_what_is_in_memory_is_known_to_the_second_and_never_too_much_is_claimed(tmp_path, monkeypatch):
    teller = Teller(tmp_path)
    now_ms, height_at = 10_000, dict[int, int]()
    teller.ledger._stats._wall_ms = lambda: now_ms
    assert not teller.ledger.remembers_since(now_ms)
    for number in range(40):
        teller.run(seal(0, number + 1, [place(0, number + 1, BUY, 1).encode()]))
        height_at[now_ms] = teller.chain.head.height
        now_ms += 100
    assert len(teller.ledger._remembered) == 4  # seconds, not blocks
    assert teller.ledger.remembers_since(10_000) and not teller.ledger.remembers_since(9_999)
    teller.ledger.history.index.taken_over = first_place(height_at[11_500])
    monkeypatch.setattr(ledger_module, "INDEX_INTERVAL_S", 0)

    async def look_once() -> None:
        with trio.move_on_after(0.1):
            await teller.ledger.keep_index()

    trio.run(look_once)
    known = [time_ms for time_ms in height_at if teller.ledger.remembers_since(time_ms)]
    assert 11_500 < min(known) <= 11_600 + ledger_module.REMEMBERED_INTERVAL_MS and max(known) == max(height_at)
