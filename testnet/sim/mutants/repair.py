"""Bugs of getting what was missed: fetching, range sync, saying things again."""

from consensus import chain, core, retry, round
from consensus.state import State
from testnet.sim.mutants.patches import Mutant, Patches


def no_block_fetch(patches: Patches) -> None:
    patches.put(round, "run_fetches", lambda _: None)
    no_range_sync(patches)


def no_range_sync(patches: Patches) -> None:
    patches.put(chain, "fall_behind", lambda _: None)
    patches.put(retry, "fall_behind", lambda _: None)


def nothing_said_again(patches: Patches) -> None:
    for name in ("on_retry_timer", "on_standstill_timer", "on_peer_connected", "help_laggard"):
        patches.put(core, name, lambda *_: None)


def signs_while_it_syncs(patches: Patches) -> None:
    def can_sign(core_state: State) -> bool:
        is_sound = core_state.is_started and not (core_state.is_diverged or core_state.is_halted)
        return core_state.config.me is not None and is_sound

    patches.put(State, "can_sign", property(can_sign))


MUTANTS = (
    Mutant(no_block_fetch, "R9", "unguarded"),
    Mutant(no_range_sync, "R7", "long outage"),
    Mutant(nothing_said_again, "R8", "unguarded"),
)
