"""A snapshot restores the very state, and nothing but a whole and honest one is accepted."""

from collections.abc import Callable
from typing import Any

import cbor2
import numpy as np
import pytest

from engine.apply import execute
from engine.commands import BUY, SELL
from engine.errors import SnapshotError
from engine.limits import ENGINE_VERSION
from engine.orderbook import BLOCKS_USED, DIRECTORY_USED, FREE_BLOCK, ROWS_USED
from engine.snapshot import _used_parts, content_hash, decode_snapshot, encode_snapshot, seal_snapshot
from engine.state import EngineState, genesis
from engine.tables import (
    ACCOUNT_COUNT,
    KIND_CALL,
    MARKET_COUNT,
    OFFERS_LIVE,
    ORDERS_LIVE,
    POSITION_FREE,
    POSITIONS_OPEN,
    POSITIONS_USED,
    PROTECTIONS_USED,
    SESSIONS_LIVE,
    TRIGGERS_LIVE,
    TRIGGERS_USED,
)
from tests.engine.agreement import walk
from tests.engine.blocks import (
    ALICE,
    BOB,
    MARK,
    POOR,
    START_MS,
    USD,
    answers,
    block,
    funded,
    make_params,
    place,
    withdraw,
)
from tests.engine.days import live, write_day
from tests.engine.worlds import build_block

DAY_SEED, BLOCKS, CUT = 11, 44, 25


