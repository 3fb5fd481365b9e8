"""Whether tables that nobody has to believe are put together as the kernels would have: lists, bitmaps, directories.

Row numbers must be within their tables before (`engine.snapshot`), amounts are added up by the audit
(`engine.invariants`). What is checked here is computed anew for whole columns at once and compared, so that it is quick
for a million accounts. Raises `SnapshotError`.
"""

import numpy as np

from engine.commands import REDUCE_ONLY
from engine.errors import SnapshotError
from engine.orderbook import (
    BLOCKS_USED,
    DIRECTORY_USED,
    FREE_BLOCK,
    LEVELS_PER_BLOCK,
    NO_RANK,
    ROWS_USED,
    WORDS_USED,
    Orderbook,
)
from engine.rows import count_words
from engine.tables import (
    ACCOUNT_COUNT,
    MARKET_COUNT,
    OFFERS_LIVE,
    ORDER_ROW_MASK,
    ORDERS_LIVE,
    POSITION_FREE,
    POSITIONS_LIVE,
    POSITIONS_USED,
    SESSIONS_LIVE,
    TRIGGERS_LIVE,
    Tables,
)

_ONE = np.int64(1)


def _require(holds: object, message: str) -> None:
    if not holds:
        raise SnapshotError(message)


def check_structure(tables: Tables) -> None:
    """Raise `SnapshotError` unless every row is in exactly the lists and bitmaps that it belongs to."""
    live = _check_order_rows(tables)
    _check_queues(tables.orderbook, live)
    _check_directory(tables)
    _check_orders(tables, live)
    _check_own_lists(tables, live)
    _check_positions(tables, live)
    for name, rows, counter in (
        ("triggers", tables.trigger_rows, TRIGGERS_LIVE), ("offers", tables.offer_rows, OFFERS_LIVE),
        ("sessions", tables.session_rows, SESSIONS_LIVE),
    ):  # fmt: skip
        is_live = getattr(tables, name)["is_live"] != 0
        _require(np.count_nonzero(is_live) == tables.counters[counter], f"count of {name} differs")
        _require((rows == make_row_words(is_live)).all(), f"free rows of {name} differ")


def make_row_words(is_taken: np.ndarray) -> np.ndarray:
    """The bitmap of `engine.rows` for a pool whose rows are taken so; `is_taken` (capacity,) bool, row 0 aside."""
    words = np.zeros(count_words(len(is_taken)), np.int64)
    count = max((max(len(is_taken) - 2, 0) >> 6) + 1, 1)
    bits = np.zeros(64 * count, np.uint8)
    bits[: len(is_taken) - 1] = is_taken[1:]
    leaves = np.packbits(bits, bitorder="little").view("<i8")
    numbers = np.arange(count)
    words[3 + numbers + (numbers >> 6) + (numbers >> 12)] = leaves
    full = numbers[leaves == -1]
    groups = np.zeros((count >> 6) + 1, np.int64)
    np.bitwise_or.at(groups, full >> 6, _ONE << (full & 63))
    numbers = np.arange(len(groups))
    at = 2 + (numbers >> 6) + numbers * 65
    words[at[at < len(words)]] = groups[at < len(words)]
    full = numbers[groups == -1]
    np.bitwise_or.at(words, 1 + (full >> 6) * 4161, _ONE << (full & 63))
    free = np.flatnonzero(leaves != -1)
    words[0] = free[0] if len(free) else count
    return words


def _check_order_rows(tables: Tables) -> np.ndarray:
    """Which order rows are taken, (rows,) bool; identifiers name their own rows."""
    book, first = tables.orderbook, len(tables.orderbook.blocks) * LEVELS_PER_BLOCK
    order_ids = book.book["order_id"][first:]
    live: np.ndarray = order_ids != 0
    rows = np.flatnonzero(live)
    _require(not live[0] and (order_ids[rows] > 0).all(), "an order without a number")
    _require((order_ids[rows] & ORDER_ROW_MASK == rows).all(), "an order's number names another row")
    _require(len(rows) == 0 or rows[-1] < book.counters[ROWS_USED], "an order behind the used rows")
    _require(len(rows) == tables.counters[ORDERS_LIVE], "count of orders differs")
    _require((book.rows == make_row_words(live)).all(), "free rows of orders differ")
    return live


def _check_queues(book: Orderbook, live: np.ndarray) -> None:
    """Levels and orders form circles: who follows is preceded; bits say which levels have orders."""
    used, first = int(book.counters[BLOCKS_USED]), len(book.blocks) * LEVELS_PER_BLOCK
    levels = np.arange(LEVELS_PER_BLOCK, max(used, 1) * LEVELS_PER_BLOCK)
    members = np.concatenate((levels, first + np.flatnonzero(live)))
    is_member = np.zeros(len(book.book), bool)
    is_member[members] = True
    followers = book.book["next"][members].astype(np.int64)
    _require(is_member[followers].all(), "the book's next is nobody")
    _require((book.book["previous"][followers] == members).all(), "the book's next and previous differ")
    is_empty = followers[: len(levels)] == levels
    bits = np.packbits(~is_empty, bitorder="little").view("<i8")
    _require((book.blocks["occupied"][1:used] == bits).all(), "a block's bits differ from its levels")


