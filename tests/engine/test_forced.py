"""Forced actions (FRC-1 to FRC-6): what the owner could have signed, and nothing else; both engines at each step."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.apply import BlockResult, execute
from engine.commands import BUY, PLACE, SELL, SET_PHASE, Action, Command
from engine.forced import Request, read_request
from engine.payload import FORCED_KINDS, INBOX_ENTRIES_MAX, InboxEntry
from engine.results import Code, OrderState
from engine.state import genesis
from engine.tables import BY_OWNER_ALL, NOTICE_FORCED, PHASE_CANCEL_ONLY
from engine.views import account_summary, find_account
from tests.engine.agreement import compare_events, compare_state
from tests.engine.blocks import (
    ALICE,
    BOB,
    BTC,
    ETH_MARK,
    FOREVER_MS,
    MARK,
    NOBODY,
    POOR,
    START_MS,
    TOKEN,
    USD,
    batch,
    block,
    deposit,
    make_params,
    place,
    reports,
)
from tests.reference import exchange

VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "settlement.json").read_text())
GOVERNOR, KEY, NO_TOKEN = b"\x55" * 20, b"\x6b" * 20, bytes(20)
CANCEL, CLOSE, WITHDRAW, SET_KEY = FORCED_KINDS
ALL = 0xFFFFFFFF
RICH = 100_000 * USD


class Exchange:
    """Both engines on one history; Alice and Bob have 100,000 USD each, Poor has one."""

    def __init__(self) -> None:
        params = make_params(governor=GOVERNOR)
        self.state, self.x = genesis(params, START_MS), exchange.genesis(params, START_MS)
        self.nonce = 0
        self.block(*(deposit(0, owner, amount) for owner, amount in ((ALICE, RICH), (BOB, RICH), (POOR, USD))))

    def block(self, *entries: InboxEntry, commands=(), signers=None, mark: int = MARK) -> BlockResult:
        """One block; entries are numbered here."""
        numbered = [replace(entry, index=self.state.inbox_cursor + at) for at, entry in enumerate(entries)]
        batches = ()
        if commands:
            batches = (batch(0, int(self.state.batch_sequences[0]) + 1, list(commands), signers),)
        made = block(self.state, inbox=numbered, batches=batches)
        made = made._replace(price_reports=reports(made.time_ms, mark, ETH_MARK) if mark else ())
        self.x = exchange.execute(self.x, made)
        self.state, result = execute(self.state, made)
        assert compare_events(result, self.x) + compare_state(self.state, self.x) == []
        return result

    def force(self, *entries: InboxEntry, **rest) -> list[tuple[int, ...]]:
        """What the notices of one block's forced actions say: account, code, kind, number."""
        return told(self.block(*entries, **rest))

    def sign(self, kind: int, owner: bytes, **fields) -> Command:
        self.nonce += 1
        return Command.of(kind, owner, self.nonce, FOREVER_MS, **fields)

    def trade(self, lots: int, price_ticks: int = MARK) -> None:
        """Alice buys from Bob."""
        result = self.block(
            commands=[
                self.sign(PLACE, BOB, side=SELL, price_ticks=price_ticks, size_lots=lots),
                self.sign(PLACE, ALICE, side=BUY, price_ticks=price_ticks, size_lots=lots),
            ]
        )
        assert result.fills["size_lots"].sum() == lots

    def rest(self, owner: bytes, side: int, price_ticks: int, lots: int) -> None:
        result = self.block(commands=[self.sign(PLACE, owner, side=side, price_ticks=price_ticks, size_lots=lots)])
        assert result.receipts["order_state"][0] == OrderState.OPEN

    def index(self, owner: bytes, subaccount: int = 0) -> int:
        found = find_account(self.state, owner, subaccount)
        assert found is not None
        return found

    def lots(self, owner: bytes, market: int = BTC) -> int:
        positions = account_summary(self.state, self.index(owner)).positions
        return sum(held.size_lots for held in positions if held.market == market)

    def free_quote(self, owner: bytes) -> int:
        return account_summary(self.state, self.index(owner)).free_quote


def told(result: BlockResult) -> list[tuple[int, ...]]:
    return [tuple(row)[2:] for row in result.notices.tolist() if row[0] == NOTICE_FORCED]


def forced(kind: int, owner: bytes, amount: int = 0, data: int = 0, **fields) -> InboxEntry:
    values = {"kind": kind, "token": NO_TOKEN, "data": data.to_bytes(32, "big")}
    return deposit(0, owner, amount, **(values | fields))


