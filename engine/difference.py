"""Where two states differ: the first word of the state root, and below it the first account, part and field.

Two nodes that disagree about a root have all they need here: both roots are walked from the top, only where they
differ. What no root covers (row numbers, bounds, hash tables) is not compared.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from engine.root import ROOT_COUNTERS, root_words
from engine.state import EngineState
from engine.tables import (
    ACCOUNT_COUNT,
    ASSET_COUNT,
    EXPIRY_COUNT,
    MARKET,
    MARKET_COUNT,
    MARKET_HASHED_FIELDS,
    OFFERS_USED,
    UNDERLYING_COUNT,
    Tables,
)
from engine.tree import list_positions, read_key

Fields = Iterator[tuple[str, int | bytes]]
_HEAD = ("mode", "referrer", "volume_quote", "volume_before_quote", "volume_epoch", "cancel_at_ms", "nonce_count")
_SESSION = ("key_a", "key_b", "key_c", "expiry_ms", "order_quote_max", "scopes")
_PROTECTION = (
    "window_ms", "freeze_ms", "quote_max", "delta_quote_max", "vega_quote_max", "window_start_ms", "quote_sum",
    "delta_quote_sum", "vega_quote_sum", "frozen_until_ms",
)  # fmt: skip
_IN_BOOK = ("order_id", "lots")
_ORDER = (
    "client_id", "original_lots", "filled_lots", "placed_ms", "price_ticks", "good_till_ms", "hidden_lots",
    "display_lots", "unit_charge_quote", "builder_ppm", "rank", "flags", "market", "side", "builder", "time_in_force",
)  # fmt: skip
_TRIGGER = (
    "order_id", "client_id", "trigger_ticks", "price_ticks", "size_lots", "placed_ms", "good_till_ms", "link_id",
    "parent_id", "sibling_id", "market", "side", "flags", "time_in_force",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Difference:
    """`words` of the state root that differ, by name, and the first thing below them: `where` (`account 64`,
    `market 3`, the word itself), `field`, and its value on either side; None where one side has no such field.
    """

    words: tuple[str, ...]
    where: str
    field: str
    left: int | bytes | None
    right: int | bytes | None


def diff(left: EngineState, right: EngineState) -> Difference | None:
    """The first difference of two states that any root covers, None if there is none.

    Hashes must be up to date, as in every state that `execute` returns. Costs about as much as a Merkle proof.
    """
    pairs = list(zip(root_words(left), root_words(right), strict=True))
    words = tuple(one[0] for one, other in pairs if one[1] != other[1])
    if not words:
        return None
    for word, one, other in ((one[0], one[1], other[1]) for one, other in pairs if one[1] != other[1]):
        found = _look_below(word, left, right)
        if found is not None:
            return Difference(words, *found)
        if word not in ("account_root", "account_sums"):
            return Difference(words, word, word, one, other)
    return Difference(words, words[0], words[0], None, None)


def _look_below(
    word: str, left: EngineState, right: EngineState
) -> tuple[str, str, int | bytes | None, int | bytes | None] | None:
    """`(where, field, left value, right value)` of what a word is made of; None when the word says all."""
    if word in ("account_root", "account_sums"):
        account = find_account_difference(left, right)
        if account is None:
            return None
        found = _first_difference(_list_account(left, account), _list_account(right, account))
        return None if found is None else (f"account {account}", *found)
    listers = {"markets_digest": _list_markets, "instruments_digest": _list_instruments}
    listers |= {
        "oracle_digest": _list_report_times,
        "batches_digest": _list_sequences,
        "counters_digest": _list_counters,
    }
    if word not in listers:
        return None
    found = _first_difference(listers[word](left), listers[word](right))
    if found is None:
        return None
    where, _, field = found[0].rpartition(" ")
    return where or word, field, found[1], found[2]


def _first_difference(left: Fields, right: Fields) -> tuple[str, int | bytes | None, int | bytes | None] | None:
    """Two lists of named values, walked together to the first name or value that differs."""
    while True:
        one, other = next(left, None), next(right, None)
        if one is None and other is None:
            return None
        if one != other:
            if one is not None and other is not None and one[0] == other[0]:
                return one[0], one[1], other[1]
            if other is None or (one is not None and one[0] <= other[0]):
                return (one or ("", 0))[0], (one or ("", 0))[1], None
            return other[0], None, other[1]


def find_account_difference(left: EngineState, right: EngineState) -> int | None:
    """The lowest account whose leaf differs, found from the top of both account trees; None if no leaf does."""
    trees = [(state.tables.node_hashes, state.tables.node_sums) for state in (left, right)]
    floors = len(trees[0][0]) // 2
    if floors != len(trees[1][0]) // 2:
        raise ValueError("trees of different capacity: other parameters")
    counts = [int(state.tables.counters[ACCOUNT_COUNT]) for state in (left, right)]

    def differs(node: int) -> bool:
        (hashes, sums), (other_hashes, other_sums) = trees
        return bool((hashes[node] != other_hashes[node]).any() or (sums[node] != other_sums[node]).any())

    if not differs(1):
        return None
    node = 1
    while node < floors:
        node = 2 * node if differs(2 * node) else 2 * node + 1
    account = node - floors
    return account if account < max(counts) else None


def _list_account(state: EngineState, account: int) -> Fields:
    """Everything in an account's leaf, by name, in the order of `engine.leaves`."""
    tables = state.tables
    if not state.has_account(account):
        return
    row = tables.accounts[account]
    owner, subaccount = read_key(tables, account)
    yield "owner", owner
    yield "subaccount", subaccount
    yield "balance_quote", int(row["balance_quote"])
    for at in list_positions(tables, account):
        if tables.positions[at]["lots"]:
            yield f"lots of market {int(tables.positions[at]['market'])}", int(tables.positions[at]["lots"])
    sums = tables.node_sums[len(tables.node_sums) // 2 + account]
    yield "claim_quote", int(sums[0])
    yield "debt_quote", int(sums[1])
    yield from ((name, int(row[name])) for name in _HEAD)
    yield from ((f"nonce {at}", int(tables.nonces[account, at])) for at in range(int(row["nonce_count"])))
    yield from ((f"client id {at}", int(number)) for at, number in enumerate(tables.client_ids[account]))
    yield from _list_linked("session", tables.sessions, int(row["session_first"]), _SESSION)
    if row["protection"]:
        protection = tables.protections[int(row["protection"])]
        yield from ((f"protection {name}", int(protection[name])) for name in _PROTECTION)
    yield from _list_orders(tables, int(row["order_first"]))
    yield from _list_linked("trigger", tables.triggers, int(row["trigger_first"]), _TRIGGER)


def _list_linked(what: str, table: np.ndarray, first: int, names: tuple[str, ...]) -> Fields:
    row, count = first, 0
    while row:
        yield from ((f"{what} {count} {name}", int(table[row][name])) for name in names)
        row, count = int(table[row]["next"]), count + 1


def _list_orders(tables: Tables, first: int) -> Fields:
    row, count = first, 0
    orders_at = len(tables.orderbook.book) - len(tables.details)
    while row:
        order, detail = tables.orderbook.book[orders_at + row], tables.details[row]
        yield from ((f"order {count} {name}", int(order[name])) for name in _IN_BOOK)
        yield from ((f"order {count} {name}", int(detail[name])) for name in _ORDER)
        row, count = int(detail["own_next"]), count + 1


def _list_rows(what: str, table: np.ndarray, names: tuple[str, ...]) -> Fields:
    for number, row in enumerate(table):
        yield from ((f"{what} {number} {name}", int(row[name])) for name in names)


def _list_markets(state: EngineState) -> Fields:
    markets = state.tables.markets[: int(state.tables.counters[MARKET_COUNT])]
    return _list_rows("market", markets, (MARKET.names or ())[:MARKET_HASHED_FIELDS])


def _list_instruments(state: EngineState) -> Fields:
    tables, counters = state.tables, state.tables.counters
    offers = tables.offers[: int(counters[OFFERS_USED]) + 1]
    parts = (
        ("underlying", tables.underlyings[: int(counters[UNDERLYING_COUNT])]),
        ("expiry", tables.expiries[: int(counters[EXPIRY_COUNT])]),
        ("asset", tables.assets[: int(counters[ASSET_COUNT])]),
        ("offer", offers[offers["is_live"] != 0]),
    )  # fmt: skip
    for what, table in parts:
        yield from _list_rows(what, table, table.dtype.names or ())
    for number, tier in enumerate(tables.fee_tiers):
        yield from ((f"fee tier {number} {name}", int(tier[name])) for name in range(len(tier)))


def _list_report_times(state: EngineState) -> Fields:
    yield from ((f"validator {at} time_ms", int(time_ms)) for at, time_ms in enumerate(state.report_times_ms))


def _list_sequences(state: EngineState) -> Fields:
    yield from ((f"validator {at} sequence", int(number)) for at, number in enumerate(state.batch_sequences))


def _list_counters(state: EngineState) -> Fields:
    yield "deposits_total_quote", state.deposits_total_quote
    yield "inbox_ignored_count", state.inbox_ignored_count
    yield from ((f"counter {name}", int(state.tables.counters[name])) for name in ROOT_COUNTERS)