def _check_directory(tables: Tables) -> None:
    """Directory, words, roots and best levels are those of the blocks that have orders; the others are free."""
    book, markets = tables.orderbook, int(tables.counters[MARKET_COUNT])
    counters, used = book.counters, int(book.counters[BLOCKS_USED])
    sides = book.sides[: 2 * markets]
    entries = _check_layout(tables)
    blocks = 1 + np.flatnonzero(book.blocks["occupied"][1:used])
    of_side, entry = (book.blocks[name][blocks].astype(np.int64) for name in ("side_index", "entry"))
    _require((of_side < len(sides)).all() and (entry < entries[of_side]).all(), "a block is outside its side")
    directory = np.zeros(int(counters[DIRECTORY_USED]), np.uint32)
    words = np.zeros(int(counters[WORDS_USED]), np.int64)
    roots = np.zeros(len(sides), np.int64)
    directory[sides["directory"][of_side] + entry] = blocks
    np.bitwise_or.at(words, sides["words"][of_side] + (entry >> 6), _ONE << (entry & 63))
    np.bitwise_or.at(words, sides["upper_words"][of_side] + (entry >> 12), _ONE << (entry >> 6 & 63))
    np.bitwise_or.at(roots, of_side, _ONE << (entry >> 12))
    _require(np.count_nonzero(directory) == len(blocks), "two blocks of one entry")
    _require((book.directory[: len(directory)] == directory).all(), "the directory differs from the blocks")
    _require((book.words[: len(words)] == words).all() and (sides["root"] == roots).all(), "the book's bits differ")
    best = np.full(len(sides), 1 << 32, np.int64)
    np.minimum.at(best, of_side, entry)
    for side, first in enumerate(best.tolist()):
        rank, level = int(NO_RANK), 0
        if first < 1 << 32:
            block = int(directory[int(sides["directory"][side]) + first])
            occupied = int(book.blocks["occupied"][block])
            bit = (occupied & -occupied).bit_length() - 1
            rank, level = LEVELS_PER_BLOCK * first + bit, LEVELS_PER_BLOCK * block + bit
        _require((sides["best_rank"][side], sides["best_level"][side]) == (rank, level), "a best level is not the best")
    is_free = np.ones(max(used, 1), bool)
    is_free[0], is_free[blocks] = False, False
    _check_free("blocks", int(counters[FREE_BLOCK]), book.blocks["entry"], is_free)


def _check_layout(tables: Tables) -> np.ndarray:
    """Entries of every side's directory, (sides,); places follow from the markets' highest prices."""
    book, places = tables.orderbook, []
    directory_at = words_at = 0
    for price_ticks_max in tables.markets["price_ticks_max"][: int(tables.counters[MARKET_COUNT])].tolist():
        entries = (price_ticks_max >> 6) + 1
        words, upper_words = (entries + 63) >> 6, (entries + 4095) >> 12
        for mirror_ticks in (price_ticks_max, 0):
            places.append((mirror_ticks, directory_at, words_at, words_at + words, entries))
            directory_at += entries
            words_at += words + upper_words
    counters, sides = book.counters, book.sides[: len(places)]
    _require(
        (counters[DIRECTORY_USED], counters[WORDS_USED]) == (directory_at, words_at), "a directory of another size"
    )
    wanted = np.array(places, np.int64).reshape(-1, 5)
    for column, name in enumerate(("mirror_ticks", "directory", "words", "upper_words")):
        _require((sides[name] == wanted[:, column]).all(), f"a side's {name} differs")
    return wanted[:, 4]


def _check_free(what: str, first: int, links: np.ndarray, is_free: np.ndarray) -> None:
    """A list of free rows: the first one and who follows are the free ones, each once, and 0 at the end."""
    rows = np.flatnonzero(is_free)
    followers = np.concatenate(([first], links[rows].astype(np.int64)))
    _require((np.sort(followers) == np.concatenate(([0], rows))).all(), f"the list of free {what} differs")


