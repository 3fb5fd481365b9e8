"""Validators who come, serve, leave and lie: a world whose committee changes, and keys to sign for any of them."""

from blspy import PopSchemeMPL, PrivateKey
from settlement_world import HeaderFields, World

from consensus.messages import FINALIZE
from contracts import digests
from contracts.court import Court, Statement
from contracts.devchain.chain import funded_key
from contracts.records import ValidatorState
from contracts.registry import Registry

FOUNDERS = 4
REPORTER = 19


class Guild:
    """Account i of the chain operates validator i, whose key is `secrets[i]`. The first four found the network."""

    def __init__(self, validator_count: int) -> None:
        self.world = World(committee_size=validator_count)
        self.secrets: list[PrivateKey] = self.world.secrets
        self.registry: Registry = self.world.as_operator(REPORTER)
        self.court = Court(self.world.provider, self.world.deployment.court, funded_key(REPORTER))
        for number in range(FOUNDERS):
            self.join(number)
        self.world.activate()
        self.height = 0

    def rewind(self, block: int) -> None:
        """Back to what was at this block of the chain."""
        self.world.chain.rewind(block)
        self.world.chain.reset_clock()
        self.height = 0

    def join(self, number: int) -> None:
        self.world.register(number, self.secrets[number])

    def operator(self, number: int) -> Registry:
        return self.world.as_operator(number)

    def state(self, number: int) -> ValidatorState:
        return self.registry.standing(number).state

    def numbers(self) -> list[int]:
        """The committee in office."""
        return [member.number for member in self.registry.committee(self.registry.epoch())]

    def post(self, fields: HeaderFields, numbers: list[int] | None = None) -> None:
        """The header, signed by these validators (default: the committee in office); the others are absent."""
        signers = self.numbers() if numbers is None else numbers
        header = fields.encode()
        digest = self.world.digest(header)
        signature = bytes(PopSchemeMPL.aggregate([PopSchemeMPL.sign(self.secrets[i], digest) for i in signers]))
        absent = [index for index, number in enumerate(self.numbers()) if number not in signers]
        self.world.contract.checkpoint(header, absent, signature)

    def next_fields(self, next_committee_hash: bytes = bytes(32)) -> HeaderFields:
        self.height += 1
        epoch = self.registry.epoch()
        return HeaderFields(height=self.height, epoch=epoch, next_committee_hash=next_committee_hash)

    def seal(self, numbers: list[int] | None = None) -> bytes:
        """Make the next committee (default: the registry's own), and have the one in office sign its hash."""
        numbers = self.registry.next_numbers() if numbers is None else numbers
        self.registry.make_committee(numbers)
        committee_hash = digests.committee_hash(self.registry.members(numbers))
        self.post(self.next_fields(committee_hash))
        return committee_hash

    def rotate(self, numbers: list[int] | None = None) -> list[int]:
        """One epoch change; the new committee."""
        self.seal(numbers)
        self.world.as_account(REPORTER).advance_epoch()
        return self.numbers()

    def state_twice(self, epoch: int, index: int) -> tuple[Statement, Statement]:
        """Member `index` of `epoch` finalises two blocks in one view."""
        number = self.registry.member(epoch, index).number
        pair = []
        for block_hash in (b"a" * 32, b"b" * 32):
            digest = digests.vote_digest(self.world.contract.domain(), FINALIZE, epoch, 5, block_hash)
            signature = bytes(PopSchemeMPL.sign(self.secrets[number], digest))
            pair.append(Statement(FINALIZE, 5, block_hash, 1 << index, signature))
        return pair[0], pair[1]

    def convict(self, epoch: int, index: int) -> None:
        self.court.submit(epoch, *self.state_twice(epoch, index))
