"""Which checkpoints the contract keeps: the newest, and the last of each span of time, whoever posts how many."""

from dataclasses import replace

import pytest
from settlement_world import CLAIM_DELAY_S, HeaderFields, World
from trees import fold_withdrawal_tree

from contracts import digests
from contracts.payouts import Withdrawal
from contracts.records import CheckpointRecord
from contracts.settlement import Refused

BUCKET_S = CLAIM_DELAY_S // 8
KEPT_BUCKETS = 64
GOOD = HeaderFields()


def start_bucket(world: World, after: int = 1) -> None:
    """Jump to the beginning of the `after`-th next span of BUCKET_S seconds."""
    now_s = world.chain.head.timestamp
    world.pass_time((now_s // BUCKET_S + after) * BUCKET_S - now_s + 1)


def post_one(world: World, height: int) -> CheckpointRecord:
    world.post(replace(GOOD, height=height))
    record = world.contract.checkpoint_at(height)
    assert record is not None
    return record


def test_of_one_span_only_the_last_checkpoint_stays(world: World) -> None:
    start_bucket(world)
    first, second = post_one(world, 1), post_one(world, 2)
    assert [world.contract.is_kept(record) for record in (first, second)] == [False, True]
    start_bucket(world)
    third = post_one(world, 3)
    assert [world.contract.is_kept(record) for record in (first, second, third)] == [False, True, True]


def test_a_checkpoint_stays_until_its_slot_is_needed_again(world: World) -> None:
    start_bucket(world)
    first = post_one(world, 1)
    start_bucket(world)
    second = post_one(world, 2)
    start_bucket(world, KEPT_BUCKETS - 1)
    third = post_one(world, 3)
    assert world.contract.is_kept(first)  # the newest has its slot in mind, but does not need it yet
    start_bucket(world)
    fourth = post_one(world, 4)
    kept = [world.contract.is_kept(record) for record in (first, second, third, fourth)]
    assert kept == [False, True, True, True]


def test_nobody_starves_claims_by_posting_many_headers(world: World) -> None:
    """A withdrawal becomes payable in time although somebody posts more headers than there are slots."""
    world.deposit(1_000)
    leaf = digests.withdrawal_leaf(0, b"\xa1" * 20, world.contract.token_address, 300)
    root, siblings = fold_withdrawal_tree([leaf], 0)
    fields = world.consumed(replace(GOOD, withdrawals_root=root, withdrawals_total=300))
    start_bucket(world)
    height, per_span = 0, KEPT_BUCKETS // 8 + 1
    while height < 10 * per_span:
        height += 1
        world.post(replace(fields, height=height))
        if height % per_span == 0:
            start_bucket(world)
    assert height > KEPT_BUCKETS
    payable = world.contract.payable_checkpoint()
    assert payable is not None and payable.height < height
    world.contract.claim_withdrawal(payable.height, 0, b"\xa1" * 20, 300, siblings)
    assert world.contract.token_balance(b"\xa1" * 20) == 300


def test_a_checkpoint_pays_neither_too_young_nor_once_forgotten(world: World) -> None:
    world.deposit(1_000)
    leaf = digests.withdrawal_leaf(0, b"\xa1" * 20, world.contract.token_address, 300)
    root, siblings = fold_withdrawal_tree([leaf], 0)
    fields = world.consumed(replace(GOOD, withdrawals_root=root, withdrawals_total=300))
    start_bucket(world)
    world.post(replace(fields, height=1))
    assert world.contract.payable_checkpoint() is None
    world.post(replace(fields, height=2))
    with pytest.raises(Refused, match="record: no kept checkpoint"):
        world.contract.claim_withdrawal(1, 0, b"\xa1" * 20, 300, siblings)
    with pytest.raises(Refused, match="claim: too early"):
        world.contract.claim_withdrawal(2, 0, b"\xa1" * 20, 300, siblings)
    world.pass_time(CLAIM_DELAY_S)
    payable = world.contract.payable_checkpoint()
    assert payable is not None and payable.height == 2
    world.contract.claim_withdrawal(2, 0, b"\xa1" * 20, 300, siblings)


def test_a_frozen_contract_keeps_its_last_checkpoint_for_ever(world: World) -> None:
    start_bucket(world)
    record = post_one(world, 1)
    world.pass_time(KEPT_BUCKETS * BUCKET_S * 10)
    world.contract.freeze()
    assert world.contract.is_kept(record)


def test_nomad_2022_what_was_never_written_proves_nothing(world: World) -> None:
    """A zero root that initialisation made acceptable let anybody take everything."""
    nothing = CheckpointRecord(0, bytes(32), bytes(32), bytes(32), bytes(32), bytes(32), 0, 0)
    assert not world.contract.is_kept(nothing)
    world.deposit(1_000)
    world.pass_time(CLAIM_DELAY_S)
    token = world.contract.token_address
    with pytest.raises(Refused, match="record: no kept checkpoint"):
        world.contract.payouts().claim(nothing, Withdrawal(0, b"\xa1" * 20, token, 300, [bytes(32)] * 32))
    post_one(world, 1)
    assert not world.contract.is_kept(nothing)
