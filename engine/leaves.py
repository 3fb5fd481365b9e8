"""Leaves of the account tree: what an account holds, owes, remembers and wants, as one hash and two sums.

    leaf     = keccak(word(1) ‖ word(index) ‖ word(owner) ‖ word(subaccount) ‖ claims (16 B) ‖ debt (16 B) ‖ digest)
    digest   = keccak(holdings ‖ H(aux)), H as in `engine.lanes.hash_long`
    holdings = balance (8 B), then market (4 B) and lots (8 B) of each position that is not flat, markets ascending,
               all big-endian
    aux      = a head, spent nonces, client ids, session keys, protection, open orders in the order of the account's
               list, triggers by id; every number a little-endian int64:
      head       mode, referrer, volume_quote, volume_before_quote, volume_epoch, cancel_at_ms, nonce_count, count of
                 sessions, 1 with protection (else 0), count of orders, count of triggers
      session    key_a, key_b, key_c, expiry_ms, order_quote_max, scopes
      protection window_ms, freeze_ms, quote_max, delta_quote_max, vega_quote_max, window_start_ms, quote_sum,
                 delta_quote_sum, vega_quote_sum, frozen_until_ms
      order      order_id, lots in the book, client_id, original_lots, filled_lots, placed_ms, price_ticks,
                 good_till_ms, hidden_lots, display_lots, unit_charge_quote, builder_ppm, rank, flags, market, side,
                 builder, time_in_force
      trigger    order_id, client_id, trigger_ticks, price_ticks, size_lots, placed_ms, good_till_ms, link_id,
                 parent_id, sibling_id, market, side, flags, time_in_force

Rules ROOT-1 and ROOT-2 of docs/spec.md. Holdings are what the claim is made of, and short, so that a proof can carry
them; aux is the rest of what a later block may ask the account. Sums over orders, bounds, row numbers and list heads
follow from the history and other parts and are left out.

Accounts are hashed in groups, so that their messages fill the lanes. A number costs one store of eight bytes.
"""

import numpy as np
from numba import njit

from engine.compiling import allocating, inlined, kernel
from engine.lanes import CHUNK_BYTES, Number, hash_spans, load_word, store_word, swap_bytes
from engine.orderbook import LEVELS_PER_BLOCK, Orderbook
from engine.tables import DIRTY_AUX, Tables

LEAF_BYTES = 192
_GROUP = 64  # accounts whose messages lie in the cache together
_LEAF_TAG = np.int64(1)
_HEAD_WORDS, _SESSION_WORDS, _PROTECTION_WORDS, _ORDER_WORDS, _TRIGGER_WORDS = 11, 6, 10, 18, 14
_HASH_BYTES = 32


@inlined
def _put_big(data: np.ndarray, at: Number, number: Number) -> Number:
    """Write an int64 as 8 big-endian bytes; returns the place behind it."""
    store_word(data, at, swap_bytes(np.int64(number)))
    return at + np.int64(8)


@inlined
def _put(data: np.ndarray, at: Number, number: Number) -> Number:
    """Write an int64 as 8 little-endian bytes; returns the place behind it."""
    store_word(data, at, np.int64(number))
    return at + np.int64(8)


@kernel
def _count_rows(rows: np.ndarray, first: Number) -> Number:
    """Length of a list of records that are linked by `next`, 0 behind the last."""
    count = np.int64(0)
    row = np.int64(first)
    while row != 0:
        count += 1
        row = np.int64(rows[row]["next"])
    return count


@kernel
def _count_orders(details: np.ndarray, first: Number) -> Number:
    count = np.int64(0)
    row = np.int64(first)
    while row != 0:
        count += 1
        row = np.int64(details[row]["own_next"])
    return count


@inlined
def _measure_aux(tables: Tables, account: Number) -> Number:
    """Bytes of the aux message of an account."""
    owner = tables.accounts[account]
    words: Number = np.int64(_HEAD_WORDS) + np.int64(owner["nonce_count"]) + tables.client_ids.shape[1]
    words += _SESSION_WORDS * _count_rows(tables.sessions, np.int64(owner["session_first"]))
    words += _ORDER_WORDS * _count_orders(tables.details, np.int64(owner["order_first"]))
    words += _TRIGGER_WORDS * _count_rows(tables.triggers, np.int64(owner["trigger_first"]))
    if owner["protection"] != 0:
        words += _PROTECTION_WORDS
    return 8 * words


