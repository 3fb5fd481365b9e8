"""R7 to R10, recovery and time: one core, hand-made messages, the effects it answers with."""

from itertools import pairwise

from core_bench import CONFIG, GENESIS, GOOD, ME, RESULT, ROOT, Bench, cert, finalize, make_block, propose, vote
from hypothesis import given, settings
from hypothesis import strategies as st

from consensus.core import CoreConfig
from consensus.effects import (
    CheckPayload,
    Diverged,
    FallenBehind,
    FetchBlock,
    Finalized,
    Halt,
    Send,
    SetTimer,
    Sign,
)
from consensus.events import Built, PayloadChecked, PeerConnected, Received, Refused, Signed, Synced, TimerFired
from consensus.messages import FINALIZE, NOTARIZE, NULLIFY, ZERO_HASH, Vote, decode_message, encode_message
from consensus.timeouts import compute_delta_ms, compute_fetch_ms

# R7


def test_r7_commits_ancestors_in_order_once() -> None:
    bench = Bench()
    child = make_block(2, GOOD.header)
    bench.accept(GOOD)
    bench.execute(GOOD)
    bench.accept(child, cert(NOTARIZE, 1, GOOD.hash()))
    bench.execute(child)
    final = cert(FINALIZE, 2, child.hash())
    bench.receive(1, final)
    bench.receive(2, cert(FINALIZE, 1, GOOD.hash()))
    bench.receive(2, final)
    assert bench.of(Finalized) == [Finalized(GOOD, final), Finalized(child, final)]
    assert (bench.core.view, bench.core.final_header) == (3, child.header)


def test_r7_contradicting_execution_stops_signing() -> None:
    bench = Bench()
    bench.accept(GOOD)
    bench.execute(GOOD, bytes(320))
    final = cert(FINALIZE, 1, GOOD.hash())
    bench.receive(1, final)
    assert bench.of(Diverged) == [Diverged(GOOD.hash(), bytes(320), final)]
    signed = bench.signed()
    bench.fire("leader", 2)
    bench.fire("advance", 2)
    assert bench.signed() == signed
    assert not bench.of(Finalized)


def test_r7_out_of_reach_is_left_to_range_sync_and_not_signed_meanwhile() -> None:
    bench = Bench()
    far = make_block(200, GOOD.header)
    bench.receive(1, cert(FINALIZE, 200, far.hash()))
    assert [effect.target_view for effect in bench.of(FallenBehind)] == [200]
    bench.fire("leader", 201)
    assert bench.signed() == []
    bench.handle(Synced(far, cert(FINALIZE, 200, far.hash())))
    assert (bench.core.final_header, bench.core.is_syncing) == (far.header, False)
    bench.fire("advance", 201)
    assert bench.signed() == [(NULLIFY, 201, ZERO_HASH)]
    assert all(size <= bound for size, bound in bench.core.sizes().values())


# R8, R9


def test_r8_retry_says_nullify_and_the_entry_certificate_again() -> None:
    bench = Bench()
    bench.receive(1, cert(NULLIFY, 1))
    bench.fire("leader", 2)
    effects = bench.fire("retry", 2)
    own = encode_message(vote(NULLIFY, 2, ZERO_HASH, ME))
    entry = encode_message(cert(NULLIFY, 1))
    sends = [(effect.peer, effect.data) for effect in effects if isinstance(effect, Send)]
    assert sends == [(peer, data) for peer in (0, 1, 2) for data in (entry, own)]
    assert [effect.timer_id for effect in effects if isinstance(effect, SetTimer)] == [("retry", 2)]


def test_r8_standstill_sends_everything_above_the_top_finalisation() -> None:
    bench = Bench()
    final = finalize(bench, GOOD)
    bench.receive(1, cert(NULLIFY, 2))
    bench.fire("leader", 3)
    effects = bench.fire("standstill", 0)
    sent = [decode_message(effect.data) for effect in effects if isinstance(effect, Send) and effect.peer == 0]
    assert sent == [final, cert(NULLIFY, 2), vote(NULLIFY, 3, ZERO_HASH, ME)]


