"""Sends one account's transactions and stays with each until it is in a block, whatever happens in between.

- A transaction that no block takes for a while is sent again with the same nonce and a higher offer, up to a limit.
- Where an older transaction of the account is stuck before it, an empty one with a higher offer takes that one's place.
- Another process of the same operator may use the same account: who comes too late with a nonce takes the next one, but
  only after it is clear that none of its own was mined. So a call is never executed twice.
- Before every new offer the call is tried again: what meanwhile makes no sense (somebody else was faster) is given up.

Blocking. Several threads may send through one `Sender`.
"""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from coincurve import PrivateKey

from contracts.chain_reader import Ask, RpcRefused
from contracts.records import ChainError, Refused, TxResult
from contracts.transactions import Fees, SignedTransaction, address_of, sign_transaction

# Three blocks of Ethereum.
PATIENCE_S = 36.0
GIVE_UP_S = 600.0
RECEIPT_POLL_S = 0.1
RECEIPT_POLL_S_MAX = 2.0
LIMIT_MAX_WEI = 500 * 10**9
TIP_MIN_WEI = 10**8
# Estimates hold for the moment they are made; state may move until the block.
_GAS_MARGIN_PERCENT = 20
_NONCES_TRIED_MAX = 8
_RECEIPT_LOOKS = 4
_PLAIN_GAS = 21_000
_ERROR_SELECTOR = "0x08c379a0"
# What nodes say, in the words of the usual ones.
_KNOWN, _LATE, _UNDERPRICED = ("already known", "known transaction"), ("nonce too low",), ("underpriced",)


def read_reason(message: str, data: object) -> str:
    """The reason that a contract named, without what nodes put around it."""
    if isinstance(data, str) and data.startswith(_ERROR_SELECTOR):
        body = bytes.fromhex(data[len(_ERROR_SELECTOR) :])
        return body[64 : 64 + int.from_bytes(body[32:64], "big")].decode(errors="replace")
    return message.removeprefix("execution reverted").removeprefix(": ").strip() or "no reason given"


@dataclass(frozen=True, slots=True)
class Clock:
    """Seconds that never go back, and how to wait."""

    now_s: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep


@dataclass(slots=True)
class _Attempt:
    """One call on its way. `sent` has every transaction that may be mined for it."""

    to: bytes
    data: bytes
    gas: int
    fees: Fees
    nonce: int
    sent: list[SignedTransaction] = field(default_factory=list)