@inlined
def _put_aux(tables: Tables, account: Number, data: np.ndarray, at: Number) -> Number:
    """Write the aux message of an account at `data[at:]`; returns its end."""
    owner = tables.accounts[account]
    counts_at = at + 56
    at = _put(data, at, owner["mode"])
    at = _put(data, at, owner["referrer"])
    at = _put(data, at, owner["volume_quote"])
    at = _put(data, at, owner["volume_before_quote"])
    at = _put(data, at, owner["volume_epoch"])
    at = _put(data, at, owner["cancel_at_ms"])
    at = _put(data, at, owner["nonce_count"])
    at = counts_at + 32
    for index in range(np.int64(owner["nonce_count"])):
        at = _put(data, at, tables.nonces[account, index])
    for index in range(tables.client_ids.shape[1]):
        at = _put(data, at, tables.client_ids[account, index])
    before = at
    at = _put_sessions(tables.sessions, np.int64(owner["session_first"]), data, at)
    _put(data, counts_at, (at - before) // (8 * _SESSION_WORDS))
    before = at
    at = _put_protection(tables.protections, np.int64(owner["protection"]), data, at)
    _put(data, counts_at + 8, (at - before) // (8 * _PROTECTION_WORDS))
    before = at
    at = _put_orders(tables.orderbook, tables.details, np.int64(owner["order_first"]), data, at)
    _put(data, counts_at + 16, (at - before) // (8 * _ORDER_WORDS))
    before = at
    at = _put_triggers(tables.triggers, np.int64(owner["trigger_first"]), data, at)
    _put(data, counts_at + 24, (at - before) // (8 * _TRIGGER_WORDS))
    return at


@kernel
def _put_sessions(sessions: np.ndarray, first: Number, data: np.ndarray, at: Number) -> Number:
    row = first
    while row != 0:
        session = sessions[row]
        at = _put(data, at, session["key_a"])
        at = _put(data, at, session["key_b"])
        at = _put(data, at, session["key_c"])
        at = _put(data, at, session["expiry_ms"])
        at = _put(data, at, session["order_quote_max"])
        at = _put(data, at, session["scopes"])
        row = np.int64(session["next"])
    return at


@kernel
def _put_protection(protections: np.ndarray, row: Number, data: np.ndarray, at: Number) -> Number:
    if row == 0:
        return at
    protection = protections[row]
    at = _put(data, at, protection["window_ms"])
    at = _put(data, at, protection["freeze_ms"])
    at = _put(data, at, protection["quote_max"])
    at = _put(data, at, protection["delta_quote_max"])
    at = _put(data, at, protection["vega_quote_max"])
    at = _put(data, at, protection["window_start_ms"])
    at = _put(data, at, protection["quote_sum"])
    at = _put(data, at, protection["delta_quote_sum"])
    at = _put(data, at, protection["vega_quote_sum"])
    return _put(data, at, protection["frozen_until_ms"])


@kernel
def _put_orders(orderbook: Orderbook, details: np.ndarray, first: Number, data: np.ndarray, at: Number) -> Number:
    book_first = len(orderbook.blocks) * LEVELS_PER_BLOCK
    row = first
    while row != 0:
        order, detail = orderbook.book[book_first + row], details[row]
        at = _put(data, at, order["order_id"])
        at = _put(data, at, order["lots"])
        at = _put(data, at, detail["client_id"])
        at = _put(data, at, detail["original_lots"])
        at = _put(data, at, detail["filled_lots"])
        at = _put(data, at, detail["placed_ms"])
        at = _put(data, at, detail["price_ticks"])
        at = _put(data, at, detail["good_till_ms"])
        at = _put(data, at, detail["hidden_lots"])
        at = _put(data, at, detail["display_lots"])
        at = _put(data, at, detail["unit_charge_quote"])
        at = _put(data, at, detail["builder_ppm"])
        at = _put(data, at, detail["rank"])
        at = _put(data, at, detail["flags"])
        at = _put(data, at, detail["market"])
        at = _put(data, at, detail["side"])
        at = _put(data, at, detail["builder"])
        at = _put(data, at, detail["time_in_force"])
        row = np.int64(detail["own_next"])
    return at


@kernel
def _put_triggers(triggers: np.ndarray, first: Number, data: np.ndarray, at: Number) -> Number:
    row = first
    while row != 0:
        trigger = triggers[row]
        at = _put(data, at, trigger["order_id"])
        at = _put(data, at, trigger["client_id"])
        at = _put(data, at, trigger["trigger_ticks"])
        at = _put(data, at, trigger["price_ticks"])
        at = _put(data, at, trigger["size_lots"])
        at = _put(data, at, trigger["placed_ms"])
        at = _put(data, at, trigger["good_till_ms"])
        at = _put(data, at, trigger["link_id"])
        at = _put(data, at, trigger["parent_id"])
        at = _put(data, at, trigger["sibling_id"])
        at = _put(data, at, trigger["market"])
        at = _put(data, at, trigger["side"])
        at = _put(data, at, trigger["flags"])
        at = _put(data, at, trigger["time_in_force"])
        row = np.int64(trigger["next"])
    return at


@kernel
def put_holdings(accounts: np.ndarray, positions: np.ndarray, account: Number, data: np.ndarray, at: Number) -> Number:
    """Write the holdings of an account at `data[at:]`, the list's order made ascending; returns the end."""
    owner = accounts[account]
    first = _put_big(data, at, owner["balance_quote"])
    at = first
    row = np.int64(owner["position_first"])
    while row != 0:
        position = positions[row]
        row = np.int64(position["next"])
        if position["lots"] == 0:
            continue
        # Entries of 12 bytes: a market in the upper half of a word, then a word of lots. Larger markets move up.
        place = at
        market = np.int64(position["market"])
        while place > first and swap_bytes(load_word(data, place - 12)) >> 32 > market:
            for byte in range(place - 12, place):
                data[byte + 12] = data[byte]
            place -= 12
        for byte in range(4):
            data[place + byte] = market >> (24 - 8 * byte) & 0xFF
        _put_big(data, place + 4, position["lots"])
        at += 12
    return at


@kernel
def _put_leaf(
    accounts: np.ndarray, account: Number, claim_quote: Number, digest: np.ndarray, data: np.ndarray, at: Number
) -> None:
    """Write the six words of a leaf at `data[at:]`; `digest` is (32,) uint8."""
    owner = accounts[account]
    for word in range(LEAF_BYTES // 8):
        store_word(data, at + 8 * word, np.int64(0))
    _put_big(data, at + 24, _LEAF_TAG)
    _put_big(data, at + 56, account)
    _put_big(data, at + 76, owner["key_a"])
    _put_big(data, at + 84, owner["key_b"])
    _put_big(data, at + 92, owner["key_c"])  # the last four bytes of the owner, then of the subaccount
    store_word(data, at + 96, np.int64(0))
    _put_big(data, at + 120, owner["key_c"] & 0xFFFFFFFF)
    _put_big(data, at + 136, max(claim_quote, 0))
    _put_big(data, at + 152, max(-claim_quote, 0))
    for word in range(4):
        store_word(data, at + 160 + 8 * word, load_word(digest, 8 * word))


@allocating
def _hash_aux(tables: Tables, leaves: np.ndarray, first: Number, count: Number) -> None:
    """New aux digests of the accounts of a group whose aux has changed, by chunks that fill the lanes."""
    room_bytes, chunks, changed = np.int64(0), np.int64(0), np.int64(0)
    for index in range(first, first + count):
        if tables.accounts[leaves[index]]["dirty"] & DIRTY_AUX:
            length_bytes = _measure_aux(tables, leaves[index])
            room_bytes += length_bytes
            chunks += (length_bytes + CHUNK_BYTES - 1) // CHUNK_BYTES
            changed += 1
    data = np.empty(room_bytes, dtype=np.uint8)
    parts = np.empty((3, chunks), dtype=np.int64)
    whole = np.empty((3, changed), dtype=np.int64)
    digests = np.empty((chunks, _HASH_BYTES), dtype=np.uint8)
    at: Number = np.int64(0)
    chunk, changed = np.int64(0), np.int64(0)
    for index in range(first, first + count):
        account = leaves[index]
        if tables.accounts[account]["dirty"] & DIRTY_AUX:
            end = _put_aux(tables, account, data, at)
            whole[0, changed], whole[2, changed] = chunk * _HASH_BYTES, account
            while at < end:
                after = end if end - at < CHUNK_BYTES else at + CHUNK_BYTES
                parts[0, chunk], parts[1, chunk], parts[2, chunk] = at, after - at, chunk
                at = after
                chunk += 1
            whole[1, changed] = chunk * _HASH_BYTES - whole[0, changed]
            changed += 1
    hash_spans(data, parts[0], parts[1], chunk, digests, parts[2])
    hash_spans(digests.reshape(-1), whole[0], whole[1], changed, tables.aux_digests, whole[2])


@allocating
def _hash_digests(
    tables: Tables, leaves: np.ndarray, first: Number, count: Number, digests: np.ndarray, spans: np.ndarray
) -> None:
    """`keccak(holdings ‖ H(aux))` of each account of a group into `digests` (count, 32)."""
    accounts, positions = tables.accounts, tables.positions
    room_bytes = count * (8 + _HASH_BYTES)
    for index in range(first, first + count):
        room_bytes += 12 * _count_rows(positions, np.int64(accounts[leaves[index]]["position_first"]))
    data = np.empty(room_bytes, dtype=np.uint8)
    aux_digests = tables.aux_digests.reshape(-1)
    at: Number = np.int64(0)
    for index in range(count):
        account = leaves[first + index]
        end = put_holdings(accounts, positions, account, data, at)
        for word in range(0, _HASH_BYTES, 8):
            store_word(data, end + word, load_word(aux_digests, account * _HASH_BYTES + word))
        end += _HASH_BYTES
        spans[0, index], spans[1, index], spans[2, index] = at, end - at, index
        at = end
    hash_spans(data, spans[0], spans[1], count, digests, spans[2])


@njit(cache=True)
def hash_leaves(tables: Tables, leaves: np.ndarray, claims_quote: np.ndarray) -> None:
    """Write the tree's nodes of accounts `leaves` (n,) int64, whose claims are `claims_quote` (n,) int64.

    A claim below zero is a debt. Aux is hashed anew where the account is marked `DIRTY_AUX`; marks are cleared.
    Accounts must exist, each at most once; `engine.sumtree.update_tree` does the rest, and wants them ascending.
    """
    spans = np.empty((3, _GROUP), dtype=np.int64)
    digests = np.empty((_GROUP, _HASH_BYTES), dtype=np.uint8)
    messages = np.empty(_GROUP * LEAF_BYTES, dtype=np.uint8)
    accounts, node_hashes, node_sums = tables.accounts, tables.node_hashes, tables.node_sums
    capacity = node_hashes.shape[0] // 2
    for first in range(0, leaves.shape[0], _GROUP):
        count = min(_GROUP, leaves.shape[0] - first)
        _hash_aux(tables, leaves, first, count)
        _hash_digests(tables, leaves, first, count, digests, spans)
        for index in range(count):
            account, claim_quote = leaves[first + index], claims_quote[first + index]
            node_sums[capacity + account, 0] = max(claim_quote, 0)
            node_sums[capacity + account, 1] = max(-claim_quote, 0)
            _put_leaf(accounts, account, claim_quote, digests[index], messages, index * LEAF_BYTES)
            accounts[account]["dirty"] = 0
            spans[0, index], spans[1, index] = index * LEAF_BYTES, LEAF_BYTES
            spans[2, index] = capacity + account
        hash_spans(messages, spans[0], spans[1], count, node_hashes, spans[2])
