"""Exchanges for benchmarks: filled in bulk, and actions that name orders by the ids they will have."""

import numpy as np

from engine.accounts import make_indexes
from engine.commands import CANCEL
from engine.intake import Intake
from engine.params import ExchangeParams, MarketParams
from engine.root import refresh_tree, set_roots
from engine.stages import apply_actions
from engine.state import EngineState, genesis
from engine.tables import (
    ACCOUNT_COUNT,
    CANCELLATION_COUNT,
    DIRTY_AUX,
    DIRTY_COUNT,
    DIRTY_LEAF,
    FILL_COUNT,
    MARK_EPOCH,
    SYSTEM_ACCOUNTS,
    USER_ACCOUNT_FIRST,
    Outputs,
    Tables,
)

TIME_MS = 1_800_000_000_000
MARKET = ("0.1", "0.001", 100, 500, 250, 2, 5, 9000, 500_000, 1_000_000, 500, 15_000)
UNKNOWN_ORDER = 308
KEY_B = 0x0102030405060708


def perpetuals(count: int) -> tuple[MarketParams, ...]:
    """So many markets with an underlying each."""
    return tuple(MarketParams(f"M{number}-PERPETUAL", *MARKET) for number in range(count))


def owner_of(user: int) -> bytes:
    """Address of the user with this number, 0 for the first."""
    return (user + 1).to_bytes(8, "big") + KEY_B.to_bytes(8, "big") + bytes(4)


def add_users(tables: Tables, count: int, balance_quote: int) -> Tables:
    """Tables in which accounts with money follow the system's, as if each had deposited."""
    rows = tables.accounts[USER_ACCOUNT_FIRST : USER_ACCOUNT_FIRST + count]
    rows["key_a"], rows["key_b"] = 1 + np.arange(count), KEY_B
    rows["balance_quote"] = balance_quote
    tables.counters[ACCOUNT_COUNT] = USER_ACCOUNT_FIRST + count
    return make_indexes(tables)


def make_state(params: ExchangeParams, users: int, balance_quote: int) -> EngineState:
    """A sealed state with so many users."""
    state = genesis(params, TIME_MS)
    state.tables = add_users(state.tables, users, balance_quote)
    state.deposits_total_quote = users * balance_quote
    state.tables.assets["deposited_units"][0] = users * balance_quote
    seal_all(state)
    return state


def seal_all(state: EngineState) -> None:
    """Hash every account anew."""
    tables = state.tables
    users = np.arange(USER_ACCOUNT_FIRST, int(tables.counters[ACCOUNT_COUNT]))
    used = np.concatenate((np.arange(SYSTEM_ACCOUNTS), users))
    tables.accounts["dirty"][used] = DIRTY_LEAF | DIRTY_AUX
    refresh_tree(state, used, is_repriced=False)
    state.sealed_epoch = int(tables.counters[MARK_EPOCH])
    set_roots(state)


def make_intake(actions: np.ndarray) -> Intake:
    """Judged actions that are a message each."""
    count = len(actions)
    zeros, each = np.zeros(count, np.int64), np.arange(count)
    return Intake(np.empty(0), actions, np.empty(0), zeros, each, zeros, zeros)


def forget_block(tables: Tables, out: Outputs) -> None:
    """What sealing and the next block's preparation do to counts and marks."""
    counters = tables.counters
    tables.accounts["dirty"][out.dirty[: int(counters[DIRTY_COUNT])]] = 0
    counters[[DIRTY_COUNT, FILL_COUNT, CANCELLATION_COUNT]] = 0


def apply_block(tables: Tables, out: Outputs, actions: np.ndarray, accounts: np.ndarray) -> None:
    """Execute actions in their order, as a block does after its messages were judged."""
    intake = make_intake(actions)
    caps = np.zeros(len(actions), np.int64)
    apply_actions(tables, out, intake, intake.message_of_action, caps, accounts, caps, TIME_MS)


def resolve_ids(
    tables: Tables, out: Outputs, actions: np.ndarray, accounts: np.ndarray, targets: np.ndarray, block: int
) -> None:
    """Execute all actions once, to write into each cancel the id of the order that action `targets[i]` placed.

    What a block executes is cut wherever a cancel names an order of the same cut. Raises if a place is refused.
    """
    ids, is_cancel, listed = np.zeros(len(actions), np.int64), actions["kind"] == CANCEL, targets.tolist()
    cancels = is_cancel.tolist()
    first = 0
    while first < len(actions):
        end = first + 1
        while end < len(actions) and end - first < block and not (cancels[end] and listed[end] >= first):
            end += 1
        part = slice(first, end)
        actions["order_id"][part] = np.where(is_cancel[part], ids[targets[part]], 0)
        apply_block(tables, out, actions[part], accounts[part])
        receipts = out.receipts[: end - first]
        refused = ~is_cancel[part] & (receipts["code"] != 0)
        if refused.any():
            at = int(np.flatnonzero(refused)[0])
            raise ValueError(f"action {first + at} is refused: {receipts['code'][at]}")
        ids[part] = receipts["order_id"]
        forget_block(tables, out)
        first = end
