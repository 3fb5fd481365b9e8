"""Without the committee: anyone freezes, everyone leaves, each with exactly the share of the rule."""

from dataclasses import replace

import pytest
from account_book import Book, BookAccount, owner_of
from blspy import PopSchemeMPL
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from settlement_world import CLAIM_DELAY_S, DEBT_MAX_QUOTE, FORCE_DEADLINE_S, MAX_SILENCE_S, HeaderFields, World
from trees import fold_sum_tree, fold_withdrawal_tree

from contracts import digests
from contracts.settlement import SYSTEM_ACCOUNTS, ChainError, Refused
from engine.limits import USER_ACCOUNT_FIRST

SLACK_S = 5
INSURANCE = BookAccount((2).to_bytes(20, "big"), 100)
WHALE, MINNOW, DEBTOR = BookAccount(owner_of(1), 700), BookAccount(owner_of(2), 30), BookAccount(owner_of(3), 0, 60, 2)
BOOK = Book({1: INSURANCE, 64: WHALE, 65: MINNOW, 66: DEBTOR, 2**20 - 1: BookAccount(owner_of(1), 1, 0, 7)})
POOL = BOOK.claims - BOOK.debt


def post(world: World, book: Book = BOOK, height: int = 1, **changes: object) -> None:
    world.post(world.consumed(book.fields(HeaderFields(height=height, **changes))))


def fall_silent(world: World) -> None:
    world.pass_time(MAX_SILENCE_S + 1)
    world.contract.freeze()


def pass_time_until(world: World, moment_s: int) -> None:
    world.chain.mine()
    world.pass_time(moment_s - world.chain.head.timestamp)


def posted_and_frozen(world: World) -> None:
    world.deposit(POOL)
    post(world)
    fall_silent(world)


# ---------------------------------------------------------------- freeze


def test_silence_freezes_and_no_second_less(world: World) -> None:
    """Counted from activation, then from the time of the last header, never from when somebody posts an old one."""
    activated_s = world.contract.last().certified_s
    assert world.contract._read("freeze_deadlines") == [2**256 - 1, activated_s + MAX_SILENCE_S]
    pass_time_until(world, activated_s + MAX_SILENCE_S - SLACK_S)
    with pytest.raises(Refused, match="freeze: too early"):
        world.contract.freeze()
    assert 0 < (world.contract.can_freeze().wait_s or 0) <= SLACK_S + 1
    assert world.contract.can_freeze().cause == "the committee is silent"
    header_s = activated_s + 600
    world.post(HeaderFields(height=1, timestamp_ms=header_s * 1_000 + 999))
    assert world.contract.last().certified_s == header_s
    world.post(HeaderFields(height=2, timestamp_ms=activated_s * 1_000))
    assert world.contract.last().certified_s == header_s
    pass_time_until(world, header_s + MAX_SILENCE_S - SLACK_S)
    with pytest.raises(Refused, match="freeze: too early"):
        world.contract.freeze()
    pass_time_until(world, header_s + MAX_SILENCE_S + 1)
    assert world.contract.can_freeze().is_possible
    world.as_account(3).freeze()
    assert world.contract.is_frozen()
    assert not world.contract.can_freeze().is_possible


def test_a_header_from_the_future_counts_from_now(world: World) -> None:
    world.post(HeaderFields(timestamp_ms=2**255))
    assert world.contract.last().certified_s == world.chain.head.timestamp


def test_an_overdue_entry_freezes_and_a_consumed_one_does_not(world: World) -> None:
    world.deposit()
    entered_s = world.chain.head.timestamp
    assert world.contract._read("freeze_deadlines")[0] == entered_s + FORCE_DEADLINE_S
    pass_time_until(world, entered_s + FORCE_DEADLINE_S - SLACK_S)
    with pytest.raises(Refused, match="freeze: too early"):
        world.contract.freeze()
    world.deposit(5)
    pass_time_until(world, entered_s + FORCE_DEADLINE_S + 1)
    made_ms = world.chain.head.timestamp * 1_000
    world.post(HeaderFields(timestamp_ms=made_ms, inbox_cursor=1, inbox_hash=world.contract.inbox_hash(1)))
    with pytest.raises(Refused, match="freeze: too early"):
        world.contract.freeze()
    world.pass_time(FORCE_DEADLINE_S)
    outlook = world.contract.can_freeze()
    assert (outlook.is_possible, outlook.cause, outlook.wait_s) == (True, "an inbox entry is overdue", 0)
    world.contract.freeze()


