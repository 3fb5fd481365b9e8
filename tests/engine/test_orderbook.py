"""The order book against an obvious one: every queue, sum, bitmap and free list after every step."""

import hashlib
import sys
from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numba import config, njit

from engine import orderbook as module
from engine.compiling import kernel
from engine.orderbook import (
    BLOCKS_USED,
    FREE_BLOCK,
    LEVELS_PER_BLOCK,
    NO_RANK,
    PRICE_TICKS_MAX,
    ROWS_USED,
    Orderbook,
    best_level,
    best_rank,
    change_lots,
    copy_orderbook,
    find_order,
    free_row,
    head_of,
    level_at,
    list_market,
    make_order_id,
    make_orderbook,
    move_to_tail,
    next_level,
    next_order,
    rank_of,
    rank_of_level,
    rest_order,
    side_of_level,
    take_row,
    unlink_order,
)
from engine.rows import is_row_taken
from tests.engine.bench_matching import ObviousBook, run_batches, run_python
from tests.engine.flows import ADD, CANCEL, IOC, TRADE, Flow, digest_trades, make_flow
from tests.engine.flows import make_books as make_books_of

RANGES = (PRICE_TICKS_MAX, 63, 64, 5000)
ORDERS, BLOCKS = 24, 7


@dataclass
class PlainBook:
    """Queues of (order identifier, account) by side and price, and what each order offers and hides."""

    queues: dict[int, dict[int, list[tuple[int, int]]]] = field(default_factory=dict)
    lots: dict[int, int] = field(default_factory=dict)
    hidden: dict[int, int] = field(default_factory=dict)
    place: dict[int, tuple[int, int, int]] = field(default_factory=dict)

    def rest(self, side: int, ticks: int, order_id: int, account: int, lots: int) -> None:
        self.queues.setdefault(side, {}).setdefault(ticks, []).append((order_id, account))
        self.lots[order_id], self.hidden[order_id], self.place[order_id] = lots, 0, (side, ticks, account)

    def remove(self, order_id: int) -> None:
        side, ticks, account = self.place.pop(order_id)
        self.queues[side][ticks].remove((order_id, account))
        if not self.queues[side][ticks]:
            del self.queues[side][ticks]

    def ladder(self, side: int) -> list[int]:
        """Prices from the best to the worst."""
        return sorted(self.queues.get(side, {}), reverse=side % 2 == 0)

    def blocks(self, side: int, ticks_max: int) -> set[int]:
        return {(ticks_max - ticks if side % 2 == 0 else ticks) >> 6 for ticks in self.queues.get(side, {})}


