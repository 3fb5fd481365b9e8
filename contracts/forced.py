"""Forced actions: what an owner has the exchange do by way of the settlement contract, asking no validator.

Needs an RPC endpoint and the owner's key, nothing else. The rules are in docs/protocol.md, section 4, and docs/spec.md,
FRC. Blocking; every method raises `ChainError` when the chain does not answer and `Refused` when the contract says no.
"""

from dataclasses import dataclass
from typing import Any

from eth_utils import to_checksum_address
from web3.contract import Contract
from web3.logs import DISCARD
from web3.providers.base import BaseProvider

from contracts.artifact import load_artifact
from contracts.chain_link import ChainLink
from contracts.digests import ALL_MARKETS
from contracts.records import ChainError, InboxRecord
from contracts.settlement import Settlement


@dataclass(frozen=True, slots=True)
class ForcedAction:
    """An entry that was just sent: its place in the inbox, and until when a checkpoint must have consumed it."""

    index: int
    due_s: int
    tx_hash: bytes
    gas_used: int


@dataclass(frozen=True, slots=True)
class EntryStatus:
    """How far an entry has come, by the latest block. `now_s` is that block's time; `entry` is None if there is none.

    `is_consumed`: a checkpoint holds it, so the exchange has obeyed or refused it. `can_freeze`: it is overdue.
    """

    entry: InboxRecord | None
    due_s: int
    now_s: int
    is_consumed: bool
    is_frozen: bool
    checkpoint_height: int

    @property
    def can_freeze(self) -> bool:
        """Whether anyone may freeze the contract because of this entry."""
        is_waiting = self.entry is not None and not self.is_consumed and not self.is_frozen
        return is_waiting and self.now_s > self.due_s


class ForcedActions:
    """The inbox of the contract at `address`, as the owner with this key writes to it."""

    def __init__(self, endpoint: str | BaseProvider, address: str, private_key: bytes | None = None) -> None:
        self._settlement = Settlement(endpoint, address)
        self._link = ChainLink(endpoint, private_key)
        abi = load_artifact("Settlement")["abi"]
        self._contract: Contract = self._link.web3.eth.contract(to_checksum_address(address), abi=abi)

    @property
    def owner(self) -> bytes:
        """Whose account the entries mean; `TypeError` without a key."""
        return self._link.sender

    @property
    def token(self) -> bytes:
        """The quote token's address."""
        return self._settlement.token_address

    def decimals(self, token: bytes) -> int:
        """How many decimals a token's amounts are shown with."""
        abi = load_artifact("TestUSDC")["abi"]
        found: Contract = self._link.web3.eth.contract(to_checksum_address(token), abi=abi)
        number: int = self._link.ask(lambda: found.functions["decimals"]().call())
        return number

    def cancel(self, subaccount: int, market: int = ALL_MARKETS) -> ForcedAction:
        """Cancel every order, trigger and offer, of one market or of all."""
        return self._send("force_cancel", subaccount, market)

    def close(self, subaccount: int, market: int, lots: int = 0, limit_ticks: int = 0) -> ForcedAction:
        """Reduce the position by at most `lots` (0: all of it) at no worse a price than the limit (0: the band's)."""
        return self._send("force_close", subaccount, market, lots, limit_ticks)

    def withdraw(self, subaccount: int, token: bytes, amount: int = 0) -> ForcedAction:
        """Withdraw units of a token to the owner; 0: all that is free when the entry is consumed."""
        return self._send("force_withdraw", subaccount, to_checksum_address(token), amount)

    def set_key(
        self, subaccount: int, key: bytes, scopes: int, expiry_ms: int, order_cap_quote: int = 0
    ) -> ForcedAction:
        """Let a key sign for the account; scopes 0 revoke it."""
        return self._send("force_key", subaccount, to_checksum_address(key), scopes, expiry_ms, order_cap_quote)

    def status(self, index: int) -> EntryStatus:
        """How far entry `index` has come."""
        web3 = self._link.web3
        latest = self._link.ask(lambda: web3.eth.get_block("latest"))
        found = self._settlement.inbox_entries(index, 1, latest["number"])
        last = self._settlement.last()
        entry = found[0] if found else None
        return EntryStatus(
            entry, self._due_s(index) if entry else 0, latest["timestamp"], index < last.inbox_cursor, last.is_frozen,
            last.height,
        )  # fmt: skip

    def _send(self, name: str, *arguments: Any) -> ForcedAction:
        result = self._link.send(self._contract.functions[name](*arguments))
        receipt = self._link.ask(lambda: self._link.web3.eth.get_transaction_receipt(result.tx_hash))  # type: ignore[arg-type]
        logs = self._contract.events["InboxEntry"]().process_receipt(receipt, errors=DISCARD)
        if not logs:
            raise ChainError("the node's receipt names no inbox entry: ask another node what became of the transaction")
        index: int = logs[0]["args"]["index"]
        return ForcedAction(index, self._due_s(index), result.tx_hash, result.gas_used)

    def _due_s(self, index: int) -> int:
        due_s: int = self._link.ask(lambda: self._contract.functions["inbox_due_s"](index).call())
        return due_s