def cancel(owner: bytes, market: int = ALL) -> InboxEntry:
    return forced(CANCEL, owner, data=market)


def close(owner: bytes, lots: int = 0, limit_ticks: int = 0, market: int = BTC) -> InboxEntry:
    return forced(CLOSE, owner, lots, limit_ticks << 32 | market)


def withdraw(owner: bytes, amount: int = 0, token: bytes = TOKEN) -> InboxEntry:
    return forced(WITHDRAW, owner, amount, token=token)


def set_key(owner: bytes, scopes: int = 1, expiry_ms: int = FOREVER_MS, key: bytes = KEY, cap: int = 0) -> InboxEntry:
    return forced(SET_KEY, owner, cap, expiry_ms << 192 | scopes << 160 | int.from_bytes(key, "big"))


def test_frc3_a_forced_cancel_takes_all_orders_of_the_market_or_of_all() -> None:
    desk = Exchange()
    for price_ticks in (MARK - 10, MARK - 20):
        desk.rest(ALICE, BUY, price_ticks, 1)
    desk.rest(BOB, BUY, MARK - 30, 1)
    alice = desk.index(ALICE)
    assert desk.force(cancel(ALICE, 1)) == [(alice, Code.OK, CANCEL, 0)]
    result = desk.block(cancel(ALICE, BTC))
    assert told(result) == [(alice, Code.OK, CANCEL, 2)]
    assert [(row["account"], row["reason"]) for row in result.cancellations] == [(alice, BY_OWNER_ALL)] * 2
    assert desk.force(cancel(BOB)) == [(desk.index(BOB), Code.OK, CANCEL, 1)]
    assert desk.force(cancel(BOB, 4000)) == [(desk.index(BOB), Code.UNKNOWN_MARKET, CANCEL, 0)]