@pytest.fixture(scope="module")
def busy() -> EngineState:
    """Two owners with orders on both sides of a book and positions, a third who withdrew."""
    orders = [place(ALICE, n, SELL, MARK + n % 3, 5, client_id=n) for n in range(1, 8)]
    state, _ = answers(funded(), *orders, place(BOB, 1, BUY, MARK + 1, 12), withdraw(POOR, 1, USD // 2))
    return answers(state, place(BOB, 2, BUY, MARK - 5, 3), place(BOB, 3, BUY, MARK - 5, 4))[0]


@pytest.fixture(scope="module")
def day() -> list[tuple]:
    """`(state, result)` of a day with everything that can be in a snapshot."""
    return list(live(write_day(DAY_SEED, BLOCKS, 14)))


def test_a_restored_day_continues_alike(day) -> None:
    """Roots, fills and snapshots of later blocks are those of the state that was never written."""
    state = day[CUT][0]
    data = encode_snapshot(state)
    restored = decode_snapshot(data, state.params)
    assert restored.state_root == state.state_root and encode_snapshot(restored) == data
    counters = restored.tables.counters
    for counter in (ORDERS_LIVE, POSITIONS_OPEN, TRIGGERS_LIVE, OFFERS_LIVE, SESSIONS_LIVE):
        assert counters[counter] > 0
    assert counters[PROTECTIONS_USED] > 1
    assert not restored.tables.protections["is_live"][1 : counters[PROTECTIONS_USED]].all(), "somebody ended his"
    held = restored.tables.positions[restored.tables.positions["lots"] != 0]["market"]
    assert (restored.tables.markets["kind"][held] == KIND_CALL).any(), "somebody holds an option"
    steps = write_day(DAY_SEED, BLOCKS, 14).steps
    fills = 0
    for step, (_, expected) in zip(steps[CUT + 1 :], day[CUT + 1 :], strict=True):
        restored, result = execute(restored, build_block(restored, step))
        assert result.commitment == expected.commitment and (result.fills == expected.fills).all()
        fills += len(result.fills)
    assert fills > 10 and encode_snapshot(restored) == encode_snapshot(day[-1][0])


@pytest.mark.parametrize("height", range(0, BLOCKS, 9))
def test_every_moment_restores(day, height) -> None:
    state = day[height][0]
    data = encode_snapshot(state)
    restored = decode_snapshot(data, state.params)
    assert encode_snapshot(restored) == data and content_hash(encode_snapshot(restored)) == content_hash(data)


def test_a_restored_owner_trades_on(busy) -> None:
    """Accounts, positions and orders are found again by what names them."""
    restored = decode_snapshot(encode_snapshot(busy), busy.params)
    commands = [place(BOB, 4, BUY, MARK + 2, 30), place(ALICE, 9, BUY, MARK - 5, 1), withdraw(BOB, 5, USD)]
    one, two = (execute(state, block(state, batches=commands))[1] for state in (busy, restored))
    assert one.commitment == two.commitment and len(two.fills) > 1 and (one.fills == two.fills).all()


def test_genesis_restores() -> None:
    state = genesis(make_params(), START_MS)
    assert decode_snapshot(encode_snapshot(state), state.params).state_root == state.state_root


def test_other_parameters_and_versions_are_refused(busy) -> None:
    data = encode_snapshot(busy)
    with pytest.raises(SnapshotError, match="other parameters"):
        decode_snapshot(data, make_params(chain_id=1))
    items = cbor2.loads(data[:-32])
    items[1] = ENGINE_VERSION + 1
    with pytest.raises(SnapshotError, match="another engine version"):
        decode_snapshot(pack(items), busy.params)


def test_every_damaged_byte_is_refused(busy) -> None:
    data = encode_snapshot(busy)
    for at in (*range(200), *range(200, len(data), len(data) // 300), *range(len(data) - 40, len(data))):
        damaged = bytearray(data)
        damaged[at] ^= 1 << at % 8
        with pytest.raises(SnapshotError):
            decode_snapshot(bytes(damaged), busy.params)
    for cut in (b"", data[:-1], data[1:], data[:-32], data[: len(data) // 2], data + b"\0", b"\x80", b"\xff" * 40):
        with pytest.raises(SnapshotError):
            decode_snapshot(cut, busy.params)


def pack(items: list) -> bytes:
    return seal_snapshot(cbor2.dumps(items, canonical=True))


@pytest.mark.parametrize("body", [b"", b"\x80", b"\xff", cbor2.dumps(7), cbor2.dumps([0] * 30), cbor2.dumps({})])
def test_sealed_nonsense_is_refused(body) -> None:
    with pytest.raises(SnapshotError):
        decode_snapshot(seal_snapshot(body), make_params())


def test_every_wrong_item_is_refused(busy) -> None:
    """Well-formed and sealed, with one item of another type, size or value. Values are believed of what no root covers:
    what a lot loses in each scenario, which the next reprice makes anew, and rows that are nobody's.
    """
    items = cbor2.loads(encode_snapshot(busy)[:-32])
    names = [part[0] for part in _used_parts(busy.tables)]
    believed = {len(items) - len(names) + names.index(name) for name in ("scenarios", "protections")}
    for at, item in enumerate(items):
        if isinstance(item, int):
            others = [b"", -1, item + 1, 1 << 130, None, True]
        else:
            others = [0, b"", item[:-8], item + bytes(8), None]
            if at not in believed:
                others += [b"\xff" * len(item), bytes(len(item))]
        for other in others:
            if other != item or type(other) is not type(item):
                with pytest.raises(SnapshotError):
                    decode_snapshot(pack([*items[:at], other, *items[at + 1 :]]), busy.params)


# -- hostile tables: each is written by the encoder itself, so that only the meaning is wrong --------------------------

BOOK_PARTS = ("sides", "directory", "words", "blocks", "rows")


def put(name: str, field: str | int | None, at: Any, value: int) -> Callable[[EngineState], None]:
    """Write one number of a table; `at` is a row or a function that finds it."""

    def change(state: EngineState) -> None:
        tables = state.tables
        table = getattr(tables.orderbook if name in (*BOOK_PARTS, "book") else tables, name)
        row = at(tables) if callable(at) else at
        if isinstance(field, str):
            table[field][row] = value
        else:
            table[row if field is None else (row, field)] = value

    return change


def count(name: int, value: int) -> Callable[[EngineState], None]:
    def change(state: EngineState) -> None:
        state.tables.counters[name] = value

    return change


def count_book(name: int, value: int) -> Callable[[EngineState], None]:
    def change(state: EngineState) -> None:
        state.tables.orderbook.counters[name] = value

    return change


def first_order(tables: Any) -> int:
    return int(tables.accounts[64]["order_first"])


def first_position(tables: Any) -> int:
    return int(tables.accounts[64]["position_first"])


def in_book(tables: Any) -> int:
    return len(tables.orderbook.book) - len(tables.details) + first_order(tables)


def best_level(tables: Any) -> int:
    return int(tables.orderbook.sides[1]["best_level"])


def best_block(tables: Any) -> int:
    return best_level(tables) // 64


def circle_of_orders(state: EngineState) -> None:
    """The last order of an account is followed by its first."""
    rows = walk(state.tables.details, first_order(state.tables), "own_next")
    state.tables.details["own_next"][rows[-1]] = rows[0]


def circle_of_positions(state: EngineState) -> None:
    row = first_position(state.tables)
    state.tables.positions["next"][row] = row


def circle_in_a_level(state: EngineState) -> None:
    """The queue of a level never comes back to the level."""
    book, at = state.tables.orderbook.book, in_book(state.tables)
    book["next"][at] = at


def swapped_orders(state: EngineState) -> None:
    """The second order of a level stands before the first."""
    book, level = state.tables.orderbook.book, best_level(state.tables)
    one = int(book[level]["next"])
    two = int(book[one]["next"])
    three = int(book[two]["next"])
    book["next"][level], book["next"][two], book["next"][one] = two, one, three
    book["previous"][two], book["previous"][one], book["previous"][three] = level, two, one


def stolen_order(state: EngineState) -> None:
    """An order of one account in the list of another."""
    state.tables.accounts["order_first"][65] = first_order(state.tables)


def twin_position(state: EngineState) -> None:
    """Two rows of one account and market."""
    tables = state.tables
    row, free = first_position(tables), int(tables.counters[POSITIONS_USED])
    tables.counters[POSITIONS_USED] += 1
    tables.positions[free] = tables.positions[row]
    for name in ("lots", "buy_lots", "sell_lots", "order_charge_quote"):
        tables.positions[name][free] = 0
    tables.positions["previous"][free], tables.positions["next"][row] = row, free
    tables.accounts["position_count"][64] += 1


HUGE = (1 << 32) - 1
HOSTILE = {
    "an order list that begins nowhere": put("accounts", "order_first", 64, HUGE),
    "an order list that ends nowhere": put("accounts", "order_last", 64, HUGE),
    "an order list that ends early": put("accounts", "order_last", 64, 1),
    "a position that is not there": put("accounts", "position_first", 64, HUGE),
    "a session that is not there": put("accounts", "session_first", 64, HUGE),
    "a protection that is not there": put("accounts", "protection", 64, HUGE),
    "a protection of nobody": put("accounts", "protection", 64, 1),
    "a trigger that is not there": put("accounts", "trigger_first", 64, HUGE),
    "a referrer that is not there": put("accounts", "referrer", 64, HUGE),
    "more nonces than there is room for": put("accounts", "nonce_count", 64, 65),
    "an unknown mode": put("accounts", "mode", 64, 3),
    "a next order that is not there": put("details", "own_next", first_order, HUGE),
    "a previous order that is not there": put("details", "own_previous", first_order, HUGE),
    "a previous order that is another": put("details", "own_previous", first_order, 3),
    "an order of another position": put("details", "position", first_order, 0),
    "an order of no position": put("details", "position", first_order, HUGE),
    "an order of no market": put("details", "market", first_order, 2),
    "an order of no side": put("details", "side", first_order, 2),
    "an order of the other side": put("details", "side", first_order, BUY),
    "an order of another price": put("details", "price_ticks", first_order, MARK + 9),
    "an order of no builder": put("details", "builder", first_order, HUGE),
    "an order with less hidden than nothing": put("details", "hidden_lots", first_order, -1),
    "an order without lots": put("book", "lots", in_book, 0),
    "an order of nobody": put("book", "account", in_book, HUGE),
    "an order of another": put("book", "account", in_book, 65),
    "an order with another's number": put("book", "order_id", in_book, 1 << 24 | 5),
    "an order of another level": put("book", "level", in_book, 65),
    "an order of no level": put("book", "level", in_book, HUGE),
    "an order whose next is not there": put("book", "next", in_book, HUGE),
    "an order whose previous is not there": put("book", "previous", in_book, HUGE),
    "an order whose previous is nothing": put("book", "previous", in_book, 0),
    "a level of other lots": put("book", "lots", best_level, 1),
    "a level whose next is itself": put("book", "next", best_level, 64),
    "a best level that is not there": put("sides", "best_level", 1, HUGE),
    "a best level that is not the best": put("sides", "best_level", 1, 65),
    "a best level of nothing": put("sides", "best_level", 1, 0),
    "a best rank that is not the best": put("sides", "best_rank", 1, 1),
    "a side that seems empty": put("sides", "best_rank", 1, HUGE),
    "a side of another range": put("sides", "mirror_ticks", 1, 5),
    "a side of another directory": put("sides", "directory", 1, 7),
    "a side of a directory that is not there": put("sides", "directory", 1, HUGE),
    "a side whose words are not there": put("sides", "words", 1, HUGE),
    "a side whose upper words are not there": put("sides", "upper_words", 1, HUGE),
    "a side whose root names nothing": put("sides", "root", 1, -1),
    "words that name nothing": put("words", None, 0, -1),
    "a directory that names no block": put("directory", None, 0, HUGE),
    "a directory that names another block": put("directory", None, 0, 1),
    "a block of no side": put("blocks", "side_index", best_block, HUGE),
    "a block of another side": put("blocks", "side_index", best_block, 0),
    "a block of another entry": put("blocks", "entry", best_block, 0),
    "a block with more levels than orders": put("blocks", "occupied", best_block, -1),
    "a block that seems empty": put("blocks", "occupied", best_block, 0),
    "a row that seems free": put("rows", None, 3, 0),
    "rows that seem taken": put("rows", None, 3, (1 << 40) - 1),
    "a word of rows that is not there": put("rows", None, 0, 1 << 40),
    "a circle of orders": circle_of_orders,
    "a circle of positions": circle_of_positions,
    "a circle in a level": circle_in_a_level,
    "orders that changed places": swapped_orders,
    "an order in two lists": stolen_order,
    "two rows of one position": twin_position,
    "a position of nobody": put("positions", "account", first_position, HUGE),
    "a position of another": put("positions", "account", first_position, 65),
    "a position of no market": put("positions", "market", first_position, 2),
    "a position of another market": put("positions", "market", first_position, 1),
    "a position that is not live": put("positions", "is_live", first_position, 0),
    "a position whose next is not there": put("positions", "next", first_position, HUGE),
    "a position whose previous is not there": put("positions", "previous", first_position, HUGE),
    "a position with other orders": put("positions", "sell_lots", first_position, 1),
    "a position with other charges": put("positions", "order_charge_quote", first_position, 1),
    "a position with reducing orders": put("positions", "reduce_only_count", first_position, 7),
    "a market of no underlying": put("markets", "underlying", 0, 9_999),
    "a market of a wrong expiry": put("markets", "expiry", 0, 9_999),
    "a market of no kind": put("markets", "kind", 0, 9),
    "a market of no phase": put("markets", "phase", 0, 9),
    "a book of another size": put("markets", "book_orders", 0, 1),
    "an open interest of another size": put("markets", "open_interest_lots", 0, 1),
    "fewer orders": count(ORDERS_LIVE, 0),
    "more positions": count(POSITIONS_OPEN, 1 << 20),
    "more position rows than used": count(POSITIONS_USED, 1 << 40),
    "no position rows": count(POSITIONS_USED, 0),
    "a free position that is not there": count(POSITION_FREE, 1 << 40),
    "a free position that is taken": count(POSITION_FREE, 1),
    "no accounts": count(ACCOUNT_COUNT, 0),
    "more accounts than there is room for": count(ACCOUNT_COUNT, 1 << 40),
    "fewer accounts": count(ACCOUNT_COUNT, 65),
    "no markets": count(MARKET_COUNT, 0),
    "more triggers than there is room for": count(TRIGGERS_USED, 1 << 40),
    "triggers that are not there": count(TRIGGERS_LIVE, 5),
    "a negative count": count(OFFERS_LIVE, -1),
    "more rows than there is room for": count_book(ROWS_USED, 1 << 40),
    "fewer rows than orders": count_book(ROWS_USED, 2),
    "more blocks than there is room for": count_book(BLOCKS_USED, 1 << 40),
    "a directory that is longer than all": count_book(DIRECTORY_USED, 1 << 40),
    "a free block that is not there": count_book(FREE_BLOCK, 1 << 40),
    "a free block that is taken": count_book(FREE_BLOCK, 1),
}


@pytest.mark.parametrize("change", HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_tables_are_refused(busy, change) -> None:
    state = busy.copy()
    change(state)
    try:
        data = encode_snapshot(state)
    except (ValueError, IndexError):
        pytest.skip("the encoder cannot write it")
    with pytest.raises(SnapshotError):
        decode_snapshot(data, busy.params)


@pytest.mark.slow
def test_drawn_numbers_never_crash_the_reader(day) -> None:
    """One drawn number anywhere in the tables: refused, or of no meaning (the same state continues)."""
    state = day[CUT][0]
    items = cbor2.loads(encode_snapshot(state)[:-32])
    first = next(at for at, item in enumerate(items) if at > 12 and isinstance(item, bytes) and len(item) == 512)
    draw = np.random.default_rng(1)
    for _ in range(150):
        at = int(draw.integers(first, len(items)))
        words = np.frombuffer(items[at], dtype="<u4").copy()
        if len(words) == 0:
            continue
        words[draw.integers(len(words))] = draw.choice(np.array([0, 1, 2, 70, 4_000, 1 << 31, HUGE], dtype=np.uint32))
        try:
            decode_snapshot(pack([*items[:at], words.tobytes(), *items[at + 1 :]]), state.params)
        except SnapshotError:
            continue
