"""Leaves hash exactly what docs/protocol.md, section 4, says an account is."""

import numpy as np
import pytest
import sha3

from engine.leaves import hash_leaves
from engine.orderbook import LEVELS_PER_BLOCK, make_orderbook
from engine.tables import (
    ACCOUNT,
    ASSET,
    COUNTER_COUNT,
    DETAIL,
    DIRTY_AUX,
    DIRTY_LEAF,
    EXPIRY,
    FEE_TIERS,
    MARKET,
    OFFER,
    POSITION,
    PROTECTION,
    SESSION,
    TRIGGER,
    UNDERLYING,
    Tables,
)

CAPACITY = 256
CLIENT_IDS = 16
ORDERS = 4000
NO_NUMBERS, NO_ROWS = np.zeros(1, np.int64), np.zeros(1, np.uint32)


def keccak(message: bytes) -> bytes:
    return sha3.keccak_256(message).digest()


def i64(*numbers) -> bytes:
    return b"".join(int(number).to_bytes(8, "big", signed=True) for number in numbers)


def word(number) -> bytes:
    return int(number).to_bytes(32, "big")


def chunked(message: bytes) -> bytes:
    return keccak(b"".join(keccak(message[at : at + 1024]) for at in range(0, max(len(message), 1), 1024)))


def follow(rows: np.ndarray, first, following: str = "next") -> list[int]:
    found = []
    while first:
        found.append(int(first))
        first = rows[first][following]
    return found


def listed(record, *names: str) -> bytes:
    return b"".join(int(record[name]).to_bytes(8, "little", signed=True) for name in names)


DETAIL_NAMES = (
    "client_id", "original_lots", "filled_lots", "placed_ms", "price_ticks", "good_till_ms", "hidden_lots",
    "display_lots", "unit_charge_quote", "builder_ppm", "rank", "flags", "market", "side", "builder", "time_in_force",
)  # fmt: skip
TRIGGER_NAMES = (
    "order_id", "client_id", "trigger_ticks", "price_ticks", "size_lots", "placed_ms", "good_till_ms", "link_id",
    "parent_id", "sibling_id", "market", "side", "flags", "time_in_force",
)  # fmt: skip
PROTECTION_NAMES = (
    "window_ms", "freeze_ms", "quote_max", "delta_quote_max", "vega_quote_max", "window_start_ms", "quote_sum",
    "delta_quote_sum", "vega_quote_sum", "frozen_until_ms",
)  # fmt: skip
HEAD_NAMES = ("mode", "referrer", "volume_quote", "volume_before_quote", "volume_epoch", "cancel_at_ms", "nonce_count")


def plain_aux(tables: Tables, account: int) -> bytes:
    row = tables.accounts[account]
    book = tables.orderbook.book[len(tables.orderbook.blocks) * LEVELS_PER_BLOCK :]
    sessions = follow(tables.sessions, row["session_first"])
    orders = follow(tables.details, row["order_first"], "own_next")
    triggers = follow(tables.triggers, row["trigger_first"])
    protected = [row["protection"]] if row["protection"] else []
    aux = listed(row, *HEAD_NAMES)
    counts = (len(sessions), len(protected), len(orders), len(triggers))
    nonces = tables.nonces[account, : row["nonce_count"]].tolist()
    for number in (*counts, *nonces, *tables.client_ids[account].tolist()):
        aux += number.to_bytes(8, "little", signed=True)
    for at in sessions:
        aux += listed(tables.sessions[at], "key_a", "key_b", "key_c", "expiry_ms", "order_quote_max", "scopes")
    for at in protected:
        aux += listed(tables.protections[at], *PROTECTION_NAMES)
    for at in orders:
        aux += listed(book[at], "order_id", "lots") + listed(tables.details[at], *DETAIL_NAMES)
    return aux + b"".join(listed(tables.triggers[at], *TRIGGER_NAMES) for at in triggers)


