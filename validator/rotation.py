"""Where a start finds the chain: which epoch it is in, who agrees there, and what came before.

The store has what sealed each epoch and the committee of every epoch that has begun here. An epoch that is sealed
without the next committee being known is gone on with, closed, until the settlement chain has told.
"""

from dataclasses import dataclass

from consensus.committee import Committee
from consensus.events import Synced
from consensus.messages import Header
from validator.roster import Roster, Seats
from validator.store import Store


@dataclass(frozen=True, slots=True)
class Before:
    """The epoch before the current one, for stragglers."""

    committee: Committee
    root: Header
    seal: Synced


@dataclass(frozen=True, slots=True)
class Position:
    """The current epoch with its root."""

    seats: Seats
    root: Header

    @property
    def epoch(self) -> int:
        return self.seats.epoch


def find_position(store: Store, roster: Roster, founders: Seats, genesis: Header) -> Position:
    """EP6: the newest epoch that has both a root and a committee here."""
    for epoch in store.sealed_epochs():
        seats, root = roster.seats(epoch + 1), find_root(store, epoch + 1)
        if seats is not None and root is not None:
            return Position(seats, root)
    return Position(founders, genesis)


def find_root(store: Store, epoch: int) -> Header | None:
    """The block that sealed the epoch before."""
    seal = store.seal(epoch - 1)
    final = None if seal is None else store.final(seal.height)
    return None if final is None else final.block.header


def find_last_final(store: Store, position: Position, height: int) -> Synced | None:
    """How agreement is told where the stored chain ends; None at the root of its epoch."""
    seal = store.seal(position.epoch)
    final = store.final(height) if seal is None or seal.height == height else None
    if final is None or final.block.header.epoch != position.epoch:
        return None
    if seal is not None:
        return Synced(final.block, seal.certificate, seal.trailing)
    return Synced(final.block, final.certificate) if final.is_direct else None


def find_before(store: Store, roster: Roster, position: Position, founders: Seats, genesis: Header) -> Before | None:
    """The epoch before, if there was one and all of it is here."""
    epoch = position.epoch - 1
    seal, committee = store.seal(epoch), roster.committee(epoch)
    root = genesis if epoch == founders.epoch else find_root(store, epoch)
    final = None if seal is None else store.final(seal.height)
    if seal is None or committee is None or root is None or final is None:
        return None
    return Before(committee, root, Synced(final.block, seal.certificate, seal.trailing))
