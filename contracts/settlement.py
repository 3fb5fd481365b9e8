"""Typed access to the settlement contract.

Blocking; from async code call it in worker threads. Every method raises `ChainError` when the chain does not answer
(retry) and `Refused` when the contract says no (do not).
"""

from typing import Any

from eth_utils import to_canonical_address, to_checksum_address
from web3.contract import Contract
from web3.providers.base import BaseProvider
from web3.types import EventData

from contracts.artifact import load_artifact
from contracts.chain_link import ChainLink
from contracts.checkpoint_call import encode_checkpoint
from contracts.contract_client import ContractClient
from contracts.digests import ACCOUNT_DEPTH
from contracts.payouts import Payouts, Withdrawal
from contracts.records import (
    ChainError,
    CheckpointRecord,
    FreezeOutlook,
    InboxRecord,
    LastCheckpoint,
    Refused,
    TxResult,
)
from contracts.sender import LIMIT_MAX_WEI

__all__ = [
    "ChainError", "CheckpointRecord", "FreezeOutlook", "InboxRecord", "LastCheckpoint", "Refused", "Settlement",
    "TxResult",
]  # fmt: skip

INBOX_PAGE_MAX = 256
CHECKPOINT_PAGE_BLOCKS = 2_000
# The exchange's own accounts, below the users': nobody can claim them.
SYSTEM_ACCOUNTS = 64