def plain_leaf(tables: Tables, account: int, claim_quote: int, aux_digest: bytes | None = None) -> bytes:
    """The leaf from its messages; a digest that is given is not computed again."""
    row = tables.accounts[account]
    positions = [tables.positions[at] for at in follow(tables.positions, row["position_first"])]
    held = sorted((int(item["market"]), item["lots"]) for item in positions)
    holdings = i64(row["balance_quote"])
    holdings += b"".join(market.to_bytes(4, "big") + i64(lots) for market, lots in held if lots)
    key = i64(row["key_a"], row["key_b"], row["key_c"])
    sums = max(claim_quote, 0).to_bytes(16, "big") + max(-claim_quote, 0).to_bytes(16, "big")
    owner, subaccount = int.from_bytes(key[:20], "big"), int.from_bytes(key[20:], "big")
    digest = keccak(holdings + (aux_digest or chunked(plain_aux(tables, account))))
    return keccak(word(1) + word(account) + word(owner) + word(subaccount) + sums + digest)


def link(rows: np.ndarray, numbers: list[int], name: str = "next") -> int:
    for number, following in zip(numbers, [*numbers, 0][1:], strict=True):
        rows[number][name] = following
    return numbers[0] if numbers else 0


def fill(rows: np.ndarray, names, draw: np.random.Generator) -> None:
    for name in names:
        bits = 32 if rows.dtype[name] == np.uint32 else 63
        low = 0 if bits == 32 else -(1 << 63)
        rows[name] = draw.integers(low, (1 << bits) - 1, len(rows), endpoint=True).astype(rows.dtype[name])


def empty_tables() -> Tables:
    return Tables(
        accounts=np.zeros(CAPACITY, ACCOUNT), account_index=NO_ROWS, nonces=np.zeros((CAPACITY, 64), np.int64),
        client_ids=np.zeros((CAPACITY, CLIENT_IDS), np.int64), positions=np.zeros(10_000, POSITION),
        position_index=NO_ROWS, orderbook=make_orderbook(1, ORDERS, 1, 8), details=np.zeros(ORDERS, DETAIL),
        trigger_rows=NO_NUMBERS, offer_rows=NO_NUMBERS, session_rows=NO_NUMBERS, triggers=np.zeros(2000, TRIGGER),
        offers=np.zeros(1, OFFER), sessions=np.zeros(1000, SESSION), protections=np.zeros(CAPACITY, PROTECTION),
        markets=np.zeros(1, MARKET), underlyings=np.zeros(1, UNDERLYING), expiries=np.zeros(1, EXPIRY),
        assets=np.zeros(1, ASSET), fee_tiers=np.zeros((FEE_TIERS, 3), np.int64),
        counters=np.zeros(COUNTER_COUNT, np.int64), scenarios=np.zeros((1, 1), np.int64),
        node_hashes=np.zeros((2 * CAPACITY, 32), np.uint8), node_sums=np.zeros((2 * CAPACITY, 2), np.int64),
        aux_digests=np.zeros((CAPACITY, 32), np.uint8), portfolio=np.zeros(1, np.int64),
    )  # fmt: skip


def make_tables(accounts: int, seed: int) -> Tables:
    """Accounts with 0, 1, 2 ... positions, nonces, orders, in rows of no order, everything else drawn."""
    draw = np.random.default_rng(seed)
    tables = empty_tables()
    tables.nonces[:] = draw.integers(-(1 << 62), 1 << 62, tables.nonces.shape)
    tables.client_ids[:] = draw.integers(0, 1 << 62, tables.client_ids.shape)
    book = tables.orderbook.book
    for rows in (tables.accounts, tables.positions, tables.sessions, tables.protections, tables.details, book):
        fill(rows, rows.dtype.names, draw)
    fill(tables.triggers, TRIGGER.names, draw)
    tables.positions["lots"][::7] = 0
    pools = [tables.positions, tables.sessions, tables.triggers, tables.details]
    free = [draw.permutation(np.arange(1, len(rows))).tolist() for rows in pools]
    for account in range(accounts):
        row = tables.accounts[account]
        taken = [
            [pool.pop() for _ in range(account % (many + 1))] for pool, many in zip(free, (39, 8, 5, 25), strict=True)
        ]
        positions, sessions, triggers, orders = taken
        for position, market in zip(positions, draw.permutation(1000), strict=False):
            tables.positions[position]["market"] = market
        row["position_first"] = link(tables.positions, positions)
        row["session_first"] = link(tables.sessions, sessions)
        row["trigger_first"] = link(tables.triggers, triggers)
        row["order_first"] = link(tables.details, orders, "own_next")
        row["protection"] = account if account % 3 == 0 else 0
        row["nonce_count"] = account % 65
        row["dirty"] = DIRTY_AUX | DIRTY_LEAF
    return tables


