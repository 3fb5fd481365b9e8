"""Read-only questions about a state, for the API, bots and tests. Plain integers and dataclasses come out, arrays
never.

An absent price is 0. Nothing here can change a state.
"""

from dataclasses import dataclass

from engine.inbox import look_up
from engine.layout import (
    BALANCE,
    BUY_ROW,
    CLIENT_ID,
    INITIAL_BPS,
    LAST_TICKS,
    LEVEL_LOTS,
    LEVEL_ORDERS,
    LEVEL_TICKS,
    LEVELS,
    MAINTENANCE_BPS,
    MARK,
    MARK_MS,
    MARKET,
    NONCE_COUNT,
    OPEN_INTEREST,
    ORDER_COUNT,
    ORDER_FIRST,
    ORDER_ID,
    ORIGINAL_LOTS,
    OWN_NEXT,
    PLACED_MS,
    POSITION_LOTS,
    PRICE_TICKS,
    QUOTE_PER_TICK_LOT,
    SELL_ROW,
    SIDE,
    SIZE_LOTS,
    VOLUME,
    Number,
)
from engine.limits import FEE_ACCOUNT, INSURANCE_ACCOUNT
from engine.margin import (
    compute_demand,
    compute_equity,
    compute_free,
    compute_maintenance,
    compute_position_margin,
)
from engine.state import EngineState
from engine.tree import read_key


@dataclass(frozen=True, slots=True)
class PositionSummary:
    """One position at its mark; `size_lots` below zero is short, `value_quote` has its sign."""

    market: int
    size_lots: int
    mark_ticks: int
    value_quote: int
    initial_margin_quote: int
    maintenance_margin_quote: int


@dataclass(frozen=True, slots=True)
class AccountSummary:
    """One account. Initial margin is the demand with open orders, maintenance that of the positions alone."""

    index: int
    owner: bytes
    subaccount: int
    balance_quote: int
    equity_quote: int
    initial_margin_quote: int
    maintenance_margin_quote: int
    free_quote: int
    positions: tuple[PositionSummary, ...]
    open_order_count: int
    nonce_count: int
    nonce_lowest: int
    nonce_highest: int


@dataclass(frozen=True, slots=True)
class OpenOrder:
    """One resting order."""

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
    oracle_time_ms: int
    is_fresh: bool
    best_bid_ticks: int
    best_ask_ticks: int
    last_price_ticks: int
    open_interest_lots: int
    volume_lots: int


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
    account = look_up(state, owner, subaccount)[1]
    return None if account < 0 else account


def _require_account(state: EngineState, index: int) -> None:
    if not state.has_account(index):
        raise IndexError(f"no account {index}")


def account_summary(state: EngineState, index: int) -> AccountSummary:
    """An account's means and positions. Raises `IndexError` for an absent one."""
    _require_account(state, index)
    tables = state.tables
    positions = []
    for market in range(len(state.params.markets)):
        size_lots = int(tables.positions[index, market, POSITION_LOTS])
        if size_lots:
            mark_ticks = int(tables.markets[market, MARK])
            value_quote = size_lots * mark_ticks * int(tables.markets[market, QUOTE_PER_TICK_LOT])
            margins = (
                int(compute_position_margin(tables, market, size_lots, bps)) for bps in (INITIAL_BPS, MAINTENANCE_BPS)
            )
            positions.append(PositionSummary(market, size_lots, mark_ticks, value_quote, *margins))
    nonce_count = int(tables.accounts[index, NONCE_COUNT])
    owner, subaccount = read_key(tables, index)
    return AccountSummary(
        index=index,
        owner=owner,
        subaccount=subaccount,
        balance_quote=int(tables.accounts[index, BALANCE]),
        equity_quote=int(compute_equity(tables, index)),
        initial_margin_quote=int(compute_demand(tables, index, INITIAL_BPS, 0, 0, 0, 0)),
        maintenance_margin_quote=int(compute_maintenance(tables, index)),
        free_quote=int(compute_free(tables, index)),
        positions=tuple(positions),
        open_order_count=int(tables.accounts[index, ORDER_COUNT]),
        nonce_count=nonce_count,
        nonce_lowest=int(tables.nonces[index, 0]) if nonce_count else 0,
        nonce_highest=int(tables.nonces[index, nonce_count - 1]) if nonce_count else 0,
    )


def open_orders(state: EngineState, index: int) -> list[OpenOrder]:
    """An account's resting orders, oldest first. Raises `IndexError` for an absent account."""
    _require_account(state, index)
    orders = []
    row = int(state.tables.accounts[index, ORDER_FIRST])
    while row >= 0:
        order = [int(value) for value in state.tables.orders[row]]
        columns = (ORDER_ID, CLIENT_ID, MARKET, SIDE, PRICE_TICKS, SIZE_LOTS, ORIGINAL_LOTS, PLACED_MS)
        orders.append(OpenOrder(*(order[column] for column in columns)))
        row = order[OWN_NEXT]
    return orders


def _side_depth(state: EngineState, market: int, side: Number, levels: int) -> list[tuple[int, int, int]]:
    count = int(state.tables.markets[market, LEVELS + side])
    rows = state.tables.levels[market, side, max(count - levels, 0) : count]
    return [(int(row[LEVEL_TICKS]), int(row[LEVEL_LOTS]), int(row[LEVEL_ORDERS])) for row in rows[::-1]]


def book_depth(
    state: EngineState, market: int, levels: int
) -> tuple[list[tuple[int, int, int]], list[tuple[int, int, int]]]:
    """`(bids, asks)`, the best `levels` of each, best first, as `(price_ticks, size_lots, order_count)`."""
    return _side_depth(state, market, BUY_ROW, levels), _side_depth(state, market, SELL_ROW, levels)


def market_view(state: EngineState, market: int) -> MarketView:
    """Prices and totals of a market."""
    row = state.tables.markets[market]
    bids, asks = book_depth(state, market, 1)
    age_ms = state.time_ms - int(row[MARK_MS])
    return MarketView(
        mark_ticks=int(row[MARK]),
        oracle_time_ms=int(row[MARK_MS]),
        is_fresh=bool(row[MARK] > 0 and age_ms <= state.params.markets[market].oracle_stale_ms),
        best_bid_ticks=bids[0][0] if bids else 0,
        best_ask_ticks=asks[0][0] if asks else 0,
        last_price_ticks=int(row[LAST_TICKS]),
        open_interest_lots=int(row[OPEN_INTEREST]),
        volume_lots=int(row[VOLUME]),
    )


def totals(state: EngineState) -> Totals:
    """Sums for the conservation check."""
    balances = state.tables.accounts[:, BALANCE]
    return Totals(
        balances_quote=sum(int(balance) for balance in balances),
        deposits_quote=state.deposits_total_quote,
        withdrawals_quote=state.withdrawals_total_quote,
        claims_quote=int.from_bytes(state.account_sums[:16], "big"),
        debts_quote=int.from_bytes(state.account_sums[16:], "big"),
        insurance_quote=int(balances[INSURANCE_ACCOUNT]),
        fees_quote=int(balances[FEE_ACCOUNT]),
        inbox_ignored_count=state.inbox_ignored_count,
    )