class Settlement(ContractClient):
    """The settlement contract at `address`, as seen through one RPC endpoint."""

    def __init__(
        self,
        endpoint: str | BaseProvider,
        address: str,
        private_key: bytes | None = None,
        *,
        fee_limit_wei: int = LIMIT_MAX_WEI,
    ) -> None:
        """Raises `ChainError` if nothing answers or no contract is there. `fee_limit_wei`: most for a unit of gas."""
        self.endpoint = endpoint
        super().__init__(ChainLink(endpoint, private_key, fee_limit_wei), address, "Settlement")
        token = self._read("TOKEN")
        self.token_address = to_canonical_address(token)
        self._token: Contract = self._link.web3.eth.contract(token, abi=load_artifact("TestUSDC")["abi"])
        self._payouts: Payouts | None = None
        self._deployed_block: int = self._read("DEPLOYED_BLOCK")
        # (index, block) of the youngest entry seen: where later ones are looked for.
        self._inbox_hint = (0, self._deployed_block)

    # -------------------------------------------------------- the chain

    def finalized_block(self) -> int:
        """Number of the last block that the chain will not take back."""
        return self._link.ask(lambda: self._link.web3.eth.get_block("finalized")["number"])

    def latest_block(self) -> int:
        """Number of the youngest block."""
        return self._link.ask(lambda: self._link.web3.eth.block_number)

    def domain(self) -> bytes:
        """What the contract binds votes to."""
        return self._read_bytes("domain")

    def claim_delay_s(self) -> int:
        """Age a checkpoint needs before withdrawals are paid against it."""
        return self._read_number("CLAIM_DELAY_S")

    def force_deadline_s(self) -> int:
        """Age at which an inbox entry that no checkpoint consumed blocks further checkpoints and allows a freeze."""
        return self._read_number("FORCE_DEADLINE_S")

    def max_silence_s(self) -> int:
        """Time without a newer header that allows a freeze."""
        return self._read_number("MAX_SILENCE_S")

    def debt_max_quote(self) -> int:
        """Largest sum of negative equity a checkpoint may show."""
        return self._read_number("DEBT_MAX_QUOTE")

    def engine_version(self) -> int:
        """The newest version of the engine whose headers are accepted."""
        return self._read_number("engine_version")

    # -------------------------------------------------------- committee

    def registry(self) -> bytes:
        """Address of the contract that knows the validators and the committees."""
        return to_canonical_address(self._read("REGISTRY"))

    def activate(self, committee_hash: bytes) -> TxResult:
        """Start epoch 1 with a committee that was made in the registry. Only the deployer, once."""
        return self._send("activate", committee_hash)

    def next_committee_hash(self) -> bytes:
        """Whom a posted header names as the next committee; zero while none has."""
        return self._read_bytes("next_committee_hash")

    def advance_epoch(self) -> TxResult:
        """Begin the next epoch, whose committee a posted header names and the registry has made."""
        return self._send("advance_epoch")

    def epoch(self) -> int:
        """The current epoch; 0 before activation."""
        return self._read_number("epoch")

    def committee_size(self) -> int:
        """Members of the current committee; 0 before activation."""
        return self._read_number("committee_size")

    # -------------------------------------------------------- inbox

    def inbox_length(self) -> int:
        """Entries so far, in the latest block."""
        return self._read_number("inbox_length")

    def inbox_hash(self, cursor: int) -> bytes:
        """The hash chain after `cursor` entries; zero for 0 and for what is not there yet."""
        return self._read_bytes("inbox_hash", cursor)

    def deposited_total(self, cursor: int) -> int:
        """Deposits in the first `cursor` entries."""
        return self._read_number("deposited_total", cursor)

    def inbox_entries(self, from_index: int, limit: int, to_block: int | None = None) -> list[InboxRecord]:
        """At most `limit` entries from `from_index` on, in order, of blocks up to `to_block` (default: finalised)."""
        last_block = self.finalized_block() if to_block is None else to_block
        known_index, known_block = self._inbox_hint
        first_block = known_block if from_index >= known_index else self._deployed_block
        if last_block < first_block:
            return []
        wanted = range(from_index, from_index + min(limit, INBOX_PAGE_MAX))
        logs = self._find_events("InboxEntry", {"index": list(wanted)}, first_block, last_block)
        entries = sorted((_inbox_record(log) for log in logs), key=lambda entry: entry.index)
        if [entry.index for entry in entries] != list(wanted[: len(entries)]):
            raise ChainError("the node's answer has a gap in the inbox: ask again, or ask another node")
        if entries and to_block is None:
            self._inbox_hint = (entries[-1].index, entries[-1].block_number)
        return entries

    def deposit(self, beneficiary: bytes, subaccount: int, amount: int, token: bytes | None = None) -> TxResult:
        """Bring `amount` of this account's tokens (default: quote) to the exchange; approves first where needed."""
        owner, target = to_checksum_address(self._link.sender), to_checksum_address(beneficiary)
        functions = self._token.functions if token is None else self._token_at(token).functions
        if self._link.ask(lambda: functions.allowance(owner, self.address).call()) < amount:
            self._link.send(functions.approve(self.address, amount))
        if token is None:
            return self._send("deposit", target, subaccount, amount)
        return self._send("deposit", target, subaccount, amount, to_checksum_address(token))

    def mint_test_usdc(self, to: bytes, amount: int) -> TxResult:
        """Create test money; only on networks whose token is `TestUSDC`."""
        return self._link.send(self._token.functions.mint(to_checksum_address(to), amount))

    def token_balance(self, owner: bytes, token: bytes | None = None) -> int:
        """Units of a token (default: quote) that `owner` holds on chain."""
        contract = self._token if token is None else self._token_at(token)
        question = contract.functions.balanceOf(to_checksum_address(owner))
        balance: int = self._link.ask(lambda: question.call())
        return balance

    # -------------------------------------------------------- checkpoints

    def checkpoint(self, header: bytes, nonsigners: list[int], signature96: bytes) -> TxResult:
        """Post a finalised header (640 bytes); `nonsigners` are the committee indices absent from the signature."""
        return self._link.send_call(self.address_bytes, encode_checkpoint(header, nonsigners, signature96))

    def last(self) -> LastCheckpoint:
        """How far checkpoints have come; height 0 before the first."""
        return LastCheckpoint(*self._read("last_checkpoint"))

    def last_checkpoint(self) -> CheckpointRecord | None:
        """The last checkpoint; None if there is none yet."""
        height = self.last().height
        return None if height == 0 else self.checkpoint_at(height)

    def checkpoint_at(self, height: int) -> CheckpointRecord | None:
        """The checkpoint of `height`; None if that height was not posted."""
        logs = self._find_events("Checkpoint", {"height": height}, self._deployed_block, self.latest_block())
        return _checkpoint_record(logs[-1]) if logs else None

    def is_kept(self, record: CheckpointRecord) -> bool:
        """Whether the contract still hears proofs against this checkpoint: not all of them stay."""
        return self._read_flag("is_kept", record.to_abi())

    def payable_checkpoint(self) -> CheckpointRecord | None:
        """The youngest checkpoint by which withdrawals are paid now; None if there is none yet.

        Ask for a withdrawal's proof at its height. A withdrawal that it does not hold yet waits for the next one.
        """
        newest_block = self.latest_block()
        now_s: int = self._link.ask(lambda: self._link.web3.eth.get_block(newest_block)["timestamp"])
        oldest_enough_s = now_s - self.claim_delay_s()
        while newest_block >= self._deployed_block:
            first_block = max(self._deployed_block, newest_block - CHECKPOINT_PAGE_BLOCKS + 1)
            for log in reversed(self._find_events("Checkpoint", {}, first_block, newest_block)):
                record = _checkpoint_record(log)
                if record.timestamp_s <= oldest_enough_s and self.is_kept(record):
                    return record
            newest_block = first_block - 1
        return None

    # -------------------------------------------------------- proofs

    def council(self) -> bytes:
        """Address of the council that pauses claims and changes what may change; zero for none."""
        return to_canonical_address(self._read("COUNCIL"))

    def payouts(self) -> Payouts:
        """The contract that pays withdrawals out of this one."""
        if self._payouts is None:
            self._payouts = Payouts(self._link, self._read("PAYOUTS"))
        return self._payouts

    def paid_total(self, token: bytes | None = None) -> int:
        """What a token (default: the quote token) has paid for withdrawals and escapes in kind, in its units."""
        return self._read_number("paid_total", to_checksum_address(token or self.token_address))

    def claim_withdrawal(
        self, height: int, index: int, owner: bytes, amount: int, proof: list[bytes], token: bytes | None = None
    ) -> TxResult:
        """Have withdrawal `index` paid to `owner`, proven against checkpoint `height`; siblings from the leaf up."""
        record = self._require_checkpoint(height)
        return self.payouts().claim(record, Withdrawal(index, owner, token or self.token_address, amount, proof))

    def is_claimed(self, index: int) -> bool:
        """Whether withdrawal `index` has been paid."""
        return self.payouts().is_claimed(index)

    def verify_account(
        self, height: int, index: int, owner: bytes, subaccount: int, claim: int, debt: int, digest: bytes,
        sibling_hashes: list[bytes], sibling_sums: list[bytes],
    ) -> bool:  # fmt: skip
        """Whether the contract finds this account under checkpoint `height`; sums are words `claims ‖ debt`."""
        leaf = _account_arguments(index, owner, subaccount, claim, debt, digest, sibling_hashes, sibling_sums)
        return self._read_flag("verify_account", self._require_checkpoint(height).to_abi(), *leaf)

    # -------------------------------------------------------- the way out without the committee

    def is_frozen(self) -> bool:
        """Whether deposits and checkpoints have ended for ever."""
        return self.last().is_frozen

    def can_freeze(self) -> FreezeOutlook:
        """Whether, why and from when on anyone may freeze the contract, by the time of the latest block."""
        now_s = self._link.ask(lambda: self._link.web3.eth.get_block("latest")["timestamp"])
        last = self.last()
        if last.is_frozen or last.certified_s == 0:
            return FreezeOutlook(False, "already frozen" if last.is_frozen else "not active", None)
        overdue_after_s, silent_after_s = self._read("freeze_deadlines")
        after_s = min(overdue_after_s, silent_after_s)
        cause = "an inbox entry is overdue" if after_s == overdue_after_s else "the committee is silent"
        return FreezeOutlook(now_s > after_s, cause, max(0, after_s + 1 - now_s))

    def freeze(self) -> TxResult:
        """End deposits and checkpoints for ever."""
        return self._send("freeze")

    def pool(self) -> int:
        """What the accounts of the last checkpoint share; final once frozen."""
        return self._read_number("pool")

    def entitlement(self, claim: int) -> int:
        """What an escape pays for `claim` under the last checkpoint; final once frozen."""
        return self._read_number("entitlement", self._require_checkpoint(self.last().height).to_abi(), claim)

    def escape(
        self, index: int, owner: bytes, subaccount: int, claim: int, debt: int, digest: bytes,
        sibling_hashes: list[bytes], sibling_sums: list[bytes],
    ) -> TxResult:  # fmt: skip
        """Have the account paid its share, proven against the last checkpoint; arguments as in `verify_account`."""
        leaf = _account_arguments(index, owner, subaccount, claim, debt, digest, sibling_hashes, sibling_sums)
        return self._send("escape", self._require_checkpoint(self.last().height).to_abi(), *leaf)

    def is_escaped(self, index: int) -> bool:
        """Whether account `index` has been paid by an escape."""
        return self._read_flag("is_escaped", index)

    def refund(self, entry: InboxRecord) -> TxResult:
        """Return a deposit that no checkpoint consumed to its sender."""
        return self._send(
            "refund", entry.index, to_checksum_address(entry.token), to_checksum_address(entry.beneficiary),
            entry.subaccount, to_checksum_address(entry.sender), entry.amount, entry.time_s,
        )  # fmt: skip

    def is_refunded(self, index: int) -> bool:
        """Whether the deposit of inbox entry `index` has been returned."""
        return self._read_flag("is_refunded", index)

    # -------------------------------------------------------- inside

    def _require_checkpoint(self, height: int) -> CheckpointRecord:
        record = self.checkpoint_at(height)
        if record is None:
            raise ChainError(f"height {height} has no checkpoint yet: wait for one or name another height")
        return record

    def _token_at(self, token: bytes) -> Contract:
        contract: Contract = self._link.web3.eth.contract(
            to_checksum_address(token), abi=load_artifact("TestUSDC")["abi"]
        )
        return contract

    def _read_bytes(self, name: str, *arguments: Any) -> bytes:
        data: bytes = self._read(name, *arguments)
        return data

    def _read_flag(self, name: str, *arguments: Any) -> bool:
        flag: bool = self._read(name, *arguments)
        return flag

    def _find_events(self, name: str, filters: dict[str, Any], first_block: int, last_block: int) -> list[EventData]:
        event = self._contract.events[name]
        return self._link.ask(
            lambda: list(event.get_logs(argument_filters=filters, from_block=first_block, to_block=last_block))
        )


