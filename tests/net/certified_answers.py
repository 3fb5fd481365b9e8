"""What the nodes of a made-up network answer about its certificates, over any number of epochs."""

from collections.abc import Generator, Sequence
from typing import Any

from certified_chain import DOMAIN, Chain, Keyring

from net.client.protocol import Call, HansaError
from net.gateway import present
from net.gateway.backend import FinalisedHeader
from net.succession import Seat, Succession

EVERY = 3  # blocks to a certificate of one's own
BLOCKS = 7  # of each epoch


def make_chains(keyrings: Sequence[Keyring]) -> list[Chain]:
    """One epoch after the other; each but the last is sealed, with a certificate that is a trailing block's."""
    chains: list[Chain] = []
    for at, keyring in enumerate(keyrings):
        chain = Chain(keyring, chains[-1] if chains else None)
        for _ in range(BLOCKS - 1 if at + 1 < len(keyrings) else BLOCKS):
            chain.grow()
        if at + 1 < len(keyrings):
            chain.seal(keyrings[at + 1].seats.committee.hash())
        chains.append(chain)
    return chains


class CertifiedAnswers:
    """Every third block of an epoch has a certificate of its own, and the last one of all but the last epoch that of a
    trailing block. `lies` replaces an answer.
    """

    def __init__(self, keyrings: Sequence[Keyring]) -> None:
        self.chains = make_chains(keyrings)
        self.headers = {block.header.height: block.header for chain in self.chains for block in chain.blocks}
        self.asked: list[tuple[str, int]] = []
        self.late = 0  # how often the node is asked before it knows what it is asked for
        self.lies: dict[tuple[str, int], Any] = {}

    def answer(self, call: Call) -> Any:
        """Raises `HansaError`."""
        (number,) = call.params.values()
        self.asked.append((call.method, number))
        if self.late > 0:
            self.late -= 1
            raise HansaError(712, "not_found")
        if (call.method, number) in self.lies:
            return self.lies[call.method, number]
        if call.method == "public/x_get_committee":
            return self._succession(number).to_json()
        assert call.method == "public/x_get_certificate"
        return self._certificate(number)

    def _certificate(self, height: int) -> dict[str, Any]:
        chain = next((chain for chain in self.chains if height < chain.first_height + len(chain.blocks)), None)
        if chain is None:
            raise HansaError(712, "not_found")
        last = chain.first_height + len(chain.blocks) - 1
        certified = min(last, chain.first_height - 1 - -(height - chain.first_height + 1) // EVERY * EVERY)
        if chain is self.chains[-1] and (certified - chain.first_height + 1) % EVERY:
            raise HansaError(712, "not_found")
        return present.certificate(FinalisedHeader(self.headers[height], chain.certificate(certified)))

    def _succession(self, epoch: int) -> Succession:
        if not 1 <= epoch <= len(self.chains):
            raise HansaError(712, "not_found")
        known = self.chains[epoch - 1].keyring.seats
        seats = tuple(Seat(number, *member) for number, member in zip(known.numbers, known.committee.members))
        if epoch == 1:
            return Succession(1, seats, (), None)
        before = self.chains[epoch - 2]
        last = before.first_height + len(before.blocks) - 1
        assert before.trailing is not None
        return Succession(epoch, seats, (before.blocks[-1].header, before.trailing.header), before.certificate(last))

    def carry(self, asking: Generator[Call, Any, Any]) -> Any:
        """What it comes to, as a client would carry it."""
        try:
            call = next(asking)
            while True:
                try:
                    shown = self.answer(call)
                except HansaError as error:
                    call = asking.throw(error)
                else:
                    call = asking.send(shown)
        except StopIteration as done:
            return done.value


NETWORK_ID = "0x" + DOMAIN.hex()