def test_nothing_freezes_before_activation(open_world: World) -> None:
    open_world.pass_time(10 * MAX_SILENCE_S)
    with pytest.raises(Refused, match="freeze: not active"):
        open_world.contract.freeze()
    assert open_world.contract.can_freeze().cause == "not active"


def test_frozen_is_for_ever(world: World) -> None:
    posted_and_frozen(world)
    last = world.contract.last()
    world.pass_time(10 * MAX_SILENCE_S)
    with pytest.raises(Refused, match="freeze: already frozen"):
        world.contract.freeze()
    with pytest.raises(Refused, match="deposit: frozen"):
        world.deposit()
    with pytest.raises(Refused, match="checkpoint: frozen"):
        post(world, height=2)
    with pytest.raises(Refused, match="register: frozen"):
        world.register(9, PopSchemeMPL.key_gen(b"\x42" * 32))
    with pytest.raises(Refused, match="activate: already active"):
        world.contract.activate(world.as_operator(0).committee_hash(1))
    assert world.contract.last() == last
    assert last.is_frozen


# ---------------------------------------------------------------- who is paid what


def test_each_account_is_paid_its_share_once(world: World) -> None:
    posted_and_frozen(world)
    for index, paid in [(64, 700 * POOL // BOOK.claims), (65, 30 * POOL // BOOK.claims)]:
        claim = BOOK.accounts[index].claim
        assert world.contract.entitlement(claim) == paid
        assert not world.contract.is_escaped(index)
        world.as_account(4).escape(**BOOK.leaf(index))
        assert world.contract.is_escaped(index)
        assert world.contract.token_balance(BOOK.accounts[index].owner) == paid
        with pytest.raises(Refused, match="escape: already paid"):
            world.contract.escape(**BOOK.leaf(index))
    with pytest.raises(Refused, match="escape: nothing to pay"):
        world.contract.escape(**BOOK.leaf(66))


def test_system_accounts_are_nobodys(world: World) -> None:
    assert SYSTEM_ACCOUNTS == USER_ACCOUNT_FIRST
    book = Book({63: BookAccount(owner_of(1), 10), 64: BookAccount(owner_of(2), 10)})
    world.deposit(20)
    post(world, book)
    fall_silent(world)
    with pytest.raises(Refused, match="escape: system account"):
        world.contract.escape(**book.leaf(63))
    world.contract.escape(**book.leaf(64))
    assert world.contract.token_balance(owner_of(2)) == 10


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"claim": 701}, "escape: wrong proof"),
        ({"debt": 1}, "escape: wrong proof"),
        ({"owner": owner_of(9)}, "escape: wrong proof"),
        ({"subaccount": 1}, "escape: wrong proof"),
        ({"digest": bytes(32)}, "escape: wrong proof"),
        ({"index": 65}, "escape: wrong proof"),
        ({"index": 63}, "escape: wrong proof"),
        ({"index": 64 + 2**20}, "account: index too large"),
        ({"index": 2**256 - 1}, "account: index too large"),
        ({"claim": 2**128}, "account: sum too large"),
        ({"sibling_hashes": [bytes(32)] * 20}, "escape: wrong proof"),
        ({"sibling_sums": [bytes(32)] * 20}, "escape: wrong proof"),
        ({"sibling_sums": [b"\xff" * 32] * 20}, "account: sum too large"),
    ],
)
def test_false_escape_is_refused(world: World, change: dict, reason: str) -> None:
    posted_and_frozen(world)
    with pytest.raises(Refused, match=reason):
        world.contract.escape(**BOOK.leaf(64) | change)
    world.contract.escape(**BOOK.leaf(64))


def test_an_inner_node_is_no_account(world: World) -> None:
    """A pair of accounts shown as one leaf: its parent's hash and sums in place of a leaf's."""
    posted_and_frozen(world)
    leaf = BOOK.leaf(64)
    _, siblings = fold_sum_tree(BOOK.leaves, 64)
    parent_hash, parent_sums = digests.sum_node(BOOK.leaves[64], siblings[0])
    shifted = {
        "index": 64 >> 1, "claim": int.from_bytes(parent_sums[:16], "big"), "digest": parent_hash,
        "sibling_hashes": [*leaf["sibling_hashes"][1:], bytes(32)],
        "sibling_sums": [*leaf["sibling_sums"][1:], bytes(32)],
    }  # fmt: skip
    for index in (64 >> 1, 64):
        with pytest.raises(Refused, match="escape: wrong proof"):
            world.contract.escape(**leaf | shifted | {"index": index})
    with pytest.raises(ValueError, match="20 siblings"):
        world.contract.escape(**leaf | {"sibling_hashes": leaf["sibling_hashes"][1:]})


