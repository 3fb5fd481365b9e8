"""Accounts of a local network: everybody has one, and the chain gives each some ether."""

from contracts.devchain import chain
from testnet import funding


def test_operators_traders_and_the_deployer_share_no_account() -> None:
    numbers = [funding.derive_operator(number).number for number in range(funding.VALIDATORS_MAX)]
    others = [*range(funding.TRADER_COUNT), funding.DEPLOYER]
    assert len(set(numbers) | set(others)) == funding.VALIDATORS_MAX + len(others)
    assert numbers[:9] == list(range(10, 19))


def test_the_embedded_chain_funds_every_account_that_is_used() -> None:
    assert (
        max(funding.derive_operator(number).number for number in range(funding.VALIDATORS_MAX)) < chain.FUNDED_ACCOUNTS
    )
    assert funding.ACCOUNT_COUNT == chain.FUNDED_ACCOUNTS