def make_books(orders: int = ORDERS, blocks: int = BLOCKS) -> Orderbook:
    books = make_orderbook(len(RANGES), 1 + orders, blocks, sum(2 * (ticks_max // 64 + 1) for ticks_max in RANGES))
    assert [list_market(books, ticks_max) for ticks_max in RANGES] == list(range(len(RANGES)))
    return books


def free_list(books: Orderbook, counter: int, links: np.ndarray) -> list[int]:
    found, at = [], int(books.counters[counter])
    while at:
        found.append(at)
        at = int(links[at])
    return found


def check_queues(books: Orderbook, plain: PlainBook, side: int) -> None:
    """Ladder, queues and sums of one side, walked forwards and backwards."""
    level, ladder = best_level(books, side), plain.ladder(side)
    assert best_rank(books, side) == (rank_of(books, side, ladder[0]) if ladder else NO_RANK)
    for ticks in ladder:
        assert side_of_level(books, level) == side
        assert rank_of(books, side, rank_of_level(books, level)) == ticks
        assert level_at(books, side, rank_of(books, side, ticks)) == level
        queue, index, found = plain.queues[side][ticks], head_of(books, level), []
        while index:
            order = books.book[index]
            assert books.book[order["previous"]]["next"] == books.book[order["next"]]["previous"] == index
            assert order["level"] == level and order["lots"] == plain.lots[int(order["order_id"])]
            found.append((int(order["order_id"]), int(order["account"])))
            index = next_order(books, index)
        assert found == queue
        assert books.book[level]["lots"] == sum(plain.lots[at] + plain.hidden[at] for at, _ in queue)
        level = next_level(books, level)
    assert level == 0


def check_bitmaps(books: Orderbook, plain: PlainBook, side: int, ticks_max: int) -> int:
    """Every bit of every floor says what is below it; returns how many blocks the side holds."""
    record, entries = books.sides[side], ticks_max // 64 + 1
    directory = books.directory[record["directory"] : int(record["directory"]) + entries]
    expected = plain.blocks(side, ticks_max)
    assert set(np.flatnonzero(directory).tolist()) == expected
    for floor, at in ((expected, record["words"]), ({entry >> 6 for entry in expected}, record["upper_words"])):
        bits = {(word << 6) + bit for word in {entry >> 6 for entry in floor} for bit in range(64)}
        for entry in bits:
            assert bool(books.words[int(at) + (entry >> 6)] >> (entry & 63) & 1) == (entry in floor)
    assert int(record["root"]) % 2**64 == sum(1 << upper for upper in {entry >> 12 for entry in expected})
    for block in directory[sorted(expected)]:
        for bit in range(64):
            level = books.book[int(block) * 64 + bit]
            assert (level["next"] != level["level"]) == bool(books.blocks[block]["occupied"] >> bit & 1)
    return len(expected)


def check_books(books: Orderbook, plain: PlainBook) -> None:
    held = 0
    for market, ticks_max in enumerate(RANGES):
        for side in (market * 2, market * 2 + 1):
            check_queues(books, plain, side)
            held += check_bitmaps(books, plain, side, ticks_max)
    free_blocks = free_list(books, FREE_BLOCK, books.blocks["entry"])
    assert len(free_blocks) == len(set(free_blocks)) == books.counters[BLOCKS_USED] - 1 - held
    for block in free_blocks:
        levels = books.book[block * 64 : block * 64 + 64]
        own = np.arange(block * 64, block * 64 + 64)
        assert books.blocks[block]["occupied"] == 0 and not levels["lots"].any()
        assert (levels["next"] == own).all() and (levels["previous"] == own).all() and (levels["level"] == own).all()
    orders = books.book["order_id"][len(books.blocks) * 64 :]
    taken = [row for row in range(1, len(orders)) if is_row_taken(books.rows, row)]
    assert set(taken) == set(np.flatnonzero(orders).tolist()) == {order_id & 0xFFFFFF for order_id in plain.place}
    assert books.counters[ROWS_USED] > max(taken, default=0) and not any(books.book[:64].tobytes())
    assert np.count_nonzero(books.words) <= 2 * held


def rest(books: Orderbook, plain: PlainBook, sequence: int, side: int, ticks: int, lots: int) -> int:
    """Rest in both books and return the identifier, 0 when there is no room in the fast one."""
    account = sequence % 5
    index = take_row(books)
    if index == 0:
        assert len(plain.place) == ORDERS
        return 0
    order_id = make_order_id(books, sequence, index)
    if rest_order(books, side, rank_of(books, side, ticks), index, order_id, account, lots) == 0:
        free_row(books, index)
        held = sum(len(plain.blocks(side, RANGES[side >> 1])) for side in range(2 * len(RANGES)))
        assert held == BLOCKS
        return 0
    plain.rest(side, ticks, int(order_id), account, lots)
    return int(order_id)


def cancel(books: Orderbook, plain: PlainBook, order_id: int) -> None:
    index = find_order(books, order_id, plain.place[order_id][2])
    assert books.book[index]["order_id"] == order_id
    assert find_order(books, order_id, 5) == 0
    change_lots(books, index, 0, -plain.hidden[order_id])
    unlink_order(books, index)
    free_row(books, index)
    plain.remove(order_id)
    assert find_order(books, order_id, order_id % 5) == 0


def take(books: Orderbook, plain: PlainBook, side: int, ticks: int, lots: int) -> None:
    """Trade against the opposite side up to a price, in both, until one order is left or nothing crosses."""
    other, better = side ^ 1, (lambda offer: offer <= ticks) if side % 2 == 0 else (lambda offer: offer >= ticks)
    limit_rank = rank_of(books, other, ticks)
    while lots and best_rank(books, other) <= limit_rank:
        index = head_of(books, best_level(books, other))
        ladder = plain.ladder(other)
        order_id, _ = plain.queues[other][ladder[0]][0]
        assert better(ladder[0]) and books.book[index]["order_id"] == order_id
        fill = min(lots, plain.lots[order_id])
        lots -= fill
        if fill == plain.lots[order_id]:
            cancel(books, plain, order_id)
        else:
            change_lots(books, index, -fill, 0)
            plain.lots[order_id] -= fill
    assert not lots or not any(better(offer) for offer in plain.ladder(other))


def alter(books: Orderbook, plain: PlainBook, order_id: int, lots: int, hidden_lots: int) -> None:
    """Hide lots behind an order, change what it shows and send it to the end of its queue."""
    side, ticks, account = plain.place[order_id]
    index = find_order(books, order_id, account)
    change_lots(books, index, lots - plain.lots[order_id], hidden_lots - plain.hidden[order_id])
    move_to_tail(books, index)
    plain.lots[order_id], plain.hidden[order_id] = lots, hidden_lots
    plain.queues[side][ticks].remove((order_id, account))
    plain.queues[side][ticks].append((order_id, account))


MIDDLES = (1, 8_000_000, 1 << 12, 1 << 18, PRICE_TICKS_MAX)
STEP = st.tuples(
    st.sampled_from(("rest", "rest", "rest", "cancel", "take", "alter")),
    st.integers(0, 2 * len(RANGES) - 1),
    st.tuples(st.sampled_from(MIDDLES), st.one_of(st.integers(-5, 5), st.integers(-5000, 5000))),
    st.integers(1, 9),
    st.integers(0, 99),
)


@settings(max_examples=60, deadline=None)
@given(st.lists(STEP, max_size=60))
def test_every_step_leaves_the_book_that_an_obvious_one_has(steps: list) -> None:
    """Bids and asks may cross: an auction collects them without trading."""
    books, plain = make_books(), PlainBook()
    for sequence, (kind, side, (middle, away), lots, choice) in enumerate(steps, 1):
        ticks = min(max(middle + away, 1), RANGES[side >> 1])
        living = list(plain.place)
        if kind == "rest":
            rest(books, plain, sequence, side, ticks, lots)
        elif kind == "take":
            take(books, plain, side, ticks, lots)
        elif living and kind == "cancel":
            cancel(books, plain, living[choice % len(living)])
        elif living:
            alter(books, plain, living[choice % len(living)], lots, choice)
        check_books(books, plain)
    for order_id in list(plain.place):
        cancel(books, plain, order_id)
    check_books(books, plain)
    assert not books.sides["root"].any() and not books.words.any() and not books.directory.any()


LADDERS = [
    ("neighbours", [100, 101, 102]),
    ("both ends of a block", [64, 127]),
    ("neighbouring blocks", [127, 128]),
    ("far blocks of one word", [1, 4000]),
    ("different words", [10, 5000, 200_000]),
    ("different upper words", [10, 300_000, 9_000_000]),
    ("the ends of the range", [1, PRICE_TICKS_MAX]),
    ("every power of two", [1 << bit for bit in range(24)]),
]


@pytest.mark.parametrize(("claim", "ladder"), LADDERS)
@pytest.mark.parametrize("side", [0, 1])
def test_the_next_level_is_found_across(claim: str, ladder: list[int], side: int) -> None:
    books, plain = make_books(blocks=30), PlainBook()
    for sequence, ticks in enumerate(ladder[1::2] + ladder[::2], 1):
        assert rest(books, plain, sequence, side, ticks, 1)
    check_books(books, plain)
    while plain.place:  # from the best on, so that each removal has to find the next
        order_id, _ = plain.queues[side][plain.ladder(side)[0]][0]
        cancel(books, plain, order_id)
        check_books(books, plain)


def test_an_identifier_names_one_order_for_ever() -> None:
    books, plain = make_books(), PlainBook()
    first = rest(books, plain, 1, 0, 50, 1)
    cancel(books, plain, first)
    second = rest(books, plain, 6, 0, 50, 1)
    assert first & 0xFFFFFF == second & 0xFFFFFF, "the row is used again"
    assert find_order(books, first, 1) == 0 and find_order(books, second, 1) != 0
    for stranger in (0, -1, -(1 << 63), (1 << 63) - 1, second + 1, second + (1 << 24), second & 0xFFFFFF):
        assert find_order(books, stranger, 1) == 0


def test_capacities_are_refusals() -> None:
    books, plain = make_books(), PlainBook()
    taken = [rest(books, plain, sequence, 1, sequence * 64, 1) for sequence in range(1, BLOCKS + 2)]
    assert all(taken[:BLOCKS]) and not taken[BLOCKS]
    check_books(books, plain)
    rows = [rest(books, plain, 100 + number, 1, 64, 1) for number in range(ORDERS)]
    assert sum(map(bool, rows)) == ORDERS - BLOCKS
    check_books(books, plain)
    assert list_market(books, 1) == -1
    for wrong in (0, -1, 1 << 24):
        with pytest.raises(ValueError, match="price_ticks_max"):
            list_market(books, wrong)
    for wrong in (0, (1 << 24) + 1):
        with pytest.raises(ValueError, match="orders_max"):
            make_orderbook(1, wrong, 1, 2)


@pytest.mark.parametrize("entries_per_block", [1, 1 << 40], ids=["entry by entry", "whole directory"])
def test_a_copy_is_equal_whatever_was_there_before(entries_per_block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_ENTRIES_PER_BLOCK_MIN", entries_per_block)
    source, target, plain, other = make_books(), make_books(), PlainBook(), PlainBook()
    for sequence in range(1, 9):
        rest(source, plain, sequence, sequence % 4, 40 + sequence % 3, sequence)
    for sequence in range(1, 20):
        rest(target, other, sequence, 1, sequence * 70, 1)
    copy_orderbook(source, target)
    for field_name, mine, theirs in zip(Orderbook._fields, target, source):
        assert mine.tobytes() == theirs.tobytes(), field_name
    check_books(target, plain)


KERNELS = sorted(name for name, value in vars(module).items() if hasattr(value, "py_func"))


@kernel
def touch_everything(books: Orderbook, side: int, ticks: int, lots: int) -> int:
    index = take_row(books)
    level = rest_order(books, side, rank_of(books, side, ticks), index, make_order_id(books, 7, index), 3, lots)
    change_lots(books, index, 1, 1)
    move_to_tail(books, index)
    found = find_order(books, books.book[index]["order_id"], 3)
    walked = next_level(books, level) + next_order(books, head_of(books, best_level(books, side)))
    unlink_order(books, found)
    free_row(books, found)
    return walked + best_rank(books, side) + side_of_level(books, level) + rank_of_level(books, level)


@pytest.mark.skipif(bool(config.DISABLE_JIT), reason="nothing is compiled")
def test_no_kernel_computes_with_floats() -> None:
    whole = njit(_nrt=False)(touch_everything.py_func)
    whole(make_books(), 0, 50, 5)
    (text,) = whole.inspect_llvm().values()
    floats = [line for line in text.splitlines() if " double " in line or " float " in line]
    assert KERNELS and not floats


def test_references_to_the_arrays_stay_balanced() -> None:
    books = make_books()
    before = [sys.getrefcount(array) for array in books]
    for _ in range(3):
        touch_everything(books, 0, 50, 5)
    assert [sys.getrefcount(array) for array in books] == before


TINY = Flow("tiny", markets=3, accounts=50, prefill=300, depth=200, events=1500, digest="31caa02c6ec85284")
TINY_IMAGE = "0fd9656702424f73"


def test_a_flow_makes_the_same_trades_and_the_same_memory_everywhere() -> None:
    """Compiled or not, on every machine: both digests are pinned."""
    events, trades, books = make_flow(TINY)
    image = hashlib.sha256(b"".join(array.tobytes() for array in books)).hexdigest()[:16]
    assert (digest_trades(trades), image) == (TINY.digest, TINY_IMAGE)
    obvious = ObviousBook()
    _, digest = run_python(obvious, events, 1)
    assert digest == TINY.digest
    alive = books.book[books.book["order_id"] != 0]
    assert sorted(alive["order_id"] >> 24) == sorted(obvious.places)
    kinds = np.bincount(events["kind"][1 + TINY.prefill :])
    assert kinds[ADD] > 600 and kinds[CANCEL] > 500 and kinds[IOC] > 40 and len(trades) > 150


def test_hints_and_batches_change_nothing() -> None:
    events, expected, after = make_flow(TINY)
    for ahead in (0, 1, 6):
        books, trades = make_books_of(TINY), np.zeros(len(events), TRADE)
        count = run_batches(books, events, 1, trades, ahead)
        assert digest_trades(trades[:count]) == digest_trades(expected)
        assert all(mine.tobytes() == theirs.tobytes() for mine, theirs in zip(books, after))


def test_records_fill_half_a_cache_line() -> None:
    assert (module.BOOK.itemsize, module.SIDE.itemsize, module.BLOCK.itemsize) == (32, 32, 16)
    assert LEVELS_PER_BLOCK == 64