def _split(data: bytes) -> list[bytes]:
    return [data[at : at + 32] for at in range(0, len(data), 32)]


def _check_length(proof: list[bytes], depth: int) -> None:
    if len(proof) != depth:
        raise ValueError(f"a proof has {depth} siblings, not {len(proof)}")


def _account_arguments(
    index: int, owner: bytes, subaccount: int, claim: int, debt: int, digest: bytes, sibling_hashes: list[bytes],
    sibling_sums: list[bytes],
) -> tuple[Any, ...]:  # fmt: skip
    """An account's leaf and path as the contract's functions take them."""
    _check_length(sibling_hashes, ACCOUNT_DEPTH)
    _check_length(sibling_sums, ACCOUNT_DEPTH)
    sums = [int.from_bytes(word, "big") for word in sibling_sums]
    return index, to_checksum_address(owner), subaccount, claim, debt, digest, sibling_hashes, sums


def _checkpoint_record(log: EventData) -> CheckpointRecord:
    fields = log["args"]
    return CheckpointRecord(
        fields["height"], fields["header_hash"], fields["state_root"], fields["account_root"], fields["account_sums"],
        fields["withdrawals_root"], fields["posted_s"], log["blockNumber"],
    )  # fmt: skip


def _inbox_record(log: EventData) -> InboxRecord:
    fields = log["args"]
    return InboxRecord(
        fields["index"], fields["kind"], to_canonical_address(fields["token"]),
        to_canonical_address(fields["beneficiary"]), fields["subaccount"], to_canonical_address(fields["sender"]),
        fields["amount"], fields["data"], fields["time_s"], fields["hash"], log["blockNumber"],
    )  # fmt: skip