def test_r8_repair_traffic_is_capped_per_peer() -> None:
    bench = Bench()
    for view in range(1, 900):
        bench.receive(1, cert(NULLIFY, view))
    start = len(bench.effects)
    bench.now_ms = 5000
    bench.handle(TimerFired(("standstill", 0)))
    bench.handle(TimerFired(("standstill", 0)))
    sent_bytes = sum(len(e.data) for e in bench.effects[start:] if isinstance(e, Send) and e.peer == 2)
    assert 60_000 < sent_bytes <= 64 * 1024
    first = [e.data for e in bench.effects[start:] if isinstance(e, Send) and e.peer == 2]
    bench.now_ms = 7000
    second = [e.data for e in bench.handle(TimerFired(("standstill", 0))) if isinstance(e, Send) and e.peer == 2]
    assert set(first).isdisjoint(second)  # the next round goes on where this one ended


def test_r8_a_proposal_larger_than_the_budget_is_repaired_and_then_paid_for() -> None:
    bench = Bench()
    for view in (1, 2, 3):
        bench.receive(1, cert(NULLIFY, view))
    bench.handle(Built(4, ROOT, bytes(100_000), 2000, RESULT))
    own = encode_message(vote(NOTARIZE, 4, bench.signed()[-1][2], ME))
    (proposal,) = [effect.data for effect in bench.of(Send) if len(effect.data) > 100_000]
    for now_ms, is_paid in ((5_000, True), (5_200, False), (9_000, True)):
        bench.now_ms = now_ms
        sent = [effect.data for effect in bench.handle(PeerConnected(2)) if isinstance(effect, Send)]
        assert ((own in sent), (proposal in sent)) == (is_paid, is_paid)


def test_r8_laggard_and_new_link_get_the_entry_certificate_once_per_delta() -> None:
    bench = Bench()
    bench.receive(1, cert(NULLIFY, 1))
    entry = Send(2, encode_message(cert(NULLIFY, 1)))
    bench.now_ms = 500
    assert entry in bench.receive(2, vote(NULLIFY, 1, ZERO_HASH, 2))
    assert entry not in bench.handle(PeerConnected(2))
    bench.now_ms = 700
    assert entry in bench.handle(PeerConnected(2))


def test_r9_missing_parent_is_asked_for_with_growing_patience() -> None:
    bench, child = Bench(), make_block(2, GOOD.header)
    bench.receive(1, propose(child, cert(NOTARIZE, 1, GOOD.hash())))
    times = []
    for bench.now_ms in range(0, 6000, 10):
        times += [bench.now_ms for effect in bench.handle(TimerFired(("fetch", 0))) if isinstance(effect, FetchBlock)]
    assert [b - a for a, b in pairwise(times)] == [500, 750, 1130, 1690]
    bench.receive(0, child)
    assert GOOD.hash() in {effect.block_hash for effect in bench.of(FetchBlock)}
    bench.receive(0, GOOD)
    assert [effect.block for effect in bench.of(CheckPayload)] == [GOOD]


# Recovery and refusals


def test_r9_restart_asks_for_a_notarised_block_that_the_crash_left_missing() -> None:
    bench = Bench()
    bench.receive(1, cert(NOTARIZE, 1, GOOD.hash()))
    again = Bench(durable=list(bench.durable))
    assert [effect.block_hash for effect in again.of(FetchBlock)] == [GOOD.hash()]


def test_restart_says_the_same_again_and_nothing_else() -> None:
    bench = Bench()
    bench.accept(GOOD)
    bench.execute(GOOD)
    bench.receive(1, cert(NOTARIZE, 1, GOOD.hash()))
    again = Bench(durable=list(bench.durable))
    assert again.core.view == 2
    own = [vote(NOTARIZE, 1, GOOD.hash(), ME), vote(FINALIZE, 1, GOOD.hash(), ME)]
    assert again.of(Send) == [Send(peer, encode_message(known)) for peer in (0, 1, 2) for known in own]
    again.handle(PayloadChecked(GOOD.hash(), True))
    again.execute(GOOD)
    again.fire("leader", 1)
    assert again.signed() == []
    shorter = Bench(durable=bench.core.snapshot())
    assert (shorter.core.view, shorter.of(Send)) == (again.core.view, again.of(Send))


