"""The parts of a block that are compiled, behind one entry point.

Clock, liquidation and actions need each other's kernels: a stop that fires is placed like any order, a liquidation
trades on the book. As one unit they are optimised once instead of three times.
"""

import numpy as np

from engine.actions import apply_all
from engine.authority import encode_addresses, encode_data, view_actions
from engine.clock import run_clock as tick
from engine.commands import ACTION
from engine.compiling import entry_point
from engine.intake import Intake
from engine.tables import Number, Outputs, Tables
from engine.waterfall import liquidate as judge_accounts

CLOCK, LIQUIDATION, ACTIONS = (np.int64(stage) for stage in range(3))
_NO_ACTIONS = view_actions(np.empty(0, ACTION))
_NO_KEYS = encode_addresses(np.empty((0, 20), np.uint8))
_NONE = np.empty(0, np.int64)


@entry_point
def _run_stage(
    t: Tables, out: Outputs, stage: Number, time_ms: Number, actions: np.ndarray, keys: np.ndarray,
    message_of_action: np.ndarray, batch_of_message: np.ndarray, classes: np.ndarray, sequence: np.ndarray,
    codes: np.ndarray, accounts: np.ndarray, caps: np.ndarray,
) -> None:  # fmt: skip
    if stage == CLOCK:
        tick(t, out, time_ms)
    elif stage == LIQUIDATION:
        judge_accounts(t, out, time_ms)
    else:
        apply_all(
            t, out, actions, keys, message_of_action, batch_of_message, classes, sequence, codes, accounts, caps,
            time_ms,
        )  # fmt: skip


def run_clock(t: Tables, out: Outputs, time_ms: int) -> None:
    """One block's clock (`engine.clock`)."""
    nothing = (_NO_ACTIONS, _NO_KEYS, *(_NONE,) * 7)
    _run_stage(t, out, CLOCK, np.int64(time_ms), *nothing)


def liquidate(t: Tables, out: Outputs, time_ms: int) -> None:
    """Judge every account after the clock (`engine.waterfall`)."""
    nothing = (_NO_ACTIONS, _NO_KEYS, *(_NONE,) * 7)
    _run_stage(t, out, LIQUIDATION, np.int64(time_ms), *nothing)


def apply_actions(
    t: Tables, out: Outputs, intake: Intake, sequence: np.ndarray, codes: np.ndarray, accounts: np.ndarray,
    caps: np.ndarray, time_ms: int,
) -> None:  # fmt: skip
    """Execute all actions of a block whose code is still 0 and write the receipts of all, in input order.

    `sequence` (n,) from `order_actions`; `codes` (n,), `accounts` and `caps` (m,) from `judge_messages`. To be called
    in every block, with or without actions.
    """
    _run_stage(
        t, out, ACTIONS, np.int64(time_ms), view_actions(intake.actions), encode_data(intake),
        intake.message_of_action, intake.batch_of_message, intake.classes, sequence, codes, accounts, caps,
    )  # fmt: skip
