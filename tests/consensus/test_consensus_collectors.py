"""CO1-CO3: O(n) frames in a large committee, five delays to finality, and a way out when collectors fail."""

from collections import Counter
from dataclasses import replace

import pytest
from core_bench import CONFIG, GOOD, ME, Bench, cert, make_block, vote
from hypothesis import given, settings
from hypothesis import strategies as st

from consensus.collectors import compute_collectors
from consensus.effects import Send
from consensus.leaders import compute_leaders, get_leader
from consensus.messages import (
    FINALIZE,
    NOTARIZE,
    NULLIFY,
    ZERO_HASH,
    Certificate,
    Message,
    Proposal,
    Vote,
    encode_message,
)
from testnet.sim.fleet import Fleet, Host, make_committee, make_config

SMALL = replace(CONFIG, collector_threshold=3)  # four members, collectors all the same


def make_fleet(members: int, **changes: object) -> Fleet:
    numbers = list(range(members))
    return Fleet(numbers, make_committee(1, numbers), config=make_config(min_interval_ms=200, **changes))


def count_per_view(fleet: Fleet) -> Counter[str]:
    """Frames of the whole committee, per view, after the first views are over."""
    fleet.run_until_height(3)
    fleet.sends.clear()
    start = fleet.hosts[0].holder.current.core.view
    fleet.run_until_height(9)
    views = fleet.hosts[0].holder.current.core.view - start
    return Counter({name: count // views for name, count in fleet.sends.items()})


def test_co1_co2_frames_grow_with_n_not_with_its_square() -> None:
    everybody = count_per_view(make_fleet(40, collector_threshold=40))
    collected = count_per_view(make_fleet(40))
    assert everybody.total() >= 2 * 40 * 39  # two votes of each to each
    assert collected["Vote"] <= 2 * 4 * 40
    assert collected["Certificate"] <= 2 * 4 * 40
    assert collected.total() <= 18 * 40
    assert collected.total() * 4 < everybody.total()


@pytest.mark.parametrize(("threshold", "delays"), [(40, 3), (32, 5)])
def test_message_delays_to_finality(threshold: int, delays: int) -> None:
    fleet = make_fleet(34, collector_threshold=threshold)
    bystanders = sorted(set(range(34)) - set(compute_collectors(leaders_of(fleet), 1, 1)))
    fleet.run(delays * fleet.delay_ms - 1)
    assert not any(fleet.hosts[number].chain for number in bystanders)
    fleet.run(1)
    assert all(fleet.hosts[number].chain for number in bystanders)


def leaders_of(fleet: Fleet) -> tuple[int, ...]:
    config = fleet.hosts[0].holder.current.core.config
    return compute_leaders(config.genesis.hash(), 1, config.member_count)


def test_co3_a_view_whose_collectors_all_fail_is_not_lost() -> None:
    """The leader proposes and keeps what it collects to itself; the other three are gone."""
    fleet = make_fleet(34)
    leader, *others = compute_collectors(leaders_of(fleet), 1, 1)
    fleet.down = others
    fleet.is_lost = lambda number, message: number == leader and not isinstance(message, Proposal)
    fleet.run(2_000)
    for host in fleet.up():
        assert host.chain[0].header.view == 1
        assert (1, NULLIFY, 1) not in host.signed
    check(fleet)


def test_co3_collectors_that_serve_only_some_are_made_up_for() -> None:
    fleet = make_fleet(34)
    starved = [5, 6, 7]
    count = 0

    def is_lost(number: int, message: Message) -> bool:
        nonlocal count
        if not isinstance(message, Certificate) or number in starved:
            return False
        count += 1
        return count % 3 == 0

    fleet.is_lost = is_lost
    fleet.run_until_height(6, limit_ms=20_000)
    check(fleet)


@pytest.mark.parametrize("members", [34, 40])
def test_progress_with_f_members_down(members: int) -> None:
    fleet = make_fleet(members)
    fleet.down = [member for member in range(members) if member % 3 == 1][: (members - 1) // 3]
    fleet.run_until_height(5, limit_ms=40_000)
    check(fleet)


def check(fleet: Fleet) -> None:
    longest = max(fleet.up(), key=lambda host: len(host.chain))
    for host in fleet.up():
        assert host.chain == longest.chain[: len(host.chain)]
        assert never_signed_against_itself(host)


def never_signed_against_itself(host: Host) -> bool:
    signed = [(view, kind) for _, kind, view in host.signed]
    nullified = {view for view, kind in signed if kind == NULLIFY}
    finalized = {view for view, kind in signed if kind == FINALIZE}
    return len(signed) == len(set(signed)) and not nullified & finalized


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 255), st.integers(0, 2**32 - 1), st.integers(1, 2**63))
def test_co1_collectors_are_distinct_members_with_both_leaders(members: int, epoch: int, view: int) -> None:
    leaders = compute_leaders(b"seed", epoch, members)
    collectors = compute_collectors(leaders, epoch, view)
    assert len(collectors) == len(set(collectors)) == min(4, members)
    assert set(collectors) <= set(range(members))
    assert {get_leader(leaders, view), get_leader(leaders, view + 1)} <= set(collectors)


def test_co1_drawn_collectors_change_with_the_view() -> None:
    leaders = tuple(range(100))
    drawn = [compute_collectors(leaders, 1, view)[2:] for view in range(1, 200)]
    assert drawn[:3] == [(69, 84), (20, 55), (6, 55)]  # golden: a change is a change of the protocol
    assert len({member for pair in drawn for member in pair}) > 90


def test_co1_the_leaders_own_nullify_goes_to_all() -> None:
    bench = Bench(replace(SMALL, member_count=4))
    for view in (1, 2, 3):
        bench.receive(1, cert(NULLIFY, view))
    bench.fire("leader", 4)  # we lead it
    own = encode_message(vote(NULLIFY, 4, ZERO_HASH, ME))
    assert Send(None, own) in bench.effects


def test_co3_fallback_says_unsettled_votes_to_all_and_stays_open() -> None:
    bench = Bench(SMALL)
    bench.accept(GOOD)
    own = encode_message(vote(NOTARIZE, 1, GOOD.hash(), ME))
    assert [effect.peer for effect in bench.of(Send) if effect.data == own] == [0, 1, 2]
    assert Send(None, own) in bench.fire("collect", 1)
    bench.execute(GOOD)
    bench.receive(1, cert(NOTARIZE, 1, GOOD.hash()))
    finalize = encode_message(vote(FINALIZE, 1, GOOD.hash(), ME))
    assert Send(None, finalize) in bench.effects
    bench.receive(1, cert(FINALIZE, 1, GOOD.hash()))
    assert not [effect for effect in bench.fire("collect", 1) if isinstance(effect, Send)]


def test_co3_a_settled_vote_is_not_said_again() -> None:
    bench = Bench(SMALL)
    bench.accept(GOOD)
    bench.receive(1, cert(NOTARIZE, 1, GOOD.hash()))
    assert not [effect for effect in bench.fire("collect", 1) if isinstance(effect, Send)]


def test_co3_a_member_that_is_no_collector_answers_a_vote_with_its_certificate() -> None:
    config = replace(SMALL, member_count=5, me=4)
    view = next(view for view in range(1, 99) if 4 not in compute_collectors((0, 1, 2, 3, 4), 1, view))
    for is_collector in (False, True):
        bench = Bench(replace(config, me=4 if not is_collector else (view - 1) % 5), leaders=(0, 1, 2, 3, 4))
        peer = next(member for member in (0, 1, 2, 3) if member != bench.config.me)
        formed = Certificate(NOTARIZE, 1, view, make_block(1).hash(), b"\x0f", bytes(96))
        bench.receive(peer, formed)
        effects = bench.receive(peer, Vote(NOTARIZE, 1, view, formed.header_hash, peer, bytes(96)))
        assert (Send(peer, encode_message(formed)) in effects) != is_collector
