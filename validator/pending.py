"""Commands that no final block holds yet, whichever member took them: in a batch that waits, in a block that was
proposed, or in one that another was built on.

A block that another was built on is notarised: a leader builds on nothing else. Whatever is told here may yet turn out
otherwise; what is final is the ledger's to tell. Kept is nothing: batches and blocks that wait are few.
"""

from collections.abc import Callable, Iterator

import numpy as np

from engine.results import Code, OrderState
from engine.state import EngineState
from net.gateway.backend import CommandResult, Status
from validator.batches import BatchPool, CheckedBatch
from validator.executor import Executed, Executor
from validator.orders import quote_per_tick_lot

# Rows of a batch's actions that are meant.
Rows = Callable[[CheckedBatch], np.ndarray]


def rows_of_id(action_id: bytes) -> Rows:
    """The action with an id."""
    wanted = np.frombuffer(action_id, np.uint8)
    return lambda checked: np.flatnonzero((checked.ids == wanted).all(axis=1))


def rows_of_nonce(owner: bytes, subaccount: int, nonce: int) -> Rows:
    """The actions of an account's messages with a nonce."""
    return lambda checked: np.flatnonzero(
        _is_of(checked, owner, subaccount) & np.repeat(checked.messages["nonce"] == nonce, checked.messages["count"])
    )


def rows_of_label(owner: bytes, subaccount: int, client_id: int) -> Rows:
    """An account's actions that carry a client id."""
    return lambda checked: np.flatnonzero(
        _is_of(checked, owner, subaccount) & (checked.actions["client_id"] == client_id)
    )


def _is_of(checked: CheckedBatch, owner: bytes, subaccount: int) -> np.ndarray:
    messages = checked.messages
    is_own = (messages["owner"] == np.frombuffer(owner, np.uint8)).all(axis=1) & (messages["subaccount"] == subaccount)
    found: np.ndarray = np.repeat(is_own, messages["count"])
    return found


class Pending:
    """See the module's text."""

    def __init__(self, executor: Executor, pool: BatchPool) -> None:
        self._executor = executor
        self._pool = pool

    def find(self, rows: Rows) -> list[CommandResult]:
        """From the highest block that has any, else from the batches that wait."""
        blocks = self._executor.unfinal()
        parents = {executed.parent_hash for _, executed in blocks}
        for block_hash, executed in reversed(blocks):
            found = list(self._find_in_block(executed, rows, is_notarised=block_hash in parents))
            if found:
                return found
        cursors = self._executor.final.state.batch_sequences.tolist()
        return [
            CommandResult(checked.ids[at].tobytes(), Status.RECEIVED)
            for checked in self._pool.waiting(cursors) for at in rows(checked)
        ]  # fmt: skip

    def _find_in_block(self, executed: Executed, rows: Rows, *, is_notarised: bool) -> Iterator[CommandResult]:
        first = 0
        for _, _, batch_hash in executed.payload.batch_refs if executed.payload else ():
            checked = self._pool.get(batch_hash)
            if checked is None:
                return  # what comes behind it cannot be counted
            for at in rows(checked).tolist():
                name = checked.ids[at].tobytes()
                if not is_notarised or executed.result is None:
                    yield CommandResult(name, Status.INCLUDED, height=executed.height, time_ms=executed.time_ms)
                else:
                    market = int(checked.actions["market"][at])
                    yield _show(name, executed, executed.result.receipts[first + at], market)
            first += len(checked.actions)


def _show(name: bytes, executed: Executed, receipt: np.void, market: int) -> CommandResult:
    withdrawal_index = int(receipt["withdrawal_index"])
    return CommandResult(
        command_id=name, status=Status.EXECUTED, code=Code(int(receipt["code"])),
        order_state=OrderState(int(receipt["order_state"])), order_id=int(receipt["order_id"]),
        filled_lots=int(receipt["filled_lots"]), remaining_lots=int(receipt["remaining_lots"]),
        filled_value_quote=int(receipt["filled_value"]) * _value_unit(executed.state, market),
        height=executed.height, time_ms=executed.time_ms, cancelled_count=int(receipt["cancelled_count"]),
        withdrawal_index=None if withdrawal_index < 0 else withdrawal_index,
    )  # fmt: skip


def _value_unit(state: EngineState, market: int) -> int:
    return quote_per_tick_lot(state, market) if market < len(state.tables.markets) else 0
