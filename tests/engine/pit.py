"""The trading pit: orders of a few accounts go straight to the order kernels, without messages and blocks.

Account 64 is the first of four users with a million USD each. BTC stands at 50,000 USD: a mark of 500,000 ticks, a lot
worth 50 USD, its initial margin 2.5 USD. `check` compares every sum that the kernels keep with what it is a sum of.
"""

from collections import defaultdict
from typing import Any

import numpy as np

from engine.acceptance import Order
from engine.compiling import entry_point
from engine.execution import cancel_order
from engine.exposure import compute_demand, compute_equity, compute_maintenance, compute_withdrawable, read_free
from engine.orders import amend, cancel_orders, place_order
from engine.params import MarketParams
from engine.tables import (
    ACCOUNT_COUNT,
    CANCELLATION_COUNT,
    FILL_COUNT,
    KIND_CALL,
    KIND_PUT,
    MARK_EPOCH,
    MARKET_COUNT,
    NOTICE_COUNT,
    ORDERS_LIVE,
    POSITIONS_LIVE,
    POSITIONS_OPEN,
    PROTECTIONS_USED,
    RECEIPT,
    Number,
    Outputs,
    Tables,
)
from tests.engine.floor import BUY, SELL, START_MS, Floor, continuous, open_floor

GTC, IOC, POST, FOK, GTT, SLIDE = range(6)
REDUCE, PROTECT, MARKET = 1, 2, 16
OWN_CANCEL_TAKER, OWN_CANCEL_BOTH, OWN_DECREMENT = 4, 8, 12
FIRST = 64
ID_SHIFT = 24

PLACE, AMEND, CANCEL, CANCEL_ALL, EQUITY, DEMAND, MAINTENANCE, WITHDRAWABLE, FREE = range(9)


@entry_point
def act(t: Tables, out: Outputs, what: Number, n: np.ndarray) -> Number:
    """One entry for all kernels that the tests need, so that they are compiled once. `n` are the arguments in order."""
    account = n[0]
    if what == PLACE:
        order = Order(n[1], n[2], n[3], n[4], n[5], n[6], n[7], n[8], n[9], n[10], n[11])
        return place_order(t, out, account, order, n[12], np.int64(0))[0]
    if what == AMEND:
        return amend(t, out, account, n[1], n[2], n[3], n[4], n[5], n[6], n[7], np.int64(0))
    if what == CANCEL:
        return cancel_order(t, out, n[1], n[2])
    if what == CANCEL_ALL:
        return cancel_orders(t, out, account, n[1], n[2], n[3])
    if what == EQUITY:
        return compute_equity(t, account)
    if what == DEMAND:
        return compute_demand(t, account, n[1] != 0)
    if what == MAINTENANCE:
        return compute_maintenance(t, account)
    return compute_withdrawable(t, account) if what == WITHDRAWABLE else read_free(t, account)


