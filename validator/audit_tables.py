"""What else a node keeps of a block, compared with what executing the block gives: withdrawals, trades, results.

Order ids of trades are left out: the store has those under which the orders were known to their owners.
"""

from typing import Any

from consensus.messages import Header
from engine.results import Code
from validator.audit_rows import Mismatch, Rows
from validator.batches import CheckedBatch
from validator.executor import Executed
from validator.ledger import FILL_COLUMNS, RECEIPT_COLUMNS, TRADES_PER_BLOCK_BITS

_FILL_NAMES = ("id", "height", "time_ms", *FILL_COLUMNS)
_RESULT_NAMES = ("command_id", "height", "time_ms", *RECEIPT_COLUMNS)
_WITHDRAWAL_NAMES = ("id", "height", "time_ms", "account", "owner", "amount_quote", "asset")
_KNOWN_AS = ("maker_order_id", "taker_order_id")


def check_tables(rows: Rows, header: Header, executed: Executed, batches: list[CheckedBatch]) -> int:
    """How many withdrawals the block has. Raises `Mismatch`."""
    result, height, time_ms = executed.result, header.height, header.timestamp_ms
    if result is None:
        raise ValueError("an executed block has a result")
    wanted = [(leaf[0], height, time_ms, *leaf[1:]) for leaf in result.withdrawals]
    if wanted:
        found = rows.rows_of(height, "withdrawals", "id BETWEEN ? AND ?", wanted[0][0], wanted[-1][0])
        _compare(height, "withdrawals", _WITHDRAWAL_NAMES, found, wanted)
    first = height << TRADES_PER_BLOCK_BITS
    fills = [
        (first | at, height, time_ms, *(int(fill[name]) for name in FILL_COLUMNS))
        for at, fill in enumerate(result.fills)
    ]
    found = rows.rows_of(height, "fills", "id BETWEEN ? AND ?", first, first + (1 << TRADES_PER_BLOCK_BITS) - 1)
    _compare(height, "fills", _FILL_NAMES, found, fills)
    for receipt in result.receipts:
        if receipt["code"] not in (Code.UNKNOWN_ACCOUNT, Code.BAD_SIGNATURE):
            command_id = batches[int(receipt["batch_index"])].ids[int(receipt["command_index"])].tobytes()
            values = tuple(int(receipt[name]) for name in RECEIPT_COLUMNS)
            _check_result(rows, (command_id, height, time_ms, *values), is_done=receipt["code"] == Code.OK)
    return len(wanted)


def _check_result(rows: Rows, wanted: tuple[Any, ...], is_done: bool) -> None:
    """A command that was sent twice has one row, of the block that spent its nonce, which need not be this one."""
    height = wanted[1]
    found = rows.rows_of(height, "results", "command_id=?", wanted[0])
    if not found or is_done or found[0][1] == height:
        _compare(height, "results", _RESULT_NAMES, found, [wanted])


def _compare(
    height: int, table: str, names: tuple[str, ...], found: list[tuple[Any, ...]], wanted: list[tuple[Any, ...]]
) -> None:
    for row, right in zip(found, wanted):
        for name, value, expected in zip(names, row, right, strict=True):
            if value != expected and name not in _KNOWN_AS:
                raise Mismatch(
                    height, table, name, f"{_show(value)} instead of {_show(expected)} in row {_show(right[0])}"
                )
    if len(found) != len(wanted):
        raise Mismatch(height, table, "(rows)", f"{len(found)} rows instead of {len(wanted)}")


def _show(value: object) -> str:
    return value.hex() if isinstance(value, bytes) else str(value)
