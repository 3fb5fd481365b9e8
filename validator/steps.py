"""Where a block's time goes on its way to finality, as this node sees it. Reported only; nothing decides by it.

Every step is measured from the proposal's time, by its proposer's clock against ours: on one machine they are the same.
Steps may swap places: a block is executed while the disk works for the vote, and a certificate may be there before our
own vote is.
"""

from collections.abc import Callable, Sequence
from enum import IntEnum

import numpy as np

from consensus.messages import NOTARIZE, Certificate, Vote

# Longer times are counted as this long.
STEP_MS_MAX = 2_000
BLOCKS_REMEMBERED = 64


class Step(IntEnum):
    """In their usual order."""

    HERE = 0  # the proposal is here, or built here, and its place in the chain proven
    SIGNED = 1  # the vote to notarise is signed: batches held, payload judged
    NOTARISE_SAID = 2  # durable and on its way
    EXECUTED = 3
    NOTARISED = 4  # a quorum's certificate is here
    FINALISE_SAID = 5
    FINALISED = 6


class Steps:
    """Counts since the start, by step and whole milliseconds."""

    def __init__(self, wall_ms: Callable[[], int]) -> None:
        self._wall_ms = wall_ms
        self._counts = np.zeros((len(Step), STEP_MS_MAX + 1), dtype=np.int64)
        self._begun: dict[bytes, tuple[int, set[Step]]] = {}  # block -> time of its proposal, steps it has made

    def begin(self, block_hash: bytes, timestamp_ms: int) -> None:
        """A proposal is here."""
        if block_hash not in self._begun:
            self._begun[block_hash] = timestamp_ms, set()
            self.note(block_hash, Step.HERE)
            if len(self._begun) > BLOCKS_REMEMBERED:
                del self._begun[next(iter(self._begun))]

    def note(self, block_hash: bytes, step: Step) -> None:
        """Counted once a block, and only for proposals that began here."""
        timestamp_ms, made = self._begun.get(block_hash, (0, None))
        if made is not None and step not in made:
            made.add(step)
            self._counts[step, min(max(0, self._wall_ms() - timestamp_ms), STEP_MS_MAX)] += 1

    def on_said(self, votes: Sequence[Vote]) -> None:
        """Own votes are durable and on their way."""
        for vote in votes:
            self.note(vote.header_hash, Step.NOTARISE_SAID if vote.kind == NOTARIZE else Step.FINALISE_SAID)

    def on_certificates(self, *certificates: Certificate) -> None:
        """A quorum's, verified. Nullifications name no block."""
        for certificate in certificates:
            self.note(certificate.header_hash, Step.NOTARISED if certificate.kind == NOTARIZE else Step.FINALISED)

    def counts(self) -> dict[str, dict[int, int]]:
        """Blocks by step, in small letters, and milliseconds."""
        found: dict[str, dict[int, int]] = {}
        for step in Step:
            at = np.flatnonzero(self._counts[step])
            found[step.name.lower()] = dict(zip(at.tolist(), self._counts[step, at].tolist(), strict=True))
        return found
