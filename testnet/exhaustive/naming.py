"""The name of a member's state: equal names, equal behaviour.

Left out is only what nothing but time can bring into play (timers, back-off, budgets, how far others were seen,
counters), and whose state it is: equal roles have equal names.
"""

from consensus.state import State, ViewState
from testnet.exhaustive.member import Member

Name = tuple[object, ...]


def name_state(member: Member) -> Name:
    state = member.core._state
    top = state.top_certificate
    return (
        member.said,
        member.answers,
        member.fault,
        state.view,
        (state.is_halted, state.is_diverged, state.is_syncing),
        tuple(sorted(state.expelled)),
        tuple(sorted(state.proven)),
        None if top is None else (top.view, top.header_hash),
        state.final.hash,
        tuple(sorted((block_hash, entry.status) for block_hash, entry in state.blocks.items())),
        tuple(sorted(state.wanted)),
        tuple(_name_view(state, state.views[view]) for view in sorted(state.views)),
    )


def _name_view(state: State, view_state: ViewState) -> Name:
    leader = state.leader(view_state.view)
    draft = view_state.draft
    return (
        view_state.view,
        view_state.proposal_hash,
        view_state.is_admitted,
        bool(view_state.nullify_reason),
        tuple(sorted(view_state.asked.items())),
        tuple(sorted(view_state.refused.items())),
        tuple(sorted((kind, vote.header_hash) for kind, vote in view_state.own.items())),
        # Others' votes arrive in proposals only; the leader's is that of its first proposal.
        tuple((kind, by[leader].header_hash) for kind, by in view_state.votes.items() if leader in by),
        tuple(sorted((kind, known.header_hash) for kind, known in view_state.certificates.items())),
        view_state.build_parent,
        None if draft is None else draft.block.hash(),
    )
