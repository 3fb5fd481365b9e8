"""The order book: time-priority queues per price, found by bitmaps, in one array of 32-byte records.

A price level and an order are the same kind of record. The level is the sentinel of a circular list, so an order leaves
its queue by two stores, without asking whether it was first or last. Indices of `book` below `levels` are price levels,
the others are orders; index 0 and its whole block mean nothing.

Prices of a side become *ranks* that grow away from the best: `rank = |mirror_ticks - price_ticks|`, where the mirror of
asks is 0 and that of bids is the market's highest price. The same formula leads back, and both sides use the same
code: the best order has the lowest rank, and a taker crosses a level whose rank is at most that of its limit.

Levels live in blocks of 64 neighbouring ranks. `directory` maps (side, rank >> 6) to a block that is taken when the
first order arrives and given back with the last one, so memory follows the orders, not the width of the price range,
and nothing ever has to be moved. An empty level points to itself, hence a block needs no clearing between two uses.
Bits say what is occupied: per block its 64 levels, per side its blocks, with two more floors of 64 ways above.

An order takes the lowest free row (row 0 is nobody's), so rows follow from the orders that live. The row is part of the
order's identifier: `order_id` is `sequence << 24 | row`, so finding an order is one load and one comparison, without a
hash map.

Nothing here checks indices that come from outside: markets, sides and prices must be valid before. Arrays come from
zeroed memory of the greatest capacity, which the operating system hands out page by page when it is first written, so
growing never pauses.
"""

from typing import NamedTuple

import numpy as np

from engine.compiling import inlined, kernel
from engine.fixed import count_trailing_zeros, prefetch
from engine.handles import Handle
from engine.memory import make_zeros
from engine.rows import count_words, release_row, take_lowest_row

Number = int | np.int64

BOOK = np.dtype(
    [("order_id", "<i8"), ("lots", "<i8"), ("next", "<u4"), ("previous", "<u4"), ("level", "<u4"), ("account", "<u4")]
)
BLOCK = np.dtype([("occupied", "<i8"), ("entry", "<u4"), ("side_index", "<u4")])
SIDE = np.dtype(
    [("root", "<i8"), ("best_rank", "<u4"), ("best_level", "<u4"), ("mirror_ticks", "<u4"), ("directory", "<u4")]
    + [("words", "<u4"), ("upper_words", "<u4")]
)

ROW_BITS = np.int64(24)
ROW_MASK = np.int64((1 << 24) - 1)
ORDERS_MAX = 1 << 24
PRICE_TICKS_MAX = (1 << 24) - 1
BID, ASK = np.int64(0), np.int64(1)  # side_index = market * 2 + side
NOTHING = np.int64(0)  # no level, no order, no block
NO_RANK = np.int64((1 << 32) - 1)  # the best rank of an empty side: crosses nothing
LEVELS_PER_BLOCK = 64
# From so many entries for each block on, entries are copied one by one.
_ENTRIES_PER_BLOCK_MIN = 32

ONE, ABOVE, IN_WORD, WHOLE_WORDS, WORD_BITS = (np.int64(number) for number in (1, -2, 63, -64, 6))

# counters
MARKET_COUNT, ROWS_USED, BLOCKS_USED, FREE_BLOCK, DIRECTORY_USED, WORDS_USED = range(6)
COUNTERS = 6


class _OrderbookFields(NamedTuple):
    book: np.ndarray
    blocks: np.ndarray
    sides: np.ndarray
    directory: np.ndarray
    words: np.ndarray
    rows: np.ndarray
    counters: np.ndarray


class Orderbook(Handle, _OrderbookFields):
    """All books of one exchange. `book` holds 64 levels per block and then the orders."""


def make_orderbook(markets_max: int, orders_max: int, blocks_max: int, entries_max: int) -> Orderbook:
    """Empty books of no market yet.

    `blocks_max` blocks of 64 price levels (one more is kept for "nothing"), `orders_max` rows (one is nobody's),
    `entries_max` entries of the directory: a market takes `2 * (price_ticks_max // 64 + 1)`. Raises ValueError for more
    orders than identifiers can name.
    """
    if not 0 < orders_max <= ORDERS_MAX:
        raise ValueError(f"orders_max is {orders_max}; an order identifier has room for 1 to {ORDERS_MAX} rows")
    blocks = blocks_max + 1
    orderbook = Orderbook(
        book=make_zeros(blocks * LEVELS_PER_BLOCK + orders_max, BOOK),
        blocks=make_zeros(blocks, BLOCK),
        sides=make_zeros(2 * markets_max, SIDE),
        directory=make_zeros(entries_max, np.uint32),
        words=make_zeros((entries_max >> 6) + (entries_max >> 12) + 4 * markets_max, np.int64),
        rows=make_zeros(count_words(orders_max), np.int64),
        counters=make_zeros(COUNTERS, np.int64),
    )
    orderbook.counters[ROWS_USED] = 1
    orderbook.counters[BLOCKS_USED] = 1
    return orderbook


