"""The state root: one hash over everything that can influence a later block.

    state_root = keccak of 20 words:
     0 engine_version        1 params_digest            2 height                  3 time_ms
     4 account_root          5 account_sums             6 account count           7 books_digest
     8 markets_digest        9 oracle_digest           10 oracle_root (block)    11 inbox_cursor
    12 inbox_hash           13 l1_block                14 withdrawals_root       15 withdrawals_total_quote
    16 withdrawals_count    17 batches_digest          18 counters_digest        19 events_digest (block)

with `i64(x)` a big-endian two's complement of 8 bytes and rows concatenated:
- books_digest   = keccak(for each market: keccak(i64(count of bids) ‖ bids ‖ i64(count of asks) ‖ asks)); an order is
  `i64(order_id, account, price_ticks, size_lots, client_id, original_size_lots, placed_ms)`, best price first, then
  oldest.
- markets_digest = keccak(for each market: i64(mark_ticks, mark_ms, last_price_ticks, open_interest_lots, volume_lots)).
- oracle_digest  = keccak(for each validator: i64(time_ms of its last accepted report)).
- batches_digest = keccak(for each validator: i64(sequence of its last batch)).
- counters_digest = keccak(word(next_order_id) ‖ word(deposits_total_quote) ‖ word(inbox_ignored_count)).
- events_digest  = keccak(keccak(receipts) ‖ keccak(fills) ‖ keccak(cancellations) ‖ keccak(liquidations) ‖
  keccak(credits) ‖ keccak(withdrawals)), each the rows of `BlockResult` as i64; owners as 20 bytes.
"""

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numba import njit

from engine.layout import (
    ACCOUNT,
    ACCOUNT_COUNT,
    BOOK_ORDERS,
    BUY_ROW,
    CLIENT_ID,
    IS_BOOK_DIRTY,
    LEVEL_FIRST,
    LEVELS,
    MARKET_STATE_COLUMNS,
    NEXT,
    NEXT_ORDER_ID,
    NOTHING,
    ORDER_ID,
    ORIGINAL_LOTS,
    PLACED_MS,
    PRICE_TICKS,
    SELL_ROW,
    SIZE_LOTS,
    WITHDRAWALS,
    Tables,
)
from engine.limits import ENGINE_VERSION
from engine.payload import keccak

if TYPE_CHECKING:
    from engine.state import EngineState

BOOK_COLUMNS = (ORDER_ID, ACCOUNT, PRICE_TICKS, SIZE_LOTS, CLIENT_ID, ORIGINAL_LOTS, PLACED_MS)


class StateCommitment(NamedTuple):
    """The engine's ten words of a header, named as `consensus.messages.Commitment` names them."""

    oracle_root: bytes
    inbox_cursor: int
    inbox_hash: bytes
    l1_block: int
    state_root: bytes
    account_root: bytes
    account_sums: bytes
    withdrawals_root: bytes
    withdrawals_total_quote: int
    engine_version: int


@njit(cache=True)
def list_orders(tables: Tables, market: int, rows: np.ndarray) -> int:
    """Rows of a market's orders in canonical order (bids, then asks; best first, then oldest) into `rows`; count of
    bids.
    """
    at = 0
    bids = 0
    for side in (BUY_ROW, SELL_ROW):
        for level in range(tables.markets[market, LEVELS + side] - 1, -1, -1):
            row = tables.levels[market, side, level, LEVEL_FIRST]
            while row != NOTHING:
                rows[at] = row
                at += 1
                row = tables.orders[row, NEXT]
        if side == BUY_ROW:
            bids = at
    return bids


def encode_rows(rows: np.ndarray) -> bytes:
    """int64 rows as big-endian bytes."""
    return rows.astype(">i8").tobytes()


def _word(number: int) -> bytes:
    return number.to_bytes(32, "big")


def encode_book(state: "EngineState", market: int) -> bytes:
    """All orders of a market in canonical order, see the module header."""
    tables = state.tables
    rows = np.empty(int(tables.markets[market, BOOK_ORDERS]), dtype=np.int64)
    bids = int(list_orders(tables, market, rows))
    encoded = encode_rows(tables.orders[rows][:, BOOK_COLUMNS])
    split = bids * 8 * len(BOOK_COLUMNS)
    asks = rows.shape[0] - bids
    return bids.to_bytes(8, "big") + encoded[:split] + asks.to_bytes(8, "big") + encoded[split:]


def refresh_book_digests(state: "EngineState") -> None:
    """Rehash the books that changed since the last call."""
    markets = state.tables.markets
    digests = list(state.book_digests)
    for market in range(markets.shape[0]):
        if markets[market, IS_BOOK_DIRTY]:
            digests[market] = keccak(encode_book(state, market))
            markets[market, IS_BOOK_DIRTY] = 0
    state.book_digests = tuple(digests)


def compute_state_root(state: "EngineState") -> bytes:
    """The formula of the module header; account root, withdrawals root and book digests must be up to date."""
    counters = state.tables.counters
    numbers = (int(counters[NEXT_ORDER_ID]), state.deposits_total_quote, state.inbox_ignored_count)
    words = (
        _word(ENGINE_VERSION),
        state.params_digest,
        _word(state.height),
        _word(state.time_ms),
        state.account_root,
        state.account_sums,
        _word(int(counters[ACCOUNT_COUNT])),
        keccak(b"".join(state.book_digests)),
        keccak(encode_rows(state.tables.markets[:, MARKET_STATE_COLUMNS])),
        keccak(encode_rows(state.report_times_ms)),
        state.oracle_root,
        _word(state.inbox_cursor),
        state.inbox_hash,
        _word(state.l1_block),
        state.withdrawals_root,
        _word(state.withdrawals_total_quote),
        _word(int(counters[WITHDRAWALS])),
        keccak(encode_rows(state.batch_sequences)),
        keccak(b"".join(_word(number) for number in numbers)),
        state.events_digest,
    )
    return keccak(b"".join(words))


def commitment_of(state: "EngineState") -> StateCommitment:
    """What a header says about a state."""
    return StateCommitment(
        state.oracle_root,
        state.inbox_cursor,
        state.inbox_hash,
        state.l1_block,
        state.state_root,
        state.account_root,
        state.account_sums,
        state.withdrawals_root,
        state.withdrawals_total_quote,
        ENGINE_VERSION,
    )
