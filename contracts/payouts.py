"""Typed access to the contract of payouts (contracts/src/Payouts.vy): claims of withdrawals, outflow caps, credit.

Blocking, and raises as `contracts.settlement` does: `ChainError` when the chain does not answer (retry), `Refused` when
the contract says no (do not). Amounts are in the token's units.
"""

from dataclasses import dataclass
from typing import Any

from eth_utils import to_checksum_address

from contracts.artifact import load_artifact
from contracts.chain_link import ChainLink
from contracts.contract_client import ContractClient
from contracts.digests import ACCOUNT_DEPTH, WITHDRAWAL_DEPTH
from contracts.records import CheckpointRecord, TxResult

BATCH_MAX = 32


@dataclass(frozen=True, slots=True)
class Withdrawal:
    """A leaf of the withdrawal tree; `siblings` from the leaf up."""

    index: int
    owner: bytes
    token: bytes
    amount: int
    siblings: list[bytes]

    def to_abi(self) -> tuple[int, str, str, int, list[bytes]]:
        """The contract's struct `Withdrawal`."""
        if len(self.siblings) != WITHDRAWAL_DEPTH:
            raise ValueError(f"a proof has {WITHDRAWAL_DEPTH} siblings, not {len(self.siblings)}")
        return self.index, to_checksum_address(self.owner), to_checksum_address(self.token), self.amount, self.siblings


@dataclass(frozen=True, slots=True)
class AccountProof:
    """An account of the last checkpoint: its leaf, with what its digest is of; siblings from the leaf up."""

    index: int
    owner: bytes
    subaccount: int
    claim: int
    debt: int
    holdings: bytes
    aux_hash: bytes
    sibling_hashes: list[bytes]
    sibling_sums: list[bytes]

    def to_abi(self) -> tuple[Any, ...]:
        """The contract's struct `Account`."""
        if len(self.sibling_hashes) != ACCOUNT_DEPTH or len(self.sibling_sums) != ACCOUNT_DEPTH:
            raise ValueError(f"an account's proof has {ACCOUNT_DEPTH} siblings")
        return (
            self.index, to_checksum_address(self.owner), self.subaccount, self.claim, self.debt, self.holdings,
            self.aux_hash, self.sibling_hashes, [int.from_bytes(word, "big") for word in self.sibling_sums],
        )  # fmt: skip


class Payouts(ContractClient):
    """The contract of payouts at `address`; `Settlement.payouts` knows it."""

    def __init__(self, link: ChainLink, address: str | bytes) -> None:
        super().__init__(link, address, "Payouts")

    # -------------------------------------------------------- claims

    def claim(self, record: CheckpointRecord, withdrawal: Withdrawal) -> TxResult:
        """Have a withdrawal paid to its owner, whole or as much as the outflow cap admits now."""
        return self._send("claim_withdrawal", record.to_abi(), withdrawal.to_abi())

    def claim_many(self, record: CheckpointRecord, withdrawals: list[Withdrawal]) -> TxResult:
        """Claim up to 32 withdrawals; those that are refused are skipped."""
        return self._send("claim_many", record.to_abi(), [withdrawal.to_abi() for withdrawal in withdrawals])

    def is_claimed(self, index: int) -> bool:
        """Whether withdrawal `index` has been paid whole."""
        flag: bool = self._read("is_claimed", index)
        return flag

    def paid_part(self, index: int) -> int:
        """What has been paid of a withdrawal that is paid in parts and is not whole yet."""
        return self._read_number("paid_part", index)

    def is_paused(self) -> bool:
        """Whether the council has paused claims."""
        council = to_checksum_address(self._read("COUNCIL"))
        if int(council, 16) == 0:
            return False
        contract = self._link.web3.eth.contract(council, abi=load_artifact("Council")["abi"])
        flag: bool = self._link.ask(lambda: contract.functions.is_paused().call())
        return flag

    # -------------------------------------------------------- credit

    def credit(self, token: bytes, owner: bytes) -> int:
        """What the token refused to deliver to `owner` and waits for it."""
        return self._read_number("credit", to_checksum_address(token), to_checksum_address(owner))

    def collect(self, token: bytes, receiver: bytes) -> TxResult:
        """Send this account's credit to `receiver`."""
        return self._send("collect", to_checksum_address(token), to_checksum_address(receiver))

    # -------------------------------------------------------- collateral in kind, after a freeze

    def escape_in_kind(self, record: CheckpointRecord, token: bytes, account: AccountProof) -> TxResult:
        """Have the account's lots of a collateral token paid to its owner, proven against the last checkpoint."""
        return self._send("escape_in_kind", record.to_abi(), to_checksum_address(token), account.to_abi())

    def open_redemption(self) -> TxResult:
        """Start the 30 days in which debtors' collateral is redeemed."""
        return self._send("open_redemption")

    def pay_debt(self, record: CheckpointRecord, account: AccountProof) -> TxResult:
        """Pay the account's debt with this account's quote tokens, which it has approved: its lots are free then."""
        return self._send("pay_debt", record.to_abi(), account.to_abi())

    def share(self, record: CheckpointRecord, account: AccountProof) -> TxResult:
        """Have the account paid its part of what debtors brought, once the redemption is over."""
        return self._send("share", record.to_abi(), account.to_abi())

    # -------------------------------------------------------- tokens

    def is_token(self, token: bytes) -> bool:
        """Whether a token is collateral."""
        flag: bool = self._read("is_token", to_checksum_address(token))
        return flag

    def outflow_cap(self, token: bytes) -> int:
        """How much of a token claims pay in 24 hours at most; 0 for what is no collateral."""
        return self._read_number("outflow_cap", to_checksum_address(token))

    def outflow_left(self, token: bytes) -> int:
        """The largest withdrawal that would be paid whole now."""
        return self._read_number("outflow_left", to_checksum_address(token))
