"""All checkpoints of a settlement contract, oldest first, read in pages and without web3."""

from collections.abc import Iterator
from typing import Any

from contracts.chain_reader import PAGE_BLOCKS, Ask
from contracts.digests import keccak
from contracts.records import ChainError, CheckpointRecord

_EVENT = "Checkpoint(uint256,bytes32,bytes32,bytes32,bytes32,bytes32,uint256)"
_TOPIC = "0x" + keccak(_EVENT.encode()).hex()
_DEPLOYED_BLOCK = "0x" + keccak(b"DEPLOYED_BLOCK()")[:4].hex()


def read_checkpoints(ask: Ask, contract: str) -> Iterator[CheckpointRecord]:
    """Every header that the contract has accepted up to the latest block. Raises `ChainError`."""
    try:
        block = int(ask("eth_call", [{"to": contract, "data": _DEPLOYED_BLOCK}, "latest"]), 16)
        last_block = int(ask("eth_blockNumber", []), 16)
    except ValueError:
        raise ChainError(f"there is no settlement contract at {contract}: wrong address?") from None
    while block <= last_block:
        end = min(block + PAGE_BLOCKS - 1, last_block)
        where = {"address": contract, "fromBlock": hex(block), "toBlock": hex(end), "topics": [_TOPIC]}
        for log in ask("eth_getLogs", [where]):
            yield _decode(log)
        block = end + 1


def _decode(log: dict[str, Any]) -> CheckpointRecord:
    try:
        data = bytes.fromhex(log["data"][2:])
        words = [data[at : at + 32] for at in range(0, len(data), 32)]
        state_root, account_root, account_sums, withdrawals_root, posted_s = words
        height, header_hash = int(log["topics"][1], 16), bytes.fromhex(log["topics"][2][2:])
        return CheckpointRecord(
            height, header_hash, state_root, account_root, account_sums, withdrawals_root,
            int.from_bytes(posted_s, "big"), int(log["blockNumber"], 16),
        )  # fmt: skip
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise ChainError(f"the node's answer is no checkpoint: {error!r}") from None
