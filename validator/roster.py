"""Who is who: members by number, committees by epoch.

A member's *number* is that of its registration: permanent, and what the engine knows the authors of batches and price
reports by, and the links their peers. Its *index* is its place in the committee of one epoch: in votes, bitmaps and
headers. Only this file turns one into the other.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import cbor2

from consensus.committee import Committee, Member


@dataclass(frozen=True, slots=True)
class Seats:
    """The committee of an epoch and, in its order, the numbers of its members."""

    committee: Committee
    numbers: tuple[int, ...]

    def __post_init__(self) -> None:
        if len(self.numbers) != len(self.committee.members) or len(set(self.numbers)) != len(self.numbers):
            raise ValueError("every member of a committee has a number of its own")

    @property
    def epoch(self) -> int:
        return self.committee.epoch

    def find(self, number: int) -> int | None:
        """The index of a member."""
        return self.numbers.index(number) if number in self.numbers else None

    def encode(self) -> bytes:
        members = [
            [number, member.bls_key, member.network_key, member.weight]
            for number, member in zip(self.numbers, self.committee.members)
        ]
        return cbor2.dumps([self.epoch, members], canonical=True)

    @classmethod
    def decode(cls, data: bytes) -> "Seats":
        """Of our own bytes."""
        epoch, members = cbor2.loads(data)
        seats = tuple(Member(bls_key, network_key, weight) for _, bls_key, network_key, weight in members)
        return cls(Committee(epoch, seats), tuple(number for number, *_ in members))


def make_founders(bls_keys: Iterable[bytes], network_keys: Iterable[bytes], epoch: int = 1) -> Seats:
    """The first committee: those who registered first, in that order."""
    members = tuple(Member(bls_key, network_key) for bls_key, network_key in zip(bls_keys, network_keys, strict=True))
    return Seats(Committee(epoch, members), tuple(range(len(members))))


class Roster:
    """Every committee that this node knows, and everybody it has to do with."""

    def __init__(self, known: Iterable[Seats] = ()) -> None:
        self._seats: dict[int, Seats] = {}
        self._network_keys: dict[int, bytes] = {}
        self._numbers: dict[bytes, int] = {}
        for seats in known:
            self.learn(seats)

    def learn(self, seats: Seats) -> None:
        """A committee; for an epoch that has not begun, a later view of the registry replaces an earlier one."""
        self._seats[seats.epoch] = seats
        for number, member in zip(seats.numbers, seats.committee.members):
            self.introduce(number, member.network_key)

    def introduce(self, number: int, network_key: bytes) -> None:
        """Somebody who is registered, with a seat or without."""
        self._network_keys[number] = network_key
        self._numbers[network_key] = number

    def seats(self, epoch: int) -> Seats | None:
        return self._seats.get(epoch)

    def committee(self, epoch: int) -> Committee | None:
        known = self._seats.get(epoch)
        return None if known is None else known.committee

    def count(self, epoch: int) -> int:
        """Members of an epoch. Raises `KeyError` when its committee is not known."""
        return len(self._seats[epoch].numbers)

    def quorum(self, epoch: int) -> int | None:
        """None when the epoch's committee is not known."""
        known = self._seats.get(epoch)
        return None if known is None else known.committee.quorum

    def network_key(self, number: int) -> bytes | None:
        return self._network_keys.get(number)

    def number(self, network_key: bytes) -> int | None:
        return self._numbers.get(network_key)

    def is_member(self, number: int, epoch: int) -> bool:
        known = self._seats.get(epoch)
        return known is not None and number in known.numbers

    def may_author(self, number: int, epoch: int) -> bool:
        """Whether a block of this epoch may name batches of this author: who has just left may have promised some."""
        return self.is_member(number, epoch) or self.is_member(number, epoch - 1)
