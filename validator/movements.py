"""Money of an account: what came, what left, what it was paid or charged, and why.

Transfers between accounts are rows of their own. All else follows from what is stored anyway: trades, the inbox's
answers, withdrawals; and from funding and settlements of markets together with what the account held then, which is
found by going back from what it holds now along its trades. Trades that leave no word (deleveraging) make that
impossible: of such a market nothing is told from there back.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np

from engine.commands import BUY
from engine.inbox import find_asset
from engine.payload import KIND_DEPOSIT
from engine.state import EngineState
from engine.tables import KIND_CALL, KIND_PUT, NOTICE_TRANSFER
from net.gateway.account_data import Kind, Movement
from net.gateway.backend import FillView, InboxView
from net.gateway.market_data import FundingView, SettlementView
from validator.history import first_place
from validator.store import Store, WithdrawalRow

SCHEMA = """
CREATE TABLE IF NOT EXISTS transfers (id INTEGER PRIMARY KEY, height INTEGER NOT NULL, time_ms INTEGER NOT NULL,
    sender INTEGER NOT NULL, receiver INTEGER NOT NULL, asset INTEGER NOT NULL, amount INTEGER NOT NULL);
CREATE INDEX IF NOT EXISTS transfers_by_sender ON transfers (sender, id);
CREATE INDEX IF NOT EXISTS transfers_by_receiver ON transfers (receiver, id);
"""
# index, height, time_ms, from and to which account, asset, amount
TransferRow = tuple[int, int, int, int, int, int, int]


class Transfers:
    """Rows of the store, written with the block that made them."""

    def __init__(self, store: Store) -> None:
        self._store = store
        store.extend(SCHEMA)

    def add(self, height: int, time_ms: int, notices: np.ndarray) -> None:
        """Those that a block's notices tell of."""
        found = np.flatnonzero(notices["kind"] == NOTICE_TRANSFER).tolist()
        rows = [
            (first_place(height) + at, height, time_ms,
             *(int(notices[at][name]) for name in ("subject", "value_a", "value_b", "value_c")))
            for at in found
        ]  # fmt: skip
        if rows:
            self._store.write("INSERT OR IGNORE INTO transfers VALUES (?,?,?,?,?,?,?)", rows)

    def of(self, account: int, count: int) -> list[TransferRow]:
        """To and from an account, newest first."""
        sql = "SELECT * FROM transfers WHERE {}=? ORDER BY id DESC LIMIT ?"
        both = (self._store.rows(sql.format(side), (account, count)) for side in ("sender", "receiver"))
        found: dict[int, TransferRow] = {row[0]: row for rows in both for row in rows}
        return [found[index] for index in sorted(found, reverse=True)[:count]]


@dataclass(slots=True)
class Past:
    """What an account held before each of its trades, from now back."""

    lots_held: Mapping[int, int]  # now
    newest_first: Iterable[FillView]
    is_whole: bool  # these are all its trades
    _changes: dict[int, list[tuple[int, int]]] = field(default_factory=dict)  # market: (height, signed lots)
    oldest_height: int = 0

    def __post_init__(self) -> None:
        for fill in self.newest_first:
            lots = fill.size_lots if fill.side == BUY else -fill.size_lots
            self._changes.setdefault(fill.market, []).append((fill.height, lots))
            self.oldest_height = fill.height
        if self.is_whole:
            self.oldest_height = 0

    @property
    def markets(self) -> set[int]:
        return {*self._changes, *self.lots_held}

    def lots_before(self, market: int, height: int, settled_at: int | None) -> int | None:
        """What was held when a block of this height began; None when the trades do not reach so far back. A market
        that was settled holds nothing now, and held all that was traded before.
        """
        if height <= self.oldest_height:
            return None
        if settled_at is not None:
            return sum(lots for at, lots in self._changes.get(market, ()) if at < height) if self.is_whole else None
        later = sum(lots for at, lots in self._changes.get(market, ()) if at >= height)
        return self.lots_held.get(market, 0) - later


def show_transfer(row: TransferRow, account: int, other: tuple[bytes, int]) -> Movement:
    """As one of its two accounts sees it."""
    place, height, time_ms, sender, _, asset, amount_units = row
    sign = -1 if sender == account else 1
    return Movement(Kind.TRANSFER, place, height, time_ms, sign * amount_units, asset=asset, other=other)


def show_deposit(state: EngineState, view: InboxView) -> Movement:
    """An entry of the inbox that was credited; of collateral its lots."""
    place, asset = first_place(view.height), find_asset(state, view.token)
    units_per_lot = int(state.tables.assets[asset]["units_per_lot"]) if asset > 0 else 1
    amount_units = view.amount_units // units_per_lot
    return Movement(Kind.DEPOSIT, place, view.height, view.time_ms, amount_units, asset=asset, index=view.index)


def is_credited(view: InboxView, account: int) -> bool:
    """Whether an answered entry is a deposit to this account."""
    return view.kind == KIND_DEPOSIT and view.height > 0 and view.code == 0 and view.number == account


def show_withdrawal(row: WithdrawalRow) -> Movement:
    """A leaf of the withdrawal tree."""
    index, height, time_ms, _, _, amount_units, asset = row
    return Movement(Kind.WITHDRAWAL, first_place(height), height, time_ms, -amount_units, asset=asset, index=index)


def premium_quote(state: EngineState, fill: FillView) -> int:
    """What an option cost, below zero what it brought; 0 of other markets, whose gains are no cash yet."""
    market = state.tables.markets[fill.market]
    if int(market["kind"]) not in (KIND_CALL, KIND_PUT):
        return 0
    worth_quote = fill.price_ticks * fill.size_lots * int(market["quote_per_tick_lot"])
    return worth_quote if fill.side == BUY else -worth_quote


def show_trade(fill: FillView, paid_quote: int) -> Movement:
    """Its fee and its premium."""
    return Movement(
        Kind.TRADE, fill.trade_id, fill.height, fill.time_ms, -fill.fee_quote - paid_quote, market=fill.market,
        fill=fill,
    )  # fmt: skip


def show_funding(view: FundingView, lots: int) -> Movement:
    """One hour's payment for what was held."""
    return Movement(
        Kind.SETTLEMENT, first_place(view.height), view.height, view.time_ms, -lots * view.change_quote,
        market=view.market, position_lots=lots,
    )  # fmt: skip


def show_delivery(view: SettlementView, lots: int, settle_ticks: int) -> Movement:
    """What the lots of a market came to that has ended."""
    return Movement(
        Kind.DELIVERY, first_place(view.height), view.height, view.time_ms, lots * view.lot_quote, market=view.market,
        position_lots=lots, price_ticks=settle_ticks,
    )  # fmt: skip
