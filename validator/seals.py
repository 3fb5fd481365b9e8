"""What proves the committee of an epoch: the block that ended the epoch before names it, and a quorum signed that."""

from net.succession import Seat, Succession
from validator.roster import Roster
from validator.store import Store


def read_succession(store: Store, roster: Roster, epoch: int) -> Succession | None:
    """None where the epoch, or the end of the one before, is not known here."""
    known = roster.seats(epoch)
    if known is None:
        return None
    seats = tuple(Seat(number, *member) for number, member in zip(known.numbers, known.committee.members))
    seal = store.seal(epoch - 1) if epoch else None
    final = None if seal is None else store.final(seal.height)
    if seal is not None and final is not None:
        headers = (final.block.header, *(block.header for block in seal.trailing))
        return Succession(epoch, seats, headers, seal.certificate)
    return Succession(epoch, seats, (), None) if roster.seats(epoch - 1) is None else None
