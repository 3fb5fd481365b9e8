"""Rules that can be taken out of the core, to see that the check would notice.

Each removal takes out everything that stands for the rule, for the core protects most of them twice. The signer's
guard is a second line of defence; it is asked but stops nobody here.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch

from consensus import certificates, core, proposals, round, state, votes
from consensus.events import Executed
from consensus.messages import FINALIZE, NOTARIZE, NULLIFY, Proposal, quorum
from consensus.state import EXECUTING, OK, State, ViewState
from testnet.exhaustive.universe import QUORUM

Replacement = tuple[Any, str, Callable[..., Any]]


def _notarizes_again(view_state: ViewState) -> bool:
    asked = view_state.asked
    may = NULLIFY not in asked and FINALIZE not in asked and asked.get(NOTARIZE) != view_state.proposal_hash
    if may:
        view_state.own.pop(NOTARIZE, None)
    return may


def _takes_every_proposal(core_state: State, peer: int, proposal: Proposal) -> None:
    view_state = core_state.views.get(proposal.block.header.view)
    if view_state is not None and peer in view_state.votes[NOTARIZE]:
        view_state.proposal = None
        del view_state.votes[NOTARIZE][peer]
    _on_proposal(core_state, peer, proposal)


def _finalizes_after_nullify(view_state: ViewState, block_hash: bytes) -> bool:
    asked = view_state.asked
    return FINALIZE not in asked and asked.get(NOTARIZE, block_hash) == block_hash


def _finalizes_another(view_state: ViewState, _: bytes) -> bool:
    return NULLIFY not in view_state.asked and FINALIZE not in view_state.asked


def _nullifies_after_finalize(view_state: ViewState) -> bool:
    return NULLIFY not in view_state.asked


def _stays_in_view(_: State, view_state: ViewState) -> bool:
    """Else the view is left in the same breath, and nothing can be nullified in it any more."""
    return NULLIFY in view_state.certificates or FINALIZE in view_state.certificates


def _believes_the_header(core_state: State, event: Executed) -> None:
    entry = core_state.blocks.get(event.block_hash)
    if entry is not None and entry.status == EXECUTING:
        entry.status = OK
        core_state.is_dirty = True


_on_proposal = proposals.on_proposal


@dataclass(frozen=True, slots=True)
class Removal:
    """One rule less. `scenario` is where it shows, `quorum` what the cores then take for one.

    `is_strict`: all that comes of it is that a member signs what it could be accused of; otherwise the search goes on
    until agreement itself is broken.
    """

    rule: str
    text: str
    scenario: str
    replacements: tuple[Replacement, ...]
    quorum: int = QUORUM
    is_strict: bool = False


REMOVALS: dict[str, Removal] = {
    removal.rule: removal
    for removal in (
        Removal(
            "R3-once",
            "notarizes every proposal of a view, not only one",
            "byzantine leads view 1",
            (
                (round, "may_notarize", _notarizes_again),
                (core, "on_proposal", _takes_every_proposal),
                (votes, "find_rival", lambda *_: None),
            ),
        ),
        Removal(
            "R3-ancestry",
            "takes a proposal without proof of its ancestry",
            "byzantine leads view 2",
            (
                (proposals, "find_ancestry_fault", lambda *_: ""),
                (round, "holds_nullifications", lambda *_: True),
            ),
        ),
        Removal(
            "R4-nullify",
            "finalizes although it nullified",
            "byzantine leads neither",
            ((round, "may_finalize", _finalizes_after_nullify),),
        ),
        Removal(
            "R4-notarize",
            "finalizes another block than it notarized",
            "byzantine leads view 1",
            ((round, "may_finalize", _finalizes_another),),
            is_strict=True,
        ),
        Removal(
            "R4-result",
            "finalizes whatever its own execution gave",
            "byzantine leads view 1, one wrong block",
            ((core, "on_executed", _believes_the_header),),
        ),
        Removal(
            "R5-finalize",
            "nullifies although it finalized",
            "byzantine leads neither",
            ((round, "may_nullify", _nullifies_after_finalize), (round, "is_over", _stays_in_view)),
        ),
        Removal(
            "R6-quorum",
            "takes q - 1 members for a quorum",
            "byzantine leads view 1",
            ((state, "quorum", lambda members: quorum(members) - 1),),
            quorum=QUORUM - 1,
        ),
        Removal(
            "R6-count",
            "does not count the signers of a certificate",
            "byzantine leads neither",
            ((certificates, "is_quorate", lambda *_: True), (proposals, "is_quorate", lambda *_: True)),
        ),
    )
}


@contextmanager
def without(removal: Removal) -> Iterator[None]:
    """The core with this rule taken out, for as long as the block lasts."""
    with ExitStack() as stack:
        for owner, name, replacement in removal.replacements:
            stack.enter_context(patch.object(owner, name, replacement))
        yield
