"""Read-only questions about a state, for the API, bots and tests. Plain integers and dataclasses come out, arrays
never.

An absent price is 0. Nothing here can change a state.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from engine.exposure import compute_claim, compute_demand, compute_equity, compute_maintenance, compute_withdrawable
from engine.inbox import look_up
from engine.orderbook import NO_RANK, NOTHING, next_level, rank_of_level
from engine.state import EngineState
from engine.tables import (
    FEE_ACCOUNT,
    INSURANCE_ACCOUNT,
    KIND_SPOT,
    MARKET_COUNT,
    Tables,
)
from engine.tree import list_positions, read_key

POINTS = 100  # volatility points in a volatility of 1


@dataclass(frozen=True, slots=True)
class PositionSummary:
    """One position at its mark; `size_lots` below zero is short, `value_quote` has its sign.

    Greeks are of the whole position: `delta_quote` is what it gains when the index rises by all of itself (1 % of it
    per percent), `vega_quote` per volatility point.
    """

    market: int
    size_lots: int
    mark_ticks: int
    mark_e8: int
    value_quote: int
    initial_margin_quote: int
    maintenance_margin_quote: int
    delta_quote: int
    vega_quote: int
    liquidation_price_ticks: int


@dataclass(frozen=True, slots=True)
class AccountSummary:
    """One account. Initial margin is the demand with open orders, maintenance that of the positions alone.

    `balance_quote` is settled cash: accrued funding included. `mode`: 0 cross, 1 isolated, 2 portfolio.
    """

    index: int
    owner: bytes
    subaccount: int
    mode: int
    balance_quote: int
    equity_quote: int
    initial_margin_quote: int
    maintenance_margin_quote: int
    free_quote: int
    claim_quote: int
    delta_quote: int
    vega_quote: int
    positions: tuple[PositionSummary, ...]
    open_order_count: int
    nonce_count: int
    nonce_lowest: int
    nonce_highest: int


@dataclass(frozen=True, slots=True)
class OpenOrder:
    """One resting order; `remaining_lots` includes hidden ones."""

    order_id: int
    client_id: int
    market: int
    side: int
    price_ticks: int
    remaining_lots: int
    size_lots: int
    placed_ms: int


@dataclass(frozen=True, slots=True)
class MarketView:
    """One market; prices are 0 where there is none."""

    mark_ticks: int
    mark_e8: int
    index_e8: int
    oracle_time_ms: int
    is_fresh: bool
    phase: int
    best_bid_ticks: int
    best_ask_ticks: int
    last_price_ticks: int
    open_interest_lots: int
    volume_lots: int
    funding_quote: int


@dataclass(frozen=True, slots=True)
class Totals:
    """Money of the whole exchange: `balances_quote == deposits_quote - withdrawals_quote == claims_quote -
    debts_quote`.
    """

    balances_quote: int
    deposits_quote: int
    withdrawals_quote: int
    claims_quote: int
    debts_quote: int
    insurance_quote: int
    fees_quote: int
    inbox_ignored_count: int


def find_account(state: EngineState, owner: bytes, subaccount: int = 0) -> int | None:
    """Index of an account, or None when nothing was ever credited to it."""
    if len(owner) != 20 or not 0 <= subaccount < 1 << 32:
        return None
    account = look_up(state, owner, subaccount)
    return None if account < 0 else account


def _require_account(state: EngineState, index: int) -> None:
    if not state.has_account(index):
        raise IndexError(f"no account {index}")


def _liquidation_price_ticks(tables: Tables, row: int, equity_quote: int, maintenance_quote: int) -> int:
    """Mark at which equity would equal maintenance if only this market moved, toward the safe side; 0: none.

    Linear markets: `q' = q - (E - M) / (S -/+ |S| mm)` with the maintenance of this position moving along.
    """
    position = tables.positions[row]
    market = tables.markets[int(position["market"])]
    lots, mark_e8, unit = int(position["lots"]), int(market["mark_e8"]), int(market["notional_unit"])
    if not lots or not unit or int(market["kind"]) > 1:
        return 0
    bps = int(market["maintenance_bps"])
    slope = lots * 10_000 - abs(lots) * bps  # change of (E - M) per unit of price, in 1e-4
    if slope == 0:
        return 0
    move_unit = (
        -(equity_quote - maintenance_quote) * 10_000 // slope
        if slope > 0
        else -(-(equity_quote - maintenance_quote) * 10_000 // -slope)
    )
    price_e8 = (unit + move_unit) * mark_e8 // unit
    return max(price_e8 // int(market["tick_e8"]), 0)


def _summarise(tables: Tables, row: int, equity_quote: int, maintenance_quote: int) -> PositionSummary:
    position = tables.positions[row]
    number, lots = int(position["market"]), int(position["lots"])
    market = tables.markets[number]
    ends = ("im_long_unit", "mm_long_unit") if lots > 0 else ("im_short_unit", "mm_short_unit")
    return PositionSummary(
        market=number,
        size_lots=lots,
        mark_ticks=int(market["mark_ticks"]),
        mark_e8=int(market["mark_e8"]),
        value_quote=lots * int(market["notional_unit"]),
        initial_margin_quote=abs(lots) * int(market[ends[0]]),
        maintenance_margin_quote=abs(lots) * int(market[ends[1]]),
        delta_quote=lots * int(market["delta_unit"]),
        vega_quote=lots * int(market["vega_unit"]) // POINTS,
        liquidation_price_ticks=_liquidation_price_ticks(tables, row, equity_quote, maintenance_quote),
    )


def account_summary(state: EngineState, index: int) -> AccountSummary:
    """An account's means and positions. Raises `IndexError` for an absent one."""
    _require_account(state, index)
    tables = state.tables
    row = tables.accounts[index]
    equity_quote, maintenance_quote = int(compute_equity(tables, index)), int(compute_maintenance(tables, index))
    held = [at for at in list_positions(tables, index) if tables.positions[at]["lots"]]
    positions = tuple(_summarise(tables, at, equity_quote, maintenance_quote) for at in held)
    funding_quote = sum(item.size_lots * int(tables.markets[item.market]["funding_quote"]) for item in positions)
    nonce_count = int(row["nonce_count"])
    owner, subaccount = read_key(tables, index)
    return AccountSummary(
        index=index,
        owner=owner,
        subaccount=subaccount,
        mode=int(row["mode"]),
        balance_quote=int(row["balance_quote"]) - funding_quote,
        equity_quote=equity_quote,
        initial_margin_quote=int(compute_demand(tables, index, True)),
        maintenance_margin_quote=maintenance_quote,
        free_quote=int(compute_withdrawable(tables, index)),
        claim_quote=int(compute_claim(tables, index)),
        delta_quote=sum(item.delta_quote for item in positions),
        vega_quote=sum(item.vega_quote for item in positions),
        positions=positions,
        open_order_count=int(row["order_count"]),
        nonce_count=nonce_count,
        nonce_lowest=int(tables.nonces[index, 0]) if nonce_count else 0,
        nonce_highest=int(tables.nonces[index, nonce_count - 1]) if nonce_count else 0,
    )


