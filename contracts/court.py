"""Typed access to the court (contracts/src/Evidence.vy), which convicts whoever signed contradicting statements.

Blocking, and raises as `contracts.settlement` does: `ChainError` when the chain does not answer (retry), `Refused` when
the contract says no (do not).
"""

from dataclasses import dataclass

from eth_utils import to_canonical_address
from web3.providers.base import BaseProvider

from contracts import bls
from contracts.chain_link import ChainLink
from contracts.contract_client import ContractClient
from contracts.records import TxResult, ValidatorState
from contracts.registry import Registry

COURT_OFFENCES = (1, 2, 3, 4, 6)  # 5, a double proposal, counts as 1 there


@dataclass(frozen=True, slots=True)
class Statement:
    """What somebody signed: one signer makes a vote, a quorum a certificate. Bit i of `signers` is member i."""

    kind: int
    view: int
    header_hash: bytes
    signers: int
    signature96: bytes

    def to_abi(self) -> tuple[int, int, bytes, int, list[bytes]]:
        words = bls.signature_words(self.signature96)
        return (
            self.kind, self.view, self.header_hash, self.signers,
            [words[at : at + 32] for at in range(0, len(words), 32)],
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Conviction:
    """One `Culprit` event: committee member `member` of `epoch` is guilty of `offence` (1 to 4, 6)."""

    epoch: int
    member: int
    operator: bytes
    offence: int
    view: int
    block_number: int
    tx_hash: bytes


class Court(ContractClient):
    """The court at `address`, as seen through one RPC endpoint."""

    def __init__(self, endpoint: str | BaseProvider, address: str, private_key: bytes | None = None) -> None:
        """Raises `ChainError` if nothing answers or no contract is there."""
        super().__init__(ChainLink(endpoint, private_key), address, "Evidence")
        self._endpoint, self._private_key = endpoint, private_key
        # Opened when somebody is to be slashed, which is seldom: it takes questions to the chain.
        self._registry: Registry | None = None

    def submit(self, epoch: int, first: Statement, second: Statement) -> TxResult:
        """Bring a case; changes nothing if the court has decided it before."""
        return self._link.send(self._contract.functions.submit(epoch, first.to_abi(), second.to_abi()))

    def registry(self) -> bytes:
        """Address of the contract that knows the committees and takes stakes by these verdicts."""
        return to_canonical_address(self._read("REGISTRY"))

    def settlement(self) -> bytes:
        """Address of the settlement contract whose committee it judges."""
        return to_canonical_address(self._read("SETTLEMENT"))

    def is_jailed(self, epoch: int, member: int) -> bool:
        """Whether the registry has taken the member's stake, and will let it serve no more."""
        registry = self._open_registry()
        return registry.standing(registry.member(epoch, member).number).state == ValidatorState.JAILED

    def slash(self, epoch: int, member: int) -> TxResult:
        """Have the registry take the stake of a member that was convicted; the sender gets a part of it."""
        return self._open_registry().slash(epoch, member)

    def bring_to_insurance(self) -> TxResult:
        """Have the registry deposit what was slashed for the exchange's insurance account."""
        return self._open_registry().bring_to_insurance()

    def is_decided(self, key: bytes) -> bool:
        """Whether the case `keccak(epoch ‖ view ‖ offence ‖ culprits)` is known; culprits are a bitmap."""
        return bool(self._read("is_decided", key))

    def is_culprit(self, epoch: int, member: int) -> bool:
        """Whether the member is guilty of anything."""
        return bool(self._read("is_culprit", epoch, member))

    def offences(self, epoch: int, member: int) -> tuple[int, ...]:
        """Everything that the member is guilty of."""
        bits: int = self._read("offences", epoch, member)
        return tuple(offence for offence in COURT_OFFENCES if bits >> offence & 1)

    def convictions(self) -> list[Conviction]:
        """All of them, oldest first."""
        first_block: int = self._read("DEPLOYED_BLOCK")
        event = self._contract.events.Culprit
        logs = self._link.ask(lambda: list(event.get_logs(from_block=first_block)))
        return [
            Conviction(
                log["args"]["epoch"], log["args"]["member"], to_canonical_address(log["args"]["operator"]),
                log["args"]["offence"], log["args"]["view_number"], log["blockNumber"], bytes(log["transactionHash"]),
            )
            for log in logs
        ]  # fmt: skip

    def _open_registry(self) -> Registry:
        if self._registry is None:
            self._registry = Registry(self._endpoint, self.registry(), self._private_key)
        return self._registry
