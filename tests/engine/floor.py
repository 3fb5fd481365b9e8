"""A trading floor without blocks: tables with instruments, prices, accounts, holdings and orders, made directly.

For tests of what happens by itself: marks, funding, settlement, auctions, liquidation. Account 64 is the first user.
"""

from typing import NamedTuple

import numpy as np

from engine.accounts import change_orders, index_account, move_balance, move_position, open_position
from engine.allocate import make_outputs, make_tables
from engine.feeds import move_feeds
from engine.orderbook import change_lots, make_order_id, rank_of, rest_order, take_row
from engine.params import ExchangeParams, MarketParams
from engine.tables import (
    ACCOUNT_COUNT,
    EXPIRY_COUNT,
    FILL_COUNT,
    NEXT_RANK,
    NEXT_SEQUENCE,
    NOTICE_COUNT,
    ORDERS_LIVE,
    PHASE_CONTINUOUS,
    UNDERLYING_COUNT,
    Outputs,
    Tables,
)

START_MS = 1_800_000_000_000  # the first millisecond of an hour
E8 = 100_000_000
USD = 1_000_000
BUY, SELL = 0, 1
BTC_USD = 50_000
FLAT_SURFACE_E8 = (2_000_000, 1_000_000, 0, 0, 10_000_000)
SHIFT = 1 << 32
DAY_MS = 86_400_000


class Floor(NamedTuple):
    tables: Tables
    out: Outputs


def instrument(symbol: str = "BTC-PERPETUAL", **changes: object) -> MarketParams:
    """A market with tick 0.1, lot 0.001, 5 % initial and 2.5 % maintenance margin, a band of 10 %."""
    terms = {
        "tick_size": "0.1", "lot_size": "0.001", "quote_per_tick_lot": 100, "initial_margin_bps": 500,
        "maintenance_margin_bps": 250, "maker_fee_bps": 2, "taker_fee_bps": 5, "price_band_bps": 1000,
        "size_lots_max": 500_000, "position_lots_max": 1_000_000, "oracle_step_bps_max": 500, "oracle_stale_ms": 15_000,
    }  # fmt: skip
    return MarketParams(symbol, **{**terms, **changes})  # type: ignore[arg-type]


def open_floor(*markets: MarketParams, users: int = 4, user_quote: int = 1_000_000 * USD, **terms: int) -> Floor:
    """Tables with these markets and users who have `user_quote` each."""
    small = {"accounts_max": 256, "orders_max": 1024, "positions_max": 1024, "triggers_max": 64, "sessions_max": 64}
    params = ExchangeParams(
        markets or (instrument(),),
        bytes(20),
        4,
        1,
        bytes(20),
        **{**small, "markets_max": 16, "blocks_max": 256, **terms},
    )
    tables = make_tables(params, START_MS)
    for _ in range(users):
        account = int(tables.counters[ACCOUNT_COUNT])
        tables.accounts[account]["key_a"] = account
        index_account(tables, account)
        tables.counters[ACCOUNT_COUNT] = account + 1
    floor = Floor(tables, make_outputs(tables, 400))
    for number in range(users):
        move_balance(floor.tables, floor.out, np.int64(64 + number), np.int64(user_quote))
    return floor


def feed(
    floor: Floor, time_ms: int = START_MS, *usd: float, forwards_usd: tuple[float, ...] = (), reports: int = 3
) -> None:
    """All validators report the same indexes and forwards, and a flat surface for each expiry."""
    tables = floor.tables
    indexes = [round(value * E8) for value in usd or (BTC_USD,) * int(tables.counters[UNDERLYING_COUNT])]
    values = list(indexes)
    a, b, rho, m, sigma = FLAT_SURFACE_E8
    for number in range(int(tables.counters[EXPIRY_COUNT])):
        forward = round(forwards_usd[number] * E8) if forwards_usd else indexes[0]
        values += [forward, a + SHIFT, b, rho + SHIFT, m + SHIFT, sigma]
    columns = np.array([values] * reports, np.int64)
    move_feeds(tables, np.ascontiguousarray(columns.T), np.int64(3), np.int64(time_ms))


def hold(floor: Floor, market: int, **lots: int) -> None:
    """Give accounts holdings, as `hold(floor, 0, a64=5, a65=-5)`; they ought to sum to zero."""
    for name, held_lots in lots.items():
        account = np.int64(name[1:])
        open_position(floor.tables, account, np.int64(market))
        move_position(floor.tables, floor.out, account, np.int64(market), np.int64(held_lots))


def rest(
    floor: Floor, account: int, side: int, price_ticks: int, lots: int, market: int = 0, shown_lots: int = 0,
    good_till_ms: int = 0, flags: int = 0,
) -> int:  # fmt: skip
    """Let an order rest without asking whether it may; returns its row."""
    tables, book = floor.tables, floor.tables.orderbook
    side_index, index = market * 2 + side, int(take_row(book))
    row = index - len(book.blocks) * 64
    order_id = make_order_id(book, tables.counters[NEXT_SEQUENCE], np.int64(index))
    visible = shown_lots or lots
    rank = rank_of(book, np.int64(side_index), np.int64(price_ticks))
    assert rest_order(book, np.int64(side_index), rank, np.int64(index), order_id, np.int64(account), np.int64(visible))
    change_lots(book, np.int64(index), np.int64(0), np.int64(lots - visible))
    position = int(open_position(tables, np.int64(account), np.int64(market)))
    owner, detail = tables.accounts[account], tables.details[row]
    values = {
        "hidden_lots": lots - visible, "good_till_ms": good_till_ms, "flags": flags, "position": position,
        "market": market, "original_lots": lots, "price_ticks": price_ticks, "display_lots": shown_lots, "side": side,
        "rank": int(tables.counters[NEXT_RANK]), "account": account, "own_previous": int(owner["order_last"]),
    }  # fmt: skip
    for name in tables.details.dtype.names or ():
        detail[name] = values.get(name, 0)
    if owner["order_last"]:
        tables.details[int(owner["order_last"])]["own_next"] = row
    else:
        owner["order_first"] = row
    owner["order_last"] = row
    owner["order_count"] += 1
    tables.positions[position]["reduce_only_count"] += flags & 1
    tables.markets[market]["book_orders"] += 1
    tables.counters[[NEXT_SEQUENCE, NEXT_RANK, ORDERS_LIVE]] += 1
    change_orders(tables, np.int64(account), np.int64(position), np.int64(side), np.int64(lots), np.int64(0))
    return row


def continuous(floor: Floor) -> Floor:
    """Skip opening auctions."""
    floor.tables.markets["phase"] = PHASE_CONTINUOUS
    return floor


def fills(floor: Floor) -> list[tuple[int, int, int, int, int]]:
    """(market, price_ticks, size_lots, maker, taker) of all fills so far."""
    rows = floor.out.fills[: int(floor.tables.counters[FILL_COUNT])]
    return [tuple(int(row[name]) for name in FILL_FIELDS) for row in rows]  # type: ignore[misc]


FILL_FIELDS = ("market", "price_ticks", "size_lots", "maker_account", "taker_account")


def notices(floor: Floor, kind: int) -> list[tuple[int, ...]]:
    """(subject, values) of the notices of one kind."""
    rows = floor.out.notices[: int(floor.tables.counters[NOTICE_COUNT])]
    return [tuple(int(value) for value in row.tolist()[1:]) for row in rows if row["kind"] == kind]


def money(floor: Floor) -> int:
    """Sum of all balances: only deposits and withdrawals may change it."""
    return int(floor.tables.accounts["balance_quote"].sum())
