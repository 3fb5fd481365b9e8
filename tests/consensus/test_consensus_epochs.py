"""Epochs: whole fleets of nodes go from one committee to the next (EP1-EP7, P1-P6)."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consensus.committee import Committee, Member, weigh
from consensus.core import Core
from consensus.effects import EpochSealed, Finalized, Send, SetTimer
from consensus.epochs import EARLY_MESSAGES_MAX, EpochBehind, Instances, Schedule, count_extensions
from consensus.events import Synced, TimerFired
from consensus.leaders import compute_leaders
from consensus.messages import (
    FINALIZE,
    NOTARIZE,
    NULLIFY,
    ZERO_HASH,
    Certificate,
    Message,
    Ready,
    Vote,
    encode_message,
    quorum,
    vote_digest,
)
from consensus.sealing import are_trailing, split_at_seal
from testnet.sim.fleet import DOMAIN, GENESIS, Fleet, Host, fake_sign, make_committee, make_config, network_key

MESSAGES = [
    encode_message(message)
    for signer in range(4)
    for message in (
        Ready(2, make_committee(2, [2, 3, 4, 5]).hash(), signer, bytes(96)),
        Ready(3, b"c" * 32, signer, bytes(96)),
        *(Vote(NULLIFY, epoch, 1, ZERO_HASH, signer, bytes(96)) for epoch in (0, 1, 2, 3)),
        Certificate(NULLIFY, 2, 7, ZERO_HASH, b"\x0f", bytes(96)),
    )
]
SCHEDULE = Schedule(length_ms=300, extension_ms=200, grace_ms=2_000)
OLD, NEW = make_committee(1, [0, 1, 2, 3]), make_committee(2, [2, 3, 4, 5])
EVERYBODY = [0, 1, 2, 3, 4, 5, 6]  # 6 is never a member


def hand_over(fleet: Fleet, duration_ms: int = 1_500) -> Fleet:
    fleet.run(100)
    fleet.announce_committee(NEW)
    fleet.run(duration_ms)
    return fleet


def sealing_heights(host: Host) -> list[int]:
    return [block.header.height for block in host.chain if block.header.next_committee_hash != ZERO_HASH]


def check_chains(fleet: Fleet) -> None:
    """One chain of all heights; one sealing block per finished epoch (P1); the seals prove themselves."""
    longest = max(fleet.up(), key=lambda host: len(host.chain)).chain
    assert [block.header.height for block in longest] == list(range(1, len(longest) + 1))
    for host in fleet.up():
        assert host.chain == longest[: len(host.chain)]
        assert len(sealing_heights(host)) == host.holder.current.epoch - 1 == len(host.seals)
        for seal in host.seals:
            assert are_trailing(seal.block.header, seal.trailing)
            assert (*[seal.block], *seal.trailing)[-1].hash() == seal.certificate.header_hash
        assert all(size <= bound for size, bound in host.holder.sizes().values())
        assert all(size <= bound for size, bound in host.holder.current.core.sizes().values())


def test_a_committee_hands_over_to_the_next() -> None:
    fleet = hand_over(Fleet(EVERYBODY, OLD, SCHEDULE))
    check_chains(fleet)
    for host in fleet.up():
        assert host.holder.current.epoch == 2
        assert host.chain[-1].header.epoch == 2
        assert host.chain[-1].header.height > sealing_heights(host)[0] + 10
        seal = host.seals[0].block.header
        assert seal.timestamp_ms >= GENESIS.timestamp_ms + SCHEDULE.length_ms
        first = host.chain[seal.height].header
        assert (first.parent_hash, first.parent_view, first.epoch) == (seal.hash(), 0, 2)
    # Nobody signs out of turn; the observer never does.
    signers = {host.number: {epoch for epoch, _, _ in host.signed} for host in fleet.up()}
    assert signers == {0: {1}, 1: {1}, 2: {1, 2}, 3: {1, 2}, 4: {2}, 5: {2}, 6: set()}


def test_three_epochs_in_a_row_and_old_instances_are_dropped() -> None:
    fleet = hand_over(Fleet(EVERYBODY, OLD, SCHEDULE))
    fleet.announce_committee(make_committee(3, [0, 1, 2]))
    fleet.run(2_500)
    check_chains(fleet)
    assert {host.holder.current.epoch for host in fleet.up()} == {3}
    assert {host.holder.previous for host in fleet.up()} == {None}


def test_ep4_trailing_blocks_carry_the_views_until_the_seal_is_final() -> None:
    fleet = Fleet(EVERYBODY, OLD, SCHEDULE)

    def is_lost(_: int, message: Message) -> bool:
        return isinstance(message, Vote) and message.kind == FINALIZE and 280 < fleet.now_ms < 600

    fleet.is_lost = is_lost
    hand_over(fleet)
    check_chains(fleet)
    for host in fleet.up():
        (seal,) = host.seals
        assert len(seal.trailing) >= 2
        for block in seal.trailing:
            assert (block.payload, block.header.commitment) == (b"", seal.block.header.commitment)
            assert block.header.next_committee_hash == NEW.hash()
            assert block.hash() not in host.blocks  # never delivered
        assert host.holder.current.epoch == 2
    seal = fleet.hosts[0].seals[0]
    run = (*fleet.hosts[0].chain[: seal.block.header.height], *seal.trailing)
    assert split_at_seal(run, 1) == (run[: seal.block.header.height], seal.trailing)
    changed = seal.trailing[-1].header._replace(commitment=bytes(320))
    assert not are_trailing(seal.block.header, (*seal.trailing[:-1], type(seal.block)(changed, b"")))


@pytest.mark.parametrize("down", [[0], [3], [5], [1, 4]])
def test_p4_rotation_with_f_members_down_in_each_committee(down: list[int]) -> None:
    fleet = Fleet(EVERYBODY, OLD, SCHEDULE, down=down)
    hand_over(fleet, 4_000)
    check_chains(fleet)
    assert {host.holder.current.epoch for host in fleet.up()} == {2}
    assert min(len(host.chain) for host in fleet.up()) > sealing_heights(fleet.up()[0])[0] + 5


def test_ep5_a_straggler_is_answered_with_the_certificate_of_the_seal() -> None:
    fleet = Fleet(EVERYBODY, OLD, SCHEDULE)
    fleet.run(100)
    fleet.announce_committee(NEW)
    fleet.run(100)
    fleet.cut = [3]
    fleet.run(1_000)
    assert fleet.hosts[3].holder.current.epoch == 1
    assert fleet.hosts[2].holder.current.epoch == 2
    fleet.cut = []
    fleet.run(1_500)
    assert fleet.hosts[3].holder.current.epoch == 2
    assert fleet.hosts[3].chain[-1].header.epoch == 2
    check_chains(fleet)


def test_ep6_messages_of_the_next_epoch_wait_for_it_within_limits() -> None:
    holder = Instances(make_config(), SCHEDULE, network_key(3), OLD, GENESIS)
    holder.start(0)
    block_hash = b"h" * 32
    for view in range(1, EARLY_MESSAGES_MAX + 10):
        signature = fake_sign(2, vote_digest(DOMAIN, NOTARIZE, 2, view, block_hash))
        data = encode_message(Vote(NOTARIZE, 2, view, block_hash, 0, signature))
        effects = [entry.effect for entry in holder.receive(1, network_key(2), data)]
        assert effects == ([EpochBehind(2)] if view == 1 else [])
        holder.receive(1, network_key(99), data)  # no member of anything
    assert holder.sizes()["early"] == (EARLY_MESSAGES_MAX, EARLY_MESSAGES_MAX * 4)


def test_p2_p3_votes_count_only_in_their_epoch_and_from_its_members() -> None:
    holder = Instances(make_config(epoch=2), SCHEDULE, network_key(3), NEW, GENESIS)
    holder.start(0)

    def send(number: int, epoch: int, signer: int) -> list[object]:
        vote = Vote(NULLIFY, epoch, 1, ZERO_HASH, signer, bytes(96))
        return [entry.effect for entry in holder.receive(1, network_key(number), encode_message(vote))]

    for number, signer in ((2, 0), (4, 2), (5, 3)):
        assert send(number, 1, signer) == []  # another epoch
    for number in (0, 1):
        assert send(number, 2, number) == []  # no members any more
    heard = [effect for number, signer in ((2, 0), (4, 2), (5, 3)) for effect in send(number, 2, signer)]
    assert heard  # the very same votes count in their epoch


def test_p5_a_key_has_one_seat() -> None:
    member = Member(b"k" * 48, b"n" * 32)
    with pytest.raises(ValueError, match="share a key"):
        Committee(1, (member, Member(b"k" * 48, b"o" * 32)))
    with pytest.raises(ValueError, match="share a key"):
        Committee(1, (member, Member(b"l" * 48, b"n" * 32)))
    with pytest.raises(ValueError, match="1 to 255"):
        Committee(1, ())


def test_p6_ep7_without_approvals_the_epoch_goes_on_and_somebody_is_told() -> None:
    fleet = Fleet(EVERYBODY, OLD, SCHEDULE)
    silent = [4, 5]
    fleet.is_lost = lambda number, message: isinstance(message, Ready) and number in silent
    hand_over(fleet, 1_400)
    assert {host.holder.current.epoch for host in fleet.up()} == {1}
    for host in fleet.up():
        assert host.alarms == [3, 4, 5]
        assert host.chain[-1].header.timestamp_ms > 1_400
    silent.clear()
    fleet.run(2_500)
    check_chains(fleet)
    assert {host.holder.current.epoch for host in fleet.up()} == {2}


@pytest.mark.parametrize(
    ("timestamp_ms", "extensions"), [(0, 0), (1_000, 0), (1_499, 0), (1_500, 1), (2_499, 2), (2_500, 3)]
)
def test_ep7_extensions_are_whole(timestamp_ms: int, extensions: int) -> None:
    assert count_extensions(timestamp_ms, 1_000, 500) == extensions


def test_ep2_a_liar_among_the_next_members_does_not_stop_the_approval() -> None:
    fleet = Fleet(EVERYBODY, OLD, SCHEDULE)
    fleet.run(100)
    forged = encode_message(Ready(2, NEW.hash(), 2, b"f" * 96))
    fleet.announce_committee(NEW)
    for host in fleet.up():
        fleet.perform(host, host.holder.receive(fleet.now_ms, network_key(4), forged))
    fleet.run(2_500)
    check_chains(fleet)
    assert {host.holder.current.epoch for host in fleet.up()} == {2}


def test_ep6_a_restarted_node_goes_on_in_the_new_epoch_and_answers_stragglers() -> None:
    fleet = hand_over(Fleet(EVERYBODY, OLD, SCHEDULE))
    host = fleet.hosts[2]
    (seal,) = host.seals
    journal = [encode_message(Vote(NULLIFY, 1, 3, ZERO_HASH, 2, bytes(96)))]  # of the epoch before: skipped
    holder = Instances(make_config(), SCHEDULE, network_key(2), NEW, seal.block.header, journal)
    effects = [entry.effect for entry in holder.start(5_000)]
    assert {effect.timer_id[1] for effect in effects if isinstance(effect, SetTimer)} == {0, 1}  # view 1
    synced = Synced(seal.block, seal.certificate, seal.trailing)
    effects = [entry.effect for entry in holder.resume_previous(5_000, OLD, GENESIS, synced)]
    assert [effect for effect in effects if isinstance(effect, EpochSealed | Finalized)] == []
    late = encode_message(Vote(NULLIFY, 1, 90, ZERO_HASH, 3, bytes(96)))
    answers = [entry for entry in holder.receive(5_001, network_key(3), late) if isinstance(entry.effect, Send)]
    assert answers[0].epoch == 1
    assert Send(3, encode_message(seal.certificate)) in [answer.effect for answer in answers]


def test_ep5_a_closed_core_signs_nothing_more() -> None:
    fleet = hand_over(Fleet(EVERYBODY, OLD, SCHEDULE))
    host = fleet.hosts[2]
    previous = host.holder.previous
    assert previous is not None
    signed = [entry for entry in host.signed if entry[0] == 1]
    for name in ("leader", "advance", "retry", "propose"):
        view = previous.core.view
        fleet.perform(host, host.holder.handle(fleet.now_ms, 1, TimerFired((name, view))))
    assert [entry for entry in host.signed if entry[0] == 1] == signed
    assert previous.core.is_closed


@pytest.mark.parametrize("size", range(1, 256))
def test_the_quorum_of_weights_is_the_contracts_for_equal_weights(size: int) -> None:
    assert quorum(size) == size - (size - 1) // 3


def test_weights_decide_not_heads() -> None:
    weights = {0: 3, 1: 1, 2: 1, 3: 1}  # W = 6, q = 5
    committee = make_committee(1, [0, 1, 2, 3], weights)
    assert (committee.quorum, weigh(committee.weights, [0, 1, 2])) == (5, 5)
    fleet = Fleet([0, 1, 2, 3], committee, down=[3])
    fleet.run(3_000)
    assert len(fleet.hosts[0].chain) > 5
    fleet = Fleet([0, 1, 2, 3], committee, down=[0])
    fleet.run(3_000)
    assert len(fleet.hosts[1].chain) == 0


def test_weights_must_fit_the_committee() -> None:
    with pytest.raises(ValueError, match="one weight"):
        Core(make_config(member_count=2, weights=(1,)), compute_leaders(b"s", 1, 2))


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 7), st.binary(max_size=60) | st.sampled_from(MESSAGES)), max_size=12))
def test_no_peer_can_make_the_holder_raise_or_grow(received: list[tuple[int, bytes]]) -> None:
    holder = Instances(make_config(), SCHEDULE, network_key(3), OLD, GENESIS)
    holder.start(0)
    holder.learn_committee(1, NEW)
    for number, data in received * 3:
        holder.receive(2, network_key(number), data)
    assert all(size <= bound for size, bound in (holder.sizes() | holder.current.core.sizes()).values())
