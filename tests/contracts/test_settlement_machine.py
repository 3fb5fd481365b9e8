"""Random walks over everything that anybody can do to the custody, beside a model that knows what must come of it.

Deposits, forced actions, profit and loss, debts, withdrawals, honest checkpoints and lies that a quorum signed,
claims, pauses, passing time, a freeze at any moment, escapes, refunds and gifts, in any order. After each step money is
counted. Every walk ends with the committee dead: everybody leaves, and less than one unit an account stays behind.
"""

from dataclasses import dataclass, replace
from functools import cache

from account_book import Book, BookAccount
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from settlement_world import (
    CLAIM_DELAY_S,
    DEBT_MAX_QUOTE,
    FORCE_DEADLINE_S,
    MAX_SILENCE_S,
    HeaderFields,
    World,
)
from trees import fold_withdrawal_tree

from contracts import digests
from contracts.council import Council
from contracts.devchain.chain import funded_key
from contracts.settlement import Refused

OWNERS = [bytes([0xA0 + i]) * 20 for i in range(4)]
FIRST_INDEX = 64
OUTFLOW_CAP_QUOTE = 300_000
DAY_S = 86_400


@cache
def shared_world() -> tuple[World, int]:
    """Founding takes a second: every walk starts from the same block instead."""
    world = World(outflow_cap_quote=OUTFLOW_CAP_QUOTE)
    world.register_all()
    world.activate()
    return world, world.chain.head.block_number


@dataclass(frozen=True)
class Posted:
    """A checkpoint that was accepted: how many withdrawals are under its root, what its accounts are."""

    height: int
    withdrawal_count: int
    posted_s: int
    book: Book


