"""S10: a final block carries the result of executing it again, and equal blocks have equal results everywhere."""

from collections.abc import Callable

from consensus.messages import Block, Header
from testnet.sim.checkers.violation import require


class RootChecker:
    def __init__(self, execute: Callable[[Header, Block], bytes]) -> None:
        """`execute`: the commitment of a block on its parent, computed independently of every node."""
        self._execute = execute
        self._results: dict[bytes, bytes | None] = {}

    def on_first_final(self, parent: Header, block: Block) -> None:
        is_right = block.header.commitment == self._execute(parent, block)
        require(is_right, f"S10 height {block.header.height} carries a wrong result")

    def on_executed(self, node: int, block_hash: bytes, commitment: bytes | None) -> None:
        known = self._results.setdefault(block_hash, commitment)
        require(known == commitment, f"S10 node {node} executes {block_hash.hex()[:8]} differently")
