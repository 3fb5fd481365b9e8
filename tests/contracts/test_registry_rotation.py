"""Committees follow each other: by the registry's rule, by the old committee's signature, and in no other way."""

from collections.abc import Iterator

import pytest
from blspy import G1Element, PopSchemeMPL
from guild import REPORTER, Guild
from settlement_world import REGISTRATIONS_MAX, SEATS_MAX, STAKE_UNITS, UNBONDING_S

from contracts import bls, digests
from contracts.records import Refused, ValidatorState

WAITING, SERVING, LEAVING, UNBONDING, GONE = (
    ValidatorState.WAITING, ValidatorState.SERVING, ValidatorState.LEAVING, ValidatorState.UNBONDING,
    ValidatorState.GONE,
)  # fmt: skip


@pytest.fixture(scope="module")
def founded_guild() -> Iterator[tuple[Guild, int]]:
    guild = Guild(validator_count=REGISTRATIONS_MAX + 1)
    yield guild, guild.world.chain.head.block_number
    guild.world.chain.close()


@pytest.fixture
def guild(founded_guild: tuple[Guild, int]) -> Guild:
    """Validators 0 to 3 are the committee of epoch 1; nobody waits."""
    shared, block = founded_guild
    shared.rewind(block)
    return shared


# Who comes next.


def test_four_become_seven_in_two_epochs(guild: Guild) -> None:
    for number in (4, 5, 6, 7):
        guild.join(number)
    guild.operator(1).leave()
    assert guild.registry.next_numbers() == [0, 2, 3, 4, 5]
    assert guild.rotate() == [0, 2, 3, 4, 5]
    assert guild.rotate() == [0, 2, 3, 4, 5, 6, 7]
    assert guild.registry.entry_queue() == guild.registry.exit_queue() == []
    assert [member.number for member in guild.registry.committee(1)] == [0, 1, 2, 3]
    assert guild.world.contract.epoch() == guild.registry.epoch() == 3


def test_the_queue_is_served_in_the_order_of_coming(guild: Guild) -> None:
    for number in (4, 5, 6):
        guild.join(number)
    guild.operator(4).leave()
    assert guild.registry.entry_queue() == [5, 6]
    guild.operator(4).rejoin()
    assert guild.registry.entry_queue() == [5, 6, 4]
    assert guild.registry.next_numbers() == [0, 1, 2, 3, 5, 6]
    guild.operator(5).leave()
    assert guild.registry.next_numbers() == [0, 1, 2, 3, 4, 6]


@pytest.mark.parametrize(
    ("leaving", "waiting", "expected"),
    [
        ([0], [], [0, 1, 2, 3]),
        ([2], [4], [0, 1, 3, 4]),
        ([3, 0], [4, 5], [0, 1, 2, 4, 5]),
        ([0, 1, 2, 3], [4, 5], [1, 2, 3, 4, 5]),
    ],
    ids=["nobody leaves four", "one for one", "one of four at a time", "first come, first gone"],
)
def test_who_may_leave(guild: Guild, leaving: list[int], waiting: list[int], expected: list[int]) -> None:
    for number in leaving:
        guild.operator(number).leave()
    for number in waiting:
        guild.join(number)
    assert guild.registry.exit_queue() == leaving
    assert guild.registry.next_numbers() == expected


def test_seats_are_limited(guild: Guild) -> None:
    for number in range(4, REGISTRATIONS_MAX):
        guild.join(number)
    while len(guild.rotate()) < SEATS_MAX:
        pass
    assert guild.registry.entry_queue() == [9, 10, 11]
    assert guild.registry.next_numbers() == guild.numbers() == list(range(SEATS_MAX))
    guild.operator(5).leave()
    guild.operator(2).leave()
    guild.operator(0).leave()
    assert guild.registry.next_numbers() == [0, 1, 3, 4, 6, 7, 8, 9, 10]
    with pytest.raises(Refused, match="no number is left"):
        guild.join(REGISTRATIONS_MAX)


def test_the_rule_reads_what_is_stored_at_a_block(guild: Guild) -> None:
    block = guild.world.chain.head.block_number
    guild.join(4)
    assert guild.registry.next_numbers() == [0, 1, 2, 3, 4]
    assert guild.registry.next_numbers(block) == [0, 1, 2, 3]
    assert [member.number for member in guild.registry.next_members(block)] == [0, 1, 2, 3]


# Who decides it.