def list_market(orderbook: Orderbook, price_ticks_max: int) -> int:
    """Add a market with prices from 1 to `price_ticks_max` and return its number, -1 if there is no room for it.

    Raises ValueError for a price range that is not within 1 to 2**24 - 1. An empty book can serve a new market with the
    same range as it stands.
    """
    if not 0 < price_ticks_max <= PRICE_TICKS_MAX:
        raise ValueError(f"price_ticks_max is {price_ticks_max}; it must be from 1 to {PRICE_TICKS_MAX}")
    counters = orderbook.counters
    market = int(counters[MARKET_COUNT])
    entries = (price_ticks_max >> 6) + 1
    words, upper_words = (entries + 63) >> 6, (entries + 4095) >> 12
    directory_at, words_at = int(counters[DIRECTORY_USED]), int(counters[WORDS_USED])
    if market * 2 >= len(orderbook.sides) or directory_at + 2 * entries > len(orderbook.directory):
        return -1
    for side, mirror_ticks in ((0, price_ticks_max), (1, 0)):
        orderbook.sides[market * 2 + side] = (
            *(0, NO_RANK, NOTHING, mirror_ticks, directory_at),
            *(words_at, words_at + words),
        )
        directory_at += entries
        words_at += words + upper_words
    counters[DIRECTORY_USED], counters[WORDS_USED], counters[MARKET_COUNT] = directory_at, words_at, market + 1
    return market


def copy_orderbook(source: Orderbook, target: Orderbook) -> None:
    """Make `target`, of the same capacities, equal to `source`; only what has ever been used is read and written."""
    _copy_directory(source, target)
    levels = len(source.blocks) * LEVELS_PER_BLOCK
    for mine, theirs, start, records, counter in (
        (target.words, source.words, 0, 1, WORDS_USED),
        (target.blocks, source.blocks, 0, 1, BLOCKS_USED),
        (target.book, source.book, 0, LEVELS_PER_BLOCK, BLOCKS_USED),
        (target.book, source.book, levels, 1, ROWS_USED),
    ):
        used, used_before = (records * int(it.counters[counter]) for it in (source, target))
        copy_rows(theirs[start:], mine[start:], used, used_before)
    used = count_words(int(max(source.counters[ROWS_USED], target.counters[ROWS_USED])))
    target.rows[:used] = source.rows[:used]
    copy_rows(source.sides, target.sides, len(source.sides), 0)
    target.counters[:] = source.counters


def _copy_directory(source: Orderbook, target: Orderbook) -> None:
    """Before anything else of the books. A wide directory is all but empty: its blocks say which entries are not."""
    used = max(int(it.counters[DIRECTORY_USED]) for it in (source, target))
    if used < _ENTRIES_PER_BLOCK_MIN * max(int(it.counters[BLOCKS_USED]) for it in (source, target)):
        target.directory[:used] = source.directory[:used]
        return
    target.directory[_list_entries(target)[1]] = NOTHING
    blocks, entries = _list_entries(source)
    target.directory[entries] = blocks


def _list_entries(orderbook: Orderbook) -> tuple[np.ndarray, np.ndarray]:
    """The blocks that are in use, (n,), and where in the directory each one stands, (n,)."""
    blocks = orderbook.blocks[: int(orderbook.counters[BLOCKS_USED])]
    taken = np.flatnonzero(blocks["occupied"])  # a block is given back with its last level
    begins = orderbook.sides["directory"].astype(np.int64)
    return taken, begins[blocks["side_index"][taken]] + blocks["entry"][taken]


def copy_rows(source: np.ndarray, target: np.ndarray, used: int, used_before: int) -> None:
    """The first `used` rows; behind them there are zeros, where `target` has used `used_before`. As bytes: numpy copies
    records field by field.
    """
    if source.dtype.names is not None:
        source, target = (rows.view(np.uint8).reshape(len(rows), rows.itemsize) for rows in (source, target))
    target[:used] = source[:used]
    if used_before > used:
        target[used:used_before] = 0


