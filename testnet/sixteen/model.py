"""How many frames a block costs in a committee of n whose votes go from everybody to everybody.

A block: its proposal goes to the n - 1 others and carries the proposer's vote to notarise; the others say theirs to n -
1 each; all n say their vote to finalise to n - 1. Whoever makes a certificate before it has seen the next leader beyond
that view sends it there: n - 1 at most, for each of the two kinds. Batches: each goes from its author to n - 1; with
few orders there is one for each.

Time: everybody reports prices to everybody once a second, and every few heartbeats asks for an answer, in both
directions of every link (more often on a link that is idle, and these are not).

All of it is counted as frames sent, a node's mean. Links put frames that are ready together into one write.
"""

from dataclasses import dataclass

from net.link import LinkLimits
from validator.oracle import REPORT_INTERVAL_MS


@dataclass(frozen=True, slots=True)
class Frames:
    """Sent by one node, mean."""

    votes: float
    proposal: float
    certificates_max: float
    reports: float
    heartbeats: float
    batches: float

    @property
    def total(self) -> float:
        return (
            self.votes + self.proposal + self.certificates_max + self.reports + self.heartbeats + self.batches
        )  # fmt: skip


def compute_frames(members: int, blocks_per_s: float, batches_per_s: float) -> Frames:
    """For one block, when so many blocks and batches (of the whole committee) come in a second."""
    others = members - 1
    blocks_per_s = max(blocks_per_s, 0.001)
    limits = LinkLimits()
    pings_per_s = 1 / (limits.heartbeat_s * limits.beats_per_ping)
    return Frames(
        votes=(others * others + members * others) / members,
        proposal=others / members,
        certificates_max=2 * others / members,
        reports=others * 1000 / REPORT_INTERVAL_MS / blocks_per_s,
        heartbeats=2 * others * pings_per_s / blocks_per_s,
        batches=batches_per_s * others / members / blocks_per_s,
    )
