"""Columns of the engine's tables. Everything is int64 (hashes are bytes), so kernels never mix types.

Rows of `orders` are recycled and mean nothing outside: no result, digest or snapshot depends on a row number.
Sums over a level, a book or an account (`LEVEL_LOTS`, `POSITION_BUYS`, ...) repeat what the orders say and are checked
against each other after every block.
"""

from typing import NamedTuple

import numpy as np

# What kernels take and return: Python's values when the shell calls, numpy's between kernels.
Number = int | np.int64
Truth = bool | np.bool_


def typed_constants(*numbers: int) -> tuple[np.int64, ...]:
    """Constants that are passed to kernels as arguments: a plain literal would compile the callee once per value."""
    return tuple(np.int64(number) for number in numbers)


# accounts (capacity, 10): three key words (owner 20 bytes, subaccount 4 bytes, big-endian), then numbers.
KEY_A, KEY_B, KEY_C, BALANCE, ORDER_COUNT, ORDER_FIRST, ORDER_LAST, NONCE_COUNT, POSITION_COUNT, DIRTY = range(10)
ACCOUNT_COLUMNS = 10
DIRTY_LEAF, DIRTY_NONCES = 1, 2

# positions (capacity, markets, 3): signed size, lots of open buys, lots of open sells.
POSITION_LOTS, POSITION_BUYS, POSITION_SELLS = range(3)
POSITION_COLUMNS = 3

# orders (rows, 13): NEXT/PREVIOUS link one price level in time order, OWN_NEXT/OWN_PREVIOUS one account's orders.
(
    ORDER_ID, ACCOUNT, MARKET, SIDE, PRICE_TICKS, SIZE_LOTS, CLIENT_ID, ORIGINAL_LOTS, PLACED_MS,
    NEXT, PREVIOUS, OWN_NEXT, OWN_PREVIOUS,
) = range(13)  # fmt: skip
ORDER_COLUMNS = 13
NOTHING, IS_ORDER, IS_LIQUIDATION, ZERO = typed_constants(-1, 0, 1, 0)
BUY_ROW, SELL_ROW = typed_constants(0, 1)  # values of SIDE, as in `engine.commands`

# levels (markets, 2, capacity, 5): sorted so that the best price of a side is the last used row.
LEVEL_TICKS, LEVEL_FIRST, LEVEL_LAST, LEVEL_LOTS, LEVEL_ORDERS = range(5)
LEVEL_COLUMNS = 5

# markets (markets, 23): parameters, then state. LEVELS + side counts the price levels of a side.
(
    QUOTE_PER_TICK_LOT, INITIAL_BPS, MAINTENANCE_BPS, MAKER_FEE_BPS, TAKER_FEE_BPS, LIQUIDATION_FEE_BPS, BAND_BPS,
    ORDER_LOTS_MAX, POSITION_MAX, ORDER_TICKS_MAX, STALE_MS,
    MARK, MARK_MS, LAST_TICKS, OPEN_INTEREST, VOLUME, LEVELS, _ASK_LEVELS, BOOK_ORDERS, IS_FRESH, IS_BOOK_DIRTY,
) = typed_constants(*range(21))  # fmt: skip
MARKET_COLUMNS = 21
MARKET_STATE_COLUMNS = (MARK, MARK_MS, LAST_TICKS, OPEN_INTEREST, VOLUME)  # what the state root covers

# counters
(
    ACCOUNT_COUNT, NEXT_ORDER_ID, FREE_ROW, ROWS_USED, ORDERS_LIVE, POSITIONS_OPEN, WITHDRAWALS,
    FILL_COUNT, CANCELLATION_COUNT, LIQUIDATION_COUNT, WITHDRAWAL_COUNT, ACCOUNT_ORDERS_MAX, BOOK_ORDERS_MAX, KEY_COUNT,
) = range(14)  # fmt: skip
COUNTER_COLUMNS = 14


class Tables(NamedTuple):
    """Everything a kernel touches of one state."""

    accounts: np.ndarray
    positions: np.ndarray
    nonces: np.ndarray
    aux_digests: np.ndarray
    by_key: np.ndarray
    orders: np.ndarray
    levels: np.ndarray
    markets: np.ndarray
    counters: np.ndarray
    node_hashes: np.ndarray
    node_sums: np.ndarray


class Outputs(NamedTuple):
    """What the kernels of one block write: int64 rows in the layouts below."""

    receipts: np.ndarray
    fills: np.ndarray
    cancellations: np.ndarray
    liquidations: np.ndarray
    withdrawals: np.ndarray


# actions as the kernel reads them (count, 18). MESSAGE numbers the messages of the block, PRECHECK is 0 or the code of
# a rule the shell found broken.
(
    IN_KIND, IN_SIDE, IN_TIME_IN_FORCE, IN_FLAGS, IN_MARKET, IN_TICKS, IN_LOTS, IN_CLIENT_ID, IN_ORDER_ID, IN_NONCE,
    IN_EXPIRY_MS, IN_KEY_A, IN_KEY_B, IN_KEY_C, IN_PRECHECK, IN_BATCH, IN_COMMAND, IN_MESSAGE,
) = range(18)  # fmt: skip
IN_COLUMNS = 18


def _record(*names: str) -> np.dtype:
    return np.dtype([(name, "<i8") for name in names])


# `filled_value` is the sum of price_ticks x size_lots of the command's fills.
RECEIPT = _record(
    "batch_index", "command_index", "code", "order_state", "order_id", "filled_lots", "remaining_lots", "filled_value",
    "account_index", "cancelled_count", "withdrawal_index",
)  # fmt: skip
(
    OUT_BATCH, OUT_COMMAND, OUT_CODE, OUT_STATE, OUT_ORDER_ID, OUT_FILLED, OUT_REMAINING, OUT_VALUE, OUT_ACCOUNT,
    OUT_CANCELLED, OUT_WITHDRAWAL,
) = range(11)  # fmt: skip
FILL = _record(
    "market", "price_ticks", "size_lots", "maker_account", "taker_account", "maker_order_id", "taker_order_id",
    "taker_side", "maker_fee_quote", "taker_fee_quote", "is_liquidation",
)  # fmt: skip
CANCELLATION = _record("order_id", "account", "market", "side", "price_ticks", "remaining_lots", "client_id", "reason")
LIQUIDATION = _record(
    "account", "equity_quote", "maintenance_quote", "closed_lots", "equity_after_quote", "insurance_quote"
)
WITHDRAWAL = _record("account", "amount_quote")

# Why an order left the book without being filled.
BY_OWNER, BY_OWNER_ALL, BY_SELF_TRADE, BY_LIQUIDATION, BY_MARGIN = typed_constants(0, 1, 2, 3, 4)
