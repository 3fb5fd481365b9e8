"""What a node makes of the registry: committees by epoch, who follows, who waits, and where everybody listens."""

from collections.abc import Iterator

import pytest
from guild import Guild

from consensus.messages import keccak
from contracts.records import ChainError
from contracts.registry import Registry
from validator.appointments import AppointmentsReader, parse_address
from validator.config import PeerAddress
from validator.roster import Roster

OWN_EPOCH = 1


@pytest.fixture(scope="module")
def guild() -> Iterator[Guild]:
    """Numbers 4 to 6 wait, 1 wants to leave; nobody has advertised but 4."""
    guild = Guild(validator_count=7)
    for number in (4, 5, 6):
        guild.join(number)
    guild.operator(1).leave()
    guild.operator(4).advertise("validator.example:26656")
    guild.operator(5).advertise("nonsense")
    yield guild
    guild.world.chain.close()


def latest(guild: Guild) -> int:
    return guild.world.chain.head.block_number


def test_who_follows_is_the_registrys_rule_and_has_its_hash(guild: Guild) -> None:
    found = AppointmentsReader([guild.registry]).read(latest(guild), 1, OWN_EPOCH, None)
    assert (found.chain_epoch, found.begun) == (1, ())
    assert found.following is not None
    assert found.following.epoch == 2 and found.following.numbers == (0, 2, 3, 4, 5)
    guild.registry.make_committee(list(found.following.numbers))
    assert guild.registry.is_made(found.following.committee.hash())
    assert [newcomer.number for newcomer in found.newcomers] == [4, 5, 6]
    assert found.newcomers[0].network_key == guild.registry.validator(4).network_key
    assert found.addresses == {4: PeerAddress("validator.example", 26656)}


def test_an_epoch_that_is_over_here_names_its_successors_itself(guild: Guild) -> None:
    """Whatever the registry's rule would say by now."""
    reader, numbers = AppointmentsReader([guild.registry]), [0, 1, 2, 3]
    guild.registry.make_committee(numbers)
    sealed_hash = guild.registry.committee_hash(1)
    following = reader.read(latest(guild), 1, OWN_EPOCH, sealed_hash).following
    assert following is not None and following.numbers == tuple(numbers)
    assert following.committee.hash() == sealed_hash
    assert reader.read(latest(guild), 1, OWN_EPOCH, keccak(b"nobody made it")).following is None


def test_a_node_ahead_of_the_contract_asks_it_for_nobody(guild: Guild) -> None:
    assert AppointmentsReader([guild.registry]).read(latest(guild), 2, 2, None).following is None


def test_a_node_epochs_behind_reads_all_committees_that_were(guild: Guild) -> None:
    before = latest(guild)
    guild.rotate()
    guild.rotate()
    found = AppointmentsReader([guild.registry]).read(latest(guild), 1, OWN_EPOCH, None)
    assert [seats.epoch for seats in found.begun] == [2, 3] and found.chain_epoch == 3
    roster = Roster(found.begun)
    for seats in found.begun:
        assert seats.committee.hash() == guild.registry.committee_hash(seats.epoch)
        assert [roster.number(member.network_key) for member in seats.committee.members] == list(seats.numbers)
    assert found.following is not None and found.following.epoch == 4
    assert AppointmentsReader([guild.registry]).read(before, 1, OWN_EPOCH, None).chain_epoch == 1, "as of that block"


class Deaf(Registry):
    """An endpoint that is gone."""

    def _read(self, *_: object, **__: object) -> object:
        raise ChainError("no answer")


def test_most_endpoints_must_tell_the_same(guild: Guild) -> None:
    address = guild.world.deployment.registry
    good, deaf = guild.registry, Deaf(guild.world.provider, address)
    assert AppointmentsReader([good, deaf, good]).read(latest(guild), 3, 3, None).chain_epoch == 3
    with pytest.raises(ChainError, match="too few"):
        AppointmentsReader([good, deaf]).read(latest(guild), 3, 3, None)


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("host:1", PeerAddress("host", 1)),
        ("[::1]:26656", PeerAddress("::1", 26656)),
        ("10.0.0.1:65535", PeerAddress("10.0.0.1", 65535)),
        ("", None), ("host", None), (":1", None), ("host:0", None), ("host:65536", None), ("host:x", None),
        ("host:١", None),
    ],
)  # fmt: skip
def test_an_advertised_address_is_host_and_port(text: str, address: PeerAddress | None) -> None:
    assert parse_address(text) == address