def test_restart_at_every_record_never_contradicts() -> None:
    bench = Bench()
    bench.accept(GOOD)
    bench.execute(GOOD)
    bench.receive(1, cert(NOTARIZE, 1, GOOD.hash()))
    bench.fire("leader", 2)
    for length in range(len(bench.durable) + 1):
        again = Bench(durable=bench.durable[:length])
        said = {
            (known.view, known.kind) for known in map(decode_message, bench.durable[:length]) if isinstance(known, Vote)
        }
        for view in (1, 2):
            again.fire("advance", view)
        for kind, view, _ in again.signed():
            assert (view, kind) not in said
            assert not (kind == NULLIFY and (view, FINALIZE) in said)


def test_refused_statement_is_not_asked_for_again() -> None:
    bench = Bench(signs=False)
    bench.fire("leader", 1)
    bench.handle(Refused(NULLIFY, 1, "finalized in this view"))
    bench.fire("advance", 1)
    assert bench.signed() == [(NULLIFY, 1, ZERO_HASH)]
    bench.accept(GOOD)
    bench.execute(GOOD)
    bench.receive(1, cert(NOTARIZE, 1, GOOD.hash()))
    assert bench.signed()[-1] == (FINALIZE, 1, GOOD.hash())


def test_observer_follows_and_says_nothing() -> None:
    bench = Bench(config=CoreConfig(domain=b"d" * 32, epoch=1, member_count=4, me=None, genesis=GENESIS))
    finalize(bench, GOOD)
    bench.fire("leader", 2)
    bench.fire("retry", 2)
    bench.fire("standstill", 0)
    assert len(bench.of(Finalized)) == 1
    assert not bench.of(Sign) and not bench.of(Send)


def test_own_broken_invariants_halt() -> None:
    bench = Bench()
    bench.handle(Signed(vote(FINALIZE, 1, GOOD.hash(), ME)))
    assert len(bench.of(Halt)) == 1
    assert bench.core.is_halted
    assert Bench(durable=[b"garbage"]).core.is_halted


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(st.integers(-1, 5), st.binary(max_size=80)), max_size=10), st.integers(0, 40))
def test_no_peer_can_raise(noise: list[tuple[int, bytes]], cut: int) -> None:
    bench = Bench()
    data = encode_message(propose(GOOD))
    for peer, junk in noise:
        bench.handle(Received(peer, junk))
        bench.handle(Received(peer, data[:cut] + junk + data[cut + len(junk) :]))
    assert not bench.core.is_halted


# Time


def test_l4_delta_grows_with_views_since_the_last_final_one_and_resets_exactly() -> None:
    assert [compute_delta_ms(CONFIG, view, 10) for view in (11, 12, 13, 14)] == [100, 120, 144, 172]
    assert compute_delta_ms(CONFIG, 10 + 21, 10) == compute_delta_ms(CONFIG, 500, 10) == 3833
    assert compute_delta_ms(CoreConfig(b"", 1, 4, 0, GENESIS, delta_ms=5000), 500, 10) == 30_000
    assert [compute_fetch_ms(CONFIG, attempts) for attempts in (0, 1, 2, 20)] == [500, 750, 1125, 5000]
    bench = Bench()
    for view in range(1, 6):
        bench.receive(1, cert(NULLIFY, view))
    leader_ms = [effect.at_ms for effect in bench.of(SetTimer) if effect.timer_id[0] == "leader"]
    assert leader_ms == [200, 240, 288, 344, 414, 496]
    bench.receive(1, cert(FINALIZE, 6, GOOD.hash()))
    assert [effect.at_ms for effect in bench.of(SetTimer) if effect.timer_id == ("leader", 7)] == [200]


def test_old_finalizations_take_no_room_while_the_chain_is_far_ahead() -> None:
    bench = Bench()
    bench.receive(1, cert(FINALIZE, 300, b"t" * 32))
    for view in range(1, 290):
        bench.receive(2, cert(FINALIZE, view, b"%032d" % view))
    assert all(held <= bound for held, bound in bench.core.sizes().values())
    kept = bench.core.sizes()["views"][0]
    bench.receive(2, cert(FINALIZE, 299, b"n" * 32))  # what the window still reaches is kept
    assert bench.core.sizes()["views"][0] == kept + 1
