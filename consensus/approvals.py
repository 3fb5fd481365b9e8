"""EP2: collecting what the members of the next committee say, until a quorum of them is ready.

A `Ready` is taken only on its signer's own authenticated link, like a vote, and checked like votes: a quorum is
aggregated and verified once, and a wrong signature costs its sender the seat in this collection.
"""

from dataclasses import dataclass, field

from consensus.committee import Committee, weigh
from consensus.messages import Approval, Ready


@dataclass(frozen=True, slots=True)
class AggregateReady:
    """Aggregate and verify against the next committee's keys once; answered by `ReadyAggregated`."""

    committee: Committee
    readies: tuple[Ready, ...]


@dataclass(frozen=True, slots=True)
class ReadyAggregated:
    """Answer to `AggregateReady`: the approval, or else the members whose signatures are wrong (at least one)."""

    epoch: int
    approval: Approval | None
    bad_signers: tuple[int, ...] = ()


@dataclass(slots=True)
class Approvals:
    """Of one next committee. At most one statement per member is held."""

    committee: Committee
    committee_hash: bytes
    approval: Approval | None = None
    readies: dict[int, Ready] = field(default_factory=dict)
    expelled: dict[int, None] = field(default_factory=dict)
    is_aggregating: bool = False

    def take(self, signer: int | None, ready: Ready) -> AggregateReady | None:
        """`signer`: whose link it came from, by the next committee's index."""
        if (ready.epoch, ready.committee_hash) != (self.committee.epoch, self.committee_hash):
            return None
        if signer != ready.signer or signer in self.expelled or signer in self.readies:
            return None
        self.readies[ready.signer] = ready
        return self.choose()

    def choose(self) -> AggregateReady | None:
        """EP2: what to aggregate now, if a quorum of the next committee is ready."""
        if self.approval is not None or self.is_aggregating:
            return None
        if weigh(self.committee.weights, self.readies) < self.committee.quorum:
            return None
        self.is_aggregating = True
        return AggregateReady(self.committee, tuple(self.readies.values()))

    def on_aggregated(self, event: ReadyAggregated) -> AggregateReady | None:
        """The approval is kept; without one the liars are dropped and the rest may be tried again."""
        if event.epoch != self.committee.epoch or not self.is_aggregating:
            return None
        self.is_aggregating = False
        self.approval = event.approval
        for signer in event.bad_signers:
            self.expelled[signer] = None
            self.readies.pop(signer, None)
        return self.choose() if event.bad_signers else None
