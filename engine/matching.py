"""Trades: a taker walks the other side of the book, best price first and oldest order first, at the makers' prices.

Money only moves between accounts: buyer to seller, both to the fee account, in a liquidation the taker's fee to
insurance. Fees round up. A resting order of the taker's own account is cancelled and the walk goes on (self-trade
prevention). Marks do not change within a block, and a maker's margin for its resting orders was taken when they were
placed.
"""

from numba import njit

from engine.book import cancel_order, does_cross, get_best_level, reduce_order, unlink_order
from engine.checked import mul_div_ceil
from engine.layout import (
    ACCOUNT,
    BALANCE,
    BUY_ROW,
    BY_SELF_TRADE,
    DIRTY,
    DIRTY_LEAF,
    FILL_COUNT,
    IS_LIQUIDATION,
    LAST_TICKS,
    LEVEL_FIRST,
    LEVEL_TICKS,
    LIQUIDATION_FEE_BPS,
    MAKER_FEE_BPS,
    OPEN_INTEREST,
    ORDER_ID,
    POSITION_COUNT,
    POSITION_LOTS,
    POSITIONS_OPEN,
    PRICE_TICKS,
    QUOTE_PER_TICK_LOT,
    SIZE_LOTS,
    TAKER_FEE_BPS,
    VOLUME,
    Number,
    Outputs,
    Tables,
    typed_constants,
)
from engine.limits import BPS_UNIT, FEE_ACCOUNT, INSURANCE_ACCOUNT
from engine.margin import compute_equity

FEES, INSURANCE = typed_constants(FEE_ACCOUNT, INSURANCE_ACCOUNT)


@njit(cache=True)
def move_balance(tables: Tables, account: Number, change_quote: Number) -> None:
    """Change a balance and mark the account's leaf."""
    tables.accounts[account, BALANCE] += change_quote
    tables.accounts[account, DIRTY] |= DIRTY_LEAF


@njit(cache=True)
def _move_position(tables: Tables, account: Number, market: Number, change_lots: Number) -> None:
    """Change a position and what counts positions: open interest is the sum of all longs."""
    before_lots = tables.positions[account, market, POSITION_LOTS]
    after_lots = before_lots + change_lots
    tables.positions[account, market, POSITION_LOTS] = after_lots
    tables.markets[market, OPEN_INTEREST] += max(after_lots, 0) - max(before_lots, 0)
    opened = (1 if after_lots != 0 else 0) - (1 if before_lots != 0 else 0)
    tables.accounts[account, POSITION_COUNT] += opened
    tables.counters[POSITIONS_OPEN] += opened


@njit(cache=True)
def _fill(
    tables: Tables,
    outputs: Outputs,
    market: Number,
    side: Number,
    maker_row: Number,
    lots: Number,
    taker: Number,
    taker_order_id: Number,
    is_liquidation: Number,
) -> None:
    """Trade `lots` of one resting order with the taker of `side`, at the resting price."""
    row = tables.markets[market]
    maker_order = tables.orders[maker_row]
    maker, price_ticks = maker_order[ACCOUNT], maker_order[PRICE_TICKS]
    value_quote = price_ticks * lots * row[QUOTE_PER_TICK_LOT]
    sign = 1 if side == BUY_ROW else -1
    move_balance(tables, taker, -sign * value_quote)
    move_balance(tables, maker, sign * value_quote)
    _move_position(tables, taker, market, sign * lots)
    _move_position(tables, maker, market, -sign * lots)
    maker_fee_quote = mul_div_ceil(value_quote, row[MAKER_FEE_BPS], BPS_UNIT)
    move_balance(tables, maker, -maker_fee_quote)
    move_balance(tables, FEES, maker_fee_quote)
    if is_liquidation == IS_LIQUIDATION:
        taker_fee_quote = mul_div_ceil(value_quote, row[LIQUIDATION_FEE_BPS], BPS_UNIT)
        taker_fee_quote = min(taker_fee_quote, max(compute_equity(tables, taker), 0))
        move_balance(tables, INSURANCE, taker_fee_quote)
    else:
        taker_fee_quote = mul_div_ceil(value_quote, row[TAKER_FEE_BPS], BPS_UNIT)
        move_balance(tables, FEES, taker_fee_quote)
    move_balance(tables, taker, -taker_fee_quote)
    row[LAST_TICKS] = price_ticks
    row[VOLUME] += lots
    count = tables.counters[FILL_COUNT]
    record = outputs.fills[count]
    record[0] = market
    record[1] = price_ticks
    record[2] = lots
    record[3] = maker
    record[4] = taker
    record[5] = maker_order[ORDER_ID]
    record[6] = taker_order_id
    record[7] = side
    record[8] = maker_fee_quote
    record[9] = taker_fee_quote
    record[10] = is_liquidation
    tables.counters[FILL_COUNT] = count + 1


@njit(cache=True)
def match_order(
    tables: Tables,
    outputs: Outputs,
    market: Number,
    side: Number,
    price_ticks: Number,
    size_lots: Number,
    taker: Number,
    taker_order_id: Number,
    is_liquidation: Number,
) -> tuple[Number, Number]:
    """Trade up to `size_lots` at `price_ticks` or better; returns filled lots and their sum of price x lots."""
    remaining_lots = size_lots
    filled_value = 0
    while remaining_lots > 0:
        best = get_best_level(tables, market, 1 - side)
        if best < 0:
            break
        level = tables.levels[market, 1 - side, best]
        level_price_ticks = level[LEVEL_TICKS]
        if not does_cross(price_ticks, side, level_price_ticks):
            break
        maker_row = level[LEVEL_FIRST]
        if tables.orders[maker_row, ACCOUNT] == taker:
            cancel_order(tables, outputs, maker_row, BY_SELF_TRADE)
            continue
        lots = min(remaining_lots, tables.orders[maker_row, SIZE_LOTS])
        _fill(tables, outputs, market, side, maker_row, lots, taker, taker_order_id, is_liquidation)
        reduce_order(tables, maker_row, lots)
        if tables.orders[maker_row, SIZE_LOTS] == 0:
            unlink_order(tables, maker_row)
        remaining_lots -= lots
        filled_value += level_price_ticks * lots
    return size_lots - remaining_lots, filled_value
