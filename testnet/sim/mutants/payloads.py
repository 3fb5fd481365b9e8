"""Bugs of judging and choosing what a block carries (R3, V1 to V4, S12, L6)."""

from consensus.messages import Block, Header
from testnet.sim.mutants.patches import Mutant, Patches
from validator import batches, proposals
from validator.batches import BatchPool
from validator.inbox import Inbox
from validator.oracle import ReportBook
from validator.proposals import Proposals

Refs = tuple[tuple[int, int, bytes], ...]


def availability_unchecked(patches: Patches) -> None:
    """Votes for blocks whose batches may come later, or never."""
    honest = Proposals.is_acceptable

    def is_acceptable(voter: Proposals, block: Block, parent: Header, now_ms: int) -> bool:
        return honest(voter, block, parent, now_ms) is not False

    patches.put(Proposals, "is_acceptable", is_acceptable)


def batch_signature_unchecked(patches: Patches) -> None:
    patches.put(batches, "verify_batch_hash", lambda *_: True)


def report_signature_unchecked(patches: Patches) -> None:
    patches.put(ReportBook, "is_genuine", lambda *_: True)


def report_quorum_unchecked(patches: Patches) -> None:
    patches.put(ReportBook, "is_fair", lambda *_: True)


def time_unchecked(patches: Patches) -> None:
    patches.put(proposals, "CLOCK_PRECISION_MS", 1 << 60)


def deposits_unchecked(patches: Patches) -> None:
    patches.put(Inbox, "check", lambda *_: True)


def batch_order_unchecked(patches: Patches) -> None:
    patches.put(proposals, "sort_refs", lambda refs: refs)


def leaders_pass_an_author_by(patches: Patches) -> None:
    """Nobody names the first member's batches, and nobody insists on them."""
    honest = BatchPool.select

    def select(pool: BatchPool, *arguments: object) -> Refs:
        refs: Refs = honest(pool, *arguments)  # type: ignore[arg-type]
        return tuple(ref for ref in refs if ref[0] != 0)

    patches.put(BatchPool, "select", select)
    patches.put(Proposals, "_leaves_out_overdue", lambda *_: False)


MUTANTS = (
    Mutant(availability_unchecked, "R3", "batch hider"),
    Mutant(batch_signature_unchecked, "R3", "batch forger"),
    Mutant(report_signature_unchecked, "R3", "report forger"),
    Mutant(report_quorum_unchecked, "R3", "lone reporter"),
    Mutant(time_unchecked, "R3", "clock liar"),
    Mutant(deposits_unchecked, "R3", "inbox forger"),
    Mutant(batch_order_unchecked, "R3", "bad order"),
    Mutant(leaders_pass_an_author_by, "R2", "quiet"),
)
