"""A settlement chain whose blocks a test makes, and endpoints that show it truly or otherwise. They answer JSON-RPC, so
that everything from the reader up is the real thing.
"""

from dataclasses import replace
from typing import Any

from consensus.messages import compute_domain
from contracts.chain_reader import _CHECKPOINT_TOPIC, _ENTRY_TOPIC, PAGE_BLOCKS, ChainReader, RpcRefused
from contracts.digests import keccak, next_inbox_hash
from contracts.records import ChainError, InboxRecord

CHAIN_ID, CONTRACT = 31337, b"\2" * 20
DOMAIN = compute_domain(CHAIN_ID, CONTRACT)
DEPLOYED_BLOCK = 3
_WORDS = {
    "0x" + keccak(b"domain()")[:4].hex(): DOMAIN,
    "0x" + keccak(b"DEPLOYED_BLOCK()")[:4].hex(): DEPLOYED_BLOCK.to_bytes(32, "big"),
}
_LAST_CHECKPOINT = "0x" + keccak(b"last_checkpoint()")[:4].hex()


class FakeChain:
    """Entries and checkpoints by block; blocks up to `final_block` are final."""

    def __init__(self) -> None:
        self.entries: list[InboxRecord] = []
        self.checkpoints: list[tuple[int, bytes, int]] = []
        self.final_block = 10

    def copy(self) -> "FakeChain":
        twin = FakeChain()
        twin.entries, twin.checkpoints, twin.final_block = [*self.entries], [*self.checkpoints], self.final_block
        return twin

    def add_entry(self, block: int, amount: int = 5) -> None:
        index = len(self.entries)
        previous = self.entries[-1].hash if self.entries else bytes(32)
        record = InboxRecord(
            index, 1, b"\1" * 20, b"\5" * 20, 0, b"\6" * 20, amount, bytes(32), 100 + block, bytes(32), block
        )
        entry_hash = next_inbox_hash(
            previous, index, 1, record.token, record.beneficiary, 0, record.sender, amount, record.data, record.time_s
        )
        self.entries.append(replace(record, hash=entry_hash))

    def add_checkpoint(self, height: int, block: int) -> None:
        self.checkpoints.append((height, keccak(height.to_bytes(8, "big")), block))


class FakeEndpoint:
    """Answers calls from a chain that a test may exchange. `asked` counts calls by method, and ranges of logs."""

    def __init__(self, chain: FakeChain) -> None:
        self.chain = chain
        self.is_dead = False
        self.chain_id = CHAIN_ID
        self.range_max = PAGE_BLOCKS
        self.asked: dict[str, int] = {}
        self.ranges: list[tuple[int, int]] = []

    def reader(self) -> ChainReader:
        return ChainReader(self.ask, "0x" + CONTRACT.hex())

    def ask(self, method: str, params: list[Any]) -> Any:
        if self.is_dead:
            raise ChainError("the settlement chain did not answer: it is dead")
        self.asked[method] = self.asked.get(method, 0) + 1
        if method == "eth_chainId":
            return hex(self.chain_id)
        if method == "eth_getBlockByNumber":
            return {"number": hex(self.chain.final_block)}
        if method == "eth_call":
            if params[0]["data"] == _LAST_CHECKPOINT:
                height = self.chain.checkpoints[-1][0] if self.chain.checkpoints else 0
                return "0x" + height.to_bytes(32, "big").hex() + "00" * 128
            return "0x" + _WORDS[params[0]["data"]].hex()
        assert method == "eth_getLogs"
        first, last = int(params[0]["fromBlock"], 16), int(params[0]["toBlock"], 16)
        if last - first >= self.range_max:
            raise RpcRefused(method, "query exceeds max block range")
        self.ranges.append((first, last))
        logs = [_entry_log(entry) for entry in self.chain.entries if first <= entry.block_number <= last]
        return logs + [_checkpoint_log(item) for item in self.chain.checkpoints if first <= item[2] <= last]


def _entry_log(entry: InboxRecord) -> dict[str, Any]:
    topics = [entry.index.to_bytes(32, "big"), bytes(12) + entry.beneficiary, bytes(12) + entry.sender]
    words = [
        entry.kind, int.from_bytes(entry.token, "big"), entry.subaccount, entry.amount,
        int.from_bytes(entry.data, "big"), entry.time_s, int.from_bytes(entry.hash, "big"),
    ]  # fmt: skip
    return {
        "topics": [_ENTRY_TOPIC, *("0x" + topic.hex() for topic in topics)],
        "data": "0x" + b"".join(word.to_bytes(32, "big") for word in words).hex(),
        "blockNumber": hex(entry.block_number), "logIndex": hex(entry.index),
    }  # fmt: skip


def _checkpoint_log(item: tuple[int, bytes, int]) -> dict[str, Any]:
    height, header_hash, block = item
    topics = [_CHECKPOINT_TOPIC, "0x" + height.to_bytes(32, "big").hex(), "0x" + header_hash.hex()]
    return {"topics": topics, "data": "0x", "blockNumber": hex(block), "logIndex": "0xff"}
