"""S9: nobody honest is accused, and every accusation can be verified by a stranger."""

from consensus.evidence import Nothing, judge
from consensus.messages import Evidence
from testnet.sim.checkers.violation import require
from testnet.sim.keys import Keys


class EvidenceChecker:
    def __init__(self, keys: Keys, byzantine: tuple[int, ...]) -> None:
        self._keys = keys
        self._byzantine = byzantine
        self.seen: dict[Evidence, None] = {}
        self.offences: dict[int, dict[int, None]] = {}  # by culprit: what it did, as `consensus.evidence` numbers it

    @property
    def count(self) -> int:
        """Different pieces so far, however many nodes found or passed them on."""
        return len(self.seen)

    def on_evidence(self, evidence: Evidence) -> None:
        if evidence in self.seen:
            return
        self.seen[evidence] = None
        verdict = judge(evidence, self._keys.member_count)
        require(not isinstance(verdict, Nothing), f"S9 evidence proves nothing: {verdict}")
        assert not isinstance(verdict, Nothing)
        accused = [member for member in verdict.culprits if member not in self._byzantine]
        require(not accused, f"S9 honest nodes accused: {accused}")
        genuine = all(self._keys.is_genuine(statement) for statement in (evidence.first, evidence.second))
        require(genuine, "S9 evidence with a wrong signature")
        for member in verdict.culprits:
            self.offences.setdefault(member, {})[verdict.offence] = None
