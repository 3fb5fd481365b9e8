"""The stake of whom the court convicts is taken: once, by anyone, in any epoch, and from nobody else."""

from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
from blspy import PopSchemeMPL
from guild import REPORTER, Guild
from settlement_world import STAKE_UNITS, UNBONDING_S

from contracts import digests
from contracts.digests import KIND_DEPOSIT
from contracts.records import Refused, ValidatorState

REWARD = STAKE_UNITS // 20
INSURANCE_OWNER = (2).to_bytes(20, "big")


@pytest.fixture(scope="module")
def founded_guild() -> Iterator[tuple[Guild, int]]:
    guild = Guild(validator_count=6)
    guild.join(4)
    yield guild, guild.world.chain.head.block_number
    guild.world.chain.close()


@pytest.fixture
def guild(founded_guild: tuple[Guild, int]) -> Guild:
    """Validators 0 to 3 are the committee of epoch 1, number 4 waits."""
    shared, block = founded_guild
    shared.rewind(block)
    return shared


def test_a_convict_loses_the_stake_and_the_seat(guild: Guild) -> None:
    with pytest.raises(Refused, match="slash: not convicted"):
        guild.registry.slash(1, 2)
    guild.convict(1, 2)
    assert guild.registry.next_numbers() == [0, 1, 2, 3, 4]  # a verdict alone changes nothing
    guild.registry.slash(1, 2)
    contract = guild.world.contract
    assert contract.token_balance(guild.registry.sender) == REWARD
    assert guild.registry.insurance_owed() == STAKE_UNITS - REWARD
    assert (guild.state(2), guild.registry.standing(2).stake) == (ValidatorState.JAILED, 0)
    assert guild.registry.next_numbers() == [0, 1, 3, 4]
    assert guild.rotate() == [0, 1, 3, 4]
    assert guild.state(2) == ValidatorState.JAILED


def test_once_is_enough(guild: Guild) -> None:
    guild.convict(1, 2)
    guild.registry.slash(1, 2)
    with pytest.raises(Refused, match="slash: done before"):
        guild.registry.slash(1, 2)
    for action in (guild.operator(2).leave, guild.operator(2).rejoin, guild.operator(2).withdraw_stake):
        with pytest.raises(Refused, match=r"neither waiting|has not left|not unbonding"):
            action()
    assert guild.world.contract.token_balance(guild.registry.address_bytes) == 5 * STAKE_UNITS - REWARD


def test_only_the_convict_is_slashed(guild: Guild) -> None:
    guild.convict(1, 2)
    for index in (0, 1, 3):
        with pytest.raises(Refused, match="slash: not convicted"):
            guild.registry.slash(1, index)
    for epoch, index in ((0, 2), (2, 2), (1, 4), (1, 2**255)):
        with pytest.raises(Refused, match="slash: not convicted"):
            guild.registry.slash(epoch, index)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda pair: (pair[0], pair[0]), "the same statement"),
        (lambda pair: (pair[0], replace(pair[1], signature96=pair[0].signature96)), "second signature"),
        (lambda pair: (pair[0], replace(pair[1], view=6)), "different views"),
        (lambda pair: (pair[0], replace(pair[1], signers=2)), "nobody signed both"),
    ],
    ids=["one statement twice", "one signature for both", "two views", "two members"],
)
def test_two_valid_distinct_digests_or_nothing(guild: Guild, change: Callable, reason: str) -> None:
    with pytest.raises(Refused, match=reason):
        guild.court.submit(1, *change(guild.state_twice(1, 2)))
    with pytest.raises(Refused, match="slash: not convicted"):
        guild.registry.slash(1, 2)


def test_an_old_epoch_is_judged_as_long_as_the_stake_is_there(guild: Guild) -> None:
    guild.operator(1).leave()
    guild.rotate()
    guild.world.pass_time(UNBONDING_S - 100)
    guild.convict(1, 1)
    guild.registry.slash(1, 1)
    guild.world.pass_time(200)
    with pytest.raises(Refused, match="stake: not unbonding"):
        guild.operator(1).withdraw_stake()
    assert guild.registry.insurance_owed() == STAKE_UNITS - REWARD


