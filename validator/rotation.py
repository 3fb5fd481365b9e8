"""Where a start finds the chain: which epoch it is in, who agrees there, and what came before.

The store has what sealed each epoch and the committee of every epoch that has begun here. An epoch that is sealed
without the next committee being known is gone on with, closed, until the settlement chain has told.
"""

from collections.abc import Callable
from dataclasses import dataclass

from consensus.committee import Committee
from consensus.events import Synced
from consensus.messages import FINALIZE, Certificate, Header
from consensus.sealing import are_trailing
from net.wire import EpochRoot
from validator.roster import Roster, Seats
from validator.store import Seal, Store


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


def find_epoch_root(store: Store, epoch: int) -> EpochRoot | None:
    """What a node needs that starts in this epoch without having been in the one before; None in the first."""
    seal = store.seal(epoch - 1)
    final = None if seal is None else store.final(seal.height)
    if seal is None or final is None:
        return None
    return EpochRoot(final.block, seal.certificate, seal.trailing)


def find_root_fault(
    epoch: int, root: EpochRoot | None, roster: Roster, is_genuine: Callable[[Certificate], bool]
) -> str:
    """Why this cannot be the root of an epoch whose committee, and the one before, are known; empty if it is."""
    if epoch == 1 or root is None:
        return "" if epoch == 1 and root is None else "an epoch and a root that do not fit each other"
    header, certificate, committee = root.block.header, root.certificate, roster.committee(epoch)
    if committee is None or header.epoch != epoch - 1 or header.next_committee_hash != committee.hash():
        return "a root that does not name the epoch's committee"
    if not are_trailing(header, root.trailing):
        return "a root with blocks that are no trailing ones"
    last = (root.block, *root.trailing)[-1]
    is_of_last = (certificate.epoch, certificate.view, certificate.header_hash) == (
        epoch - 1, last.header.view, last.hash(),
    )  # fmt: skip
    needed = roster.quorum(epoch - 1)
    if certificate.kind != FINALIZE or not is_of_last or needed is None or len(certificate.signers()) < needed:
        return "a root without a certificate"
    return "" if is_genuine(certificate) else "a root with a forged certificate"


def adopt_root(store: Store, roster: Roster, epoch: int, root: EpochRoot | None) -> None:
    """Remember a root that was found right, and who agrees on top of it."""
    seats = roster.seats(epoch)
    if root is not None and seats is not None:
        store.put_final(root.block, root.certificate)
        store.put_seal(epoch - 1, Seal(root.block.header.height, root.certificate, root.trailing))
        store.put_seats(seats)
