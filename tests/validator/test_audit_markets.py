"""An audit works out again what a node keeps of its markets over two hours with funding and an expiry, and names the
row that is another.
"""

import sqlite3
from pathlib import Path

import pytest

from engine.commands import BUY, SELL
from engine.state import EngineState
from tests.validator.chainlet import describe_network
from tests.validator.dated_markets import CALL, MINUTE_MS, PARAMS, PERPETUAL, START_MS, Exchange
from validator.audit import Audit, Tally
from validator.audit_rows import Mismatch, Rows

HALF_MINUTES = 247  # the last two, with trades, are in one minute
MIDDLE_HEIGHT = 40  # where the second replay begins
NETWORK = describe_network(PARAMS, START_MS)


class Node:
    """What a node has on its disk after two hours, and its state on the way."""

    def __init__(self, folder: Path) -> None:
        made = Exchange(folder)
        made.add((0, CALL, SELL, 9_000, 3), (1, CALL, BUY, 9_000, 2))
        for number in range(HALF_MINUTES):
            ticks = 500_500 + number
            trade = [(0, PERPETUAL, SELL, ticks, 1), (1, PERPETUAL, BUY, ticks, 1)]
            made.add(*(trade if number % 5 < 2 else []), step_ms=MINUTE_MS // 2)
            if made.chain.head.height == MIDDLE_HEIGHT:
                self.middle: EngineState = made.chain.executor.final.state
        self.height = made.chain.head.height
        made.ledger.history.settle()
        made.store.close()
        self.path = folder / "blocks.sqlite"

    def audit(self, start: EngineState | None = None, last_height: int = 0) -> Tally:
        rows = Rows(self.path)
        try:
            return Audit(NETWORK, rows, start, {}).run(last_height or self.height)
        finally:
            rows.close()

    def find(self, sql: str, **how: int) -> Mismatch | None:
        """What an audit says after a change of the store, which is taken back."""
        database = sqlite3.connect(self.path, isolation_level=None)
        kept = sqlite3.connect(":memory:")
        database.backup(kept)
        assert database.execute(sql).rowcount
        try:
            self.audit(**how)
        except Mismatch as mismatch:
            return mismatch
        finally:
            kept.backup(database)
            database.close()
        return None


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Node:
    assert NETWORK.exchange_params() == PARAMS
    return Node(tmp_path_factory.mktemp("markets"))


def test_what_a_node_wrote_agrees_from_the_first_block_and_from_a_snapshot(node: Node) -> None:
    database = sqlite3.connect(node.path)
    counts = [
        database.execute(f"SELECT COUNT(*) FROM {table}").fetchone()[0]
        for table in ("minute_ends", "minute_prices", "fundings", "settlements")
    ]
    database.close()
    assert min(counts) >= 2 and counts[3] == 3, counts
    assert node.audit().blocks == node.height
    assert node.audit(node.middle).first_height == MIDDLE_HEIGHT + 1


LAST = "(SELECT MAX(minute) FROM minute_ends)"
SECOND = "(SELECT MIN(minute) + 3 FROM minute_ends)"


@pytest.mark.parametrize(
    ("table", "field", "change"),
    [
        ("minute_ends", "open_ticks", f"UPDATE minute_ends SET open_ticks=1 WHERE minute={SECOND}"),
        ("minute_ends", "close_ticks", f"UPDATE minute_ends SET close_ticks=1 WHERE minute={LAST}"),
        ("minute_ends", "last_fill", f"UPDATE minute_ends SET last_fill=1 WHERE minute={SECOND}"),
        ("minute_ends", "(rows)", f"DELETE FROM minute_ends WHERE minute={SECOND}"),
        ("minute_ends", "(rows)", f"INSERT INTO minute_ends VALUES (3, {SECOND}, 1, 1, 1)"),
        ("minute_prices", "time_ms", "UPDATE minute_prices SET time_ms=1"),
        ("minute_prices", "indexes", f"UPDATE minute_prices SET indexes=x'00' WHERE minute={SECOND}"),
        ("minute_prices", "marks", f"UPDATE minute_prices SET marks=x'00' WHERE minute={SECOND}"),
        ("minute_prices", "(rows)", f"DELETE FROM minute_prices WHERE minute={SECOND}"),
        ("fundings", "rate_ppb", "UPDATE fundings SET rate_ppb=rate_ppb+1"),
        ("fundings", "index_e8", "UPDATE fundings SET index_e8=5"),
        ("fundings", "(rows)", "DELETE FROM fundings"),
        ("settlements", "settle_e8", "UPDATE settlements SET settle_e8=settle_e8+1"),
        ("settlements", "open_interest_lots", "UPDATE settlements SET open_interest_lots=9"),
        ("settlements", "(rows)", "DELETE FROM settlements WHERE market=2"),
        ("settlements", "(rows)", "INSERT INTO settlements SELECT 0, 1, height, 1, 1, 1, 1 FROM settlements LIMIT 1"),
    ],
)  # fmt: skip
def test_a_row_that_is_another_is_named(node: Node, table: str, field: str, change: str) -> None:
    found = node.find(change)
    assert found is not None and (found.table, found.field) == (table, field), found


def test_newer_blocks_in_the_last_minute_are_not_judged(node: Node) -> None:
    """As beside a node that goes on: it has closed the minute with a later trade, and dropped prices of a month ago."""
    assert node.audit(last_height=node.height - 1).last_height == node.height - 1
    change = f"UPDATE minute_ends SET close_ticks=1 WHERE minute={LAST}"
    assert node.find(change, last_height=node.height - 1) is None