class Custody(RuleBasedStateMachine):
    """A model of an honest engine: `equities` is what accounts are worth, `withdrawals` what left them."""

    @initialize()
    def start(self) -> None:
        self.world, block = shared_world()
        self.world.chain.rewind(block)
        self.world.chain.reset_clock()
        self.contract = self.world.contract
        self.equities = [0] * len(OWNERS)
        self.withdrawals: list[tuple[bytes, int]] = []
        self.entries: list[tuple[int, int, int]] = []  # (owner's number or -1, amount, time)
        self.cursor = 0
        self.posted: list[Posted] = []
        self.paid: dict[int, int] = {}
        self.payments: list[tuple[int, int]] = []  # (time, amount)
        self.escaped: dict[int, int] = {}
        self.refunded: set[int] = set()
        self.gifts = 0
        self.is_frozen = False
        self.paused_until_s = 0
        for owner in range(len(OWNERS)):
            self.deposit(owner, 10**5)
        self.checkpoint([], 0, ())
        self.checkpoint([(0, 2), (1, 3), (2, 4)], 0, (1,))

    def now_s(self) -> int:
        return self.world.chain.head.timestamp

    def book(self) -> Book:
        return Book({
            FIRST_INDEX + i: BookAccount(OWNERS[i], max(equity, 0), max(-equity, 0))
            for i, equity in enumerate(self.equities)
        })  # fmt: skip

    def leaves(self, count: int) -> list[bytes]:
        token = self.contract.token_address
        return [digests.withdrawal_leaf(i, owner, token, n) for i, (owner, n) in enumerate(self.withdrawals[:count])]

    def withdrawn(self) -> int:
        return sum(amount for _, amount in self.withdrawals)

    # ------------------------------------------------------------ what users do

    @rule(owner=st.integers(0, 3), amount=st.integers(1, 10**5))
    def deposit(self, owner: int, amount: int) -> None:
        self.contract.mint_test_usdc(self.contract.sender, amount)
        try:
            self.contract.deposit(OWNERS[owner], 0, amount)
        except Refused as refusal:
            assert self.is_frozen
            assert refusal.reason == "deposit: frozen"
            return
        assert not self.is_frozen
        self.entries.append((owner, amount, self.now_s()))

    @rule()
    def force(self) -> None:
        """An entry that brings no money, but has a deadline all the same."""
        try:
            self.contract._send("force_cancel", 0, digests.ALL_MARKETS)
        except Refused as refusal:
            assert self.is_frozen
            assert refusal.reason == "force: frozen"
            return
        assert not self.is_frozen
        self.entries.append((-1, 0, self.now_s()))

    def withdraw(self, owner: int, part: int) -> None:
        amount = max(self.equities[owner], 0) // part
        if amount > 0 and not self.is_frozen:
            self.equities[owner] -= amount
            self.withdrawals.append((OWNERS[owner], amount))

    @rule(winner=st.integers(0, 3), loser=st.integers(0, 3), gain_max=st.integers(1, 10**6))
    def settle_trade(self, winner: int, loser: int, gain_max: int) -> None:
        """The loser may end up in debt, within the bound."""
        room = DEBT_MAX_QUOTE // len(OWNERS) + self.equities[loser]
        gain = min(gain_max, max(room, 0))
        self.equities[loser] -= gain
        self.equities[winner] += gain

    @rule(amount=st.integers(1, 10**9))
    def give(self, amount: int) -> None:
        self.contract.mint_test_usdc(self.contract.address_bytes, amount)
        self.gifts += amount

    @rule(
        by_s=st.sampled_from([1, CLAIM_DELAY_S // 2, CLAIM_DELAY_S, FORCE_DEADLINE_S // 2, MAX_SILENCE_S // 3, DAY_S])
    )
    def pass_time(self, by_s: int) -> None:
        self.world.pass_time(by_s)

    # ------------------------------------------------------------ what the committee does

    def honest_fields(self, cursor: int) -> HeaderFields:
        root, _ = fold_withdrawal_tree(self.leaves(len(self.withdrawals)), 0)
        return self.book().fields(
            HeaderFields(
                height=len(self.posted) + 1, timestamp_ms=self.now_s() * 1_000, inbox_cursor=cursor,
                inbox_hash=self.contract.inbox_hash(cursor), withdrawals_root=root, withdrawals_total=self.withdrawn(),
            )
        )  # fmt: skip

    @rule(
        wishes=st.lists(st.tuples(st.integers(0, 3), st.integers(1, 4)), max_size=3), left_out=st.integers(0, 2),
        absent=st.sampled_from([(), (0,), (3,)]),
    )  # fmt: skip
    def checkpoint(self, wishes: list[tuple[int, int]], left_out: int, absent: tuple[int, ...]) -> None:
        """With new withdrawals. Some of the newest entries may wait for the next one, until they are overdue."""
        for owner, part in wishes:
            self.withdraw(owner, part)
        cursor = max(self.cursor, len(self.entries) - left_out)
        before = list(self.equities)
        for owner, amount, _ in self.entries[self.cursor : cursor]:
            if owner >= 0:
                self.equities[owner] += amount
        fields = self.honest_fields(cursor)
        try:
            self.world.post(fields, absent)
        except Refused as refusal:
            self.equities = before
            if self.is_frozen:
                assert refusal.reason == "checkpoint: frozen"
                return
            assert refusal.reason == "checkpoint: skips an overdue entry"
            assert self.now_s() >= self.entries[cursor][2] + FORCE_DEADLINE_S - 1
            return
        assert not self.is_frozen
        self.cursor = cursor
        self.posted.append(Posted(fields.height, len(self.withdrawals), self.now_s(), self.book()))

    @rule(lie=st.integers(0, 8), by=st.integers(1, 10**12), absent=st.sampled_from([(), (2,)]))
    def lie(self, lie: int, by: int, absent: tuple[int, ...]) -> None:
        """A quorum signs it, and it is refused."""
        honest = self.honest_fields(self.cursor)
        deposits = sum(amount for _, amount, _ in self.entries)
        changes: list[dict[str, object]] = [
            {"claims": honest.claims + deposits + by}, {"debt": DEBT_MAX_QUOTE + by}, {"height": len(self.posted)},
            {"inbox_hash": digests.keccak(by.to_bytes(32, "big"))}, {"inbox_cursor": len(self.entries) + by},
            {"epoch": 1 + by}, {"engine_version": 1 + by}, {"withdrawals_total": deposits + by}, {"version": 1 + by},
        ]  # fmt: skip
        try:
            self.world.post(replace(honest, **changes[lie]), absent)
        except Refused:
            return
        raise AssertionError("a lie was accepted")

    # ------------------------------------------------------------ ways out

    @precondition(lambda self: any(known.withdrawal_count for known in self.posted))
    @rule(data=st.data(), is_patient=st.booleans())
    def claim(self, data: st.DataObject, is_patient: bool) -> None:
        under = data.draw(st.sampled_from([known for known in self.posted if known.withdrawal_count]))
        index = data.draw(st.integers(0, under.withdrawal_count - 1))
        if is_patient:
            self.world.pass_time(CLAIM_DELAY_S)
        self.try_claim(under, index)

    def try_claim(self, under: Posted, index: int) -> None:
        owner, amount = self.withdrawals[index]
        _, proof = fold_withdrawal_tree(self.leaves(under.withdrawal_count), index)
        before = self.contract.token_balance(owner)
        try:
            self.contract.claim_withdrawal(under.height, index, owner, amount, proof)
        except Refused as refusal:
            self.judge_refused_claim(under, index, refusal.reason)
            return
        assert not self.is_paused()
        assert self.now_s() >= under.posted_s + CLAIM_DELAY_S
        got = self.contract.token_balance(owner) - before
        assert 0 < got <= amount - self.paid.get(index, 0)
        self.paid[index] = self.paid.get(index, 0) + got
        self.payments.append((self.now_s(), got))

    def judge_refused_claim(self, under: Posted, index: int, reason: str) -> None:
        if reason == "claim: paused":
            assert self.is_paused()
        elif reason == "record: no kept checkpoint":
            assert under is not self.posted[-1]  # a younger one pays the same
        elif reason == "claim: too early":
            assert self.now_s() < under.posted_s + CLAIM_DELAY_S
        elif reason == "claim: already paid":
            assert self.paid[index] == self.withdrawals[index][1]
        else:
            assert reason == "claim: outflow cap is reached, try later"
            since_s = self.now_s() - DAY_S
            assert sum(amount for time_s, amount in self.payments if time_s > since_s) >= OUTFLOW_CAP_QUOTE // 4

    def is_paused(self) -> bool:
        return self.now_s() < self.paused_until_s

    @rule(seats=st.lists(st.integers(0, 3), min_size=1, max_size=3, unique=True))
    def pause(self, seats: list[int]) -> None:
        for seat in seats:
            council = Council(self.world.provider, self.world.deployment.council, funded_key(seat))
            try:
                council.pause(seat)
            except Refused as refusal:
                assert refusal.reason in ("council: paused or cooling down", "council: has voted")
                continue
            if council.is_paused():
                assert self.now_s() >= self.paused_until_s + council.cooldown_s() or self.paused_until_s == 0
                self.paused_until_s = self.now_s() + council.pause_s()

    @rule(patience=st.integers(0, 4))
    def freeze(self, patience: int) -> None:
        if patience == 4:
            self.world.pass_time(MAX_SILENCE_S)
        outlook = self.contract.can_freeze()
        oldest_s = min((time_s for _, _, time_s in self.entries[self.cursor :]), default=None)
        is_silent = not self.posted or self.now_s() > self.posted[-1].posted_s + MAX_SILENCE_S - 10
        try:
            self.contract.freeze()
        except Refused as refusal:
            assert refusal.reason == ("freeze: already frozen" if self.is_frozen else "freeze: too early")
            assert self.is_frozen or not outlook.is_possible
            return
        assert not self.is_frozen
        assert is_silent or (oldest_s is not None and self.now_s() > oldest_s + FORCE_DEADLINE_S)
        self.is_frozen = True

    def share(self, index: int) -> int:
        last = self.posted[-1]
        claims = last.book.claims
        claim = last.book.accounts[index].claim
        return claim * min(self.pool(), claims) // claims if claim else 0

    def pool(self) -> int:
        """What the last checkpoint consumed, less what it withdrew."""
        last = self.contract.last()
        return sum(amount for _, amount, _ in self.entries[: last.inbox_cursor]) - last.withdrawals_total

    @rule(owner=st.integers(0, 3))
    def escape(self, owner: int) -> None:
        self.escape_account(owner)

    def escape_account(self, owner: int) -> None:
        index = FIRST_INDEX + owner
        try:
            self.contract.escape(**self.posted[-1].book.leaf(index))
        except Refused as refusal:
            if not self.is_frozen:
                assert refusal.reason == "escape: not frozen"
            elif index in self.escaped:
                assert refusal.reason == "escape: already paid"
            else:
                assert (refusal.reason, self.share(index)) == ("escape: nothing to pay", 0)
            return
        assert self.is_frozen
        assert index not in self.escaped
        self.escaped[index] = self.share(index)

    @rule(data=st.data())
    def refund(self, data: st.DataObject) -> None:
        self.refund_entry(data.draw(st.integers(0, len(self.entries) - 1)))

    def refund_entry(self, index: int) -> None:
        (entry,) = self.contract.inbox_entries(index, 1, self.contract.latest_block())
        owner, amount, _ = self.entries[index]
        try:
            self.contract.refund(entry)
        except Refused:
            is_due = self.is_frozen and index >= self.cursor and index not in self.refunded and owner >= 0
            assert not is_due
            return
        assert self.is_frozen
        assert index >= self.cursor
        assert index not in self.refunded
        assert amount == entry.amount
        self.refunded.add(index)

    # ------------------------------------------------------------ what is always true

    @invariant()
    def money_is_conserved(self) -> None:
        if not hasattr(self, "world"):
            return
        deposits = sum(amount for _, amount, _ in self.entries)
        claimed = sum(self.paid.values())
        refunds = sum(self.entries[index][1] for index in self.refunded)
        out = claimed + sum(self.escaped.values()) + refunds
        held = self.contract.token_balance(self.contract.address_bytes)
        assert held == deposits + self.gifts - out
        last = self.contract.last()
        waiting = sum(self.entries[i][1] for i in range(last.inbox_cursor, len(self.entries)) if i not in self.refunded)
        assert held >= last.withdrawals_total - claimed + waiting
        assert sum(self.escaped.values()) <= self.pool()

    @invariant()
    def everybody_has_what_he_was_paid(self) -> None:
        if not hasattr(self, "world"):
            return
        paid = dict.fromkeys(OWNERS, 0)
        for index, amount in self.paid.items():
            paid[self.withdrawals[index][0]] += amount
        for index, amount in self.escaped.items():
            paid[OWNERS[index - FIRST_INDEX]] += amount
        assert [self.contract.token_balance(owner) for owner in OWNERS] == list(paid.values())

    @invariant()
    def the_contract_knows_no_more_than_it_was_told(self) -> None:
        if not hasattr(self, "world"):
            return
        last = self.contract.last()
        assert (last.height, last.inbox_cursor, last.is_frozen) == (len(self.posted), self.cursor, self.is_frozen)
        assert self.contract.inbox_length() == len(self.entries)

    @invariant()
    def no_day_pays_more_than_the_cap(self) -> None:
        if not hasattr(self, "world"):
            return
        for end_s, _ in self.payments:
            day = sum(amount for time_s, amount in self.payments if end_s - DAY_S < time_s <= end_s)
            assert day <= OUTFLOW_CAP_QUOTE

    def teardown(self) -> None:
        """The committee dies here. Everybody leaves."""
        if not hasattr(self, "world") or not self.posted:
            return
        self.world.pass_time(MAX_SILENCE_S + 1)
        if not self.is_frozen:
            self.contract.freeze()
            self.is_frozen = True
        for owner in range(len(OWNERS)):
            if FIRST_INDEX + owner not in self.escaped and self.share(FIRST_INDEX + owner):
                self.escape_account(owner)
        for index in range(self.cursor, len(self.entries)):
            if self.entries[index][0] >= 0 and index not in self.refunded:
                self.refund_entry(index)
        self.world.pass_time(2 * DAY_S)
        under = self.posted[-1]
        while any(self.paid.get(i, 0) < self.withdrawals[i][1] for i in range(under.withdrawal_count)):
            for index in range(under.withdrawal_count):
                if self.paid.get(index, 0) < self.withdrawals[index][1]:
                    self.try_claim(under, index)
            self.world.pass_time(DAY_S)
        self.money_is_conserved()
        self.everybody_has_what_he_was_paid()
        self.no_day_pays_more_than_the_cap()
        residue = self.contract.token_balance(self.contract.address_bytes) - self.gifts
        assert 0 <= residue < len(OWNERS)


TestCustody = Custody.TestCase
TestCustody.settings = settings(
    max_examples=8, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck)
)
