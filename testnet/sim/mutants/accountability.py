"""Bugs of naming liars: evidence that is missed, made up, or kept to oneself (R10)."""

from consensus import accusations, certificates, chain, core, messages, votes
from consensus.messages import Certificate, Evidence
from testnet.sim.mutants.patches import Mutant, Patches


def contradicting_certificates_unnoticed(patches: Patches) -> None:
    patches.put(certificates, "find_contradiction", lambda *_: None)


def conflicting_votes_unnoticed(patches: Patches) -> None:
    patches.put(votes, "find_rival", lambda *_: None)


def evidence_unverified(patches: Patches) -> None:
    honest = accusations.on_evidence_verified
    patches.put(core, "on_evidence_verified", lambda core_state, pending, _: honest(core_state, pending, True))


def no_testimony_after_a_fork(patches: Patches) -> None:
    patches.put(chain, "testify", lambda _: None)


def accuses_everybody_in_a_certificate(patches: Patches) -> None:
    """Evidence of votes and of certificates whose bitmaps are united, not intersected."""
    honest = messages.make_evidence

    def make_evidence(first: Certificate, second: Certificate) -> Evidence:
        united = bytes(one | two for one, two in zip(first.bitmap, second.bitmap, strict=True))
        return honest(with_bitmap(first, united), with_bitmap(second, united))

    def with_bitmap(known: Certificate, bitmap: bytes) -> Certificate:
        return Certificate(known.kind, known.epoch, known.view, known.header_hash, bitmap, known.signature)

    patches.put(accusations, "make_evidence", make_evidence)


MUTANTS = (
    Mutant(contradicting_certificates_unnoticed, "R10", "forks"),
    Mutant(conflicting_votes_unnoticed, "R10", "twins"),
    Mutant(evidence_unverified, "R10", "slanderer"),
    Mutant(no_testimony_after_a_fork, "R10", "forks"),
    Mutant(accuses_everybody_in_a_certificate, "R10", "forks"),
)