def test_an_index_means_another_validator_in_another_epoch(guild: Guild) -> None:
    guild.operator(1).leave()
    assert guild.rotate() == [0, 2, 3, 4]
    guild.convict(2, 1)
    guild.registry.slash(2, 1)
    assert [guild.state(number) for number in (1, 2)] == [ValidatorState.UNBONDING, ValidatorState.JAILED]
    # A statement of one epoch convicts nobody in another one.
    with pytest.raises(Refused, match="first signature"):
        guild.court.submit(1, *guild.state_twice(2, 2))
    with pytest.raises(Refused, match="no committee"):
        guild.court.submit(3, *guild.state_twice(2, 2))


def test_who_took_its_stake_in_time_is_jailed_without_it(guild: Guild) -> None:
    guild.operator(1).leave()
    guild.rotate()
    guild.world.pass_time(UNBONDING_S + 1)
    guild.operator(1).withdraw_stake()
    guild.convict(1, 1)
    held = guild.world.contract.token_balance(guild.registry.address_bytes)
    guild.registry.slash(1, 1)
    assert guild.world.contract.token_balance(guild.registry.address_bytes) == held
    assert guild.registry.insurance_owed() == 0
    with pytest.raises(Refused, match="rejoin: has not left"):
        guild.operator(1).rejoin()


def test_a_convict_in_a_queue_leaves_it(guild: Guild) -> None:
    guild.operator(1).leave()
    guild.operator(3).leave()
    guild.convict(1, 1)
    guild.registry.slash(1, 1)
    assert guild.registry.exit_queue() == [3]
    assert guild.rotate() == [0, 2, 3, 4]  # four must stay, so number 3 waits for another to come
    guild.join(5)
    assert guild.rotate() == [0, 2, 4, 5]
    guild.operator(3).rejoin()
    guild.convict(1, 3)
    guild.registry.slash(1, 3)
    assert guild.registry.entry_queue() == []


def test_a_convict_that_is_signed_in_serves_without_stake_and_goes(guild: Guild) -> None:
    guild.seal([0, 1, 2, 3, 4])
    guild.convict(1, 3)
    guild.registry.slash(1, 3)
    guild.world.contract.advance_epoch()
    assert guild.numbers() == [0, 1, 2, 3, 4]
    assert guild.state(3) == ValidatorState.JAILED
    assert guild.rotate() == [0, 1, 2, 4]


def test_what_is_slashed_goes_to_the_insurance_account(guild: Guild) -> None:
    guild.convict(1, 2)
    guild.registry.slash(1, 2)
    guild.operator(3).bring_to_insurance()
    contract = guild.world.contract
    (entry,) = contract.inbox_entries(0, 10, contract.latest_block())
    assert (entry.kind, entry.beneficiary, entry.subaccount, entry.amount) == (
        KIND_DEPOSIT, INSURANCE_OWNER, 0, STAKE_UNITS - REWARD,
    )  # fmt: skip
    assert contract.token_balance(contract.address_bytes) == STAKE_UNITS - REWARD
    assert contract.token_balance(guild.registry.address_bytes) == 4 * STAKE_UNITS
    with pytest.raises(Refused, match="nothing is owed"):
        guild.registry.bring_to_insurance()


def test_a_freeze_does_not_save_a_convict(guild: Guild) -> None:
    guild.convict(1, 2)
    guild.world.pass_time(guild.world.contract.max_silence_s() + 1)
    guild.world.contract.freeze()
    guild.operator(2).leave()
    guild.registry.slash(1, 2)
    assert guild.state(2) == ValidatorState.JAILED
    with pytest.raises(Refused, match="deposit: frozen"):
        guild.registry.bring_to_insurance()
    assert guild.registry.insurance_owed() == STAKE_UNITS - REWARD


def test_two_validators_with_one_key_cannot_be(guild: Guild) -> None:
    """So nobody is convicted for what another one signed."""
    registry = guild.operator(REPORTER)
    key, network_key = bytes(guild.secrets[0].get_g1()), b"\x33" * 32
    digest = digests.possession_digest(registry.chain_id, registry.address_bytes, registry.sender, network_key, key)
    with pytest.raises(Refused, match="key is taken"):
        registry.register(key, bytes(PopSchemeMPL.sign(guild.secrets[0], digest)), network_key)
