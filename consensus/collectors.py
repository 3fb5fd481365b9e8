"""Agreement in a large committee (CO1-CO3): votes go to four members, who hand certificates to all.

All-to-all votes cost n² frames a view, and frames are what a node pays for. Above `collector_threshold` members a vote
goes to the view's collectors only: its leader, the next leader, and two members drawn by hash, so that nobody can know
long before whom to silence. That is O(n) frames and two more message delays to finality (5 instead of 3). Safety does
not depend on who relays; for liveness one honest collector in reach is enough, and without one the view falls back to
all-to-all by itself.

The proposal, and the leader's own nullify (R5), go to all: both are the leader's to tell.
"""

from consensus.effects import Send
from consensus.leaders import get_leader
from consensus.messages import FINALIZE, NOTARIZE, NULLIFY, Certificate, Vote, encode_message, keccak
from consensus.state import State, ViewState
from consensus.timeouts import compute_collect_ms, compute_delta_ms

DRAWN = 2
SETTLED_BY = {
    NOTARIZE: (NOTARIZE, NULLIFY, FINALIZE),
    NULLIFY: (NULLIFY, FINALIZE),
    FINALIZE: (FINALIZE,),
}


def compute_collectors(leaders: tuple[int, ...], epoch: int, view: int) -> tuple[int, ...]:
    """CO1: distinct members; fewer than four only in committees that small."""
    chosen = [get_leader(leaders, view)]
    if len(leaders) > 1:
        chosen.append(get_leader(leaders, view + 1))
    digest = keccak(b"hansa/collectors/v1" + epoch.to_bytes(4, "big") + view.to_bytes(8, "big"))
    for draw in range(DRAWN):
        others = [member for member in range(len(leaders)) if member not in chosen]
        if others:
            chosen.append(others[int.from_bytes(digest[8 * draw : 8 * draw + 8], "big") % len(others)])
    return tuple(chosen)


def uses_collectors(state: State) -> bool:
    return state.config.member_count > state.config.collector_threshold


def get_collectors(state: State, view_state: ViewState) -> tuple[int, ...]:
    if not view_state.collectors:
        view_state.collectors = compute_collectors(state.leaders, state.config.epoch, view_state.view)
    return view_state.collectors


def say_proposal(state: State, vote: Vote, data: bytes) -> None:
    """R2: to all, the leader's notarize vote with it."""
    state.emit(Send(None, data))
    watch(state, vote)


def say_vote(state: State, view_state: ViewState, vote: Vote, data: bytes) -> None:
    """R3-R5: let an own vote out; CO1: to whom."""
    is_leaders_nullify = vote.kind == NULLIFY and state.leader(vote.view) == state.config.me
    if not uses_collectors(state) or is_leaders_nullify or view_state.is_open_to_all:
        state.emit(Send(None, data))
    else:
        for peer in get_collectors(state, view_state):
            if peer != state.config.me:
                state.emit(Send(peer, data))
    watch(state, vote)


def watch(state: State, vote: Vote) -> None:
    """CO3: from the latest own vote of the view."""
    if uses_collectors(state):
        delta_ms = compute_delta_ms(state.config, vote.view, state.floor_view)
        state.set_timer(("collect", vote.view), state.now_ms + compute_collect_ms(delta_ms))


def share_certificate(state: State, view_state: ViewState, data: bytes, is_formed_here: bool) -> bool:
    """CO2: a collector broadcasts what it forms. False if R6 forwards as in a small committee."""
    if not uses_collectors(state) or view_state.is_open_to_all:
        return False
    if is_formed_here:
        state.emit(Send(None, data))
    return True


def on_collect_timer(state: State, view: int) -> None:
    """CO3: no certificate for an own vote in time: from here on the view is all-to-all for us."""
    view_state = state.views.get(view)
    if view_state is None or view <= state.floor_view or state.is_closed:
        return
    unsettled = [vote for vote in view_state.own.values() if not find_settling(view_state, vote.kind)]
    if unsettled:
        view_state.is_open_to_all = True
        for vote in unsettled:
            state.emit(Send(None, encode_message(vote)))


def find_settling(view_state: ViewState, kind: int) -> list[Certificate]:
    """The certificates after which nobody needs a vote of this kind any more."""
    certificates = view_state.certificates
    return [certificates[settling] for settling in SETTLED_BY[kind] if settling in certificates]


def find_answer(state: State, vote: Vote) -> list[Certificate]:
    """CO3: a vote that reaches a member which is no collector asks for the certificate that it did not get."""
    view_state = state.views.get(vote.view)
    if not uses_collectors(state) or view_state is None or state.config.me in get_collectors(state, view_state):
        return []
    return find_settling(view_state, vote.kind)
