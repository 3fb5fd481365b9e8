"""What the registry on the settlement chain says of committees, of those who want to join, and of addresses (EP1).

Read at a final block, so that all nodes come to read the same; where several endpoints are asked, most of them must
give the same answer. A registration never changes, so it is read once.
"""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from consensus.committee import Committee, Member
from contracts.records import ChainError
from validator.config import PeerAddress
from validator.roster import Seats

if TYPE_CHECKING:  # web3 is imported late: validator/chain_access.py
    from contracts.registry import Registry

# Of those who wait for a seat, so many are linked: they follow the chain before they vote.
NEWCOMERS_MAX = 16
# Every so many readings, addresses that are known already are asked for again.
ADDRESS_READINGS = 30

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Newcomer:
    """Somebody who is registered and waits."""

    number: int
    network_key: bytes


@dataclass(frozen=True, slots=True)
class Appointments:
    """The registry as of one final block. `begun`: committees of epochs that have begun there and were asked for;
    `following`: who comes after them, None where that is known better here; `addresses` of all who have to do with it.
    """

    chain_epoch: int
    begun: tuple[Seats, ...]
    following: Seats | None
    newcomers: tuple[Newcomer, ...]
    addresses: dict[int, PeerAddress]


class AppointmentsReader:
    """Blocking; call it in a worker thread. Raises `ChainError` and `Refused`."""

    def __init__(self, registries: "Sequence[Registry]") -> None:
        self._registries = registries
        self._members: dict[int, Member] = {}
        self._numbers: dict[bytes, tuple[int, ...]] = {}  # of committees, by their hash
        self._addresses: dict[int, PeerAddress | None] = {}
        self._reading_count = 0

    def read(self, block: int, known_epoch: int, own_epoch: int, sealed_hash: bytes | None) -> Appointments:
        """Committees of epochs above `known_epoch`, and who follows. `sealed_hash`: whom the end of our own epoch
        names, if that is over here without its successors being known; else the registry's rule says it.
        """
        chain_epoch = self._agreed(lambda registry: registry.epoch(block))
        begun = tuple(self._read_committee(epoch, block) for epoch in range(known_epoch + 1, chain_epoch + 1))
        numbers: tuple[int, ...] = ()
        if chain_epoch == own_epoch and sealed_hash is not None:
            numbers = self._agreed(lambda registry: tuple(registry.numbers_of(sealed_hash, block)))
        elif chain_epoch >= own_epoch:
            numbers = self._agreed(lambda registry: tuple(registry.next_numbers(block)))
        following = self._make_seats(chain_epoch + 1, numbers, block) if numbers else None
        waiting = self._agreed(lambda registry: tuple(registry.entry_queue(NEWCOMERS_MAX, block)))
        newcomers = tuple(Newcomer(number, self._member(number, block).network_key) for number in waiting)
        concerned = {*waiting, *numbers, *(number for seats in begun for number in seats.numbers)}
        return Appointments(chain_epoch, begun, following, newcomers, self._read_addresses(concerned, block))

    def _read_committee(self, epoch: int, block: int) -> Seats:
        """A question an epoch, and more only for a committee that was not met before: who comes late has all epochs to
        read.
        """
        name = self._agreed(lambda registry: registry.committee_hash(epoch, block))
        if name not in self._numbers:
            self._numbers[name] = self._agreed(lambda registry: tuple(registry.numbers_of(name, block)))
        seats = self._make_seats(epoch, self._numbers[name], block)
        if seats.committee.hash() != name:
            raise ChainError(f"the registry's committee of epoch {epoch} is not the one that it names")
        return seats

    def _make_seats(self, epoch: int, numbers: tuple[int, ...], block: int) -> Seats:
        return Seats(Committee(epoch, tuple(self._member(number, block) for number in numbers)), numbers)

    def _member(self, number: int, block: int) -> Member:
        if number not in self._members:
            found = self._agreed(lambda registry: registry.validator(number, block))
            self._members[number] = Member(found.bls_key, found.network_key)
        return self._members[number]

    def _read_addresses(self, concerned: set[int], block: int) -> dict[int, PeerAddress]:
        if self._reading_count % ADDRESS_READINGS == 0:
            self._addresses.clear()
        self._reading_count += 1
        for number in sorted(concerned):
            if self._addresses.get(number) is None:
                self._addresses[number] = parse_address(self._read_address(number, block))
        return {number: address for number, address in self._addresses.items() if address is not None}

    def _read_address(self, number: int, block: int) -> str:
        return self._agreed(lambda registry: registry.advertised_address(number, block))

    def _agreed(self, question: "Callable[[Registry], T]") -> T:
        answers: list[T] = []
        for registry in self._registries:
            with suppress(ChainError):
                answers.append(question(registry))
        for answer in answers:
            if 2 * answers.count(answer) > len(self._registries):
                return answer
        raise ChainError("too few of the RPC endpoints tell the same about the registry")


def parse_address(text: str) -> PeerAddress | None:
    """What an operator advertises, host:port; None if it is no address."""
    host, _, port = text.rpartition(":")
    if not host or not port.isascii() or not port.isdigit() or not 0 < int(port) < 1 << 16:
        return None
    return PeerAddress(host.strip("[]"), int(port))
