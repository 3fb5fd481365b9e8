"""Outcomes: each connection hears of its own messages, in columns, and of a copy what the original did."""

from dataclasses import replace

import numpy as np
import pytest

from engine.commands import BUY, CANCEL_ALL, PLACE, SELL, Action, Command, command_id, compute_action_ids
from engine.results import Code, OrderState
from net.gateway.backend import CommandResult, Status
from net.identity import NetworkSigner
from net.order_frames import decode_answer
from tests.validator.chainlet import (
    DOMAIN,
    EXPIRY_MS,
    MARK_TICKS,
    OWNERS,
    SEEDS,
    SEPARATOR,
    TRADERS,
    Chainlet,
    seal,
    sign,
)
from validator.batches import Sources
from validator.outcomes import OutcomeBook, show_known
from validator.sealing import Sealer

FIRST, SECOND, NOBODY = 11, 12, 0


def of(trader, nonce, *actions):
    return Command(OWNERS[trader], nonce, EXPIRY_MS, actions).signed(TRADERS[trader], SEPARATOR)


def sourced(commands, origins, sequence):
    """A batch of our own whose messages came from these connections."""
    made = seal(0, sequence, [command.encode() for command in commands])
    names = np.frombuffer(b"".join(command_id(item, SEPARATOR) for item in commands), np.uint8).reshape(-1, 32)
    return replace(made, sources=Sources(names, np.array(origins)))


@pytest.fixture
def book():
    heard = {FIRST: [], SECOND: []}
    results = {}
    made = OutcomeBook(results.get)
    for origin, frames in heard.items():
        made.listen(origin, frames.append)
    return made, heard, results


def run(book, batches):
    chain = Chainlet()
    chain.fund()
    chain.add(batches, with_prices=True)
    final = chain.executor.final
    book.on_final(final.state, final.result.receipts, batches)
    return final


def test_each_connection_hears_of_its_own_messages_once_they_are_durable(book):
    made, heard, _ = book
    place = Action(PLACE, side=BUY, market=0, price_ticks=MARK_TICKS, size_lots=3)
    hit = Action(PLACE, side=SELL, market=0, price_ticks=MARK_TICKS, size_lots=2)
    commands = [of(0, 1, place), of(1, 1, hit, Action(CANCEL_ALL, market=0)), of(0, 2, replace(place, market=9))]
    other = seal(1, 1, [sign(0, CANCEL_ALL, 3, market=0).encode()])
    final = run(made, [other, sourced(commands, [FIRST, SECOND, FIRST], 1)])
    assert heard == {FIRST: [], SECOND: []}
    made.publish()
    (first,), (second,) = ([decode_answer(frame) for frame in heard[origin]] for origin in (FIRST, SECOND))
    assert (first.height, first.time_ms) == (final.state.height, final.state.time_ms)
    assert first.message_ids.tobytes() == b"".join(command_id(item, SEPARATOR) for item in commands[::2])
    assert first.rows["code"].tolist() == [0, Code.UNKNOWN_MARKET] and first.rows["message"].tolist() == [0, 1]
    assert second.rows["action"].tolist() == [0, 1] and second.rows["message"].tolist() == [0, 0]
    unit = int(final.state.tables.markets[0]["quote_per_tick_lot"])
    assert second.rows["filled_lots"].tolist() == [2, 0]
    assert second.rows["filled_quote"].tolist() == [2 * MARK_TICKS * unit, 0]
    assert second.rows["order_state"][0] == OrderState.FILLED and first.rows["order_id"][0] > 0


def test_who_left_or_never_asked_hears_nothing(book):
    made, heard, _ = book
    made.forget(SECOND)
    run(made, [sourced([sign(0, CANCEL_ALL, 1, market=0), sign(0, CANCEL_ALL, 2, market=0)], [SECOND, NOBODY], 1)])
    made.publish()
    assert heard == {FIRST: [], SECOND: []}


def test_a_message_that_was_sent_again_is_told_to_who_asks_now(book):
    made, heard, _ = book
    command = sign(0, CANCEL_ALL, 1, market=0)
    made.move(command_id(command, SEPARATOR), SECOND)
    run(made, [sourced([command], [FIRST], 1)])
    made.publish()
    assert heard[FIRST] == [] and len(heard[SECOND]) == 1


def test_what_another_nodes_batch_did_counts_and_not_that_our_copy_came_late(book):
    made, heard, results = book
    command = sign(0, CANCEL_ALL, 1, market=0)
    name = command_id(command, SEPARATOR)
    results[name] = CommandResult(name, Status.CERTIFIED, cancelled_count=5, height=1, time_ms=1)
    final = run(made, [seal(0, 1, [command.encode()]), sourced([command], [FIRST], 2)])
    assert final.result.receipts["code"].tolist() == [0, Code.NONCE_REUSED]
    made.publish()
    rows = decode_answer(heard[FIRST][0]).rows
    assert rows["code"].tolist() == [0] and rows["cancelled_count"].tolist() == [5]


def test_what_a_block_did_before_is_told_in_the_order_of_the_actions():
    name = b"\7" * 32
    results = [
        CommandResult(action_id, Status.ON_CHAIN, code, height=9, time_ms=8, withdrawal_index=index)
        for action_id, code, index in zip(compute_action_ids(name, 2), (Code.OK, Code.WOULD_CROSS), (4, None))
    ]
    told = decode_answer(show_known(name, results).encode())
    assert (told.height, told.time_ms, told.message_ids.tobytes()) == (9, 8, name)
    assert told.rows["code"].tolist() == [0, Code.WOULD_CROSS] and told.rows["withdrawal_index"].tolist() == [4, -1]


def test_the_sealer_keeps_where_messages_came_from():
    made = Sealer(0, NetworkSigner(SEEDS[0], DOMAIN), SEPARATOR, 1)
    made.add(sign(0, CANCEL_ALL, 1, market=0).encode(), OWNERS[0])
    passed_by = made.seal()
    own = replace(passed_by, sources=Sources(passed_by.ids, np.array([FIRST])))
    made.put_back([own])
    assert made.seal().sources.origins.tolist() == [FIRST]
