"""Bugs of getting what was missed: fetching, range sync, saying things again."""

from collections.abc import Sequence
from typing import Any

from consensus import core, round
from consensus.messages import Block
from consensus.state import State
from testnet.sim.mutants.patches import Mutant, Patches
from validator import catchup
from validator.agreement import Agreement
from validator.catchup import RangeSync


def no_block_fetch(patches: Patches) -> None:
    patches.put(round, "run_fetches", lambda _: None)
    no_range_sync(patches)


def no_range_sync(patches: Patches) -> None:
    patches.put(RangeSync, "_go_on", lambda *_: [])


def no_batch_fetch(patches: Patches) -> None:
    patches.put(Agreement, "_fetch_missing", lambda driver, block: bool(driver._proposals.missing_batches(block)))


def range_answer_unchecked(patches: Patches) -> None:
    patches.put(RangeSync, "_find_fault", lambda *_: "")


def range_certificate_unverified(patches: Patches) -> None:
    honest = RangeSync.__init__

    def make(sync: RangeSync, **arguments: Any) -> None:
        honest(sync, **{**arguments, "is_genuine": lambda _: True})

    patches.put(RangeSync, "__init__", make)


def range_ancestry_unchecked(patches: Patches) -> None:
    """Any blocks before the certified one are its ancestors."""

    def verify_range(_hash: bytes, _height: int, blocks: Sequence[Block], _certificate: object) -> tuple[Block, ...]:
        return tuple(blocks)

    patches.put(catchup, "verify_range", verify_range)


def nothing_said_again(patches: Patches) -> None:
    for name in ("on_retry_timer", "on_standstill_timer", "on_peer_connected", "help_laggard"):
        patches.put(core, name, lambda *_: None)


def signs_while_it_syncs(patches: Patches) -> None:
    def can_sign(core_state: State) -> bool:
        is_sound = core_state.is_started and not (core_state.is_diverged or core_state.is_halted)
        return core_state.config.me is not None and is_sound

    patches.put(State, "can_sign", property(can_sign))


MUTANTS = (
    Mutant(no_block_fetch, "R9", "long outage"),
    Mutant(no_range_sync, "R7", "long outage"),
    Mutant(no_batch_fetch, "R9", "batch hider"),
    Mutant(range_answer_unchecked, "R7", "sync inventor"),
    Mutant(range_certificate_unverified, "R7", "sync inventor"),
    Mutant(range_ancestry_unchecked, "R7", "sync liar"),
    Mutant(nothing_said_again, "R8", "lossy"),
    Mutant(signs_while_it_syncs, "R7", "long outage"),
)
