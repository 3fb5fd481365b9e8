"""All actions of a block in one compiled call: the rules of `engine.results.Code`, in their order of precedence.

A message that breaks a 1xx or 2xx rule, with any of its actions, changes nothing at all. From 3xx on its nonce is
spent, so that a refused action can never execute later. Every action gets exactly one receipt, in the row of its place
in the input.
"""

import numpy as np
from numba import njit

from engine.book import (
    cancel_order,
    cancel_orders,
    does_cross,
    get_best_level,
    link_order,
    take_row,
)
from engine.checked import mul_div_ceil, mul_div_floor
from engine.commands import (
    ALL_MARKETS,
    CANCEL,
    CANCEL_ALL,
    IMMEDIATE_OR_CANCEL,
    PLACE,
    POST_ONLY,
)
from engine.layout import (
    ACCOUNT,
    ACCOUNT_ORDERS_MAX,
    BAND_BPS,
    BOOK_ORDERS,
    BOOK_ORDERS_MAX,
    BUY_ROW,
    BY_OWNER,
    BY_OWNER_ALL,
    CLIENT_ID,
    DIRTY,
    DIRTY_LEAF,
    DIRTY_NONCES,
    IN_BATCH,
    IN_CLIENT_ID,
    IN_COMMAND,
    IN_EXPIRY_MS,
    IN_FLAGS,
    IN_KEY_A,
    IN_KEY_B,
    IN_KEY_C,
    IN_KIND,
    IN_LOTS,
    IN_MARKET,
    IN_MESSAGE,
    IN_NONCE,
    IN_ORDER_ID,
    IN_PRECHECK,
    IN_SIDE,
    IN_TICKS,
    IN_TIME_IN_FORCE,
    IS_FRESH,
    IS_ORDER,
    KEY_A,
    KEY_B,
    KEY_C,
    KEY_COUNT,
    LEVEL_TICKS,
    MARK,
    MARKET,
    NEXT_ORDER_ID,
    NONCE_COUNT,
    NOTHING,
    ORDER_COUNT,
    ORDER_FIRST,
    ORDER_ID,
    ORDER_LOTS_MAX,
    ORDER_TICKS_MAX,
    ORIGINAL_LOTS,
    OUT_ACCOUNT,
    OUT_BATCH,
    OUT_CANCELLED,
    OUT_CODE,
    OUT_COMMAND,
    OUT_FILLED,
    OUT_ORDER_ID,
    OUT_REMAINING,
    OUT_STATE,
    OUT_VALUE,
    OUT_WITHDRAWAL,
    OWN_NEXT,
    PLACED_MS,
    POSITION_BUYS,
    POSITION_LOTS,
    POSITION_MAX,
    POSITION_SELLS,
    PRICE_TICKS,
    SELL_ROW,
    SIDE,
    SIZE_LOTS,
    WITHDRAWAL_COUNT,
    WITHDRAWALS,
    ZERO,
    Number,
    Outputs,
    Tables,
)
from engine.limits import BPS_UNIT, NONCES_REMEMBERED, WITHDRAWALS_MAX
from engine.margin import are_prices_fresh, compute_free, is_affordable, is_reducing
from engine.matching import match_order, move_balance
from engine.results import Code, OrderState

OK = int(Code.OK)
EXPIRED, UNKNOWN_ACCOUNT = int(Code.EXPIRED), int(Code.UNKNOWN_ACCOUNT)
NONCE_REUSED, NONCE_TOO_OLD = int(Code.NONCE_REUSED), int(Code.NONCE_TOO_OLD)
UNKNOWN_MARKET, UNKNOWN_ORDER, UNKNOWN_ENUM = int(Code.UNKNOWN_MARKET), int(Code.UNKNOWN_ORDER), int(Code.UNKNOWN_ENUM)
SIZE_NOT_POSITIVE, SIZE_TOO_LARGE = int(Code.SIZE_NOT_POSITIVE), int(Code.SIZE_TOO_LARGE)
PRICE_OUT_OF_RANGE, PRICE_OUTSIDE_BAND = int(Code.PRICE_OUT_OF_RANGE), int(Code.PRICE_OUTSIDE_BAND)
PRICE_MISSING, WOULD_CROSS = int(Code.NO_PRICE), int(Code.WOULD_CROSS)
DUPLICATE_CLIENT_ID = int(Code.DUPLICATE_CLIENT_ID)
INSUFFICIENT_MARGIN, POSITION_TOO_LARGE = int(Code.INSUFFICIENT_MARGIN), int(Code.POSITION_TOO_LARGE)
INSUFFICIENT_BALANCE, AMOUNT_NOT_POSITIVE = int(Code.INSUFFICIENT_BALANCE), int(Code.AMOUNT_NOT_POSITIVE)
TOO_MANY_OPEN_ORDERS, BOOK_FULL = int(Code.TOO_MANY_OPEN_ORDERS), int(Code.BOOK_FULL)
WITHDRAWALS_FULL = int(Code.WITHDRAWALS_FULL)
STATE_OPEN, STATE_FILLED, STATE_CANCELLED = int(OrderState.OPEN), int(OrderState.FILLED), int(OrderState.CANCELLED)


