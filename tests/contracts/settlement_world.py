"""A deployed settlement contract and its committee, on a chain in this process."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from blspy import G1Element, PopSchemeMPL, PrivateKey

from contracts import digests
from contracts.deployment import OUTFLOW_CAP_QUOTE, CollateralToken, Deployment, activate, deploy
from contracts.devchain.chain import Chain, funded_key
from contracts.devchain.provider import InProcessProvider
from contracts.devchain.rpc import Rpc
from contracts.records import Member
from contracts.registry import Registry
from contracts.settlement import Settlement

CLAIM_DELAY_S = 600
FORCE_DEADLINE_S = 3_600
MAX_SILENCE_S = 7_200
DEBT_MAX_QUOTE = 5_000
COMMITTEE_SIZE = 4
STAKE_UNITS = 100_000
UNBONDING_S = 10_000
SEATS_MAX = 9
REGISTRATIONS_MAX = 12
TRADER = b"\x77" * 20
DEPOSIT_QUOTE = 1_000_000


def words(*values: int | bytes) -> bytes:
    return b"".join(v if isinstance(v, bytes) else v.to_bytes(32, "big") for v in values)


@dataclass(frozen=True)
class HeaderFields:
    """The header's words that tests vary."""

    version: int = 1
    epoch: int = 1
    view: int = 9
    height: int = 1
    timestamp_ms: int = 1_700_000_000_000
    next_committee_hash: bytes = bytes(32)
    inbox_cursor: int = 0
    inbox_hash: bytes = bytes(32)
    state_root: bytes = b"\x14" * 32
    account_root: bytes = b"\x15" * 32
    claims: int = 0
    debt: int = 0
    withdrawals_root: bytes = b"\x17" * 32
    withdrawals_total: int = 0
    engine_version: int = 1

    def encode(self) -> bytes:
        return words(
            self.version, self.epoch, self.view, self.height, b"\x04" * 32, self.view - 1, 2, self.timestamp_ms,
            b"\x08" * 32, self.next_committee_hash, b"\x0a" * 32, self.inbox_cursor, self.inbox_hash, 77,
            self.state_root, self.account_root, digests.encode_sums(self.claims, self.debt), self.withdrawals_root,
            self.withdrawals_total, self.engine_version,
        )  # fmt: skip


class World:
    """The chain, the contract seen by its deployer, and the committee's secrets."""

    def __init__(
        self,
        committee_size: int = COMMITTEE_SIZE,
        make_token: Callable[[InProcessProvider], str] | None = None,
        outflow_cap_quote: int = OUTFLOW_CAP_QUOTE,
        make_collaterals: Callable[[InProcessProvider], list[CollateralToken]] | None = None,
    ) -> None:
        """The quote token is `make_token`'s, by default a `TestUSDC`; further tokens are `make_collaterals`'."""
        self.chain = Chain()
        self.provider = InProcessProvider(Rpc(self.chain))
        token = None if make_token is None else make_token(self.provider)
        self.deployment: Deployment = deploy(
            self.provider, funded_key(0), token=token, claim_delay_s=CLAIM_DELAY_S, force_deadline_s=FORCE_DEADLINE_S,
            debt_max_quote=DEBT_MAX_QUOTE, max_silence_s=MAX_SILENCE_S, stake_units=STAKE_UNITS,
            unbonding_s=UNBONDING_S, seats_max=SEATS_MAX, registrations_max=REGISTRATIONS_MAX,
            outflow_cap_quote=outflow_cap_quote,
            collaterals=make_collaterals(self.provider) if make_collaterals else (),
        )  # fmt: skip
        self.contract = self.as_account(0)
        self.secrets: list[PrivateKey] = [PopSchemeMPL.key_gen(bytes([i + 1]) * 32) for i in range(committee_size)]

    def as_account(self, number: int) -> Settlement:
        return Settlement(self.provider, self.deployment.settlement, funded_key(number))

    def as_operator(self, number: int) -> Registry:
        return Registry(self.provider, self.deployment.registry, funded_key(number))

    def activate(self, numbers: list[int] | None = None) -> list[Member]:
        return activate(self.provider, funded_key(0), self.deployment.settlement, numbers)

    def register_all(self) -> None:
        for number, secret in enumerate(self.secrets):
            self.register(number, secret)

    def register(self, account: int, secret: PrivateKey, network_key: bytes | None = None) -> None:
        network_key = network_key or bytes([account + 1]) * 32
        registry = self.as_operator(account)
        key = bytes(secret.get_g1())
        self.as_account(account).mint_test_usdc(registry.sender, STAKE_UNITS)
        digest = digests.possession_digest(registry.chain_id, registry.address_bytes, registry.sender, network_key, key)
        registry.register(key, bytes(PopSchemeMPL.sign(secret, digest)), network_key)

    def digest(self, header: bytes) -> bytes:
        return digests.finalize_digest(
            digests.compute_domain(self.contract.chain_id, self.contract.address_bytes), header
        )

    def sign(self, digest: bytes, absent: tuple[int, ...] = ()) -> bytes:
        parts = [PopSchemeMPL.sign(s, digest) for i, s in enumerate(self.secrets) if i not in absent]
        return bytes(PopSchemeMPL.aggregate(parts))

    def post(self, fields: HeaderFields, absent: tuple[int, ...] = ()) -> None:
        header = fields.encode()
        self.contract.checkpoint(header, list(absent), self.sign(self.digest(header), absent))

    def deposit(self, amount: int = DEPOSIT_QUOTE) -> None:
        self.contract.mint_test_usdc(self.contract.sender, amount)
        self.contract.deposit(TRADER, 3, amount)

    def consumed(self, fields: HeaderFields) -> HeaderFields:
        """`fields` with the whole inbox consumed."""
        cursor = self.contract.inbox_length()
        return replace(fields, inbox_cursor=cursor, inbox_hash=self.contract.inbox_hash(cursor))

    def pass_time(self, by_s: int) -> None:
        self.chain.shift_clock(by_s)
        self.chain.mine()

    def aggregate_key(self) -> G1Element:
        total = G1Element()
        for secret in self.secrets:
            total += secret.get_g1()
        return total