@inlined
def rank_of(orderbook: Orderbook, side_index: Number, price_ticks: Number) -> Number:
    """Distance of a price from the best possible price of a side; the same formula turns a rank into its price."""
    return abs(np.int64(orderbook.sides[side_index]["mirror_ticks"]) - price_ticks)


@inlined
def best_rank(orderbook: Orderbook, side_index: Number) -> Number:
    """Rank of the best order of a side, `NO_RANK` if there is none."""
    return np.int64(orderbook.sides[side_index]["best_rank"])


@inlined
def best_level(orderbook: Orderbook, side_index: Number) -> Number:
    """Index of the best level of a side, `NOTHING` if the side is empty."""
    return np.int64(orderbook.sides[side_index]["best_level"])


@inlined
def level_at(orderbook: Orderbook, side_index: Number, rank: Number) -> Number:
    """Index of the level of a rank, which may be empty, or `NOTHING` if no order is near it."""
    block = np.int64(orderbook.directory[np.int64(orderbook.sides[side_index]["directory"]) + (rank >> WORD_BITS)])
    return (block << WORD_BITS) + (rank & IN_WORD) if block != NOTHING else NOTHING


@inlined
def side_of_level(orderbook: Orderbook, level: Number) -> Number:
    """`market * 2 + side` of a level that has orders."""
    return np.int64(orderbook.blocks[level >> WORD_BITS]["side_index"])


@inlined
def rank_of_level(orderbook: Orderbook, level: Number) -> Number:
    """Rank of a level that has orders; `rank_of` makes it a price."""
    return (np.int64(orderbook.blocks[level >> WORD_BITS]["entry"]) << WORD_BITS) + (level & IN_WORD)


@inlined
def head_of(orderbook: Orderbook, level: Number) -> Number:
    """The oldest order of a level that is not empty."""
    return np.int64(orderbook.book[level]["next"])


@inlined
def next_order(orderbook: Orderbook, index: Number) -> Number:
    """The order behind one in its queue, `NOTHING` at the end."""
    order = orderbook.book[index]
    follower = np.int64(order["next"])
    return follower if follower != np.int64(order["level"]) else NOTHING


@kernel
def next_level(orderbook: Orderbook, level: Number) -> Number:
    """The next worse level with orders on the side of a level with orders, `NOTHING` after the worst."""
    block = orderbook.blocks[level >> WORD_BITS]
    above: Number = block["occupied"] & (ABOVE << (level & IN_WORD))
    if above != 0:
        return (level & WHOLE_WORDS) + count_trailing_zeros(above)
    entry = _next_entry(orderbook, np.int64(block["side_index"]), np.int64(block["entry"]))
    if entry < 0:
        return NOTHING
    return _first_level_of_entry(orderbook, np.int64(block["side_index"]), entry)


@kernel
def _next_entry(orderbook: Orderbook, side_index: Number, entry: Number) -> Number:
    """The next entry of a side's directory that has a block, -1 after the last."""
    side, words = orderbook.sides[side_index], orderbook.words
    words_at, upper_at = np.int64(side["words"]), np.int64(side["upper_words"])
    word = entry >> WORD_BITS
    above = words[words_at + word] & (ABOVE << (entry & IN_WORD))
    if above == 0:
        upper: Number = word >> WORD_BITS
        above = words[upper_at + upper] & (ABOVE << (word & IN_WORD))
        if above == 0:
            above = side["root"] & (ABOVE << upper)
            if above == 0:
                return -ONE
            upper = count_trailing_zeros(above)
            above = words[upper_at + upper]
        word = (upper << WORD_BITS) + count_trailing_zeros(above)
        above = words[words_at + word]
    return (word << WORD_BITS) + count_trailing_zeros(above)


@kernel
def _first_level_of_entry(orderbook: Orderbook, side_index: Number, entry: Number) -> Number:
    block = np.int64(orderbook.directory[np.int64(orderbook.sides[side_index]["directory"]) + entry])
    return (block << WORD_BITS) + count_trailing_zeros(orderbook.blocks[block]["occupied"])


@inlined
def take_row(orderbook: Orderbook) -> Number:
    """Index in `book` of the lowest free order record, `NOTHING` if all are taken. `rest_order` fills it."""
    counters, levels = orderbook.counters, len(orderbook.blocks) * LEVELS_PER_BLOCK
    row = take_lowest_row(orderbook.rows, len(orderbook.book) - levels)
    counters[ROWS_USED] = max(counters[ROWS_USED], row + ONE)
    return levels + row if row != NOTHING else NOTHING


