"""Agreement: every honest node delivers the same chain, in order, without gaps (S1, S2, S5), made by leaders (R3)."""

from consensus.leaders import get_leader
from consensus.messages import NULLIFY, Block, Header
from testnet.sim.checkers.certificates import CertificateChecker
from testnet.sim.checkers.violation import require


class AgreementChecker:
    def __init__(self, genesis: Header, certificates: CertificateChecker, leaders: tuple[int, ...]) -> None:
        """`leaders` in their turns; none if somebody else decides who leads."""
        self._certificates = certificates
        self._leaders = leaders
        self._delivered: dict[int, int] = {}
        self.final_headers: dict[int, tuple[bytes, Header]] = {0: (genesis.hash(), genesis)}

    @property
    def height(self) -> int:
        return len(self.final_headers) - 1

    def on_restart(self, node: int, height: int) -> None:
        self._delivered[node] = height

    def on_final(self, node: int, block: Block) -> Header | None:
        """The parent's header if the block is the first of its height, else None."""
        header = block.header
        expected = self._delivered.get(node, 0) + 1
        require(header.height == expected, f"S2 node {node} delivered height {header.height}, not {expected}")
        self._delivered[node] = expected
        known = self.final_headers.get(expected)
        if known is not None:
            require(known[0] == block.hash(), f"S1 two blocks final at height {expected}")
            return None
        parent_hash, parent = self.final_headers[expected - 1]
        require(header.parent_hash == parent_hash, f"S2 height {expected} does not extend its predecessor")
        is_leader = not self._leaders or get_leader(self._leaders, header.view) == header.proposer
        require(is_leader, f"R3 member {header.proposer} led view {header.view}")
        parent_view = 0 if parent.height == 0 else parent.view
        for skipped in range(parent_view + 1, header.view):
            is_nullified = self._certificates.is_certified(NULLIFY, skipped)
            require(is_nullified, f"S5 view {skipped} skipped without nullification")
        self.final_headers[expected] = (block.hash(), header)
        return parent