@njit(cache=True)
def _compare_key(row: np.ndarray, key_a: Number, key_b: Number, key_c: Number) -> Number:
    """-1, 0 or 1: how an account's key sorts against another."""
    if row[KEY_A] != key_a:
        return -1 if row[KEY_A] < key_a else 1
    if row[KEY_B] != key_b:
        return -1 if row[KEY_B] < key_b else 1
    if row[KEY_C] != key_c:
        return -1 if row[KEY_C] < key_c else 1
    return 0


@njit(cache=True)
def find_account(tables: Tables, count: Number, key_a: Number, key_b: Number, key_c: Number) -> tuple[Number, Number]:
    """Place of a key among the `count` sorted ones: `(place, account index)`, or `(place to insert, -1)`."""
    low: Number = 0
    high = count
    while low < high:
        middle = (low + high) // 2
        account = tables.by_key[middle]
        order = _compare_key(tables.accounts[account], key_a, key_b, key_c)
        if order == 0:
            return middle, account
        if order < 0:
            low = middle + 1
        else:
            high = middle
    return low, NOTHING


@njit(cache=True)
def _check_nonce(tables: Tables, account: Number, nonce: Number) -> Number:
    """Code of the nonce rules: the remembered nonces are sorted, the smallest first."""
    count = tables.accounts[account, NONCE_COUNT]
    nonces = tables.nonces[account]
    for index in range(count):
        if nonces[index] == nonce:
            return NONCE_REUSED
    if count == NONCES_REMEMBERED and nonce < nonces[0]:
        return NONCE_TOO_OLD
    return OK


@njit(cache=True)
def _spend_nonce(tables: Tables, account: Number, nonce: Number) -> None:
    """Remember a nonce; a full memory forgets its smallest."""
    count = tables.accounts[account, NONCE_COUNT]
    nonces = tables.nonces[account]
    if count == NONCES_REMEMBERED:
        for index in range(count - 1):
            nonces[index] = nonces[index + 1]
        count -= 1
    at = count
    while at > 0 and nonces[at - 1] > nonce:
        nonces[at] = nonces[at - 1]
        at -= 1
    nonces[at] = nonce
    tables.accounts[account, NONCE_COUNT] = count + 1
    tables.accounts[account, DIRTY] |= DIRTY_LEAF | DIRTY_NONCES


@njit(cache=True)
def _find_order(tables: Tables, account: Number, market: Number, order_id: Number, client_id: Number) -> Number:
    """Row of an account's open order in a market that carries both given names (0: any), or -1."""
    if order_id == 0 and client_id == 0:
        return NOTHING
    row = tables.accounts[account, ORDER_FIRST]
    while row != NOTHING:
        order = tables.orders[row]
        is_named = (order_id == 0 or order[ORDER_ID] == order_id) and (client_id == 0 or order[CLIENT_ID] == client_id)
        if is_named and (market == NOTHING or order[MARKET] == market):
            return row
        row = order[OWN_NEXT]
    return NOTHING


@njit(cache=True)
def _check_price(
    tables: Tables, account: Number, market: Number, side: Number, price_ticks: Number, size_lots: Number
) -> Number:
    """Rules 304 to 306. The band is around the mark: buys not above it, sells not below it."""
    row = tables.markets[market]
    if price_ticks <= 0 or price_ticks > row[ORDER_TICKS_MAX]:
        return PRICE_OUT_OF_RANGE
    mark_ticks = row[MARK]
    if mark_ticks != 0:
        if side == BUY_ROW and price_ticks > mul_div_floor(mark_ticks, BPS_UNIT + row[BAND_BPS], BPS_UNIT):
            return PRICE_OUTSIDE_BAND
        if side == SELL_ROW and price_ticks < mul_div_ceil(mark_ticks, BPS_UNIT - row[BAND_BPS], BPS_UNIT):
            return PRICE_OUTSIDE_BAND
    if mark_ticks == 0 or row[IS_FRESH] == 0:
        is_side_known = side in (BUY_ROW, SELL_ROW)
        if mark_ticks == 0 or not (is_side_known and is_reducing(tables, account, market, side, size_lots)):
            return PRICE_MISSING
    return OK


