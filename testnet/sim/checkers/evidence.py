"""S9: nobody honest is accused, and every accusation can be verified by a stranger."""

from consensus.messages import Vote
from testnet.sim.checkers.violation import require
from testnet.sim.keys import Keys, decode


class EvidenceChecker:
    def __init__(self, keys: Keys, byzantine: tuple[int, ...]) -> None:
        self._keys = keys
        self._byzantine = byzantine
        self.count = 0

    def on_evidence(self, first: bytes, second: bytes) -> None:
        one, two = decode(first), decode(second)
        require(isinstance(one, Vote) and isinstance(two, Vote), "S9 certificates contradict each other")
        assert isinstance(one, Vote) and isinstance(two, Vote)
        require(one.signer == two.signer and one.signer in self._byzantine, f"S9 node {one.signer} accused")
        genuine = self._keys.is_genuine_vote(one) and self._keys.is_genuine_vote(two)
        require(genuine and one.view == two.view and one.header_hash != two.header_hash, "S9 evidence proves nothing")
        self.count += 1