class Pit:
    """Tables and what has happened; one method for each thing an account does."""

    def __init__(self, floor: Floor) -> None:
        self.tables, self.out = floor
        self.time_ms = START_MS

    def act(self, what: int, *numbers: int) -> int:
        return int(act(self.tables, self.out, np.int64(what), np.array([*numbers, 0], np.int64)))

    def place(
        self, account: int, side: int, price_ticks: int, lots: int, kind: int = GTC, flags: int = 0, market: int = 0,
        client: int = 0, shown: int = 0, until_ms: int = 0, link: int = 0, cap: int = 0,
    ) -> int:  # fmt: skip
        """The code."""
        order = (market, side, kind, flags, price_ticks, lots, client, shown, until_ms, link, cap)
        return self.act(PLACE, account, *order, self.time_ms)

    def rest(self, account: int, side: int, price_ticks: int, lots: int, **parts: int) -> int:
        """Place an order that must rest and return its id."""
        assert self.place(account, side, price_ticks, lots, **parts) == 0
        assert self.receipt["order_state"] == 1
        return int(self.receipt["order_id"])

    def amend(
        self, account: int, order_id: int, price_ticks: int, lots: int, market: int = 0, client: int = 0, cap: int = 0
    ) -> int:
        return self.act(AMEND, account, market, order_id, client, price_ticks, lots, cap, self.time_ms)

    def cancel_all(self, account: int, market: int = -1, flags: int = 0) -> int:
        return self.act(CANCEL_ALL, account, market, 1, flags)

    @property
    def receipt(self) -> dict[str, int]:
        return dict(zip(RECEIPT.names or (), self.out.receipts[0].tolist()))

    def state(self) -> tuple[int, int, int]:
        """(order state, filled lots, lots left) of the last action."""
        receipt = self.receipt
        return receipt["order_state"], receipt["filled_lots"], receipt["remaining_lots"]

    def fills(self, *names: str) -> list[tuple[int, ...]]:
        """All fills so far; (price, lots, maker, taker) unless other columns are named."""
        rows = self.out.fills[: int(self.tables.counters[FILL_COUNT])]
        names = names or ("price_ticks", "size_lots", "maker_account", "taker_account")
        return [tuple(int(row[name]) for name in names) for row in rows]

    def cancellations(self) -> list[tuple[int, int, int]]:
        """(account, lots, reason) of all so far."""
        rows = self.out.cancellations[: int(self.tables.counters[CANCELLATION_COUNT])]
        return [tuple(int(row[name]) for name in ("account", "remaining_lots", "reason")) for row in rows]  # type: ignore[misc]

    def notices(self, kind: int) -> list[tuple[int, int]]:
        rows = self.out.notices[: int(self.tables.counters[NOTICE_COUNT])]
        return [(int(row["subject"]), int(row["value_a"])) for row in rows if row["kind"] == kind]

    def orders(self, account: int, market: int = 0) -> list[tuple[int, int, int, int]]:
        """(side, price, shown, hidden) of the account's resting orders, by id."""
        found, row = [], int(self.tables.accounts[account]["order_first"])
        while row:
            detail, order = self.tables.details[row], self.record(row)
            if detail["market"] == market:
                side, price, hidden = (int(detail[name]) for name in ("side", "price_ticks", "hidden_lots"))
                found.append((side, price, int(order["lots"]), hidden))
            row = int(detail["own_next"])
        return found

    def record(self, row: int) -> Any:
        return self.tables.orderbook.book[len(self.tables.orderbook.blocks) * 64 + row]

    def held(self, account: int, market: int = 0) -> int:
        rows = self.tables.positions
        is_own = (rows["account"] == account) & (rows["market"] == market) & (rows["is_live"] != 0)
        return int(rows["lots"][is_own].sum())

    def balance(self, account: int) -> int:
        return int(self.tables.accounts[account]["balance_quote"])

    def free(self, account: int) -> int:
        return self.act(FREE, account)

    def protect(self, account: int, **values: int) -> None:
        """Give an account market-maker protection."""
        row = int(self.tables.counters[PROTECTIONS_USED])
        self.tables.counters[PROTECTIONS_USED] += 1
        self.tables.accounts[account]["protection"] = row
        for name, value in {"account": account, "is_live": 1, "window_ms": 1000, **values}.items():
            self.tables.protections[row][name] = value

    def check(self) -> None:
        """Every sum is the sum of its parts."""
        t, orders, open_lots = self.tables, 0, defaultdict(int)
        for account in (0, 1, *range(FIRST, int(t.counters[ACCOUNT_COUNT]))):
            owner, charge, last = t.accounts[account], 0, 0
            row = int(owner["order_first"])
            count = 0
            while row:
                detail, order = t.details[row], self.record(row)
                assert (order["account"], detail["own_previous"]) == (account, last) and order["lots"] > 0
                lots = int(order["lots"] + detail["hidden_lots"])
                open_lots[account, int(detail["market"]), int(detail["side"])] += lots
                open_lots[account, int(detail["market"]), "reduce"] += int(detail["flags"]) & REDUCE
                charge, count, last = charge + lots * int(detail["unit_charge_quote"]), count + 1, row
                row = int(detail["own_next"])
            orders += count
            assert (owner["order_charge_quote"], owner["order_count"], owner["order_last"]) == (charge, count, last)
            assert self.free(account) == self.act(EQUITY, account) - self.act(DEMAND, account, 1)
            t.accounts[account]["bound_epoch"] = 0
            assert self.free(account) == self.act(EQUITY, account) - self.act(DEMAND, account, 1)
        assert t.counters[ORDERS_LIVE] == orders == int(t.markets["book_orders"].sum())
        self.check_positions(open_lots)

    def check_positions(self, open_lots: dict[Any, int]) -> None:
        t = self.tables
        live = t.positions[t.positions["is_live"] != 0]
        busy = [row for row in live if row["lots"] or row["buy_lots"] or row["sell_lots"]]
        assert t.counters[POSITIONS_LIVE] == len(busy) == int(t.accounts["position_count"].sum())
        assert t.counters[POSITIONS_OPEN] == sum(row["lots"] != 0 for row in busy)
        for row in live:
            key = int(row["account"]), int(row["market"])
            assert (row["buy_lots"], row["sell_lots"]) == (open_lots[*key, BUY], open_lots[*key, SELL])
            assert row["reduce_only_count"] == open_lots[*key, "reduce"]
        for market in range(int(t.counters[MARKET_COUNT])):
            held = [int(row["lots"]) for row in busy if row["market"] == market]
            longs, shorts = t.markets[market]["open_interest_lots"], t.markets[market]["short_lots"]
            assert (longs, shorts) == (sum(max(lots, 0) for lots in held), sum(max(-lots, 0) for lots in held))


