"""A node with a mempool as the usual ones keep it, and one account's contract that counts what was executed."""

from dataclasses import dataclass, field
from typing import Any

import rlp

from contracts.chain_reader import RpcRefused
from contracts.digests import keccak
from contracts.records import ChainError

REPLACE_PERCENT = 10
GWEI = 10**9


@dataclass(frozen=True)
class Pending:
    nonce: int
    tip_wei: int
    limit_wei: int
    to: bytes
    data: bytes
    tx_hash: bytes


@dataclass
class FakeMempool:
    """`mine` takes what pays `base_wei`, in order of nonces; time is the test's and passes only in `sleep`."""

    base_wei: int = GWEI
    now_s: float = 0.0
    pool: dict[int, Pending] = field(default_factory=dict)
    mined: list[Pending] = field(default_factory=list)
    offers: list[Pending] = field(default_factory=list)
    refusal: str = ""  # what the contract says to a call, empty: nothing
    fails_in_block: bool = False
    deaths_left: int = 0  # answers that fail from now on
    on_sleep: list[Any] = field(default_factory=list)  # one call back each sleep, in order

    def sleep(self, for_s: float) -> None:
        self.now_s += for_s
        if self.on_sleep:
            self.on_sleep.pop(0)()

    @property
    def executed(self) -> list[bytes]:
        return [item.data for item in self.mined if item.data]

    def mine(self) -> None:
        while (item := self.pool.get(len(self.mined))) is not None and item.limit_wei >= self.base_wei:
            self.mined.append(self.pool.pop(len(self.mined)))

    def ask(self, method: str, params: list[Any]) -> Any:
        if self.deaths_left:
            self.deaths_left -= 1
            raise ChainError("the settlement chain did not answer: dead")
        match method:
            case "eth_estimateGas" | "eth_call":
                if self.refusal:
                    raise RpcRefused(method, f"execution reverted: {self.refusal}")
                return hex(100_000)
            case "eth_getBlockByNumber":
                return {"baseFeePerGas": hex(self.base_wei)}
            case "eth_maxPriorityFeePerGas":
                return hex(GWEI // 10)
            case "eth_getTransactionCount":
                count = len(self.mined)
                while params[1] == "pending" and count in self.pool:
                    count += 1
                return hex(count)
            case "eth_sendRawTransaction":
                return "0x" + self._take(bytes.fromhex(params[0][2:])).hex()
            case "eth_getTransactionReceipt":
                return self._receipt(bytes.fromhex(params[0][2:]))
        raise AssertionError(method)

    def _take(self, raw: bytes) -> bytes:
        chain_id, nonce, tip_wei, limit_wei, _, to, _, data, *_ = rlp.decode(raw[1:])
        assert int.from_bytes(chain_id, "big") == 7
        item = Pending(*(int.from_bytes(part, "big") for part in (nonce, tip_wei, limit_wei)), to, data, keccak(raw))
        self.offers.append(item)
        if item.nonce < len(self.mined):
            raise RpcRefused("eth_sendRawTransaction", f"nonce too low: next nonce {len(self.mined)}")
        known = self.pool.get(item.nonce)
        if known is not None:
            if known.tx_hash == item.tx_hash:
                raise RpcRefused("eth_sendRawTransaction", "already known")
            wanted = 100 + REPLACE_PERCENT
            if 100 * item.tip_wei < wanted * known.tip_wei or 100 * item.limit_wei < wanted * known.limit_wei:
                raise RpcRefused("eth_sendRawTransaction", "replacement transaction underpriced")
        self.pool[item.nonce] = item
        return item.tx_hash

    def _receipt(self, tx_hash: bytes) -> dict[str, Any] | None:
        for block, item in enumerate(self.mined):
            if item.tx_hash == tx_hash:
                status = "0x0" if self.fails_in_block else "0x1"
                return {
                    "status": status, "blockNumber": hex(block), "gasUsed": "0x5208",
                    "transactionHash": "0x" + tx_hash.hex(), "contractAddress": None,
                }  # fmt: skip
        return None
