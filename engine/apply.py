"""A block turns a state into the next one: `execute` is the engine (docs/spec.md, BLK-1).

The order inside a block is a function of the block, never the proposer's choice: deposits, prices, the clock,
liquidations, forced actions, then actions by class, authors in turn.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from engine.allocate import make_outputs
from engine.authority import judge_messages
from engine.commands import ACTION, MESSAGE
from engine.errors import InvariantBroken, PayloadInvalid
from engine.events import Credit, Withdrawal, compute_events_digest
from engine.feeds import apply_reports
from engine.forced import apply_forced
from engine.governance import apply_governance
from engine.inbox import apply_entry, record_withdrawal
from engine.intake import Intake, gather, order_actions
from engine.invariants import require_invariants
from engine.payload import (
    BATCH_ACTIONS_MAX,
    BATCH_MESSAGES_MAX,
    BATCH_REFS_MAX,
    INBOX_ENTRIES_MAX,
    PRICE_REPORTS_MAX,
    InboxEntry,
    PriceReport,
)
from engine.root import StateCommitment, commitment_of, seal
from engine.stages import apply_actions, liquidate, run_clock
from engine.state import EngineState
from engine.tables import (
    ADL_COUNT,
    CANCELLATION_COUNT,
    FILL_COUNT,
    LIQUIDATION_COUNT,
    NOTICE_COUNT,
    TIME_MS,
    WITHDRAWAL_COUNT,
    WITHDRAWALS,
    Outputs,
)
from engine.tree import read_key

__all__ = ["BatchInput", "BlockInput", "BlockResult", "InvariantBroken", "PayloadInvalid", "execute"]


class BatchInput(NamedTuple):
    """One author's batch: `messages` (m,) MESSAGE, their `actions` (n,) ACTION, and `signers` (m, 20) uint8, the
    recovered addresses, zero for nobody's signature.
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
    """The ten words of the commitment, then what happened. Layouts of the arrays: `engine.tables`.

    `receipts` has one row per action in input order; the other tables are in order of execution.
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
    deleverages: np.ndarray
    notices: np.ndarray
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
        count = len(batch.messages)
        _require(0 < count <= BATCH_MESSAGES_MAX, "too few or too many messages in a batch")
        _require(count <= len(batch.actions) <= BATCH_ACTIONS_MAX, "too few or too many actions in a batch")
        _require(batch.messages.dtype == MESSAGE and batch.messages.shape == (count,), "messages must be (m,) MESSAGE")
        _require(batch.actions.dtype == ACTION and batch.actions.ndim == 1, "actions must be (n,) ACTION")
        _require(int(batch.messages["count"].sum()) == len(batch.actions), "counts and actions differ")
        _require(batch.signers.dtype == np.uint8 and batch.signers.shape == (count, 20), "signers must be (m, 20) u1")


def _check_block(parent: EngineState, block: BlockInput) -> None:
    """Everything a proposer can get wrong. Raises `PayloadInvalid`."""
    _require(block.height == parent.height + 1, f"height {block.height} does not follow {parent.height}")
    _require(parent.time_ms < block.time_ms < 1 << 50, f"time {block.time_ms} is not above {parent.time_ms}")
    _require(parent.l1_block <= block.l1_block < 1 << 63, f"l1_block {block.l1_block} is below {parent.l1_block}")
    _require(len(block.seed) == 32, "the seed has 32 bytes")
    _require(len(block.price_reports) <= PRICE_REPORTS_MAX, "too many price reports")
    _require(len(block.inbox) <= INBOX_ENTRIES_MAX, "too many inbox entries")
    for offset, entry in enumerate(block.inbox):
        _require(entry.index == parent.inbox_cursor + offset, f"inbox entry {entry.index} is not the next one")
    _check_batches(parent, block.batches)


def _run_actions(state: EngineState, block: BlockInput, intake: Intake, outputs: Outputs) -> None:
    """Judge all messages, then the governor's actions, then everybody's by class; without actions too, because
    `apply_actions` ends the block of the triggers.
    """
    codes, accounts, caps = judge_messages(state.tables, outputs, intake, block.time_ms)
    apply_governance(state, outputs, intake, codes, accounts, block.time_ms)
    sequence = order_actions(block, intake) if len(intake.actions) else np.empty(0, np.int64)
    apply_actions(state.tables, outputs, intake, sequence, codes, accounts, caps, block.time_ms)


def _record_withdrawals(state: EngineState, outputs: Outputs) -> list[Withdrawal]:
    """Append what the kernels debited to the withdrawal tree."""
    rows = outputs.withdrawals[: int(state.tables.counters[WITHDRAWAL_COUNT])]
    first = int(state.tables.counters[WITHDRAWALS]) - len(rows)
    made = []
    for at, row in enumerate(rows):
        account, asset = int(row["account"]), int(row["asset"])
        owner = read_key(state.tables, account)[0]
        made.append(record_withdrawal(state, first + at, account, owner, int(row["amount_units"]), asset))
    return made


def execute(parent: EngineState, block: BlockInput, consume: bool = False) -> tuple[EngineState, BlockResult]:
    """The state after a block, and what happened in it.

    `parent` is never changed unless `consume` gives it up: then the work is done on its own tables and it must not be
    used again, whatever happens. Raises `PayloadInvalid` when no honest proposer would have built the block and
    `InvariantBroken` when the engine is wrong.
    """
    _check_block(parent, block)
    state = parent.shared() if consume else parent.copy()
    state.height, state.time_ms, state.l1_block = block.height, block.time_ms, block.l1_block
    for batch in block.batches:
        state.batch_sequences[batch.author] = batch.sequence
    intake = gather(block.batches)
    outputs = make_outputs(state.tables, len(intake.actions) + len(block.inbox), state.room)
    consumed = [apply_entry(state, outputs, entry) for entry in block.inbox]
    apply_reports(state, outputs, block.price_reports, block.time_ms)
    run_clock(state.tables, outputs, block.time_ms)
    liquidate(state.tables, outputs, block.time_ms)
    for entry in block.inbox:
        apply_forced(state, outputs, entry, block.time_ms)
    _run_actions(state, block, intake, outputs)
    state.tables.counters[TIME_MS] = block.time_ms
    withdrawals = [paid_back for _, paid_back in consumed if paid_back] + _record_withdrawals(state, outputs)
    return _finish(state, outputs, [credit for credit, _ in consumed if credit], withdrawals, len(intake.actions))


def _finish(
    state: EngineState, outputs: Outputs, credits: list[Credit], withdrawals: list[Withdrawal], actions: int
) -> tuple[EngineState, BlockResult]:
    """Hashes, invariants, result."""
    counters = state.tables.counters
    tables = (
        outputs.receipts[:actions],
        outputs.fills[: int(counters[FILL_COUNT])].copy(),
        outputs.cancellations[: int(counters[CANCELLATION_COUNT])].copy(),
        outputs.liquidations[: int(counters[LIQUIDATION_COUNT])].copy(),
        outputs.deleverages[: int(counters[ADL_COUNT])].copy(),
        outputs.notices[: int(counters[NOTICE_COUNT])].copy(),
    )
    state.events_digest = compute_events_digest(tables, credits, withdrawals)
    if not seal(state, outputs):
        raise InvariantBroken(f"height {state.height}: claims or debts of all accounts out of bounds")
    require_invariants(state, outputs)
    return state, BlockResult(*commitment_of(state), *tables, credits, withdrawals)
