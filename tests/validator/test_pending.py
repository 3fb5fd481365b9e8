"""What is known of a command before it is final: that it waits, in which block it is, what came of it there."""

import pytest

from engine.commands import PLACE, WITHDRAW, Action, Command, command_id, compute_action_ids
from engine.results import Code, OrderState
from net.gateway.backend import Status
from tests.validator.chainlet import EXPIRY_MS, MARK_TICKS, OWNERS, SEPARATOR, TRADERS, Chainlet, seal, sign
from validator.pending import Pending, Rows, rows_of_id, rows_of_label, rows_of_nonce


def order(nonce: int, client_id: int) -> Command:
    return sign(0, PLACE, nonce, price_ticks=MARK_TICKS - 9, size_lots=10, client_id=client_id)


def test_a_command_waits_is_included_executed_and_then_the_ledgers() -> None:
    chain = Chainlet()
    chain.fund()
    pending = Pending(chain.executor, chain.pool)
    command, other = order(5, 77), order(6, 78)
    name = command_id(command, SEPARATOR)
    batch = seal(1, 1, [other.encode(), command.encode()])
    wanted: list[Rows] = [rows_of_id(name), rows_of_nonce(OWNERS[0], 0, 5), rows_of_label(OWNERS[0], 0, 77)]

    def told() -> list[tuple[Status, int, OrderState]]:
        found = [pending.find(rows) for rows in wanted]
        assert all(results == found[0] for results in found)
        return [(result.status, result.height, result.order_state) for result in found[0] if result.command_id == name]

    assert told() == []
    chain.pool.add(batch)
    assert told() == [(Status.RECEIVED, 0, OrderState.NONE)]
    block = chain.add([batch], is_final=False)
    assert told() == [(Status.INCLUDED, 2, OrderState.NONE)]
    child = chain.add([], is_final=False)
    assert told() == [(Status.EXECUTED, 2, OrderState.OPEN)]
    chain.executor.finalise(block.hash())
    chain.executor.finalise(child.hash())
    chain.pool.drop_through([0, 1, 0, 0])
    assert told() == []


def test_every_action_of_a_message_has_its_own_result() -> None:
    chain = Chainlet()
    chain.fund()
    actions = (
        Action(PLACE, price_ticks=MARK_TICKS - 9, size_lots=10), Action(WITHDRAW, size_lots=1 << 60),
        Action(WITHDRAW, size_lots=1_000),
    )  # fmt: skip
    command = Command(OWNERS[0], 9, EXPIRY_MS, actions).signed(TRADERS[0], SEPARATOR)
    batch = seal(0, 1, [command.encode()])
    chain.add([batch], is_final=False)
    chain.add([], is_final=False)
    results = Pending(chain.executor, chain.pool).find(rows_of_nonce(OWNERS[0], 0, 9))
    assert [result.command_id for result in results] == list(compute_action_ids(command_id(command, SEPARATOR), 3))
    assert [result.code for result in results] == [Code.OK, Code.INSUFFICIENT_BALANCE, Code.OK]
    assert results[2].withdrawal_index == 0


@pytest.mark.parametrize("rows", [rows_of_nonce(OWNERS[1], 0, 5), rows_of_nonce(OWNERS[0], 1, 5),
                                  rows_of_nonce(OWNERS[0], 0, 4), rows_of_label(OWNERS[1], 0, 77)])  # fmt: skip
def test_what_is_anothers_is_not_told(rows: Rows) -> None:
    chain = Chainlet()
    chain.fund()
    chain.pool.add(seal(1, 1, [order(5, 77).encode()]))
    assert Pending(chain.executor, chain.pool).find(rows) == []
