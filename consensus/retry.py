"""R8: saying things again. Messages get lost, and Simplex lives on every honest member learning what ended a view.

Three occasions: a view that was given up and does not end (`retry`), a long time without finalisation (`standstill`),
a member that visibly lags or whose link comes up. All of it is paid from one budget per peer, `EGRESS_BYTES_MAX` in a
burst and as much per second afterwards, because repair traffic without a cap can feed on itself until the network
dies.

Addition to the published rule: a member that still asks to nullify a view we have left gets our entry certificate, at
most once per delta.
"""

from consensus.accusations import list_evidence
from consensus.chain import fall_behind
from consensus.collectors import find_answer
from consensus.effects import Send
from consensus.messages import FINALIZE, NOTARIZE, NULLIFY, Certificate, Vote, encode_message
from consensus.state import State, ViewState
from consensus.timeouts import compute_delta_ms, compute_retry_ms

EGRESS_BYTES_MAX = 64 * 1024
EGRESS_BYTES_PER_MS = 64
STANDSTILL_TIMER = ("standstill", 0)


def get_entry_certificates(state: State) -> list[Certificate]:
    """What proves that our view was entered rightly: the best of the view before, and the top finalisation."""
    best = next(
        (
            certificate
            for kind in (FINALIZE, NULLIFY, NOTARIZE)
            if (certificate := state.certificate(kind, state.view - 1)) is not None
        ),
        None,
    )
    top = state.top_certificate
    return [certificate for certificate in (best, None if top is best else top) if certificate is not None]


def encode_own(view_state: ViewState) -> list[bytes]:
    """Own votes, then the own proposal if there is one: it may be too large for what is left of a budget."""
    messages = [encode_message(vote) for vote in view_state.own.values()]
    proposal = view_state.proposal
    own_notarize = view_state.own.get(NOTARIZE)
    if proposal is not None and own_notarize is not None and proposal.vote == own_notarize:
        messages.append(encode_message(proposal))
    return messages


def encode_own_above_the_floor(state: State) -> list[bytes]:
    """The newest view first: it is the one that the others may be waiting in."""
    return [data for view_state in reversed(state.live_views()) for data in encode_own(view_state)]


def say_again(state: State) -> None:
    """R8: after a start: what a crash may have swallowed. What the budgets do not cover is left to standstill."""
    send_all(state, encode_own_above_the_floor(state))


def on_retry_timer(state: State, view: int) -> None:
    """R8: the view was given up and still goes on: own votes of it and the entry certificate, to all."""
    view_state = state.views.get(view)
    if view != state.view or view_state is None:
        return
    messages = [encode_message(certificate) for certificate in get_entry_certificates(state)]
    send_all(state, messages + [encode_message(vote) for vote in view_state.own.values()])
    delta_ms = compute_delta_ms(state.config, view, state.floor_view)
    state.set_timer(("retry", view), state.now_ms + compute_retry_ms(delta_ms))


def on_standstill_timer(state: State) -> None:
    """R8: nothing finalised for long: the top finalisation, every certificate and every own vote above it."""
    if state.is_closed:
        return
    interval_ms = state.config.standstill_deltas * state.config.delta_ms
    due_ms = state.final_ms + interval_ms
    if due_ms > state.now_ms:
        state.set_timer(STANDSTILL_TIMER, due_ms)
        return
    state.set_timer(STANDSTILL_TIMER, state.now_ms + interval_ms)
    if state.floor_view > state.view_of(state.final):
        fall_behind(state)  # R7: a finalisation that stays out of reach
    messages: list[bytes] = [] if state.top_certificate is None else [encode_message(state.top_certificate)]
    for view_state in state.live_views():
        messages += [encode_message(certificate) for certificate in view_state.certificates.values()]
        messages += [encode_message(vote) for vote in view_state.own.values()]
    start = state.standstill_cursor % max(1, len(messages))
    sent = send_all(state, messages[start:] + messages[:start])
    state.standstill_cursor = start + sent  # what did not fit the budget comes first next time


def help_laggard(state: State, peer: int, vote: Vote) -> None:
    """R8: a member that still asks to nullify a view that we have left, or votes in an epoch that has ended (EP5)."""
    if not may_help(state, peer):
        return
    is_left_behind = state.is_closed or (vote.kind == NULLIFY and vote.view < state.view)
    answer = get_entry_certificates(state) if is_left_behind else find_answer(state, vote)  # CO3
    if answer or is_left_behind:
        help_peer(state, peer, [encode_message(certificate) for certificate in answer])


def on_peer_connected(state: State, peer: int) -> None:
    """R8: what a member may have missed while its link was down."""
    if not may_help(state, peer):
        return
    messages = [encode_message(certificate) for certificate in get_entry_certificates(state)]
    messages += encode_own_above_the_floor(state)
    messages += [encode_message(evidence) for evidence in list_evidence(state)]  # R10
    help_peer(state, peer, messages)


def may_help(state: State, peer: int) -> bool:
    """At most once per delta, and only as a member."""
    last_ms = state.helped_ms.get(peer)
    return state.config.me is not None and (last_ms is None or state.now_ms - last_ms >= state.config.delta_ms)


def help_peer(state: State, peer: int, messages: list[bytes]) -> None:
    """As far as the budget reaches."""
    state.helped_ms[peer] = state.now_ms
    for data in messages:
        if not spend(state, peer, len(data)):
            return
        state.emit(Send(peer, data))


def send_all(state: State, messages: list[bytes]) -> int:
    """To every other member as far as its budget reaches; how many messages all of them got."""
    me = state.config.me
    if me is None:
        return len(messages)
    sent_to_all = len(messages)
    for peer in range(state.config.member_count):
        if peer == me:
            continue
        for count, data in enumerate(messages):
            if not spend(state, peer, len(data)):
                sent_to_all = min(sent_to_all, count)
                break
            state.emit(Send(peer, data))
    return sent_to_all


def spend(state: State, peer: int, size_bytes: int) -> bool:
    """R8: take from the peer's budget; a message larger than what is left waits.

    Half a budget pays for any message, and what a very large one costs beyond the budget is owed.
    """
    elapsed_ms = state.now_ms - state.egress_ms.get(peer, state.now_ms)
    left = min(EGRESS_BYTES_MAX, state.egress_bytes.get(peer, EGRESS_BYTES_MAX) + elapsed_ms * EGRESS_BYTES_PER_MS)
    may_go = left >= min(size_bytes, EGRESS_BYTES_MAX // 2)
    state.egress_ms[peer] = state.now_ms
    state.egress_bytes[peer] = left - size_bytes if may_go else left
    return may_go
