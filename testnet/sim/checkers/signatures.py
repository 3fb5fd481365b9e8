"""S8: every vote that an honest key lets out, over all its restarts. The strongest of the checks, and the cheapest.

Beside what evidence could prove, R3: a view that was given up is not notarized any more.
"""

from consensus.messages import FINALIZE, NOTARIZE, NULLIFY, Vote
from testnet.sim.checkers.violation import require


class SignatureChecker:
    def __init__(self) -> None:
        self._votes: dict[tuple[int, int], dict[int, bytes]] = {}

    def on_vote(self, node: int, vote: Vote) -> None:
        view = vote.view
        signed = self._votes.setdefault((node, view), {})
        is_late = vote.kind == NOTARIZE and NOTARIZE not in signed and NULLIFY in signed
        require(not is_late, f"R3 node {node} notarized view {view} after it had given it up")
        known = signed.setdefault(vote.kind, vote.header_hash)
        require(known == vote.header_hash, f"S8 node {node} signed twice, kind {vote.kind} view {view}")
        require(not (NULLIFY in signed and FINALIZE in signed), f"S8 node {node} nullified and finalized view {view}")
        if NOTARIZE in signed and FINALIZE in signed:
            is_same = signed[NOTARIZE] == signed[FINALIZE]
            require(is_same, f"S8 node {node} finalized another block in view {view}")