@inlined
def free_row(orderbook: Orderbook, index: Number) -> None:
    """Give back the record of an order that is in no queue; its identifier names nothing from now on."""
    orderbook.book[index]["order_id"] = NOTHING
    release_row(orderbook.rows, index - len(orderbook.blocks) * LEVELS_PER_BLOCK)


@inlined
def make_order_id(orderbook: Orderbook, sequence: Number, index: Number) -> Number:
    """Identifier of the order in a record; `sequence` is from 1 to 2**39 - 1 and never used twice."""
    return (sequence << ROW_BITS) + index - len(orderbook.blocks) * LEVELS_PER_BLOCK


@inlined
def index_of_id(orderbook: Orderbook, order_id: Number) -> Number:
    """Where the record of an order would be; past the end of `book` for identifiers that were never given out."""
    return (order_id & ROW_MASK) + len(orderbook.blocks) * LEVELS_PER_BLOCK


@inlined
def find_order(orderbook: Orderbook, order_id: Number, account: Number) -> Number:
    """Index of an account's living order, `NOTHING` if the order is gone, never was, or is somebody else's."""
    if order_id <= 0 or (order_id & ROW_MASK) >= orderbook.counters[ROWS_USED]:
        return NOTHING
    index = index_of_id(orderbook, order_id)
    order = orderbook.book[index]
    return index if order["order_id"] == order_id and np.int64(order["account"]) == account else NOTHING


@kernel
def _take_block(orderbook: Orderbook, side_index: Number, entry: Number) -> Number:
    """A block of empty levels for an entry of a side's directory, `NOTHING` if all blocks are taken."""
    counters, blocks, words, side = orderbook.counters, orderbook.blocks, orderbook.words, orderbook.sides[side_index]
    block = counters[FREE_BLOCK]
    if block != NOTHING:
        counters[FREE_BLOCK] = np.int64(blocks[block]["entry"])
    else:
        block = counters[BLOCKS_USED]
        if block >= len(blocks):
            return NOTHING
        counters[BLOCKS_USED] += ONE
        for level in range(block * LEVELS_PER_BLOCK, (block + ONE) * LEVELS_PER_BLOCK):
            record = orderbook.book[level]
            record["next"] = record["previous"] = record["level"] = level
    blocks[block]["entry"] = entry
    blocks[block]["side_index"] = side_index
    orderbook.directory[np.int64(side["directory"]) + entry] = block
    word = entry >> WORD_BITS
    upper = word >> WORD_BITS
    words[np.int64(side["words"]) + word] |= ONE << (entry & IN_WORD)
    words[np.int64(side["upper_words"]) + upper] |= ONE << (word & IN_WORD)
    side["root"] |= ONE << upper
    return block


@kernel
def _give_back_block(orderbook: Orderbook, block: Number) -> None:
    """Return a block without orders; its side's bitmaps forget it."""
    record, words = orderbook.blocks[block], orderbook.words
    side, entry = orderbook.sides[np.int64(record["side_index"])], np.int64(record["entry"])
    orderbook.directory[np.int64(side["directory"]) + entry] = NOTHING
    record["entry"] = orderbook.counters[FREE_BLOCK]
    orderbook.counters[FREE_BLOCK] = block
    word = entry >> WORD_BITS
    at = np.int64(side["words"]) + word
    words[at] &= ~(ONE << (entry & IN_WORD))
    if words[at] == 0:
        upper = word >> WORD_BITS
        at = np.int64(side["upper_words"]) + upper
        words[at] &= ~(ONE << (word & IN_WORD))
        if words[at] == 0:
            side["root"] &= ~(ONE << upper)


@kernel
def _find_best(orderbook: Orderbook, side_index: Number) -> None:
    """Set the best level of a side from its bitmaps, top floor first."""
    side, words = orderbook.sides[side_index], orderbook.words
    if side["root"] == 0:
        side["best_rank"] = NO_RANK
        side["best_level"] = NOTHING
        return
    upper = count_trailing_zeros(side["root"])
    word = (upper << WORD_BITS) + count_trailing_zeros(words[np.int64(side["upper_words"]) + upper])
    entry = (word << WORD_BITS) + count_trailing_zeros(words[np.int64(side["words"]) + word])
    level = _first_level_of_entry(orderbook, side_index, entry)
    side["best_level"] = level
    side["best_rank"] = (entry << WORD_BITS) + (level & IN_WORD)


