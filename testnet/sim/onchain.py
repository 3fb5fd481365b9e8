"""The settlement chain of a run as it is in truth: the real contracts on the embedded chain, in virtual time.

The committee is registered with its stakes, deposits are transactions, final headers are posted with the committee's
own certificates, and what proves a lie goes to the court. So signatures of such a run are on the curve.
"""

from collections.abc import Iterable, Sequence
from typing import Any

from consensus import crypto
from consensus.messages import Certificate, Evidence, Header
from contracts.checkpoint_log import read_checkpoints
from contracts.court import Court
from contracts.deployment import Deployment, activate, deploy
from contracts.devchain.chain import Chain, funded_key
from contracts.devchain.provider import InProcessProvider
from contracts.devchain.rpc import Rpc
from contracts.digests import possession_digest
from contracts.payouts import Withdrawal as Claim
from contracts.records import CheckpointRecord, InboxRecord
from contracts.registry import Registry
from contracts.settlement import Settlement
from engine.events import Withdrawal
from engine.limits import ENGINE_VERSION
from engine.payload import InboxEntry
from engine.tree import withdrawal_leaf, withdrawal_proof
from net.identity import derive_network_key
from testnet.funding import DEPLOYER, derive_account, derive_accounts, derive_operator
from testnet.sim.clocks import START_MS
from testnet.sim.crowd import PEOPLE
from testnet.sim.exchange import CHAIN_ID, EPOCH, network_seed
from testnet.sim.scheme import SchemeKeys
from testnet.sim.settlement import FINAL_AFTER_BLOCKS
from validator.prosecutor import make_statement

STAKE_UNITS = 10**9
CLAIM_DELAY_S = 2
PAYER = 46  # of the funded accounts: pays in for everybody, and posts


class Onchain:
    """Deployed when it is made. `now_ms` is virtual time and moves on by `at`."""

    def __init__(self, member_count: int, seed: int) -> None:
        self._now_ms = 0
        self._chain = Chain(chain_id=CHAIN_ID, now_s=lambda: (START_MS + self._now_ms) / 1000)
        self._rpc = Rpc(self._chain)
        self.provider = InProcessProvider(self._rpc)
        self.traders = derive_accounts(0, PEOPLE)
        self.deployment: Deployment = deploy(
            self.provider, funded_key(DEPLOYER), stake_units=STAKE_UNITS, claim_delay_s=CLAIM_DELAY_S,
            engine_version=ENGINE_VERSION,
        )  # fmt: skip
        self.settlement = Settlement(self.provider, self.deployment.settlement, funded_key(PAYER))
        self._court = Court(self.provider, self.deployment.court, funded_key(PAYER))
        secrets = SchemeKeys(seed, member_count, b"", True).secrets
        operators = [derive_operator(index) for index in range(member_count)]
        self.operators = [operator.address for operator in operators]
        for index, (operator, secret) in enumerate(zip(operators, secrets)):
            registry = Registry(self.provider, self.deployment.registry, operator.key)
            self.settlement.mint_test_usdc(operator.address, STAKE_UNITS)
            register(registry, operator.address, secret, derive_network_key(network_seed(index)))
        activate(self.provider, funded_key(DEPLOYER), self.deployment.settlement)
        self._member_count = member_count
        self._payer = derive_account(PAYER).address
        self._is_paid_out = False
        self._blocks: list[int] = []
        self.entries: list[InboxEntry] = []

    @property
    def contract(self) -> bytes:
        return self.settlement.address_bytes

    def at(self, now_ms: int) -> None:
        """An empty block for every second that nothing happened in."""
        self._now_ms = max(self._now_ms, now_ms)
        self._chain.mine(if_idle_for_s=1)

    def pay_in(self, deposits: Iterable[tuple[bytes, int]]) -> None:
        """Owner and quote of each."""
        for owner, amount_quote in deposits:
            self.settlement.mint_test_usdc(self._payer, amount_quote)
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

    def prove_first(self, withdrawals: Sequence[tuple[int, Withdrawal]]) -> tuple[CheckpointRecord, Claim] | None:
        """The first withdrawal of the run, with its proof against a checkpoint that pays now; None while none does.
        `withdrawals`: all so far, with their heights.
        """
        record = self.settlement.payable_checkpoint()
        held = [item for height, item in withdrawals if record is not None and height <= record.height]
        if record is None or not held:
            return None
        token = self.settlement.token_address
        leaves = [withdrawal_leaf(item.leaf_index, item.owner, token, item.amount_quote) for item in held]
        first = held[0]
        proof = withdrawal_proof(leaves, first.leaf_index)
        return record, Claim(first.leaf_index, first.owner, token, first.amount_quote, proof)

    def pay_out(self, withdrawals: Sequence[tuple[int, Withdrawal]]) -> None:
        """The first of them, once: anybody may bring the proof."""
        proven = None if self._is_paid_out else self.prove_first(withdrawals)
        if proven is not None:
            self.settlement.payouts().claim(*proven)
            self._is_paid_out = True

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


def register(registry: Registry, operator: bytes, secret: bytes, network_key: bytes) -> None:
    """A validator, with its proof of possession; its operator holds the stake."""
    key = crypto.derive_public_key(secret)
    digest = possession_digest(registry.chain_id, registry.address_bytes, operator, network_key, key)
    registry.register(key, crypto.prove_possession(secret, digest), network_key)


def to_entry(record: InboxRecord) -> InboxEntry:
    return InboxEntry(
        record.index, record.kind, record.token, record.beneficiary, record.subaccount, record.sender, record.amount,
        record.data, record.time_s,
    )  # fmt: skip