def test_only_the_old_committees_signature_rotates(guild: Guild) -> None:
    guild.join(4)
    guild.registry.make_committee([0, 1, 2, 3, 4])
    next_hash = digests.committee_hash(guild.registry.members([0, 1, 2, 3, 4]))
    with pytest.raises(Refused, match="epoch: not sealed"):
        guild.world.contract.advance_epoch()
    with pytest.raises(Refused, match="checkpoint: signature"):
        fields = guild.next_fields(next_hash)
        guild.world.contract.checkpoint(fields.encode(), [], bytes(guild.world.sign(b"\0" * 32)))
    guild.post(guild.next_fields())
    with pytest.raises(Refused, match="epoch: not sealed"):
        guild.world.contract.advance_epoch()
    guild.post(guild.next_fields(next_hash), [0, 1, 2])
    assert guild.world.contract.next_committee_hash() == next_hash
    assert guild.numbers() == [0, 1, 2, 3]
    guild.world.as_account(REPORTER).advance_epoch()
    assert guild.numbers() == [0, 1, 2, 3, 4]
    assert guild.world.contract.next_committee_hash() == bytes(32)
    with pytest.raises(Refused, match="epoch: not sealed"):
        guild.world.contract.advance_epoch()


def test_a_committee_that_nobody_made_cannot_begin(guild: Guild) -> None:
    guild.join(4)
    next_hash = digests.committee_hash(guild.registry.members([0, 1, 2, 3, 4]))
    guild.post(guild.next_fields(next_hash))
    with pytest.raises(Refused, match="epoch: no such committee"):
        guild.world.contract.advance_epoch()
    guild.operator(4).leave()  # too late: it is signed, and anyone can still make it
    guild.registry.make_committee([0, 1, 2, 3, 4])
    guild.world.contract.advance_epoch()
    assert guild.numbers() == [0, 1, 2, 3, 4]
    assert guild.state(4) == LEAVING
    assert guild.rotate() == [0, 1, 2, 3]
    assert guild.state(4) == UNBONDING


def test_the_old_committee_is_dead(guild: Guild) -> None:
    guild.join(4)
    guild.rotate()
    old = guild.next_fields()
    header = type(old)(height=old.height, epoch=1).encode()
    with pytest.raises(Refused, match="checkpoint: epoch"):
        guild.world.contract.checkpoint(header, [], guild.world.sign(guild.world.digest(header)))
    # Nor do the old four make a quorum by themselves if the committee has grown enough.
    for number in (5, 6, 7):
        guild.join(number)
    guild.rotate()
    with pytest.raises(Refused, match="too few signers"):
        guild.post(guild.next_fields(), [0, 1, 2, 3])
    guild.post(guild.next_fields(), [0, 1, 2, 3, 4, 5])


def test_a_seal_is_for_one_committee(guild: Guild) -> None:
    guild.join(4)
    next_hash = guild.seal()
    for other in (bytes(32), b"\x01" * 32):
        with pytest.raises(Refused, match="sealed for another committee"):
            guild.post(guild.next_fields(other))
    guild.post(guild.next_fields(next_hash))  # a trailing block's header
    guild.world.contract.advance_epoch()
    assert guild.numbers() == [0, 1, 2, 3, 4]
    guild.post(guild.next_fields())


def test_the_new_committees_keys_are_used(guild: Guild) -> None:
    for number in (4, 5):
        guild.join(number)
    guild.operator(0).leave()
    assert guild.rotate() == [1, 2, 3, 4, 5]
    aggregate = G1Element()
    for number in guild.numbers():
        aggregate += guild.secrets[number].get_g1()
    word = guild.registry._read("committees", guild.registry.committee_hash(2))
    chain = guild.world.chain
    blob = chain.code(bytes.fromhex(f"{word & (1 << 160) - 1:040x}"), chain.head.block_number)
    assert word >> 160 == 5
    assert blob[1:129] == bls.key_words(bytes(aggregate))
    assert blob[129:] == b"".join(bls.key_words(bytes(guild.secrets[i].get_g1())) for i in guild.numbers())
    guild.post(guild.next_fields(), [1, 3, 4, 5])
    with pytest.raises(Refused, match="checkpoint: signature"):
        header = guild.next_fields().encode()
        guild.world.contract.checkpoint(header, [0], guild.world.sign(guild.world.digest(header), (0,)))