def open_pit(*markets: MarketParams, **terms: int) -> Pit:
    """Continuous markets with fresh marks of 50,000 USD, four users."""
    pit = Pit(continuous(open_floor(*markets, **terms)))
    mark(pit, 50_000)
    return pit


def mark(pit: Pit, usd: int, market: int = -1, index_usd: int = 0, funding_quote: int = 0) -> None:
    """A market (-1: every one) has this mark and the units that follow (MAR-1). An option's short margin is 10 %
    of the index, 9 % for maintenance.
    """
    t = pit.tables
    for number in range(int(t.counters[MARKET_COUNT])) if market < 0 else [market]:
        row = t.markets[number]
        unit, index_unit = (value * 10**8 * int(row["lot_e8"]) // 10**10 for value in (usd, index_usd or usd))
        ticks = usd * 10**8 // int(row["tick_e8"])
        values = {
            "mark_e8": usd * 10**8, "mark_ms": pit.time_ms, "mark_ticks": ticks, "is_fresh": 1,
            "buy_limit_ticks": ticks + ticks * int(row["band_bps"]) // 10**4,
            "sell_limit_ticks": max(ticks - ticks * int(row["band_bps"]) // 10**4, 1),
            "funding_quote": funding_quote, "value_unit": unit - funding_quote, "notional_unit": unit,
            "delta_unit": unit, "vega_unit": 0,
        }  # fmt: skip
        for name, bps in (("im", int(row["initial_bps"])), ("mm", int(row["maintenance_bps"]))):
            values[f"{name}_long_unit"] = values[f"{name}_short_unit"] = -(-unit * bps // 10**4)
        if row["kind"] in (KIND_CALL, KIND_PUT):
            values |= {"notional_unit": index_unit, "im_long_unit": unit, "mm_long_unit": unit}
            values |= {"im_short_unit": index_unit // 10, "mm_short_unit": index_unit * 9 // 100}
        for name, value in values.items():
            row[name] = value
    t.counters[MARK_EPOCH] += 1