def test_only_the_last_checkpoint_pays_and_only_when_frozen(world: World) -> None:
    world.deposit(POOL)
    post(world)
    first = world.contract.last_checkpoint()
    assert first is not None
    with pytest.raises(Refused, match="escape: not frozen"):
        world.contract.escape(**BOOK.leaf(64))
    later = Book({64: BookAccount(owner_of(1), 1), 65: BookAccount(owner_of(2), POOL - 1)})
    post(world, later, height=2)
    fall_silent(world)
    with pytest.raises(Refused, match="escape: wrong proof"):
        world.contract.escape(**BOOK.leaf(64))
    leaf = list(BOOK.leaf(64).values())
    sums = [int.from_bytes(word, "big") for word in leaf[-1]]
    owner = world.contract._link.web3.to_checksum_address(leaf[1])
    with pytest.raises(Refused, match="record: not the last checkpoint"):
        world.contract._send("escape", first.to_abi(), leaf[0], owner, *leaf[2:-1], sums)
    world.contract.escape(**later.leaf(64))
    assert world.contract.token_balance(owner_of(1)) == 1


@st.composite
def escapes(draw: st.DrawFn) -> tuple[list[int], int, int, list[int]]:
    """Claims, the debt of another account, a gift to the contract, and who escapes in which order."""
    claims = draw(st.lists(st.one_of(st.integers(0, 9), st.integers(0, 2**40)), min_size=1, max_size=6))
    order = draw(st.permutations(range(len(claims))))[: draw(st.integers(0, len(claims)))]
    return claims, draw(st.integers(0, DEBT_MAX_QUOTE)), draw(st.sampled_from([0, 10**6])), order


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(case=escapes())
def test_shares_are_exact_in_any_order_and_subset(world: World, case: tuple[list[int], int, int, list[int]]) -> None:
    """Also with bad debt, and whoever gives the contract money changes nothing."""
    block = world.chain.head.block_number
    try:
        check_shares(world, *case)
    finally:
        world.chain.rewind(block)
        world.chain.reset_clock()


def check_shares(world: World, claims: list[int], debt: int, gift: int, order: list[int]) -> None:
    creditors = {64 + i: BookAccount(owner_of(i), claim) for i, claim in enumerate(claims)}
    book = Book(creditors | {99: BookAccount(owner_of(99), 0, debt)})
    pool = max(0, book.claims - debt)
    if pool:
        world.deposit(pool)
    post(world, book)
    fall_silent(world)
    world.contract.mint_test_usdc(world.contract.address_bytes, gift)
    assert world.contract.pool() == pool
    for i in order:
        paid = claims[i] * pool // max(1, book.claims)
        if paid == 0:
            with pytest.raises(Refused, match="escape: nothing to pay"):
                world.contract.escape(**book.leaf(64 + i))
        else:
            world.contract.escape(**book.leaf(64 + i))
        assert world.contract.token_balance(owner_of(i)) == paid <= claims[i]
    residue = world.contract.token_balance(world.contract.address_bytes) - gift
    assert residue >= 0
    if len(order) == len(claims):
        assert residue < len(claims)


def test_a_pool_above_the_claims_pays_no_more_than_the_claims(world: World) -> None:
    world.deposit(5 * BOOK.claims)
    post(world)
    fall_silent(world)
    world.contract.escape(**BOOK.leaf(64))
    assert world.contract.token_balance(WHALE.owner) == WHALE.claim


# ---------------------------------------------------------------- deposits and withdrawals around a freeze


