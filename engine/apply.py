"""A block turns a state into the next one: `execute` is the engine.

The order inside a block is a function of the block, never the proposer's choice (docs/protocol.md, section 6): inbox
entries, prices, liquidations, then actions by class (what touches no book, cancels, post-only orders, the rest). Inside
a class the authors take turns, one action each, in the order of `keccak(parent_hash ‖ author)`; each author's own
sequence is kept.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from engine.commands import ACTION, ACTIONS_MAX, MESSAGE
from engine.errors import InvariantBroken, PayloadInvalid
from engine.events import compute_events_digest
from engine.inbox import Credit, Withdrawal, apply_entry, record_withdrawal
from engine.intake import encode_commands, gather, order_actions
from engine.invariants import require_invariants
from engine.kernel import apply_commands
from engine.layout import (
    CANCELLATION,
    CANCELLATION_COUNT,
    FILL,
    FILL_COUNT,
    LIQUIDATION,
    LIQUIDATION_COUNT,
    ORDERS_LIVE,
    POSITIONS_OPEN,
    RECEIPT,
    WITHDRAWAL,
    WITHDRAWAL_COUNT,
    Outputs,
)
from engine.limits import LIQUIDATION_STEPS
from engine.liquidation import liquidate_accounts
from engine.oracle import apply_reports
from engine.payload import (
    BATCH_ACTIONS_MAX,
    BATCH_MESSAGES_MAX,
    BATCH_REFS_MAX,
    INBOX_ENTRIES_MAX,
    PRICE_REPORTS_MAX,
    InboxEntry,
    PriceReport,
)
from engine.root import StateCommitment, commitment_of
from engine.state import EngineState, ensure_capacity, seal
from engine.tree import read_key

__all__ = ["BatchInput", "BlockInput", "BlockResult", "InvariantBroken", "PayloadInvalid", "execute"]


class BatchInput(NamedTuple):
    """One author's batch as `engine.intake.decode_batch` gives it: messages (m,) MESSAGE, actions (n,) ACTION, message
    by message, and `signers` (m, 20) uint8, the address that signed each message, zero for nobody.
    """

    author: int
    sequence: int
    messages: np.ndarray
    actions: np.ndarray
    signers: np.ndarray


class BlockInput(NamedTuple):
    """Everything that enters the engine at one height. `seed` is the parent's header hash."""

    height: int
    time_ms: int
    seed: bytes
    price_reports: tuple[PriceReport, ...]
    inbox: tuple[InboxEntry, ...]
    l1_block: int
    batches: tuple[BatchInput, ...]


@dataclass(frozen=True, slots=True)
class BlockResult:
    """The ten words of the commitment, then what happened. Layouts of the arrays: `engine.layout`.

    `receipts` has one row per action in input order; fills, cancellations and liquidations are in order of execution.
    """

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
    receipts: np.ndarray
    fills: np.ndarray
    cancellations: np.ndarray
    liquidations: np.ndarray
    credits: list[Credit]
    withdrawals: list[Withdrawal]

    @property
    def commitment(self) -> StateCommitment:
        """The ten words alone."""
        return StateCommitment(*(getattr(self, name) for name in StateCommitment._fields))


def _require(holds: bool, message: str) -> None:
    if not holds:
        raise PayloadInvalid(message)


def _check_batches(parent: EngineState, batches: tuple[BatchInput, ...]) -> None:
    """Batches of known authors, sequences growing, arrays of the right shape."""
    _require(len(batches) <= BATCH_REFS_MAX, "too many batches")
    sequences = [int(sequence) for sequence in parent.batch_sequences]
    for batch in batches:
        _require(0 <= batch.author < len(sequences), f"no author {batch.author}")
        _require(
            sequences[batch.author] < batch.sequence < 1 << 63,
            f"sequence {batch.sequence} of author {batch.author} does not follow {sequences[batch.author]}",
        )
        sequences[batch.author] = batch.sequence
        _check_arrays(batch)


def _check_arrays(batch: BatchInput) -> None:
    """Shapes, and actions for exactly the messages."""
    count = len(batch.messages)
    _require(0 < count <= BATCH_MESSAGES_MAX, "a batch holds 1 to 256 messages")
    _require(len(batch.actions) <= BATCH_ACTIONS_MAX, "a batch holds at most 512 actions")
    _require(batch.messages.dtype == MESSAGE and batch.messages.shape == (count,), "messages must be (m,) MESSAGE")
    _require(batch.actions.dtype == ACTION and batch.actions.ndim == 1, "actions must be (n,) ACTION")
    counts = batch.messages["count"]
    is_complete = counts.min() >= 1 and counts.max() <= ACTIONS_MAX and int(counts.sum()) == len(batch.actions)
    _require(is_complete, "a message has 1 to 64 actions, and all of them are there")
    _require(batch.signers.dtype == np.uint8 and batch.signers.shape == (count, 20), "signers must be (m, 20) u1")