@pytest.mark.parametrize("count", [0, 1, 8, 63, 64, 65, 200])
def test_leaves_are_the_hashes_of_the_written_down_messages(count) -> None:
    tables = make_tables(200, count)
    leaves = np.sort(np.random.default_rng(count).choice(200, count, replace=False)).astype(np.int64)
    claims = np.array([(-1) ** leaf * (int(leaf) << 40) for leaf in leaves], dtype=np.int64)
    hash_leaves(tables, leaves, claims)
    for leaf, claim in zip(leaves.tolist(), claims.tolist(), strict=True):
        assert tables.node_hashes[CAPACITY + leaf].tobytes() == plain_leaf(tables, leaf, claim), leaf
        assert tables.node_sums[CAPACITY + leaf].tolist() == [max(claim, 0), max(-claim, 0)]
        assert tables.accounts[leaf]["dirty"] == 0
    others = np.setdiff1d(np.arange(CAPACITY), leaves)
    assert not tables.node_hashes[CAPACITY + others].any()
    assert not tables.node_hashes[:CAPACITY].any()


def test_aux_is_hashed_only_where_it_is_marked() -> None:
    tables = make_tables(3, 1)
    leaves, claims = np.arange(3), np.zeros(3, np.int64)
    hash_leaves(tables, leaves, claims)
    before = tables.aux_digests.copy()
    tables.nonces[:] += 1
    tables.accounts["dirty"][:3] = (DIRTY_LEAF, DIRTY_LEAF | DIRTY_AUX, 0)
    tables.accounts["nonce_count"][:3] = 1
    hash_leaves(tables, leaves, claims)
    assert (before != tables.aux_digests).any(axis=1).tolist()[:3] == [False, True, False]


CHANGES = ["balance_quote", "key_a", "key_b", "key_c", "mode", "cancel_at_ms", "volume_quote", "volume_before_quote"]


@pytest.mark.parametrize("name", [*CHANGES, "volume_epoch", "referrer", "nonce_count"])
def test_every_covered_field_changes_the_leaf(name) -> None:
    tables = make_tables(10, 2)
    hash_leaves(tables, np.array([5]), np.array([7]))
    before = tables.node_hashes[CAPACITY + 5].tobytes()
    tables.accounts[5][name] ^= 1
    tables.accounts[5]["dirty"] = DIRTY_AUX
    hash_leaves(tables, np.array([5]), np.array([7]))
    assert tables.node_hashes[CAPACITY + 5].tobytes() != before


@pytest.mark.parametrize("name", ["free_bound_quote", "order_charge_quote", "order_last", "bound_epoch"])
def test_what_follows_from_other_parts_changes_nothing(name) -> None:
    tables = make_tables(10, 2)
    hash_leaves(tables, np.array([5]), np.array([7]))
    before = tables.node_hashes[CAPACITY + 5].tobytes()
    tables.accounts[5][name] ^= 1
    tables.accounts[5]["dirty"] = DIRTY_AUX
    hash_leaves(tables, np.array([5]), np.array([7]))
    assert tables.node_hashes[CAPACITY + 5].tobytes() == before