class Sender:
    """See the module's text. Raises `Refused` when the contract says no, `ChainError` when the chain does not answer or
    takes nothing for too long; after the latter a transaction may be mined yet.
    """

    def __init__(
        self, ask: Ask, private_key: bytes, chain_id: int, *, limit_max_wei: int = LIMIT_MAX_WEI, clock: Clock = Clock()
    ) -> None:
        self._ask = ask
        self._key = PrivateKey(private_key)
        self._chain_id = chain_id
        self._limit_max_wei = limit_max_wei
        self._clock = clock
        self._signing = threading.Lock()
        self.address = address_of(self._key)
        self._from = "0x" + self.address.hex()

    def send(self, to: bytes, data: bytes) -> TxResult:
        """Have a call executed. `to` empty: a contract is created."""
        receipt = self._send(to, data)
        if int(receipt["status"], 16) != 1:
            # The estimate passed and the block did not: ask again for the reason, in the state it met.
            self._try("eth_call", to, data, receipt["blockNumber"])
            raise Refused("failed in its block, for a reason that is gone")
        return TxResult(
            _bytes(receipt["transactionHash"]), int(receipt["blockNumber"], 16), int(receipt["gasUsed"], 16)
        )

    def create(self, data: bytes) -> bytes:
        """Create a contract; its address."""
        receipt = self._send(b"", data)
        if int(receipt["status"], 16) != 1 or receipt.get("contractAddress") is None:
            raise Refused("the deployment failed")
        return _bytes(receipt["contractAddress"])

    def _send(self, to: bytes, data: bytes) -> dict[str, Any]:
        gas = int(self._try("eth_estimateGas", to, data, None), 16)
        with self._signing:  # two threads must not take one nonce
            attempt = _Attempt(
                to, data, gas + gas * _GAS_MARGIN_PERCENT // 100, self._offer(), self._count_sent("pending")
            )
            self._submit(attempt)
        until_s = self._clock.now_s() + GIVE_UP_S
        while True:
            receipt = self._wait(attempt)
            if receipt is not None:
                return receipt
            if self._clock.now_s() >= until_s:
                raise ChainError(f"no block took the transaction for {GIVE_UP_S:.0f} s, offered {attempt.fees}")
            self._try("eth_call", to, data, "latest")  # whoever was faster makes it needless
            with self._signing:
                self._renew(attempt)

    def _renew(self, attempt: _Attempt) -> None:
        """Offer more, and clear what is stuck before it."""
        offer, bumped = self._offer(), attempt.fees.bump(self._limit_max_wei)
        if bumped != attempt.fees:
            attempt.fees = Fees(max(offer.tip_wei, bumped.tip_wei), max(offer.limit_wei, bumped.limit_wei))
        stuck_first = self._count_sent("latest")
        for nonce in range(stuck_first, min(attempt.nonce, stuck_first + _NONCES_TRIED_MAX)):
            empty = sign_transaction(self._key, self._chain_id, nonce, attempt.fees, _PLAIN_GAS, self.address, b"")
            try:
                self._ask("eth_sendRawTransaction", ["0x" + empty.raw.hex()])
            except RpcRefused:
                continue  # offered too little, or mined meanwhile: the next round sees
        self._submit(attempt)

    def _submit(self, attempt: _Attempt) -> None:
        """Sign and hand over; find another nonce or a higher offer where the node wants one."""
        for _ in range(_NONCES_TRIED_MAX):
            signed = sign_transaction(
                self._key, self._chain_id, attempt.nonce, attempt.fees, attempt.gas, attempt.to, attempt.data
            )
            try:
                self._ask("eth_sendRawTransaction", ["0x" + signed.raw.hex()])
            except RpcRefused as error:
                text = error.message.lower()
                if any(word in text for word in _KNOWN):
                    attempt.sent.append(signed)
                    return
                if any(word in text for word in _LATE):
                    if self._was_mined(attempt):
                        return
                    self._try("eth_call", attempt.to, attempt.data, "latest")
                    attempt.nonce = max(attempt.nonce + 1, self._count_sent("pending"))
                    continue
                if any(word in text for word in _UNDERPRICED):
                    bumped = attempt.fees.bump(self._limit_max_wei)
                    if bumped == attempt.fees:
                        return  # at the limit: wait
                    attempt.fees = bumped
                    continue
                raise ChainError(f"the node takes no transaction of {self._from}: {error.message}") from error
            attempt.sent.append(signed)
            return
        raise ChainError(f"the node took none of {_NONCES_TRIED_MAX} transactions of {self._from} in a row")

    def _wait(self, attempt: _Attempt) -> dict[str, Any] | None:
        """The receipt, or None when patience ends."""
        until_s, pause_s = self._clock.now_s() + PATIENCE_S, RECEIPT_POLL_S
        while True:
            receipt = self._find_receipt(attempt)
            if receipt is not None or self._clock.now_s() >= until_s:
                return receipt
            self._clock.sleep(pause_s)
            pause_s = min(2 * pause_s, RECEIPT_POLL_S_MAX)

    def _was_mined(self, attempt: _Attempt) -> bool:
        """Whether it was ours that took the nonce. Behind one address may be several nodes, and one may lag."""
        for _ in range(_RECEIPT_LOOKS if attempt.sent else 0):
            if self._find_receipt(attempt) is not None:
                return True
            self._clock.sleep(RECEIPT_POLL_S_MAX)
        return False

    def _find_receipt(self, attempt: _Attempt) -> dict[str, Any] | None:
        for signed in reversed(attempt.sent):
            receipt: dict[str, Any] | None = self._ask("eth_getTransactionReceipt", ["0x" + signed.tx_hash.hex()])
            if receipt is not None:
                return receipt
        return None

    def _offer(self) -> Fees:
        """Twice the base fee of now, which six full blocks in a row cannot pass, and the usual tip."""
        base_wei = int(self._ask("eth_getBlockByNumber", ["latest", False]).get("baseFeePerGas", "0x0"), 16)
        tip_wei = max(TIP_MIN_WEI, int(self._ask("eth_maxPriorityFeePerGas", []), 16))
        limit_wei = min(2 * base_wei + tip_wei, self._limit_max_wei)
        return Fees(min(tip_wei, limit_wei), limit_wei)

    def _count_sent(self, tag: str) -> int:
        return int(self._ask("eth_getTransactionCount", [self._from, tag]), 16)

    def _try(self, method: str, to: bytes, data: bytes, block: str | None) -> Any:
        """Raises `Refused` with the contract's reason."""
        call = {"from": self._from, "data": "0x" + data.hex()} | ({"to": "0x" + to.hex()} if to else {})
        try:
            return self._ask(method, [call] if block is None else [call, block])
        except RpcRefused as error:
            if "revert" in error.message.lower() or error.data is not None:
                raise Refused(read_reason(error.message, error.data)) from error
            raise ChainError(f"the node refuses {method}: {error.message}") from error


def _bytes(text: str) -> bytes:
    return bytes.fromhex(text.removeprefix("0x"))