def _check_block(parent: EngineState, block: BlockInput) -> None:
    """Everything a proposer can get wrong. Raises `PayloadInvalid`."""
    _require(block.height == parent.height + 1, f"height {block.height} does not follow {parent.height}")
    _require(parent.time_ms < block.time_ms < 1 << 62, f"time {block.time_ms} is not above {parent.time_ms}")
    _require(parent.l1_block <= block.l1_block < 1 << 63, f"l1_block {block.l1_block} is below {parent.l1_block}")
    _require(len(block.seed) == 32, "the seed has 32 bytes")
    _require(len(block.price_reports) <= PRICE_REPORTS_MAX, "too many price reports")
    _require(len(block.inbox) <= INBOX_ENTRIES_MAX, "too many inbox entries")
    for offset, entry in enumerate(block.inbox):
        _require(entry.index == parent.inbox_cursor + offset, f"inbox entry {entry.index} is not the next one")
    _check_batches(parent, block.batches)


def _allocate(state: EngineState, commands: int) -> Outputs:
    """Room for everything the kernels can write: a fill ends a resting order or a taker, a liquidation step is a
    taker.
    """
    counters = state.tables.counters
    orders = int(counters[ORDERS_LIVE]) + commands
    positions = int(counters[POSITIONS_OPEN])
    accounts = len(state.tables.accounts)
    rows = (commands, orders + commands + positions * (LIQUIDATION_STEPS + 1), orders, accounts, commands)
    kinds = (RECEIPT, FILL, CANCELLATION, LIQUIDATION, WITHDRAWAL)
    return Outputs(*(np.empty((count, kind.itemsize // 8), dtype=np.int64) for count, kind in zip(rows, kinds)))


def _view(rows: np.ndarray, count: int, kind: np.dtype) -> np.ndarray:
    """The written rows as records."""
    return rows[:count].copy().view(kind).reshape(count)


def _run_kernels(state: EngineState, block: BlockInput) -> Outputs:
    """Liquidations, then all commands, on a state whose inbox and prices are done."""
    intake = gather(block.batches)
    commands = encode_commands(intake)
    counters = state.tables.counters
    counters[FILL_COUNT] = counters[CANCELLATION_COUNT] = counters[LIQUIDATION_COUNT] = counters[WITHDRAWAL_COUNT] = 0
    ensure_capacity(state, 0, len(commands))
    outputs = _allocate(state, len(commands))
    liquidate_accounts(state.tables, outputs)
    if len(commands):
        apply_commands(state.tables, outputs, commands, order_actions(block, intake), block.time_ms)
    return outputs


def _record_withdrawals(state: EngineState, outputs: Outputs) -> list[Withdrawal]:
    """Append what the kernel debited to the withdrawal tree."""
    count = int(state.tables.counters[WITHDRAWAL_COUNT])
    first = state.withdrawals_count - count
    return [
        record_withdrawal(state, first + at, int(account), read_key(state.tables, int(account))[0], int(amount_quote))
        for at, (account, amount_quote) in enumerate(outputs.withdrawals[:count])
    ]


def execute(parent: EngineState, block: BlockInput) -> tuple[EngineState, BlockResult]:
    """The state after a block, and what happened in it. `parent` is never changed.

    Raises `PayloadInvalid` when no honest proposer would have built the block and `InvariantBroken` when the engine
    is wrong.
    """
    _check_block(parent, block)
    state = parent.copy()
    state.height, state.time_ms, state.l1_block = block.height, block.time_ms, block.l1_block
    for batch in block.batches:
        state.batch_sequences[batch.author] = batch.sequence
    ensure_capacity(state, len(block.inbox), 0)
    consumed = [apply_entry(state, entry) for entry in block.inbox]
    have_marks_changed = apply_reports(state, block.price_reports, block.time_ms)
    outputs = _run_kernels(state, block)
    withdrawals = [paid_back for _, paid_back in consumed if paid_back] + _record_withdrawals(state, outputs)
    credits = [credit for credit, _ in consumed if credit]
    counters = state.tables.counters
    tables = (
        _view(outputs.receipts, len(outputs.receipts), RECEIPT),
        _view(outputs.fills, int(counters[FILL_COUNT]), FILL),
        _view(outputs.cancellations, int(counters[CANCELLATION_COUNT]), CANCELLATION),
        _view(outputs.liquidations, int(counters[LIQUIDATION_COUNT]), LIQUIDATION),
    )
    state.events_digest = compute_events_digest(tables, credits, withdrawals)
    if not seal(state, have_marks_changed):
        raise InvariantBroken(f"height {state.height}: claims or debts of all accounts out of bounds")
    require_invariants(state)
    return state, BlockResult(*commitment_of(state), *tables, credits, withdrawals)