@njit(cache=True)
def _check_place(tables: Tables, account: Number, command: np.ndarray) -> Number:
    """Code of the first rule from 301 on that a new order breaks."""
    market, side, time_in_force = command[IN_MARKET], command[IN_SIDE], command[IN_TIME_IN_FORCE]
    price_ticks, size_lots = command[IN_TICKS], command[IN_LOTS]
    if market >= tables.markets.shape[0]:
        return UNKNOWN_MARKET
    row = tables.markets[market]
    if size_lots <= 0:
        return SIZE_NOT_POSITIVE
    if size_lots > row[ORDER_LOTS_MAX]:
        return SIZE_TOO_LARGE
    code = _check_price(tables, account, market, side, price_ticks, size_lots)
    if code != OK:
        return code
    is_side_known = side in (BUY_ROW, SELL_ROW)
    if time_in_force == POST_ONLY and is_side_known:
        best = get_best_level(tables, market, 1 - side)
        if best >= 0 and does_cross(price_ticks, side, tables.levels[market, 1 - side, best, LEVEL_TICKS]):
            return WOULD_CROSS
    if command[IN_CLIENT_ID] != 0 and _find_order(tables, account, NOTHING, ZERO, command[IN_CLIENT_ID]) != NOTHING:
        return DUPLICATE_CLIENT_ID
    if not is_side_known or time_in_force > POST_ONLY or command[IN_FLAGS] != 0:
        return UNKNOWN_ENUM
    if not is_affordable(tables, account, market, side, price_ticks, size_lots):
        return INSUFFICIENT_MARGIN
    position = tables.positions[account, market]
    if side == BUY_ROW:
        reach_lots = position[POSITION_LOTS] + position[POSITION_BUYS] + size_lots
    else:
        reach_lots = position[POSITION_SELLS] + size_lots - position[POSITION_LOTS]
    if reach_lots > row[POSITION_MAX]:
        return POSITION_TOO_LARGE
    if time_in_force != IMMEDIATE_OR_CANCEL:
        if tables.accounts[account, ORDER_COUNT] >= tables.counters[ACCOUNT_ORDERS_MAX]:
            return TOO_MANY_OPEN_ORDERS
        if row[BOOK_ORDERS] >= tables.counters[BOOK_ORDERS_MAX]:
            return BOOK_FULL
    return OK


@njit(cache=True)
def _place(
    tables: Tables, outputs: Outputs, account: Number, command: np.ndarray, receipt: np.ndarray, time_ms: Number
) -> None:
    """Match an accepted order and rest what is left of it, unless it is immediate-or-cancel."""
    market, side, price_ticks, size_lots = command[IN_MARKET], command[IN_SIDE], command[IN_TICKS], command[IN_LOTS]
    order_id = tables.counters[NEXT_ORDER_ID]
    tables.counters[NEXT_ORDER_ID] = order_id + 1
    filled_lots, filled_value = match_order(
        tables, outputs, market, side, price_ticks, size_lots, account, order_id, IS_ORDER
    )
    remaining_lots = size_lots - filled_lots
    receipt[OUT_ORDER_ID] = order_id
    receipt[OUT_FILLED] = filled_lots
    receipt[OUT_REMAINING] = remaining_lots
    receipt[OUT_VALUE] = filled_value
    if remaining_lots == 0:
        receipt[OUT_STATE] = STATE_FILLED
    elif command[IN_TIME_IN_FORCE] == IMMEDIATE_OR_CANCEL:
        receipt[OUT_STATE] = STATE_CANCELLED
    else:
        receipt[OUT_STATE] = STATE_OPEN
        row = take_row(tables)
        order = tables.orders[row]
        order[ORDER_ID] = order_id
        order[ACCOUNT] = account
        order[MARKET] = market
        order[SIDE] = side
        order[PRICE_TICKS] = price_ticks
        order[SIZE_LOTS] = remaining_lots
        order[CLIENT_ID] = command[IN_CLIENT_ID]
        order[ORIGINAL_LOTS] = size_lots
        order[PLACED_MS] = time_ms
        link_order(tables, row)


@njit(cache=True)
def _cancel(tables: Tables, outputs: Outputs, account: Number, command: np.ndarray, receipt: np.ndarray) -> Number:
    """Cancel one order; returns the code."""
    if command[IN_MARKET] >= tables.markets.shape[0]:
        return UNKNOWN_MARKET
    row = _find_order(tables, account, command[IN_MARKET], command[IN_ORDER_ID], command[IN_CLIENT_ID])
    if row == NOTHING:
        return UNKNOWN_ORDER
    receipt[OUT_ORDER_ID] = tables.orders[row, ORDER_ID]
    receipt[OUT_STATE] = STATE_CANCELLED
    receipt[OUT_CANCELLED] = 1
    receipt[OUT_REMAINING] = cancel_order(tables, outputs, row, BY_OWNER)
    return OK


