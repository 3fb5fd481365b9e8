"""Accounts of a local network: everybody has one, and the chain gives each some ether."""

from contracts.devchain import chain
from testnet import funding
from testnet.cast import DEPOSITS_QUOTE, OPTION_ROLES, ROLES, list_cast


def test_operators_traders_and_the_deployer_share_no_account() -> None:
    numbers = [funding.derive_operator(number).number for number in range(funding.VALIDATORS_MAX)]
    others = [account.number for _, account in list_cast(has_options=True)] + [funding.DEPLOYER]
    assert len(set(numbers) | set(others)) == funding.VALIDATORS_MAX + len(others)
    assert numbers[:9] == list(range(10, 19))


def test_the_embedded_chain_funds_every_account_that_is_used() -> None:
    assert (
        max(funding.derive_operator(number).number for number in range(funding.VALIDATORS_MAX)) < chain.FUNDED_ACCOUNTS
    )
    assert funding.ACCOUNT_COUNT == chain.FUNDED_ACCOUNTS


def test_traders_of_options_come_after_everybody_else() -> None:
    plain, whole = list_cast(has_options=False), list_cast(has_options=True)
    assert whole[: len(plain)] == plain
    assert tuple(role for role, _ in whole) == ROLES + OPTION_ROLES
    assert max(account.number for _, account in whole) < funding.ACCOUNT_COUNT
    assert all(DEPOSITS_QUOTE[role] > 0 for role, _ in whole)
