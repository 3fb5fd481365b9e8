"""The smallest engine: a hash chain over payloads, as long as a commitment. For runs that are about agreement only."""

from consensus.messages import Block, Header, keccak


def execute(parent_commitment: bytes, timestamp_ms: int, payload: bytes) -> bytes:
    return keccak(parent_commitment[:32] + timestamp_ms.to_bytes(8, "big") + payload) * 10


def execute_block(parent: Header, block: Block) -> bytes:
    return execute(parent.commitment, block.header.timestamp_ms, block.payload)
