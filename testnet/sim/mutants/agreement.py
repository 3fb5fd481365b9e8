"""Bugs of agreement itself: who may vote for what, what counts as a certificate, what a block may extend."""

from consensus import certificates, chain, core, proposals, round, state, timeouts, votes
from consensus.epochs import Instances
from consensus.events import Executed
from consensus.messages import FINALIZE, NOTARIZE, NULLIFY, Certificate, Proposal, Vote, quorum, vote_digest
from consensus.state import BAD, EXECUTING, OK, BlockEntry, State, ViewState
from testnet.sim.mutants.patches import Mutant, Patches
from validator import agreement, signer
from validator.agreement import Agreement


def quorum_minus_one(patches: Patches) -> None:
    patches.put(state, "quorum", lambda member_count: quorum(member_count) - 1)


def finalizes_what_it_nullified(patches: Patches) -> None:
    def may_finalize(view_state: ViewState, block_hash: bytes) -> bool:
        asked = view_state.asked
        return FINALIZE not in asked and asked.get(NOTARIZE, block_hash) == block_hash

    patches.put(round, "may_finalize", may_finalize)


def nullifies_what_it_finalized(patches: Patches) -> None:
    """Also never enters a view by notarization, or the view would be left before it can be nullified."""
    patches.put(round, "may_nullify", lambda view_state: NULLIFY not in view_state.asked)
    patches.put(round, "is_over", lambda _, view_state: {NULLIFY, FINALIZE} & view_state.certificates.keys())


def finalizes_another_block_than_it_notarized(patches: Patches) -> None:
    def may_finalize(view_state: ViewState, _: bytes) -> bool:
        return NULLIFY not in view_state.asked and FINALIZE not in view_state.asked

    patches.put(round, "may_finalize", may_finalize)


def notarizes_what_it_gave_up(patches: Patches) -> None:
    patches.put(round, "may_notarize", lambda view_state: NOTARIZE not in view_state.asked)


def finalizes_before_it_executed(patches: Patches) -> None:
    def try_finalize(core_state: State) -> None:
        for view_state in core_state.live_views() if core_state.can_sign else ():
            notarization = view_state.certificates.get(NOTARIZE)
            if notarization is not None and round.may_finalize(view_state, notarization.header_hash):
                votes.ask_to_sign(core_state, FINALIZE, view_state.view, notarization.header_hash)

    patches.put(round, "try_finalize", try_finalize)


def result_unchecked(patches: Patches) -> None:
    def on_executed(core_state: State, event: Executed) -> None:
        entry = core_state.blocks.get(event.block_hash)
        if entry is not None and entry.status == EXECUTING:
            chain.set_status(core_state, entry, OK)

    patches.put(core, "on_executed", on_executed)


def executes_before_the_parent(patches: Patches) -> None:
    def advance_held(core_state: State, entry: BlockEntry) -> None:
        parent = core_state.blocks.get(entry.block.header.parent_hash)
        if parent is not None:
            chain.execute(core_state, entry)

    patches.put(chain, "advance_held", advance_held)


def ancestry_unchecked(patches: Patches) -> None:
    patches.put(proposals, "find_ancestry_fault", lambda *_: "")
    patches.put(round, "holds_nullifications", lambda *_: True)


def skipped_views_unchecked(patches: Patches) -> None:
    """The parent's certificate is looked at, the nullifications in between are not."""
    honest = proposals.find_ancestry_fault

    def find_ancestry_fault(core_state: State, proposal: Proposal) -> str:
        fault = honest(core_state, proposal)
        return "" if fault in ("skipped views without nullification", "a wrong nullification") else fault

    patches.put(proposals, "find_ancestry_fault", find_ancestry_fault)
    patches.put(round, "holds_nullifications", lambda *_: True)


def base_ignores_skipped_views(patches: Patches) -> None:
    """An honest leader that builds on the last final block whatever happened since."""
    patches.put(round, "choose_base", lambda core_state, _: core_state.final)


def certificate_size_unchecked(patches: Patches) -> None:
    def is_quorate(core_state: State, certificate: Certificate) -> bool:
        return certificate.epoch == core_state.config.epoch and bool(certificate.signers())

    patches.put(certificates, "is_quorate", is_quorate)
    patches.put(proposals, "is_quorate", is_quorate)


def certificate_signature_unchecked(patches: Patches) -> None:
    honest = certificates.on_certificate_verified
    patches.put(core, "on_certificate_verified", lambda core_state, pending, _: honest(core_state, pending, True))