@njit(cache=True)
def _cancel_all(tables: Tables, outputs: Outputs, account: Number, command: np.ndarray, receipt: np.ndarray) -> Number:
    """Cancel every order of one market or of all; returns the code."""
    market = command[IN_MARKET]
    if market == ALL_MARKETS:
        market = NOTHING
    elif market >= tables.markets.shape[0]:
        return UNKNOWN_MARKET
    receipt[OUT_CANCELLED] = cancel_orders(tables, outputs, account, market, BY_OWNER_ALL)
    return OK


@njit(cache=True)
def _withdraw(tables: Tables, outputs: Outputs, account: Number, command: np.ndarray, receipt: np.ndarray) -> Number:
    """Debit a withdrawal and hand it to the shell, which appends it to the tree; returns the code."""
    amount_quote = command[IN_LOTS]
    if not are_prices_fresh(tables, account):
        return PRICE_MISSING
    if amount_quote > compute_free(tables, account):
        return INSUFFICIENT_BALANCE
    if amount_quote <= 0:
        return AMOUNT_NOT_POSITIVE
    index = tables.counters[WITHDRAWALS]
    if index >= WITHDRAWALS_MAX:
        return WITHDRAWALS_FULL
    move_balance(tables, account, -amount_quote)
    count = tables.counters[WITHDRAWAL_COUNT]
    outputs.withdrawals[count, 0] = account
    outputs.withdrawals[count, 1] = amount_quote
    tables.counters[WITHDRAWAL_COUNT] = count + 1
    tables.counters[WITHDRAWALS] = index + 1
    receipt[OUT_WITHDRAWAL] = index
    return OK


@njit(cache=True)
def _apply_command(
    tables: Tables, outputs: Outputs, account: Number, command: np.ndarray, receipt: np.ndarray, time_ms: Number
) -> Number:
    """Rules from 301 on, then the action itself; its message's nonce is spent whatever the answer."""
    kind = command[IN_KIND]
    if kind == PLACE:
        code = _check_place(tables, account, command)
        if code == OK:
            _place(tables, outputs, account, command, receipt, time_ms)
        return code
    if kind == CANCEL:
        return _cancel(tables, outputs, account, command, receipt)
    if kind == CANCEL_ALL:
        return _cancel_all(tables, outputs, account, command, receipt)
    return _withdraw(tables, outputs, account, command, receipt)


@njit(cache=True)
def _judge_message(tables: Tables, command: np.ndarray, time_ms: Number) -> tuple[Number, Number]:
    """`(code, account)` of a message by rules 101 to 204; one that passes spends its nonce."""
    if command[IN_PRECHECK] != OK:
        return command[IN_PRECHECK], NOTHING
    if time_ms > command[IN_EXPIRY_MS]:
        return EXPIRED, NOTHING
    _, account = find_account(
        tables, tables.counters[KEY_COUNT], command[IN_KEY_A], command[IN_KEY_B], command[IN_KEY_C]
    )
    if account == NOTHING:
        return UNKNOWN_ACCOUNT, NOTHING
    code = _check_nonce(tables, account, command[IN_NONCE])
    if code == OK:
        _spend_nonce(tables, account, command[IN_NONCE])
    return code, account


@njit(cache=True)
def apply_commands(
    tables: Tables, outputs: Outputs, commands: np.ndarray, sequence: np.ndarray, time_ms: Number
) -> None:
    """Judge all messages in input order, then execute `commands` (count, 18) in the order of the row numbers
    `sequence`; receipts keep the rows' own order.
    """
    verdicts = np.full((commands[-1, IN_MESSAGE] + 1, 2), NOTHING, dtype=np.int64)
    for at in range(commands.shape[0]):
        verdict = verdicts[commands[at, IN_MESSAGE]]
        if verdict[0] == NOTHING:
            verdict[0], verdict[1] = _judge_message(tables, commands[at], time_ms)
    for at in range(sequence.shape[0]):
        command = commands[sequence[at]]
        receipt = outputs.receipts[sequence[at]]
        code, account = verdicts[command[IN_MESSAGE], 0], verdicts[command[IN_MESSAGE], 1]
        receipt[:] = 0
        receipt[OUT_BATCH] = command[IN_BATCH]
        receipt[OUT_COMMAND] = command[IN_COMMAND]
        receipt[OUT_ACCOUNT] = account
        receipt[OUT_WITHDRAWAL] = NOTHING
        if code == OK:
            code = _apply_command(tables, outputs, account, command, receipt, time_ms)
        receipt[OUT_CODE] = code
