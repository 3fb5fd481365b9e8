"""The state root: one hash over everything that can influence a later block, and the digest of what a block did.

    state_root = keccak of 20 words:
     0 engine_version        1 params_digest            2 height                  3 time_ms
     4 account_root          5 account_sums             6 account count           7 markets_digest
     8 instruments_digest    9 oracle_digest           10 oracle_root (block)    11 inbox_cursor
    12 inbox_hash           13 l1_block                14 withdrawals_root       15 withdrawals_total_quote
    16 withdrawals_count    17 batches_digest          18 counters_digest        19 events_digest (block)

With `H(x) = keccak(keccak(x[:1024]) ‖ keccak(x[1024:2048]) ‖ ...)` over rows of little-endian int64, as in memory:
- markets_digest = H(the first MARKET_HASHED_FIELDS fields of every market ever listed: parameters, prices, units)
- instruments_digest = H(underlyings ‖ expiries ‖ assets ‖ fee tiers ‖ live offers in order of rows ‖ scenarios)
- oracle_digest  = keccak(for each validator: i64 BE time_ms of its last accepted report)
- batches_digest = keccak(for each validator: i64 BE sequence of its last batch)
- counters_digest = keccak(word(deposits_total_quote) ‖ word(inbox_ignored_count) ‖ i64 LE of ROOT_COUNTERS)
- events_digest  = keccak(H(receipts) ‖ H(fills) ‖ H(cancellations) ‖ H(liquidations) ‖ H(deleverages) ‖ H(notices) ‖
  keccak(credits) ‖ keccak(withdrawals)); credits and withdrawals as below.

Open orders, triggers, nonces and keys are in the leaves of their accounts (`engine.leaves`).
"""

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from engine.compiling import entry_point
from engine.exposure import compute_claim
from engine.lanes import hash_long
from engine.leaves import hash_leaves
from engine.limits import ENGINE_VERSION
from engine.payload import keccak
from engine.sumtree import compute_root, update_tree
from engine.tables import (
    ACCOUNT_COUNT,
    ACCOUNT_SWEEP,
    ASSET_COUNT,
    DIRTY_COUNT,
    EXPIRY_COUNT,
    INSURANCE_COVER,
    MARK_EPOCH,
    MARKET,
    MARKET_COUNT,
    MARKET_HASHED_FIELDS,
    MUST_REPRICE,
    NEXT_RANK,
    NEXT_SEQUENCE,
    OFFERS_USED,
    ORDER_SWEEP,
    PHASE,
    PHASE_UNTIL_MS,
    REPRICED_MS,
    STABLE_E8,
    UNDERLYING_COUNT,
    WITHDRAWALS,
    Number,
    Outputs,
    Tables,
)
from engine.tree import compute_withdrawals_root

if TYPE_CHECKING:
    from engine.state import EngineState

ROOT_COUNTERS = (
    NEXT_SEQUENCE, NEXT_RANK, PHASE, PHASE_UNTIL_MS, REPRICED_MS, MUST_REPRICE, STABLE_E8, ORDER_SWEEP, ACCOUNT_SWEEP,
    INSURANCE_COVER,
)  # fmt: skip


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


def _word(number: int) -> bytes:
    return number.to_bytes(32, "big")


@entry_point
def _list_holders(t: Tables, leaves: np.ndarray) -> Number:
    """Accounts that changed or have positions, ascending, into `leaves`; how many."""
    count = np.int64(0)
    for account in range(t.counters[ACCOUNT_COUNT]):
        if t.accounts[account]["dirty"] != 0 or np.int64(t.accounts[account]["position_count"]) != 0:
            leaves[count] = account
            count += 1
    return count


@entry_point
def _value_accounts(t: Tables, leaves: np.ndarray, claims_quote: np.ndarray) -> None:
    for at in range(len(leaves)):
        claims_quote[at] = compute_claim(t, leaves[at])


