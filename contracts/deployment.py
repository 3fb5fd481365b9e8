"""Deploys the contracts of a network: registry, settlement, court, payouts, council, and a test token unless given one.

They name each other for ever, so each is told the addresses where the others will be: an address is a hash of the
deployer and a count of its transactions. Settlement, court and payouts check that they are named, or do not come to be.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from eth_utils import keccak, to_checksum_address
from web3.contract import Contract
from web3.providers.base import BaseProvider

from contracts import digests
from contracts.artifact import load_artifact
from contracts.chain_link import ChainLink
from contracts.council import COOLDOWN_S, EXIT_WINDOW_S, PAUSE_S
from contracts.records import ChainError, Member
from contracts.registry import Registry
from contracts.settlement import Settlement

CLAIM_DELAY_S = 900
FORCE_DEADLINE_S = 3_600
MAX_SILENCE_S = 24 * 3_600
DEBT_MAX_QUOTE = 1_000_000 * 10**6
ENGINE_VERSION = 1
STAKE_UNITS = 0
UNBONDING_S = 21 * 24 * 3_600
SEATS_MAX = 100
REGISTRATIONS_MAX = 255
# What claims pay in 24 hours at most.
OUTFLOW_CAP_QUOTE = 1_000_000 * 10**6
_ONE_BYTE_MAX = 0x7F


@dataclass(frozen=True, slots=True)
class CollateralToken:
    """A token besides the quote token: its spot market, what a lot of it is, its outflow cap in token units."""

    token: str
    market: int
    units_per_lot: int
    outflow_cap_units: int

    def setting(self) -> int:
        """As `Payouts.add_token` takes it, and the council's proposal of a new token."""
        return self.units_per_lot << 96 | self.market << 64 | self.outflow_cap_units


@dataclass(frozen=True, slots=True)
class Deployment:
    """Checksummed addresses of a network's contracts."""

    settlement: str
    token: str
    registry: str
    court: str
    payouts: str
    council: str


def deploy(
    endpoint: str | BaseProvider,
    private_key: bytes,
    *,
    token: str | None = None,
    claim_delay_s: int = CLAIM_DELAY_S,
    force_deadline_s: int = FORCE_DEADLINE_S,
    debt_max_quote: int = DEBT_MAX_QUOTE,
    engine_version: int = ENGINE_VERSION,
    max_silence_s: int = MAX_SILENCE_S,
    stake_units: int = STAKE_UNITS,
    unbonding_s: int = UNBONDING_S,
    seats_max: int = SEATS_MAX,
    registrations_max: int = REGISTRATIONS_MAX,
    outflow_cap_quote: int = OUTFLOW_CAP_QUOTE,
    collaterals: Sequence[CollateralToken] = (),
    pause_s: int = PAUSE_S,
    cooldown_s: int = COOLDOWN_S,
    exit_window_s: int = EXIT_WINDOW_S,
) -> Deployment:
    """Create a network's contracts, and a `TestUSDC` unless `token` is given. The account is the one that activates.

    It must send nothing else meanwhile: addresses are predicted from its count of transactions.
    """
    link = ChainLink(endpoint, private_key)
    if token is None:
        token = link.deploy(_factory(link, "TestUSDC").constructor())
    sender = to_checksum_address(link.sender)
    nonce = link.ask(lambda: link.web3.eth.get_transaction_count(sender, "pending"))
    registry, settlement, court, payouts, council = (predict_address(link.sender, nonce + step) for step in range(5))
    arguments: tuple[tuple[str, str, tuple[Any, ...]], ...] = (
        (
            "Registry", registry,
            (settlement, court, token, stake_units, unbonding_s, seats_max, registrations_max),
        ),
        (
            "Settlement", settlement,
            (
                registry, token, claim_delay_s, force_deadline_s, debt_max_quote, engine_version, max_silence_s,
                payouts, council,
            ),
        ),
        ("Evidence", court, (registry,)),
        (
            "Payouts", payouts,
            (
                settlement, council, outflow_cap_quote, [item.token for item in collaterals],
                [item.setting() for item in collaterals],
            ),
        ),
        ("Council", council, (settlement, pause_s, cooldown_s, exit_window_s)),
    )  # fmt: skip
    for name, expected, values in arguments:
        if link.deploy(_factory(link, name).constructor(*values)) != expected:
            raise ChainError(f"{name} is not where it was to be: the deployer sent something else; deploy again")
    return Deployment(settlement, to_checksum_address(token), registry, court, payouts, council)


def predict_address(sender: bytes, nonce: int) -> str:
    """Where the contract comes to be that `sender` (20 bytes) creates in its transaction `nonce`."""
    # RLP of [sender, nonce]: a number is its bytes, and from 128 on, or zero, a length goes before them.
    digits = nonce.to_bytes((nonce.bit_length() + 7) // 8, "big")
    number = digits if 0 < nonce <= _ONE_BYTE_MAX else bytes([0x80 + len(digits)]) + digits
    body = bytes([0x80 + len(sender)]) + sender + number
    return to_checksum_address(keccak(bytes([0xC0 + len(body)]) + body)[-20:])


def activate(
    endpoint: str | BaseProvider, private_key: bytes, settlement: str, numbers: list[int] | None = None
) -> list[Member]:
    """Start epoch 1 with these registrations (default: the entry queue), as the deployer; the committee."""
    contract = Settlement(endpoint, settlement, private_key)
    registry = Registry(endpoint, contract.registry(), private_key)
    committee = registry.members(registry.next_numbers() if numbers is None else numbers)
    registry.make_committee([member.number for member in committee])
    contract.activate(digests.committee_hash(committee))
    return committee


def _factory(link: ChainLink, name: str) -> type[Contract]:
    artifact = load_artifact(name)
    return link.web3.eth.contract(abi=artifact["abi"], bytecode=artifact["bytecode"])
