"""What waits to be handled by the driver of agreement."""

from dataclasses import dataclass

from consensus.epochs import HolderEvent
from consensus.events import Event
from validator.roster import Seats


@dataclass(frozen=True, slots=True)
class Said:
    """A message from the authenticated link of a member."""

    number: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Linked:
    """A link to a member is up."""

    number: int


@dataclass(frozen=True, slots=True)
class Appointed:
    """EP1: who agrees in an epoch that has not begun here."""

    seats: Seats


@dataclass(frozen=True, slots=True)
class Answer:
    """Of this node, to a question that was asked in the name of an epoch."""

    epoch: int
    event: Event | HolderEvent


Input = Said | Linked | Appointed | Answer
