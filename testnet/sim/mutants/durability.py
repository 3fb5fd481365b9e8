"""Bugs of what is remembered: journal, guard, the order of disk and network."""

from consensus import recovery, votes
from consensus.effects import CancelTimer
from testnet.sim.mutants.patches import Mutant, Patches


def own_votes_not_persisted(patches: Patches) -> None:
    patches.put(votes, "Persist", lambda record: CancelTimer(("nothing", 0)))


def votes_forgotten_at_restart(patches: Patches) -> None:
    patches.put(recovery, "restore_vote", lambda *_: None)


MUTANTS = (
    Mutant(own_votes_not_persisted, "D1"),
    Mutant(votes_forgotten_at_restart, "D2", "unguarded"),
)