@pytest.mark.parametrize(
    ("lots", "limit_ticks", "price_ticks", "left"),
    [
        (0, 0, MARK - 1, 0),  # all of it, at the market
        (3, 0, MARK - 1, 7),
        (99, 0, MARK - 1, 0),  # more than there is is cut to what there is
        (0, MARK - 1, MARK - 1, 0),
        (0, MARK, MARK - 1, 10),  # the best bid is worse than the limit
        (0, 1, MARK - 1, 0),  # a limit far below the band is no looser than the band
        (0, 0, MARK * 9 // 10 - 1, 10),  # nobody inside the band
    ],
)
def test_frc4_a_forced_close_sells_at_once_and_never_rests(
    lots: int, limit_ticks: int, price_ticks: int, left: int
) -> None:
    desk = Exchange()
    desk.trade(10)
    if price_ticks > MARK // 2 and price_ticks != MARK * 9 // 10 - 1:
        desk.rest(BOB, BUY, price_ticks, 10)
    result = desk.block(close(ALICE, lots, limit_ticks))
    ((account, code, kind, order_id),) = told(result)
    assert (account, code, kind) == (desk.index(ALICE), Code.OK, CLOSE) and order_id > 0
    assert desk.lots(ALICE) == left
    assert all(row["taker_order_id"] == order_id and row["price_ticks"] == price_ticks for row in result.fills)
    assert desk.state.tables.accounts[desk.index(ALICE)]["order_count"] == 0


def test_frc4_a_forced_close_buys_back_a_short_and_never_turns_it() -> None:
    desk = Exchange()
    desk.trade(10)
    desk.rest(ALICE, SELL, MARK + 1, 10)
    entries = (close(BOB, 4), close(BOB, 0, MARK + 1), close(BOB))
    codes = [row[1] for row in desk.force(*entries)]
    assert codes == [Code.OK, Code.OK, Code.NOT_REDUCING] and desk.lots(BOB) == desk.lots(ALICE) == 0


@pytest.mark.parametrize(
    ("entry", "code"),
    [
        (close(ALICE, market=4000), Code.UNKNOWN_MARKET),
        (close(ALICE, market=1), Code.NOT_REDUCING),
        (close(ALICE, 1 << 40), Code.SIZE_TOO_LARGE),
        (close(ALICE, 1, (1 << 63) - 1), Code.PRICE_OUT_OF_RANGE),
        (withdraw(ALICE, RICH), Code.INSUFFICIENT_BALANCE),
        (withdraw(ALICE, 1, b"\x77" * 20), Code.UNKNOWN_ASSET),
        (set_key(ALICE, scopes=8), Code.UNKNOWN_ENUM),
        (set_key(ALICE, scopes=256 + 1), Code.UNKNOWN_ENUM),
        (set_key(ALICE, expiry_ms=START_MS), Code.CONTRADICTORY),
        (set_key(ALICE, key=bytes(20)), Code.CONTRADICTORY),
        (cancel(NOBODY), Code.UNKNOWN_ACCOUNT),
        (replace(cancel(ALICE), subaccount=1), Code.UNKNOWN_ACCOUNT),
        (cancel(GOVERNOR), Code.NOT_PERMITTED),
        (withdraw((2).to_bytes(20, "big"), 1), Code.NOT_PERMITTED),
        (replace(cancel(ALICE), beneficiary=BOB), Code.MALFORMED),
        (replace(cancel(ALICE), token=TOKEN), Code.MALFORMED),
        (replace(cancel(ALICE), amount=1), Code.MALFORMED),
        (forced(CANCEL, ALICE, data=1 << 32), Code.MALFORMED),
        (forced(CLOSE, ALICE, data=1 << 95), Code.MALFORMED),
        (forced(WITHDRAW, ALICE, 1, data=1, token=TOKEN), Code.MALFORMED),
        (replace(set_key(ALICE), token=TOKEN), Code.MALFORMED),
        (set_key(ALICE, expiry_ms=1 << 63), Code.MALFORMED),
    ],
)
def test_frc2_a_refused_entry_is_consumed_and_changes_nothing(entry: InboxEntry, code: Code) -> None:
    desk = Exchange()
    desk.trade(10)
    cursor, ignored = desk.state.inbox_cursor, desk.state.inbox_ignored_count
    account_root = desk.state.account_root
    ((account, said, kind, number),) = desk.force(entry)
    assert (said, kind, number) == (code, entry.kind, 0)
    found = find_account(desk.state, entry.sender, entry.subaccount)
    assert account == (-1 if found is None else found)
    assert (desk.state.inbox_cursor, desk.state.inbox_ignored_count) == (cursor + 1, ignored)
    assert desk.state.account_root == account_root


def test_frc5_a_withdrawal_without_amount_takes_what_is_free_to_the_unit() -> None:
    desk = Exchange()
    desk.trade(10)
    free_quote = desk.free_quote(ALICE)
    assert 0 < free_quote < RICH
    assert desk.force(withdraw(ALICE, free_quote + 1))[0][1] == Code.INSUFFICIENT_BALANCE
    result = desk.block(withdraw(ALICE))
    assert told(result) == [(desk.index(ALICE), Code.OK, WITHDRAW, 0)]
    (paid,) = result.withdrawals
    assert (paid.owner, paid.amount_quote, paid.account) == (ALICE, free_quote, desk.index(ALICE))
    assert desk.free_quote(ALICE) == 0
    assert desk.force(withdraw(ALICE))[0][1] == Code.AMOUNT_NOT_POSITIVE


def test_frc5_withdrawals_of_a_block_are_numbered_through() -> None:
    """A deposit that is paid back, two forced withdrawals and a signed one share one tree."""
    desk = Exchange()
    entries = (withdraw(ALICE, 5), deposit(0, POOR, 1 << 57), withdraw(BOB, 7))
    result = desk.block(*entries, commands=[desk.sign(4, POOR, size_lots=9)])
    assert [(item.leaf_index, item.amount_quote) for item in result.withdrawals] == [
        (0, 1 << 57), (1, 5), (2, 7), (3, 9),
    ]  # fmt: skip
    assert [row[3] for row in told(result)] == [1, 2]


def test_frc1_deposits_come_first_and_forced_actions_in_inbox_order() -> None:
    desk = Exchange()
    first, second = desk.force(withdraw(POOR, 3 * USD), deposit(0, POOR, 4 * USD), withdraw(POOR, 3 * USD))
    assert (first[1], second[1]) == (Code.OK, Code.INSUFFICIENT_BALANCE)


def test_frc1_the_marks_of_the_block_itself_count() -> None:
    """Alice is long; the block in which her withdrawal comes is the one in which the price falls."""
    desk = Exchange()
    desk.trade(100, MARK)
    free_quote = desk.free_quote(ALICE)
    assert desk.force(withdraw(ALICE, free_quote), mark=MARK * 97 // 100)[0][1] == Code.INSUFFICIENT_BALANCE


def test_frc1_stale_prices_forbid_a_withdrawal_as_they_do_a_signed_one() -> None:
    desk = Exchange()
    desk.trade(10)
    desk.state.time_ms += 60_000  # the clock of both moves on without prices
    desk.x.time_ms += 60_000
    assert [row[1] for row in desk.force(withdraw(ALICE, 1), withdraw(ALICE), mark=0)] == [Code.NO_PRICE] * 2


def test_frc4_a_market_that_only_cancels_refuses_a_close() -> None:
    desk = Exchange()
    desk.trade(10)
    desk.rest(BOB, BUY, MARK - 1, 10)
    desk.block(commands=[desk.sign(SET_PHASE, GOVERNOR, market=BTC, side=PHASE_CANCEL_ONLY)])
    assert desk.force(close(ALICE), cancel(BOB)) == [
        (desk.index(ALICE), Code.PHASE_REFUSES, CLOSE, 0), (desk.index(BOB), Code.OK, CANCEL, 1),
    ]  # fmt: skip


def test_frc3_a_forced_key_signs_in_the_same_block_and_a_revoked_one_no_more() -> None:
    desk = Exchange()
    order = place(ALICE, 900, BUY, MARK - 10, 1)
    assert desk.block(commands=[order], signers=[KEY]).receipts["code"][0] == Code.BAD_SIGNATURE
    result = desk.block(set_key(ALICE, scopes=1, cap=RICH), commands=[order], signers=[KEY])
    assert told(result) == [(desk.index(ALICE), Code.OK, SET_KEY, 1)]
    assert result.receipts["code"][0] == Code.OK
    late = replace(order, nonce=901)
    result = desk.block(set_key(ALICE, scopes=0, expiry_ms=0), commands=[late], signers=[KEY])
    assert result.receipts["code"][0] == Code.BAD_SIGNATURE


def test_frc3_a_forced_key_can_never_withdraw() -> None:
    desk = Exchange()
    taken = Command(ALICE, 900, FOREVER_MS, (Action(4, size_lots=5),))
    for scopes in range(8):
        entry = set_key(ALICE, scopes=scopes)
        result = desk.block(entry, commands=[replace(taken, nonce=900 + scopes)], signers=[KEY])
        assert result.receipts["code"][0] in (Code.BAD_SIGNATURE, Code.NOT_PERMITTED) and not result.withdrawals


def test_a_full_block_of_every_kind_agrees() -> None:
    desk = Exchange()
    desk.trade(50)
    desk.rest(BOB, BUY, MARK - 1, 50)
    kinds = (close(ALICE, 1), withdraw(ALICE, 1), set_key(ALICE), cancel(POOR), deposit(0, POOR, 1))
    entries = [kinds[at % len(kinds)] for at in range(INBOX_ENTRIES_MAX)]
    assert {row[1] for row in desk.force(*entries)} == {Code.OK} and desk.lots(ALICE) == 40


ENTRIES = st.builds(
    deposit,
    index=st.just(0),
    owner=st.sampled_from((ALICE, BOB, POOR, NOBODY, GOVERNOR, bytes(20))),
    amount_quote=st.sampled_from((0, 1, USD, RICH, (1 << 63) - 1)),
    kind=st.integers(0, 7) | st.just((1 << 63) - 1),
    token=st.sampled_from((NO_TOKEN, TOKEN, KEY)),
    subaccount=st.sampled_from((0, 1, (1 << 32) - 1)),
    data=st.binary(min_size=32, max_size=32) | st.integers(0, 3).map(lambda market: market.to_bytes(32, "big")),
)


@settings(max_examples=60)
@given(st.lists(ENTRIES, min_size=1, max_size=8))
def test_frc2_nothing_in_an_entry_can_raise(entries: list[InboxEntry]) -> None:
    desk = Exchange()
    desk.trade(10)
    result = desk.block(*entries)
    assert len(told(result)) == sum(entry.kind in FORCED_KINDS for entry in entries)


@pytest.mark.parametrize(
    "golden", [item for item in VECTORS["inbox"] if item["kind"] > 1], ids=lambda item: item["name"]
)
def test_the_golden_entries_mean_what_the_contract_was_asked_for(golden: dict) -> None:
    entry = InboxEntry(
        golden["index"], golden["kind"], bytes.fromhex(golden["token"]), bytes.fromhex(golden["beneficiary"]),
        golden["subaccount"], bytes.fromhex(golden["sender"]), golden["amount"], bytes.fromhex(golden["data"]),
        golden["time_s"],
    )  # fmt: skip
    before = bytes.fromhex(VECTORS["inbox"][golden["index"] - 1]["hash"])
    assert entry.chain(before).hex() == golden["hash"]
    meant = {
        "cancel": Request(market=ALL), "close": Request(market=3, limit_ticks=499_999), "withdraw": Request(),
        "key": Request(key=KEY, scopes=3, expiry_ms=1_900_000_000_000),
    }  # fmt: skip
    assert read_request(entry) == meant[golden["name"]]