def _check_orders(tables: Tables, live: np.ndarray) -> None:
    """An order stands on the level of its side and price, and names its account's row of its market."""
    book, first = tables.orderbook, len(tables.orderbook.blocks) * LEVELS_PER_BLOCK
    rows = np.flatnonzero(live)
    details, level = tables.details[rows], book.book["level"][first + rows].astype(np.int64)
    block = book.blocks[level >> 6]
    side_index = 2 * details["market"].astype(np.int64) + details["side"]
    _require((block["side_index"] == side_index).all(), "an order is on another side")
    rank = LEVELS_PER_BLOCK * block["entry"].astype(np.int64) + (level & 63)
    mirror = book.sides["mirror_ticks"][side_index].astype(np.int64)
    _require((abs(mirror - details["price_ticks"]) == rank).all(), "an order is at another price")
    position = tables.positions[details["position"]]
    is_own = (position["account"] == book.book["account"][first + rows]) & (position["market"] == details["market"])
    _require((is_own & (position["is_live"] != 0)).all(), "an order names another position")


def _check_list(
    what: str, first: np.ndarray, links: np.ndarray, owner: np.ndarray, live: np.ndarray, back: np.ndarray | None = None
) -> np.ndarray:
    """Every live row is in its owner's list, once, and nothing else is; returns the last row of each list.

    `first` (accounts,), the others by row; `back` are links to the row before.
    """
    rows, accounts = first.astype(np.int64), np.arange(len(first))
    before, last, seen = np.zeros(len(first), np.int64), np.zeros(len(first), np.int64), np.zeros(len(live), bool)
    while True:
        is_there = rows != 0
        rows, accounts, before = rows[is_there], accounts[is_there], before[is_there]
        if len(rows) == 0:
            break
        _require((live[rows] & ~seen[rows]).all(), f"a list of {what} has a circle or what is gone")
        _require((owner[rows] == accounts).all(), f"a list of {what} has another's")
        _require(back is None or (back[rows] == before).all(), f"a list of {what} has no way back")
        seen[rows], last[accounts], before, rows = True, rows, rows, links[rows].astype(np.int64)
    _require((seen == live).all(), f"lists lack {what}")
    return last


def _check_own_lists(tables: Tables, live: np.ndarray) -> None:
    """Orders, triggers and keys of every account, and its protection."""
    book, count = tables.orderbook, int(tables.counters[ACCOUNT_COUNT])
    accounts, details = tables.accounts[:count], tables.details
    owner = book.book["account"][len(book.blocks) * LEVELS_PER_BLOCK :]
    links, back = details["own_next"], details["own_previous"]
    last = _check_list("orders", accounts["order_first"], links, owner, live, back)
    _require((accounts["order_last"] == last).all(), "a list of orders ends elsewhere")
    for name, first in (("triggers", "trigger_first"), ("sessions", "session_first")):
        table = getattr(tables, name)
        _check_list(name, accounts[first], table["next"], table["account"], table["is_live"] != 0)
    protected = np.flatnonzero(accounts["protection"])
    protections = tables.protections[accounts["protection"][protected]]
    _require((protections["account"] == protected).all(), "a protection is another's")
    # Whoever ended his keeps the row (ORD-8).
    is_live = protections["is_live"] != 0
    _require((is_live == (protections["window_ms"] != 0)).all(), "a protection is neither live nor ended")


def _check_positions(tables: Tables, live_orders: np.ndarray) -> None:
    """Rows of positions are in their lists or free; there is one of each account and market; its orders add up."""
    counters, first = tables.counters, len(tables.orderbook.blocks) * LEVELS_PER_BLOCK
    used, count = int(counters[POSITIONS_USED]), int(counters[ACCOUNT_COUNT])
    positions = tables.positions[:used]
    live = positions["is_live"] != 0
    is_held = live & ((positions["lots"] != 0) | (positions["buy_lots"] != 0) | (positions["sell_lots"] != 0))
    _require(not live[0] and np.count_nonzero(is_held) == counters[POSITIONS_LIVE], "count of positions differs")
    held = np.bincount(positions["account"][is_held], minlength=count)
    _require((held == tables.accounts["position_count"][:count]).all(), "an account's count of positions differs")
    owner, links, back = positions["account"], positions["next"], positions["previous"]
    _check_list("positions", tables.accounts["position_first"][:count], links, owner, live, back)
    is_free = ~live
    is_free[0] = False
    _check_free("positions", int(counters[POSITION_FREE]), links, is_free)
    keys = np.sort(owner[live].astype(np.int64) << 32 | positions["market"][live])
    _require((np.diff(keys) > 0).all(), "two rows of one account and market")
    rows = np.flatnonzero(live_orders)
    details, orders = tables.details[rows], tables.orderbook.book[first + rows]
    charges, reducing = np.zeros(used, np.int64), np.zeros(used, np.int64)
    lots = orders["lots"] + details["hidden_lots"]
    np.add.at(charges, details["position"], lots * details["unit_charge_quote"])
    np.add.at(reducing, details["position"], (details["flags"] & REDUCE_ONLY) // REDUCE_ONLY)
    _require((charges[live] == positions["order_charge_quote"][live]).all(), "a position's charges differ")
    _require((reducing[live] == positions["reduce_only_count"][live]).all(), "a position's reducing orders differ")