def refresh_tree(state: "EngineState", changed: np.ndarray, is_repriced: bool) -> bool:
    """Rehash the changed accounts, after a reprice all that hold anything; False when a sum leaves its bound."""
    tables = state.tables
    if is_repriced:
        leaves = np.empty(int(tables.counters[ACCOUNT_COUNT]), dtype=np.int64)
        leaves = leaves[: int(_list_holders(tables, leaves))]
    else:
        leaves = np.sort(changed)
    claims_quote = np.empty(len(leaves), dtype=np.int64)
    _value_accounts(tables, leaves, claims_quote)
    hash_leaves(tables, leaves, claims_quote)
    return bool(update_tree(tables.node_hashes, tables.node_sums, leaves, int(tables.counters[ACCOUNT_COUNT])))


def seal(state: "EngineState", outputs: Outputs) -> bool:
    """Bring all hashes up to date with the tables; False when a sum of the account tree is out of bounds."""
    counters = state.tables.counters
    is_repriced = state.sealed_epoch != int(counters[MARK_EPOCH])
    if not refresh_tree(state, outputs.dirty[: int(counters[DIRTY_COUNT])], is_repriced):
        return False
    state.sealed_epoch = int(counters[MARK_EPOCH])
    set_roots(state)
    return True


def set_roots(state: "EngineState") -> None:
    """Account root, withdrawals root and state root of tables whose tree is up to date."""
    tables = state.tables
    state.account_root, state.account_sums = compute_root(
        tables.node_hashes, tables.node_sums, int(tables.counters[ACCOUNT_COUNT])
    )
    state.withdrawals_root = compute_withdrawals_root(state.withdrawal_frontier, state.withdrawals_count)
    state.state_root = compute_state_root(state)


def _encode_instruments(tables: Tables) -> bytes:
    counters = tables.counters
    offers = tables.offers[: int(counters[OFFERS_USED]) + 1]
    live = offers[offers["is_live"] != 0]
    parts = (
        tables.underlyings[: int(counters[UNDERLYING_COUNT])], tables.expiries[: int(counters[EXPIRY_COUNT])],
        tables.assets[: int(counters[ASSET_COUNT])], tables.fee_tiers, live,
        tables.scenarios[: int(counters[MARKET_COUNT])],
    )  # fmt: skip
    return b"".join(np.ascontiguousarray(part).tobytes() for part in parts)


def root_words(state: "EngineState") -> tuple[tuple[str, bytes], ...]:
    """The 20 words of the module header by name; account root and withdrawals root must be up to date."""
    tables, counters = state.tables, state.tables.counters
    markets = tables.markets[: int(counters[MARKET_COUNT])].view("<i8").reshape(-1, MARKET.itemsize // 8)
    numbers = _word(state.deposits_total_quote) + _word(state.inbox_ignored_count)
    return (
        ("engine_version", _word(ENGINE_VERSION)),
        ("params_digest", state.params_digest),
        ("height", _word(state.height)),
        ("time_ms", _word(state.time_ms)),
        ("account_root", state.account_root),
        ("account_sums", state.account_sums),
        ("account_count", _word(int(counters[ACCOUNT_COUNT]))),
        ("markets_digest", hash_long(markets[:, :MARKET_HASHED_FIELDS].tobytes())),
        ("instruments_digest", hash_long(_encode_instruments(tables))),
        ("oracle_digest", keccak(state.report_times_ms.astype(">i8").tobytes())),
        ("oracle_root", state.oracle_root),
        ("inbox_cursor", _word(state.inbox_cursor)),
        ("inbox_hash", state.inbox_hash),
        ("l1_block", _word(state.l1_block)),
        ("withdrawals_root", state.withdrawals_root),
        ("withdrawals_total_quote", _word(state.withdrawals_total_quote)),
        ("withdrawals_count", _word(int(counters[WITHDRAWALS]))),
        ("batches_digest", keccak(state.batch_sequences.astype(">i8").tobytes())),
        ("counters_digest", keccak(numbers + counters[list(ROOT_COUNTERS)].astype("<i8").tobytes())),
        ("events_digest", state.events_digest),
    )


def compute_state_root(state: "EngineState") -> bytes:
    """The formula of the module header; account root and withdrawals root must be up to date."""
    return keccak(b"".join(word for _, word in root_words(state)))


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
