"""R10: what becomes of evidence. Verified, made durable, passed on once, published; only then is the culprit shut out.

Evidence is news if it proves an offence of a member that was not proven before. So at most six pieces a member are
kept, verified and passed on, whatever the liars send. Whoever sends evidence has verified it: a wrong signature in it
is the sender's fault, never the accused's.

A pair of certificates (E6) proves more than f liars among the members that agreement trusts: the core stops, and stays
stopped after a restart, until its operator has decided which side to follow.
"""

from consensus.effects import Persist, PublishEvidence, Send
from consensus.evidence import CERTIFICATE_PAIR, Nothing, Verdict, is_conflict, judge
from consensus.messages import Certificate, Evidence, encode_message, make_evidence
from consensus.state import PendingEvidence, State, ViewState
from consensus.votes import accuse, as_certificate, expel, halt, is_signer, reject


def on_evidence(state: State, peer: int, evidence: Evidence) -> None:
    """Evidence that a member found or passes on."""
    if evidence.first.epoch != state.config.epoch:
        return
    verdict = judge(evidence, state.config.member_count)
    if isinstance(verdict, Nothing):
        reject(state, peer, f"evidence that proves nothing: {verdict.reason}")
    else:
        accuse(state, peer, evidence)


def on_evidence_verified(state: State, pending: PendingEvidence, ok: bool) -> None:
    if not ok:
        expel(state, pending.peer, "a forged signature in evidence")
        return
    verdict = judge(pending.evidence, state.config.member_count)
    if isinstance(verdict, Verdict):
        convict(state, pending.evidence, verdict)


def convict(state: State, evidence: Evidence, verdict: Verdict) -> None:
    """R10: the signatures are right: durable and published first, consequences after."""
    if not state.is_proven(verdict.culprits, verdict.offence):
        note_proven(state, evidence, verdict)
        state.emit(Persist(encode_message(evidence)))
        publish(state, evidence)
    punish(state, verdict)


def note_proven(state: State, evidence: Evidence, verdict: Verdict) -> None:
    for member in verdict.culprits:
        state.proven.setdefault((member, verdict.offence), evidence)


def publish(state: State, evidence: Evidence) -> None:
    state.emit(PublishEvidence(evidence))
    if state.config.me is not None:
        state.emit(Send(None, encode_message(evidence)))


def punish(state: State, verdict: Verdict) -> None:
    """R10: the culprits are shut out; more than f of them end agreement."""
    if verdict.offence == CERTIFICATE_PAIR:
        halt(state, "two certificates contradict each other: more than f members are faulty")
        return
    for member in verdict.culprits:
        if member != state.config.me:
            expel(state, member, "two conflicting statements in one view")


def on_rival_certificates(state: State, one: Certificate, two: Certificate) -> None:
    """E6: both were verified; agreement ends here."""
    evidence = make_evidence(one, two)
    verdict = judge(evidence, state.config.member_count)
    if isinstance(verdict, Verdict):
        convict(state, evidence, verdict)


def compare_votes(state: State, view_state: ViewState, certificate: Certificate) -> None:
    """A new certificate may contradict what some of its signers said to us alone; they answer for their votes."""
    members = state.config.member_count
    for votes in view_state.votes.values():
        for vote in votes.values():
            if is_conflict(vote, certificate) and is_signer(certificate, vote.signer):
                accuse(state, vote.signer, make_evidence(certificate, as_certificate(vote, members)))


def list_evidence(state: State) -> list[Evidence]:
    """Each piece once, in the order it was found."""
    return list(dict.fromkeys(state.proven.values()))


def restore_evidence(state: State, evidence: Evidence) -> None:
    """From the journal: what was proven stays proven."""
    verdict = judge(evidence, state.config.member_count)
    if evidence.first.epoch == state.config.epoch and isinstance(verdict, Verdict):
        note_proven(state, evidence, verdict)


def publish_again(state: State) -> None:
    """At the start: a crash may have come between finding and publishing."""
    for evidence in list_evidence(state):
        publish(state, evidence)
        verdict = judge(evidence, state.config.member_count)
        if isinstance(verdict, Verdict):
            punish(state, verdict)
