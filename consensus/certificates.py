"""Certificates: checking, keeping and forwarding them (R6).

A certificate speaks for itself, so it is taken from anyone: at least q distinct members in a bitmap of the right
length (checked here), then the aggregate signature (checked by the host). Two certificates that contradict each other
(E6) name at least f+1 faulty members: they are published and the core stops, because agreement no longer holds among
the members it trusts.
"""

from consensus.accusations import compare_votes, on_rival_certificates
from consensus.chain import want
from consensus.collectors import share_certificate
from consensus.effects import Persist, Send, VerifyCertificates
from consensus.evidence import is_conflict
from consensus.messages import FINALIZE, NOTARIZE, Certificate, encode_message
from consensus.state import PendingCertificate, State, ViewState
from consensus.timeouts import compute_forward_ms
from consensus.votes import add_pending, expel, note_seen, reject


def is_quorate(state: State, certificate: Certificate) -> bool:
    """R6, S7: this epoch, a bitmap of exactly the committee's length, at least q distinct members of it."""
    members = state.config.member_count
    if certificate.epoch != state.config.epoch or len(certificate.bitmap) != (members + 7) // 8:
        return False
    signers = certificate.signers()
    return bool(signers) and signers[-1] < members and state.has_quorum(signers)


def is_news(state: State, certificate: Certificate) -> bool:
    """Would this certificate change anything here, once verified?"""
    view_state = state.views.get(certificate.view)
    if view_state is not None:
        known = view_state.certificates.get(certificate.kind)
        if known is not None and known.header_hash == certificate.header_hash:
            return False
        if find_contradiction(view_state, certificate) is not None:
            return True
    if certificate.view <= state.floor_view:
        lowest_view = max(state.view_of(state.final) + 1, state.floor_view - state.config.retain_views)
        return certificate.kind == FINALIZE and certificate.view >= lowest_view
    # A notarisation far ahead leads nowhere: what finalises it, or nullifies its view, will come.
    return certificate.kind != NOTARIZE or certificate.view <= state.view + state.config.future_views


def find_contradiction(view_state: ViewState, certificate: Certificate) -> Certificate | None:
    """S3, S4, S6: a certificate of the same view that cannot hold beside this one if at most f members are faulty."""
    return next((known for known in view_state.certificates.values() if is_conflict(known, certificate)), None)


def on_certificate(state: State, peer: int, certificate: Certificate) -> None:
    """R6: any valid certificate from anyone is accepted."""
    if not is_quorate(state, certificate):
        reject(state, peer, "a certificate without a quorum of this epoch")
        return
    if not is_news(state, certificate):
        # Unverified, so it may only make us send less, never believe more.
        if certificate.view in state.views and certificate in state.views[certificate.view].certificates.values():
            note_seen(state, peer, certificate.view + 1)
        return
    for other in state.pending.values():
        if isinstance(other, PendingCertificate) and is_same_statement(other.certificate, certificate):
            return
    token = add_pending(state, PendingCertificate(peer, certificate))
    if token is not None:
        state.emit(VerifyCertificates(token, (certificate,)))


def is_same_statement(first: Certificate, second: Certificate) -> bool:
    return (first.kind, first.view, first.header_hash) == (second.kind, second.view, second.header_hash)


def on_certificate_verified(state: State, pending: PendingCertificate, ok: bool) -> None:
    if not ok:
        expel(state, pending.peer, "a forged certificate")
        return
    note_seen(state, pending.peer, pending.certificate.view + 1)
    learn(state, pending.certificate)


def learn(state: State, certificate: Certificate, is_formed_here: bool = False) -> None:
    """Keep a verified certificate, make it durable, pass it on (R6, CO2)."""
    if not is_news(state, certificate):
        return
    view_state = state.open_view(certificate.view)
    rival = find_contradiction(view_state, certificate)
    if rival is not None:
        on_rival_certificates(state, rival, certificate)
        return
    view_state.certificates[certificate.kind] = certificate
    data = encode_message(certificate)
    state.emit(Persist(data))
    state.is_dirty = True
    compare_votes(state, view_state, certificate)
    note_certificate(state, certificate)
    if not state.is_started or share_certificate(state, view_state, data, is_formed_here):
        return
    if certificate.view + 1 >= state.view:
        forward_soon(state, certificate, data)


def note_certificate(state: State, certificate: Certificate) -> None:
    """The consequences that do not depend on where the certificate came from."""
    if certificate.kind == FINALIZE and certificate.view > state.floor_view:
        state.top_certificate = certificate  # R7
        state.final_ms = state.now_ms
        state.prune()
    if certificate.kind == NOTARIZE and certificate.view >= state.view:
        want(state, certificate.header_hash, certificate.view, state.leader(certificate.view), is_urgent=False)


def forward_soon(state: State, certificate: Certificate, data: bytes) -> None:
    """R6: to the next leader at once, to those who were not seen beyond the view a little later."""
    me = state.config.me
    if me is None:
        return
    leader = state.leader(certificate.view + 1)
    if leader != me and state.peer_views.get(leader, 0) <= certificate.view:
        state.emit(Send(leader, data))
    state.set_timer(("forward", certificate.view), state.now_ms + compute_forward_ms(state.config))


def on_forward_timer(state: State, view: int) -> None:
    """R6: what ends this view, to every member that was not seen beyond it."""
    view_state = state.views.get(view)
    if view_state is None or view < state.floor_view:
        return
    datas = [encode_message(certificate) for certificate in view_state.certificates.values()]
    next_leader = state.leader(view + 1)
    for peer in range(state.config.member_count):
        if peer not in (state.config.me, next_leader) and state.peer_views.get(peer, 0) <= view:
            for data in datas:
                state.emit(Send(peer, data))
