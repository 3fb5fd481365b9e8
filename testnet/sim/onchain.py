"""The settlement chain of a run as it is in truth: the real contracts on the embedded chain, in virtual time.

The committee is registered with its stakes, deposits are transactions, final headers are posted with the committee's
own certificates, and what proves a lie goes to the court. So signatures of such a run are on the curve.
"""

from collections.abc import Iterable
from typing import Any

from eth_account import Account

from consensus import crypto
from consensus.messages import Certificate, Evidence, Header
from contracts.checkpoint_log import read_checkpoints
from contracts.court import Court
from contracts.deployment import Deployment, activate, deploy
from contracts.devchain.chain import Chain, funded_key
from contracts.devchain.provider import InProcessProvider
from contracts.devchain.rpc import Rpc
from contracts.digests import possession_digest
from contracts.records import CheckpointRecord, InboxRecord
from contracts.registry import Registry
from contracts.settlement import Settlement
from engine.limits import ENGINE_VERSION
from engine.payload import InboxEntry
from net.identity import derive_network_key
from testnet.sim.clocks import START_MS
from testnet.sim.exchange import CHAIN_ID, network_seed
from testnet.sim.scheme import SchemeKeys
from testnet.sim.settlement import FINAL_AFTER_BLOCKS
from validator.config import address_bytes
from validator.prosecutor import make_statement

STAKE_UNITS = 10**9
CLAIM_DELAY_S = 2
PAYER = 46  # of the funded accounts: pays in for everybody; the first ones are operators
EPOCH = 1


class Onchain:
    """Deployed when it is made. `now_ms` is virtual time and moves on by `at`."""

    def __init__(self, member_count: int, seed: int) -> None:
        self._now_ms = 0
        self._chain = Chain(chain_id=CHAIN_ID, now_s=lambda: (START_MS + self._now_ms) / 1000)
        self._rpc = Rpc(self._chain)
        self.provider = InProcessProvider(self._rpc)
        self.deployment: Deployment = deploy(
            self.provider, funded_key(0), stake_units=STAKE_UNITS, claim_delay_s=CLAIM_DELAY_S,
            engine_version=ENGINE_VERSION,
        )  # fmt: skip
        self.settlement = Settlement(self.provider, self.deployment.settlement, funded_key(PAYER))
        self._court = Court(self.provider, self.deployment.court, funded_key(PAYER))
        secrets = SchemeKeys(seed, member_count, b"", True).secrets
        for index, secret in enumerate(secrets):
            operator = Registry(self.provider, self.deployment.registry, funded_key(index))
            self.settlement.mint_test_usdc(operator.sender, STAKE_UNITS)
            register(operator, index, secret, derive_network_key(network_seed(index)))
        activate(self.provider, funded_key(0), self.deployment.settlement)
        self._member_count = member_count
        self._blocks: list[int] = []
        self.entries: list[InboxEntry] = []

    @property
    def contract(self) -> bytes:
        return self.settlement.address_bytes

    def at(self, now_ms: int) -> None:
        """An empty block for every second that nothing happened in."""
        self._now_ms = now_ms
        self._chain.mine(if_idle_for_s=1)

    def pay_in(self, deposits: Iterable[tuple[bytes, int]]) -> None:
        """Owner and quote of each."""
        for owner, amount_quote in deposits:
            payer = address_bytes(Account.from_key(funded_key(PAYER)).address)
            self.settlement.mint_test_usdc(payer, amount_quote)
            self.settlement.deposit(owner, 0, amount_quote)
        self._read_inbox()

    def deposit(self, now_ms: int) -> None:
        """Nobody pays in by chance here."""

    def reorganise(self, now_ms: int) -> bool:
        """Blocks of the embedded chain stay."""
        return False

    def poll(self, now_ms: int, from_index: int) -> tuple[int, list[InboxEntry]]:
        """The final block, and the entries from an index on that it and its predecessors hold."""
        self.at(now_ms)
        final = max(0, self._chain.head.block_number - FINAL_AFTER_BLOCKS)
        known = [entry for entry, block in zip(self.entries, self._blocks) if block <= final]
        return final, known[from_index:]

    def _read_inbox(self) -> None:
        records = self.settlement.inbox_entries(len(self.entries), 256, self._chain.head.block_number)
        self.entries += [to_entry(record) for record in records]
        self._blocks += [record.block_number for record in records]

    def post(self, header: Header, certificate: Certificate) -> None:
        """Raises `Refused` if the contract does not believe the committee."""
        signers = dict.fromkeys(certificate.signers())
        absent = [member for member in range(self._member_count) if member not in signers]
        self.settlement.checkpoint(header.encode(), absent, certificate.signature)

    def list_checkpoints(self) -> list[CheckpointRecord]:
        """Every header that the contract has accepted."""

        def ask(method: str, parameters: list[Any]) -> Any:
            answer = self._rpc.answer({"jsonrpc": "2.0", "id": 1, "method": method, "params": parameters})
            assert isinstance(answer, dict), "one question has one answer"
            return answer["result"]

        return list(read_checkpoints(ask, self.deployment.settlement))

    def try_all(self, cases: Iterable[Evidence]) -> dict[int, tuple[str, ...]]:
        """Everybody whom the court convicts of these, and of what."""
        for evidence in cases:
            self._court.submit(evidence.first.epoch, make_statement(evidence.first), make_statement(evidence.second))
        members = sorted({known.member for known in self._court.convictions()})
        return {member: tuple(f"E{number}" for number in self._court.offences(EPOCH, member)) for member in members}


def register(registry: Registry, index: int, secret: bytes, network_key: bytes) -> None:
    """A validator, with its proof of possession; its operator holds the stake."""
    operator = address_bytes(Account.from_key(funded_key(index)).address)
    key = crypto.derive_public_key(secret)
    digest = possession_digest(registry.chain_id, registry.address_bytes, operator, network_key, key)
    registry.register(key, crypto.prove_possession(secret, digest), network_key)


def to_entry(record: InboxRecord) -> InboxEntry:
    return InboxEntry(
        record.index, record.kind, record.token, record.beneficiary, record.subaccount, record.sender, record.amount,
        record.data, record.time_s,
    )  # fmt: skip