def list_orders(tables: Tables, account: int) -> Iterator[int]:
    """Order rows of an account, oldest first."""
    row = int(tables.accounts[account]["order_first"])
    while row:
        yield row
        row = int(tables.details[row]["own_next"])


def open_orders(state: EngineState, index: int) -> list[OpenOrder]:
    """An account's resting orders, oldest first. Raises `IndexError` for an absent account."""
    _require_account(state, index)
    tables = state.tables
    first = len(tables.orderbook.blocks) * 64
    orders = []
    for row in list_orders(tables, index):
        detail, order = tables.details[row], tables.orderbook.book[first + row]
        orders.append(
            OpenOrder(
                order_id=int(order["order_id"]),
                client_id=int(detail["client_id"]),
                market=int(detail["market"]),
                side=int(detail["side"]),
                price_ticks=int(detail["price_ticks"]),
                remaining_lots=int(order["lots"]) + int(detail["hidden_lots"]),
                size_lots=int(detail["original_lots"]),
                placed_ms=int(detail["placed_ms"]),
            )
        )
    return orders


def _count_orders(tables: Tables, level: int) -> tuple[int, int]:
    """Shown lots and number of orders of a level."""
    book = tables.orderbook.book
    lots = count = 0
    index = int(book[level]["next"])
    while index != level:
        lots += int(book[index]["lots"])
        count += 1
        index = int(book[index]["next"])
    return lots, count


def _side_depth(state: EngineState, side_index: int, levels: int) -> list[tuple[int, int, int]]:
    tables = state.tables
    side = tables.orderbook.sides[side_index]
    level = int(side["best_level"]) if int(side["best_rank"]) != NO_RANK else int(NOTHING)
    depth: list[tuple[int, int, int]] = []
    while level != NOTHING and len(depth) < levels:
        price_ticks = abs(int(side["mirror_ticks"]) - int(rank_of_level(tables.orderbook, level)))
        depth.append((price_ticks, *_count_orders(tables, level)))
        level = int(next_level(tables.orderbook, level))
    return depth


def book_depth(
    state: EngineState, market: int, levels: int
) -> tuple[list[tuple[int, int, int]], list[tuple[int, int, int]]]:
    """`(bids, asks)`, the best `levels` of each, best first, as `(price_ticks, shown_lots, order_count)`."""
    return _side_depth(state, 2 * market, levels), _side_depth(state, 2 * market + 1, levels)


def market_count(state: EngineState) -> int:
    """Markets ever listed."""
    return int(state.tables.counters[MARKET_COUNT])


def market_view(state: EngineState, market: int) -> MarketView:
    """Prices and totals of a market."""
    row = state.tables.markets[market]
    underlying = state.tables.underlyings[int(row["underlying"])]
    bids, asks = book_depth(state, market, 1)
    return MarketView(
        mark_ticks=int(row["mark_ticks"]),
        mark_e8=int(row["mark_e8"]),
        index_e8=int(underlying["index_e8"]),
        oracle_time_ms=int(underlying["index_ms"]),
        is_fresh=bool(row["is_fresh"]),
        phase=int(row["phase"]),
        best_bid_ticks=bids[0][0] if bids else 0,
        best_ask_ticks=asks[0][0] if asks else 0,
        last_price_ticks=int(row["last_ticks"]),
        open_interest_lots=int(row["open_interest_lots"]),
        volume_lots=int(row["volume_lots"]),
        funding_quote=int(row["funding_quote"]),
    )


def is_spot(state: EngineState, market: int) -> bool:
    """Whether a market's positions are collateral tokens."""
    return int(state.tables.markets[market]["kind"]) == KIND_SPOT


def totals(state: EngineState) -> Totals:
    """Sums for the conservation check."""
    balances = state.tables.accounts["balance_quote"]
    return Totals(
        balances_quote=sum(int(balance) for balance in balances[balances != 0]),
        deposits_quote=state.deposits_total_quote,
        withdrawals_quote=state.withdrawals_total_quote,
        claims_quote=int.from_bytes(state.account_sums[:16], "big"),
        debts_quote=int.from_bytes(state.account_sums[16:], "big"),
        insurance_quote=int(balances[INSURANCE_ACCOUNT]),
        fees_quote=int(balances[FEE_ACCOUNT]),
        inbox_ignored_count=state.inbox_ignored_count,
    )