def test_a_frozen_network_has_no_next_epoch_and_lets_validators_go(guild: Guild) -> None:
    for number in (4, 5):
        guild.join(number)
    guild.operator(3).leave()
    guild.seal([0, 1, 2, 3, 4])
    guild.world.pass_time(guild.world.contract.max_silence_s() + 1)
    guild.world.contract.freeze()
    with pytest.raises(Refused, match="epoch: frozen"):
        guild.world.contract.advance_epoch()
    with pytest.raises(Refused, match="rejoin: frozen"):
        guild.operator(3).rejoin()
    for number in (0, 3, 4):
        guild.operator(number).leave()
        assert guild.state(number) == UNBONDING
    assert (guild.registry.entry_queue(), guild.registry.exit_queue()) == ([5], [])
    guild.world.pass_time(UNBONDING_S + 1)
    for number in (0, 3, 4):
        guild.operator(number).withdraw_stake()


# The stake.


def test_a_stake_comes_back_after_the_unbonding_time(guild: Guild) -> None:
    guild.join(4)
    guild.operator(1).leave()
    contract, operator = guild.world.contract, guild.operator(1)
    assert contract.token_balance(guild.registry.address_bytes) == 5 * STAKE_UNITS
    with pytest.raises(Refused, match="stake: not unbonding"):
        operator.withdraw_stake()
    guild.rotate()
    assert guild.registry.standing(1).stake == STAKE_UNITS
    assert guild.registry.standing(1).serving_epoch == 1
    guild.world.pass_time(UNBONDING_S - 5)
    with pytest.raises(Refused, match="stake: too early"):
        operator.withdraw_stake()
    guild.world.pass_time(10)
    operator.withdraw_stake()
    assert contract.token_balance(operator.sender) == STAKE_UNITS
    assert contract.token_balance(guild.registry.address_bytes) == 4 * STAKE_UNITS
    assert (guild.state(1), guild.registry.standing(1).stake) == (GONE, 0)
    with pytest.raises(Refused, match="stake: not unbonding"):
        operator.withdraw_stake()


def test_who_left_comes_back_under_its_number(guild: Guild) -> None:
    guild.join(4)
    guild.operator(1).leave()
    guild.rotate()
    guild.operator(1).rejoin()  # the stake is still here
    assert guild.rotate() == [0, 1, 2, 3, 4]
    guild.operator(1).leave()
    guild.operator(1).rejoin()  # before it was let go
    assert (guild.state(1), guild.registry.exit_queue()) == (SERVING, [])
    guild.operator(1).leave()
    guild.rotate()
    guild.world.pass_time(UNBONDING_S + 1)
    guild.operator(1).withdraw_stake()
    guild.operator(1).rejoin()
    assert guild.state(1) == WAITING
    assert guild.world.contract.token_balance(guild.registry.address_bytes) == 5 * STAKE_UNITS


def test_no_stake_no_number(guild: Guild) -> None:
    registry = guild.operator(4)
    key, network_key = bytes(guild.secrets[4].get_g1()), b"\x05" * 32
    digest = digests.possession_digest(registry.chain_id, registry.address_bytes, registry.sender, network_key, key)
    with pytest.raises(Refused, match="token: balance"):
        registry.register(key, bytes(PopSchemeMPL.sign(guild.secrets[4], digest)), network_key)
    assert guild.registry.registration_count() == 4


def test_what_others_do_costs_nobody_gas(guild: Guild) -> None:
    """Queues are linked, not searched: coming and leaving costs the same in a long queue and in a short one."""
    for number in (4, 5, 6):
        guild.join(number)
    of_three = [guild.operator(5).leave().gas_used, guild.operator(5).rejoin().gas_used]
    for number in range(7, REGISTRATIONS_MAX):
        guild.join(number)
    of_eight = [guild.operator(8).leave().gas_used, guild.operator(8).rejoin().gas_used]
    assert of_eight == pytest.approx(of_three, abs=100)


def test_only_the_registered_come_and_go(guild: Guild) -> None:
    stranger = guild.operator(REPORTER)
    for action in (stranger.leave, stranger.withdraw_stake, lambda: stranger.advertise("here:1")):
        with pytest.raises(Refused, match="the caller is not registered"):
            action()
    with pytest.raises(Refused, match="rejoin: has not left"):
        guild.operator(0).rejoin()
    guild.operator(0).leave()
    with pytest.raises(Refused, match="neither waiting nor serving"):
        guild.operator(0).leave()


def test_an_operator_says_where_its_node_listens(guild: Guild) -> None:
    assert guild.registry.advertised_address(2) == ""
    guild.operator(2).advertise("validator.example:26656")
    guild.operator(2).advertise("validator.example:26657")
    assert guild.registry.advertised_address(2) == "validator.example:26657"
    with pytest.raises(ValueError, match="at most 128 bytes"):
        guild.operator(2).advertise("x" * 129)