def carried_certificates_unverified(patches: Patches) -> None:
    honest = proposals.on_proposal_verified
    patches.put(core, "on_proposal_verified", lambda core_state, pending, _: honest(core_state, pending, True))


def epoch_unchecked(patches: Patches) -> None:
    """Neither where a message is handed to the core of its epoch nor where a certificate is checked."""
    find = Instances._find

    def is_quorate(core_state: State, certificate: Certificate) -> bool:
        return len(certificate.signers()) >= core_state.quorum

    honest = Agreement.is_genuine

    def is_genuine(driver: Agreement, certificate: Certificate) -> bool:
        config = driver.core.config
        digest = vote_digest(
            config.domain, certificate.kind, certificate.epoch, certificate.view, certificate.header_hash
        )
        members = driver._bls_keys(driver.epoch)
        keys = [members[signer] for signer in certificate.signers()]
        return honest(driver, certificate) or driver._scheme.verify_aggregate(keys, digest, certificate.signature)

    patches.put(certificates, "is_quorate", is_quorate)
    patches.put(Instances, "_find", lambda holder, epoch: find(holder, epoch) or holder.current)
    patches.put(proposals, "is_quorate", is_quorate)
    patches.put(Agreement, "is_genuine", is_genuine)


def one_domain_for_all_votes(patches: Patches) -> None:
    """The signed digest says which block, and not whether it is to be notarized or finalized."""

    def digest(domain: bytes, kind: int, epoch: int, view: int, header_hash: bytes) -> bytes:
        return vote_digest(domain, NULLIFY if kind == NULLIFY else NOTARIZE, epoch, view, header_hash)

    for owner in (agreement, signer):
        patches.put(owner, "vote_digest", digest)


def votes_in_others_names_accepted(patches: Patches) -> None:
    honest = votes.on_vote

    def on_vote(core_state: State, peer: int, vote: Vote) -> None:
        honest(core_state, vote.signer, vote)

    patches.put(core, "on_vote", on_vote)


def leader_unchecked(patches: Patches) -> None:
    """Anybody's proposal is the leader's."""

    def is_addressed(core_state: State, peer: int, proposal: Proposal, block_hash: bytes) -> bool:
        return proposal.vote.header_hash == block_hash and proposal.vote.signer == peer

    honest = chain.is_child

    def is_child(core_state: State, entry: BlockEntry, parent: BlockEntry) -> bool:
        leader = core_state.leader(entry.block.header.view)
        header = entry.block.header._replace(proposer=leader)
        return honest(core_state, BlockEntry(type(entry.block)(header, entry.block.payload), entry.hash, BAD), parent)

    patches.put(proposals, "is_addressed", is_addressed)
    patches.put(chain, "is_child", is_child)


def patience_never_grows(patches: Patches) -> None:
    """The reset on entry of a view: delta is what it was at first."""
    honest = timeouts.compute_delta_ms
    patches.put(round, "compute_delta_ms", lambda config, *_: honest(config, 1, 0))


MUTANTS = (
    Mutant(quorum_minus_one, "R6", "twins"),
    Mutant(finalizes_what_it_nullified, "R4", "unguarded"),
    Mutant(nullifies_what_it_finalized, "R5", "unguarded"),
    Mutant(finalizes_another_block_than_it_notarized, "R4", "unguarded equivocator"),
    Mutant(notarizes_what_it_gave_up, "R3", "unguarded"),
    Mutant(finalizes_before_it_executed, "R4", "wrong result"),
    Mutant(result_unchecked, "R4", "wrong result"),
    Mutant(executes_before_the_parent, "R7"),
    Mutant(ancestry_unchecked, "R2", "skipper"),
    Mutant(skipped_views_unchecked, "R2", "skipper"),
    Mutant(base_ignores_skipped_views, "R2"),
    Mutant(certificate_size_unchecked, "R6", "forger"),
    Mutant(certificate_signature_unchecked, "R6", "forger"),
    Mutant(carried_certificates_unverified, "R2", "fabricator"),
    Mutant(leader_unchecked, "R3", "usurper"),
    Mutant(epoch_unchecked, "P2", "replayer"),
    Mutant(one_domain_for_all_votes, "R6", "retagger"),
    Mutant(votes_in_others_names_accepted, "R3", "forger"),
    Mutant(patience_never_grows, "R1", "slow links"),
)
