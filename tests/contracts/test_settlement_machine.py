"""Money is conserved whatever happens: random deposits, withdrawals, checkpoints, claims and passing time."""

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from settlement_world import CLAIM_DELAY_S, HeaderFields, World
from trees import fold_withdrawal_tree

from contracts import digests
from contracts.settlement import Refused

OWNERS = [bytes([0xA0 + i]) * 20 for i in range(3)]


class Money(RuleBasedStateMachine):
    """A model of an honest engine: `free` is what accounts hold, `leaves` what they withdrew."""

    @initialize()
    def start(self) -> None:
        self.world = World()
        self.world.register_all()
        self.world.activate()
        self.deposited = self.free = 0
        self.withdrawals: list[tuple[bytes, int]] = []
        self.paid: set[int] = set()
        self.height = 0
        # (height, number of withdrawals under its root, chain time when posted)
        self.posted: list[tuple[int, int, int]] = []

    def leaves(self, count: int) -> list[bytes]:
        token = self.world.contract.token_address
        return [digests.withdrawal_leaf(i, *w) for i, w in enumerate(self._with_token(token, count))]

    def _with_token(self, token: bytes, count: int) -> list[tuple[bytes, bytes, int]]:
        return [(owner, token, amount) for owner, amount in self.withdrawals[:count]]

    @rule(amount=st.integers(1, 10**12))
    def deposit(self, amount: int) -> None:
        self.world.deposit(amount)
        self.deposited += amount
        self.free += amount

    @rule(owner=st.sampled_from(OWNERS), part=st.integers(1, 4))
    def withdraw(self, owner: bytes, part: int) -> None:
        amount = self.free // part
        if amount > 0:
            self.free -= amount
            self.withdrawals.append((owner, amount))

    @rule(stolen=st.integers(0, 2), absent=st.sampled_from([(), (0,), (3,)]))
    def checkpoint(self, stolen: int, absent: tuple[int, ...]) -> None:
        """Also a committee that invents claims gets nothing through."""
        root, _ = fold_withdrawal_tree(self.leaves(len(self.withdrawals)), 0)
        total = sum(amount for _, amount in self.withdrawals)
        fields = self.world.consumed(
            HeaderFields(
                height=self.height + 1, withdrawals_root=root, withdrawals_total=total, claims=self.free + stolen
            )
        )
        try:
            self.world.post(fields, absent)
        except Refused as refusal:
            assert stolen and refusal.reason == "checkpoint: claims exceed deposits"
            return
        assert not stolen
        self.height += 1
        self.posted.append((self.height, len(self.withdrawals), self.world.chain.head.timestamp))

    @rule(by_s=st.sampled_from([1, CLAIM_DELAY_S // 2, CLAIM_DELAY_S]))
    def pass_time(self, by_s: int) -> None:
        self.world.pass_time(by_s)

    @rule(data=st.data())
    def claim(self, data: st.DataObject) -> None:
        candidates = [entry for entry in self.posted if entry[1] > 0]
        if not candidates:
            return
        height, count, posted_s = data.draw(st.sampled_from(candidates))
        index = data.draw(st.integers(0, count - 1))
        owner, amount = self.withdrawals[index]
        _, proof = fold_withdrawal_tree(self.leaves(count), index)
        try:
            self.world.contract.claim_withdrawal(height, index, owner, amount, proof)
        except Refused as refusal:
            early = self.world.chain.head.timestamp < posted_s + CLAIM_DELAY_S
            assert refusal.reason == ("claim: too early" if early else "claim: already paid")
            assert early or index in self.paid
            return
        assert index not in self.paid
        self.paid.add(index)

    @invariant()
    def conserved(self) -> None:
        if not hasattr(self, "world"):
            return
        contract = self.world.contract
        paid = dict.fromkeys(OWNERS, 0)
        for index in self.paid:
            owner, amount = self.withdrawals[index]
            paid[owner] += amount
        for owner, amount in paid.items():
            assert contract.token_balance(owner) == amount
        held = contract.token_balance(contract.address_bytes)
        assert held == self.deposited - sum(paid.values())
        assert held >= self.free
        assert contract.deposited_total(contract.inbox_length()) == self.deposited

    def teardown(self) -> None:
        if hasattr(self, "world"):
            self.world.chain.close()


TestMoney = Money.TestCase
TestMoney.settings = settings(
    max_examples=3, stateful_step_count=20, deadline=None, suppress_health_check=list(HealthCheck)
)