@inlined
def _vacate_level(orderbook: Orderbook, level: Number) -> None:
    """A level has lost its last order: unmark it, find the side's new best if it was that, free an empty block."""
    block = orderbook.blocks[level >> WORD_BITS]
    side_index = np.int64(block["side_index"])
    side = orderbook.sides[side_index]
    occupied = block["occupied"] & ~(ONE << (level & IN_WORD))
    block["occupied"] = occupied
    if occupied == 0:
        _give_back_block(orderbook, level >> WORD_BITS)
        if np.int64(side["best_level"]) == level:
            _find_best(orderbook, side_index)
    elif np.int64(side["best_level"]) == level:
        best = count_trailing_zeros(occupied)
        side["best_rank"] = np.int64(side["best_rank"]) + best - (level & IN_WORD)
        side["best_level"] = (level & WHOLE_WORDS) + best


@inlined
def _append(orderbook: Orderbook, level: Number, index: Number, lots: Number) -> Number:
    """Link a record behind all orders of a level and return what was last before: the level itself if it was empty."""
    book = orderbook.book
    sentinel, order = book[level], book[index]
    tail = np.int64(sentinel["previous"])
    order["next"] = level
    order["previous"] = tail
    order["level"] = level
    book[tail]["next"] = index
    sentinel["previous"] = index
    sentinel["lots"] += lots
    return tail


@inlined
def rest_order(
    orderbook: Orderbook,
    side_index: Number,
    rank: Number,
    index: Number,
    order_id: Number,
    account: Number,
    lots: Number,
) -> Number:
    """Fill a record from `take_row` and put it behind all orders of its price.

    Returns its level, or `NOTHING` if there is no block for a new price; then nothing has changed and the caller gives
    the row back.
    """
    level = level_at(orderbook, side_index, rank)
    if level == NOTHING:
        block = _take_block(orderbook, side_index, rank >> WORD_BITS)
        if block == NOTHING:
            return NOTHING
        level = (block << WORD_BITS) + (rank & IN_WORD)
    order = orderbook.book[index]
    order["order_id"] = order_id
    order["lots"] = lots
    order["account"] = account
    if _append(orderbook, level, index, lots) == level:
        orderbook.blocks[level >> WORD_BITS]["occupied"] |= ONE << (rank & IN_WORD)
        side = orderbook.sides[side_index]
        if rank < np.int64(side["best_rank"]):
            side["best_rank"] = rank
            side["best_level"] = level
    return level


@inlined
def unlink_order(orderbook: Orderbook, index: Number) -> None:
    """Take an order out of its queue, wherever it stands. Its record stays taken until `free_row`.

    Lots that an order hides beside its own `lots` must have left the level's sum by `change_lots` before.
    """
    book = orderbook.book
    order = book[index]
    level, following, previous = np.int64(order["level"]), np.int64(order["next"]), np.int64(order["previous"])
    book[previous]["next"] = following
    book[following]["previous"] = previous
    book[level]["lots"] -= order["lots"]
    if following == previous:  # only one that was alone has the same neighbour on both sides: the level
        _vacate_level(orderbook, level)


@inlined
def change_lots(orderbook: Orderbook, index: Number, lots: Number, hidden_lots: Number) -> None:
    """Add signed lots to an order in place, and to its level these and the ones that the order hides."""
    order = orderbook.book[index]
    order["lots"] += lots
    orderbook.book[np.int64(order["level"])]["lots"] += lots + hidden_lots


@inlined
def move_to_tail(orderbook: Orderbook, index: Number) -> None:
    """An order loses its place in time: it goes behind all others of its price."""
    book = orderbook.book
    order = book[index]
    level, following, previous = np.int64(order["level"]), np.int64(order["next"]), np.int64(order["previous"])
    book[previous]["next"] = following
    book[following]["previous"] = previous
    _append(orderbook, level, index, NOTHING)


@inlined
def prefetch_record(orderbook: Orderbook, index: Number) -> None:
    """First hint, some 12 events ahead: this order or level will be needed. Any index will do; nothing changes."""
    prefetch(orderbook.book, index)


@inlined
def prefetch_neighbours(orderbook: Orderbook, index: Number) -> None:
    """Second hint, some 6 events ahead: what unlinking this order, or appending to this level, will write.

    Any index from 0 up will do; nothing changes. The same for both kinds of record, because a branch on what comes
    next would often be guessed wrongly and cost as much as the hint saves.
    """
    record = orderbook.book[min(index, len(orderbook.book) - 1)]
    prefetch(orderbook.book, np.int64(record["next"]))
    prefetch(orderbook.book, np.int64(record["previous"]))
    prefetch(orderbook.book, np.int64(record["level"]))