def test_unconsumed_deposits_return_to_their_senders_once(world: World) -> None:
    world.deposit(POOL)
    post(world)
    payer = world.as_account(5)
    payer.mint_test_usdc(payer.sender, 50)
    payer.deposit(owner_of(9), 4, 20)
    payer.deposit(owner_of(8), 0, 30)
    consumed, first, second = world.contract.inbox_entries(0, 3, world.contract.latest_block())
    with pytest.raises(Refused, match="refund: not frozen"):
        world.contract.refund(first)
    fall_silent(world)
    for entry, reason in [
        (consumed, "refund: consumed by a checkpoint"),
        (replace(first, index=3), "refund: no such entry"),
        (replace(first, index=2**256 - 1), "refund: no such entry"),
        (replace(first, index=2), "refund: not this entry"),
        (replace(first, amount=21), "refund: not this entry"),
        (replace(first, sender=owner_of(7)), "refund: not this entry"),
        (replace(first, beneficiary=owner_of(7)), "refund: not this entry"),
        (replace(first, subaccount=5), "refund: not this entry"),
        (replace(first, time_s=first.time_s + 1), "refund: not this entry"),
    ]:
        with pytest.raises(Refused, match=reason):
            world.contract.refund(entry)
    for entry, balance in [(second, 30), (first, 50)]:
        assert not world.contract.is_refunded(entry.index)
        world.contract.refund(entry)
        assert world.contract.is_refunded(entry.index)
        assert world.contract.token_balance(payer.sender) == balance
        with pytest.raises(Refused, match="refund: already paid"):
            world.contract.refund(entry)
    assert world.contract.token_balance(world.contract.address_bytes) == world.contract.pool() == POOL


def test_without_any_checkpoint_there_are_only_refunds(world: World) -> None:
    world.deposit(40)
    fall_silent(world)
    assert world.contract.pool() == 0
    with pytest.raises(ChainError, match="height 0 has no checkpoint"):
        world.contract.escape(**BOOK.leaf(64))
    leaf = list(BOOK.leaf(64).values())
    owner = world.contract._link.web3.to_checksum_address(leaf[1])
    record = (0, bytes(32), bytes(32), BOOK.root, digests.encode_sums(BOOK.claims, BOOK.debt), bytes(32), 0)
    sums = [int.from_bytes(word, "big") for word in leaf[-1]]
    with pytest.raises(Refused, match="record: not the last checkpoint"):
        world.contract._send("escape", record, leaf[0], owner, *leaf[2:-1], sums)
    (entry,) = world.contract.inbox_entries(0, 1, world.contract.latest_block())
    world.contract.refund(entry)
    assert world.contract.token_balance(world.contract.sender) == 40


def test_the_whole_exchange_leaves(world: World) -> None:
    """50 accounts, an insurance fund, bad debt, withdrawals claimed before and after the freeze, waiting deposits."""
    owners = {
        64 + i: BookAccount(owner_of(i), 1_000_003 * (i + 1) ** 3 % 9_999_991, subaccount=i % 3) for i in range(50)
    }
    book = Book({1: BookAccount((2).to_bytes(20, "big"), 5_000_000), 114: BookAccount(owner_of(50), 0, 4_321)} | owners)
    token, payer = world.contract.token_address, world.as_account(6)
    amounts = [(owner_of(100), 11), (owner_of(101), 2_000), (owner_of(102), 70_000)]
    leaves = [digests.withdrawal_leaf(i, owner, token, amount) for i, (owner, amount) in enumerate(amounts)]
    root, _ = fold_withdrawal_tree(leaves, 0)
    withdrawn = sum(amount for _, amount in amounts)
    world.deposit(book.claims - book.debt + withdrawn)
    post(world, book, withdrawals_root=root, withdrawals_total=withdrawn)
    payer.mint_test_usdc(payer.sender, 999)
    payer.deposit(owner_of(64), 0, 999)

    def claim(index: int) -> None:
        world.contract.claim_withdrawal(1, index, *amounts[index], fold_withdrawal_tree(leaves, index)[1])

    world.pass_time(CLAIM_DELAY_S)
    claim(1)
    world.pass_time(FORCE_DEADLINE_S)
    world.contract.freeze()
    pool = book.claims - book.debt
    assert world.contract.pool() == pool
    claim(0)
    for index, account in owners.items():
        world.contract.escape(**book.leaf(index))
        assert world.contract.token_balance(account.owner) == account.claim * pool // book.claims
    world.contract.refund(world.contract.inbox_entries(1, 1, world.contract.latest_block())[0])
    claim(2)
    assert world.contract.token_balance(payer.sender) == 999
    assert [world.contract.token_balance(owner) for owner, _ in amounts] == [amount for _, amount in amounts]
    insurance_share = 5_000_000 * pool // book.claims
    residue = world.contract.token_balance(world.contract.address_bytes) - insurance_share
    assert 0 <= residue < len(book.accounts)
