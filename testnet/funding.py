"""What the launcher does on the settlement chain: deploy the contract, register the committee, give traders money.

The accounts are those of the well-known test mnemonic, which the embedded chain and anvil fund with ether: 0-9 trade,
10-18 operate the first nine validators, 19 deploys, 20-42 operate the other validators, 43-46 trade options.
"""

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

from eth_account import Account
from nacl.signing import SigningKey

from consensus import crypto
from contracts.deployment import Deployment, activate, deploy
from contracts.digests import possession_digest
from contracts.registry import Registry
from contracts.settlement import Settlement
from engine.limits import ENGINE_VERSION
from testnet.terms import DEFAULT_TERMS, NUMBERS_MAX, Terms
from validator.config import ValidatorEntry, address_bytes
from validator.keys import Keys

MNEMONIC = "test test test test test test test test test test test junk"
OPERATOR_FIRST = 10
DEPLOYER = 19
# More members than this vote through collectors, which one machine has no use for.
VALIDATORS_MAX = 32
# Operators beyond the ninth come after the deployer.
OPTION_TRADER_FIRST = OPERATOR_FIRST + VALIDATORS_MAX + 1
OPTION_TRADER_COUNT = 4
ACCOUNT_COUNT = OPTION_TRADER_FIRST + OPTION_TRADER_COUNT

USDC_QUOTE = 1_000_000
# The insurance fund is the exchange's account 1, and this is its owner.
INSURANCE_OWNER = (2).to_bytes(20, "big")
_PARALLEL_SENDERS = 4

T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class ChainAccount:
    """One account of the test mnemonic."""

    number: int
    key: bytes
    address: bytes

    @property
    def address_text(self) -> str:
        return "0x" + self.address.hex()


def derive_account(number: int) -> ChainAccount:
    Account.enable_unaudited_hdwallet_features()
    account = Account.from_mnemonic(MNEMONIC, account_path=f"m/44'/60'/0'/0/{number}")
    return ChainAccount(number, bytes(account.key), address_bytes(account.address))


def derive_accounts(first: int, count: int) -> list[ChainAccount]:
    return [derive_account(number) for number in range(first, first + count)]


def derive_operator(number: int) -> ChainAccount:
    """Who operates validator `number`, from 0."""
    place = OPERATOR_FIRST + number
    return derive_account(place if place < DEPLOYER else place + 1)


def derive_governor() -> ChainAccount:
    """Who lists markets on a network that lists more than perpetuals: the deployer."""
    return derive_account(DEPLOYER)


def deploy_contracts(rpc_url: str, terms: Terms = DEFAULT_TERMS) -> Deployment:
    """The network's contracts and its test token."""
    return deploy(
        rpc_url, derive_account(DEPLOYER).key, claim_delay_s=terms.claim_delay_s, engine_version=ENGINE_VERSION,
        force_deadline_s=terms.force_deadline_s, max_silence_s=terms.max_silence_s, stake_units=terms.stake_quote,
        unbonding_s=terms.unbonding_s, seats_max=NUMBERS_MAX, registrations_max=NUMBERS_MAX,
    )  # fmt: skip


def register_committee(rpc_url: str, contract: str, keys: list[Keys]) -> tuple[int, list[ValidatorEntry]]:
    """Register every validator with its stake and proof of possession and start epoch 1; chain id and the committee in
    order.
    """
    settlement = Settlement(rpc_url, contract)
    # Committee indices follow the order of registration, so that node0 is member 0.
    for node in keys:
        registry = Registry(rpc_url, settlement.registry(), node.operator)
        Settlement(rpc_url, contract, node.operator).mint_test_usdc(registry.sender, registry.stake_amount())
        _register(registry, node)
    committee = [
        ValidatorEntry("0x" + member.operator.hex(), member.bls_key.hex(), member.network_key.hex())
        for member in activate(rpc_url, derive_account(DEPLOYER).key, contract)
    ]
    return settlement.chain_id, committee


def _register(registry: Registry, keys: Keys) -> None:
    bls_key = crypto.derive_public_key(keys.voting_secret())
    network_key = bytes(SigningKey(keys.network).verify_key)
    operator = address_bytes(Account.from_key(keys.operator).address)
    digest = possession_digest(registry.chain_id, registry.address_bytes, operator, network_key, bls_key)
    registry.register(bls_key, crypto.prove_possession(keys.voting_secret(), digest), network_key)


def fund_insurance(rpc_url: str, contract: str, amount_quote: int = DEFAULT_TERMS.insurance_quote) -> None:
    settlement = Settlement(rpc_url, contract, derive_account(DEPLOYER).key)
    settlement.mint_test_usdc(derive_account(DEPLOYER).address, amount_quote)
    settlement.deposit(INSURANCE_OWNER, 0, amount_quote)


def deposit_test_usdc(rpc_url: str, contract: str, account: ChainAccount, amount_quote: int) -> None:
    """Mint test money to the account and bring it to the exchange."""
    settlement = Settlement(rpc_url, contract, account.key)
    settlement.mint_test_usdc(account.address, amount_quote)
    settlement.deposit(account.address, 0, amount_quote)


def fund_traders(rpc_url: str, contract: str, deposits: Iterable[tuple[ChainAccount, int]]) -> None:
    """Several deposits at a time; each account sends for itself, so nonces do not collide."""
    _in_parallel(lambda item: deposit_test_usdc(rpc_url, contract, *item), deposits)


def _in_parallel(action: Callable[[T], R], items: Iterable[T]) -> list[R]:
    with ThreadPoolExecutor(_PARALLEL_SENDERS) as pool:
        return list(pool.map(action, items))
