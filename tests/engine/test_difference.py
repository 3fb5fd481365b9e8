"""Two states that differ say where: the word of the root, the account or market, the field."""

import pytest

from engine.apply import execute
from engine.commands import BUY, SELL
from engine.difference import Difference, diff, find_account_difference
from engine.root import root_words
from engine.snapshot import decode_snapshot, encode_snapshot
from engine.tables import ACCOUNT_COUNT, SYSTEM_ACCOUNTS, USER_ACCOUNT_FIRST
from tests.engine.blocks import (
    ALICE,
    BOB,
    MARK,
    USD,
    batch,
    block,
    deposit,
    funded,
    make_params,
    place,
    reports,
    trader,
)
from tests.engine.days import live, write_day


@pytest.fixture(scope="module")
def world():
    return funded()


def after(state, *commands, **changes):
    """The state after one block of the commands."""
    return execute(state, block(state, batches=list(commands))._replace(**changes))[0]


def found(left, right) -> tuple:
    difference = diff(left, right)
    assert isinstance(difference, Difference)
    return difference.where, difference.field, difference.left, difference.right


def test_equal_states_do_not_differ(world) -> None:
    assert diff(world, world.copy()) is None
    restored = decode_snapshot(encode_snapshot(world), world.params)
    assert diff(world, restored) is None and find_account_difference(world, restored) is None


def test_an_order_at_another_price(world) -> None:
    """The account's leaf is found among all, and in it the field."""
    one = after(world, place(ALICE, 1, BUY, MARK - 10, 3), place(BOB, 1, BUY, MARK - 9, 2))
    other = after(world, place(ALICE, 1, BUY, MARK - 10, 3), place(BOB, 1, BUY, MARK - 8, 2))
    assert found(one, other) == ("account 65", "order 0 price_ticks", MARK - 9, MARK - 8)
    assert set(diff(one, other).words) == {"account_root"}


def test_an_order_that_one_side_has_not(world) -> None:
    one = after(world, place(ALICE, 1, BUY, MARK - 10, 3))
    other = after(world, place(ALICE, 1, BUY, MARK + 60_000, 3))  # outside the band
    where, field, left, right = found(one, other)
    assert (where == "account 64" and field == "client id 0") or field.startswith("order 0 order_id")
    assert left and not right


def test_a_balance_comes_first(world) -> None:
    """Other fills: the first difference is the taker's or maker's money, in the account of the lower index."""
    resting = place(ALICE, 1, SELL, MARK, 5)
    one = after(world, resting, place(BOB, 1, BUY, MARK, 5))
    other = after(world, resting, place(BOB, 1, BUY, MARK, 4))
    difference = diff(one, other)
    assert difference.where == "account 0" and difference.field == "balance_quote"
    assert "account_root" in difference.words and "markets_digest" in difference.words


def test_another_index(world) -> None:
    """No account holds anything: only prices differ."""
    one, other = (
        after(world, price_reports=reports(world.time_ms + 1_000, MARK + move, 300_000)) for move in (100, 101)
    )
    assert found(one, other)[:2] == ("market 0", "mark_e8")
    assert {"markets_digest", "instruments_digest"} <= set(diff(one, other).words)


ELSEWHERE = [
    ("height", lambda s: setattr(s, "height", s.height + 1), ("height", "height")),
    ("batches_digest", lambda s: s.batch_sequences.__setitem__(2, 9), ("validator 2", "sequence")),
    ("oracle_digest", lambda s: s.report_times_ms.__setitem__(1, 9), ("validator 1", "time_ms")),
    ("counters_digest", lambda s: setattr(s, "inbox_ignored_count", 4), ("counters_digest", "inbox_ignored_count")),
    ("instruments_digest", lambda s: s.tables.fee_tiers.__setitem__((1, 0), 7), ("fee tier 1", "0")),
    ("events_digest", lambda s: setattr(s, "events_digest", bytes(32)), ("events_digest", "events_digest")),
]


@pytest.mark.parametrize(("word", "change", "expected"), ELSEWHERE, ids=[row[0] for row in ELSEWHERE])
def test_other_words_name_their_field(world, word, change, expected) -> None:
    other = world.copy()
    change(other)
    difference = diff(world, other)
    assert difference.words == (word,) and (difference.where, difference.field) == expected
    assert difference.left != difference.right


def test_a_withdrawn_account_and_a_new_one(world) -> None:
    more = [deposit(world.inbox_cursor, trader(9), USD)]
    other = execute(world, block(world, inbox=more))[0]
    one = execute(world, block(world))[0]
    assert found(one, other) == ("account 67", "owner", None, trader(9))
    assert found(other, one) == ("account 67", "owner", trader(9), None)


def test_every_account_of_a_day_is_found() -> None:
    """Each account's balance in turn: the tree leads to exactly this one."""
    state = list(live(write_day(4, 20, 14)))[-1][0]
    capacity = len(state.tables.node_hashes) // 2
    for account in (*range(SYSTEM_ACCOUNTS), *range(USER_ACCOUNT_FIRST, int(state.tables.counters[ACCOUNT_COUNT]))):
        other = state.copy()
        node = capacity + account
        while node:
            other.tables.node_hashes[node, 0] ^= 1
            node //= 2
        assert find_account_difference(state, other) == account


def test_the_words_are_the_root(world) -> None:
    assert len(root_words(world)) == 20 and len({name for name, _ in root_words(world)}) == 20


def test_other_parameters_differ_in_their_digest(world) -> None:
    """Trees of another size are not walked."""
    other = funded(make_params(chain_id=5))
    assert diff(world, other).words == ("params_digest",) and diff(world, other).where == "params_digest"


def test_batches_of_other_authors(world) -> None:
    """The same order in another validator's batch: only the sequences and the receipts differ."""
    order = place(ALICE, 1, BUY, MARK - 10, 3)
    one, other = (execute(world, block(world, batches=(batch(author, 1, [order]),)))[0] for author in (0, 1))
    assert found(one, other) == ("validator 0", "sequence", 1, 0)
