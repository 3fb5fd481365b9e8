"""What must hold in every run, seen by one who sees everything. Names as in the design notes (S1-S9, D1).

The strongest is S8: every vote that an honest key lets out, over all its restarts.
"""

from consensus.messages import (
    FINALIZE,
    NOTARIZE,
    NULLIFY,
    Block,
    Certificate,
    Header,
    Proposal,
    Vote,
    keccak,
    quorum,
)
from testnet.sim.keys import Keys, decode


class Violation(AssertionError):
    """A property does not hold; the text begins with its name."""


def execute(parent_commitment: bytes, timestamp_ms: int, payload: bytes) -> bytes:
    """The engine of the simulator: a hash chain over payloads, as long as a commitment."""
    return keccak(parent_commitment[:32] + timestamp_ms.to_bytes(8, "big") + payload) * 10


class Checkers:
    def __init__(self, keys: Keys, genesis: Header, byzantine: tuple[int, ...]) -> None:
        self._keys = keys
        self._byzantine = byzantine
        self._quorum = quorum(keys.member_count)
        self._genesis = genesis
        self.final_headers: dict[int, tuple[bytes, Header]] = {0: (genesis.hash(), genesis)}
        self._delivered: dict[int, int] = {}
        self._votes: dict[tuple[int, int], dict[int, bytes]] = {}
        self._certified: dict[tuple[int, int], bytes] = {}
        self._seen: dict[bytes, None] = {}
        self.evidence_count = 0

    @property
    def height(self) -> int:
        return len(self.final_headers) - 1

    def on_restart(self, node: int, height: int) -> None:
        self._delivered[node] = height

    def on_final(self, node: int, block: Block) -> None:
        """S1, S2, S5, S10."""
        header = block.header
        expected = self._delivered.get(node, 0) + 1
        require(header.height == expected, f"S2 node {node} delivered height {header.height}, not {expected}")
        self._delivered[node] = expected
        known = self.final_headers.get(expected)
        if known is not None:
            require(known[0] == block.hash(), f"S1 two blocks final at height {expected}")
            return
        parent_hash, parent = self.final_headers[expected - 1]
        require(header.parent_hash == parent_hash, f"S2 height {expected} does not extend its predecessor")
        own = execute(parent.commitment, header.timestamp_ms, block.payload)
        require(header.commitment == own, f"S10 height {expected} carries a wrong result")
        parent_view = 0 if parent.height == 0 else parent.view
        for skipped in range(parent_view + 1, header.view):
            require((NULLIFY, skipped) in self._certified, f"S5 view {skipped} skipped without nullification")
        self.final_headers[expected] = (block.hash(), header)

    def on_certificate(self, certificate: Certificate, data: bytes) -> None:
        """S3, S4, S6, S7: a certificate that an honest node believes."""
        if data in self._seen:
            return
        self._seen[data] = None
        signers = certificate.signers()
        require(len(signers) >= self._quorum, f"S7 a certificate with {len(signers)} signers")
        require(self._keys.is_genuine(certificate), "S7 a certificate with a wrong signature")
        kind, view, header_hash = certificate.kind, certificate.view, certificate.header_hash
        known = self._certified.setdefault((kind, view), header_hash)
        require(known == header_hash, f"S3 two certificates of kind {kind} in view {view}")
        both = (NULLIFY, view) in self._certified and (FINALIZE, view) in self._certified
        require(not both, f"S4 view {view} nullified and finalised")

    def on_end(self) -> None:
        """S6 once everything was seen."""
        for (kind, view), header_hash in self._certified.items():
            if kind == FINALIZE:
                require(self._certified.get((NOTARIZE, view)) == header_hash, f"S6 view {view} final, not notarised")

    def on_sent(self, node: int, data: bytes, durable_votes: dict[Vote, None]) -> None:
        """S8 and D1: an honest node lets something out."""
        if data[:2] == b"\x82\x02" or data[:2] == b"\x82\x04":
            return
        message = decode(data)
        assert isinstance(message, Vote | Proposal)
        vote = message if isinstance(message, Vote) else message.vote
        require(vote in durable_votes, f"D1 node {node} sent a vote before it was durable")
        signed = self._votes.setdefault((node, vote.view), {})
        known = signed.setdefault(vote.kind, vote.header_hash)
        require(known == vote.header_hash, f"S8 node {node} signed twice, kind {vote.kind} view {vote.view}")
        require(
            not (NULLIFY in signed and FINALIZE in signed), f"S8 node {node} nullified and finalized view {vote.view}"
        )
        if NOTARIZE in signed and FINALIZE in signed:
            require(signed[NOTARIZE] == signed[FINALIZE], f"S8 node {node} finalized another block in view {vote.view}")

    def on_evidence(self, first: bytes, second: bytes) -> None:
        """S9: nobody honest is accused, and every accusation can be verified."""
        one, two = decode(first), decode(second)
        require(isinstance(one, Vote) and isinstance(two, Vote), "S9 certificates contradict each other")
        assert isinstance(one, Vote) and isinstance(two, Vote)
        require(one.signer == two.signer and one.signer in self._byzantine, f"S9 node {one.signer} accused")
        genuine = self._keys.is_genuine_vote(one) and self._keys.is_genuine_vote(two)
        require(genuine and one.view == two.view and one.header_hash != two.header_hash, "S9 evidence proves nothing")
        self.evidence_count += 1


def require(holds: bool, text: str) -> None:
    if not holds:
        raise Violation(text)
