"""A world that plays a scenario: faults begin and end when somebody says so, and everything is noted with its time.

Unlike a campaign's run it has no second phase; who drives it decides when what is healed and how long it goes on.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from consensus.messages import FINALIZE, Block, Proposal, quorum
from engine.events import Withdrawal
from engine.params import MarketParams
from testnet.sim.byzantine import Behaviour, Sleeper
from testnet.sim.checkers import Violation
from testnet.sim.crowd import CROWD_KEYS, Market
from testnet.sim.exchange import make_exchange
from testnet.sim.keys import decode
from testnet.sim.node import Node
from testnet.sim.onchain import Onchain
from testnet.sim.plan import Plan
from testnet.sim.world import World
from validator.executor import Executed

LOOK_EVERY_MS = 250
POST_EVERY_MS = 3_000


@dataclass(frozen=True, slots=True)
class Look:
    """The final height of every member at a time; None where no process answers."""

    at_ms: int
    heights: tuple[int | None, ...]


@dataclass(frozen=True, slots=True)
class Delivery:
    """A block is final at a quorum of members, or at all honest ones if they are fewer."""

    at_ms: int
    height: int
    latency_ms: int  # since it was proposed


class Stage(World):
    """Liars of the plan sleep until they are woken. Times are virtual milliseconds."""

    def __init__(
        self, plan: Plan, markets: tuple[MarketParams, ...], onchain: Onchain | None = None, withdraw_after_ms: int = 0
    ) -> None:
        """`onchain`: deposits and checkpoints go there; the plan's signatures must be real then."""
        if onchain is None:
            exchange, keys = make_exchange(plan.member_count, markets), CROWD_KEYS
        else:
            exchange = make_exchange(plan.member_count, markets, onchain.contract, onchain.settlement.token_address)
            keys = tuple(account.key for account in onchain.traders)
        crowd = Market(plan.seed, exchange, keys, withdraw_after_ms)
        if onchain is not None:
            onchain.pay_in(crowd.deposits())
        super().__init__(plan, exchange=exchange, crowd=crowd, settlement=onchain)
        self.onchain, self.bystander = onchain, crowd.bystander
        self.withdrawals: list[tuple[int, Withdrawal]] = []  # with the height of the block
        self.on_block: Callable[[Executed], None] = lambda executed: None  # each final block, once
        self.looks: list[Look] = []
        self.deliveries: list[Delivery] = []
        self.trade_count = 0
        self.final_ms: dict[int, int] = {}  # by height, when the first honest member had it
        self.violation = ""
        self._proposed_ms: dict[bytes, int] = {}
        self._heard: dict[int, int] = {}  # height -> members at whom it is final
        self._observed_height = 0
        for node in self.nodes:
            self.post_at(self.rng.randint(0, 50), node, "boot", None)
        self.post_fault(1000, "load", None)
        if onchain is not None:
            self.post_fault(POST_EVERY_MS, "post", None)

    def make_behaviour(self, index: int) -> Behaviour | None:
        liar = super().make_behaviour(index)
        return None if liar is None else Sleeper(self.rng, liar)

    def wake(self, member: int, is_awake: bool) -> None:
        """A liar of the plan begins to lie, or leaves off."""
        for node in self.members[member]:
            assert isinstance(node.behaviour, Sleeper), "the plan names it"
            node.behaviour.is_awake = is_awake

    def leap(self, by_ms: int) -> None:
        """Everybody's time of day goes ahead, for good; no timer does."""
        self.leap_ms += by_ms
        for node in self.nodes:
            node.clocks.offset_ms += by_ms

    def play_until(self, end_ms: int) -> None:
        """On to this time, unless a property has broken or breaks."""
        while self.now_ms < end_ms and not self.violation:
            try:
                self.run_until(min(end_ms, self.now_ms + LOOK_EVERY_MS))
            except Violation as violation:
                self.violation = str(violation)
            self.looks.append(Look(self.now_ms, tuple(self.height_of(member) for member in range(len(self.members)))))

    def height_of(self, member: int) -> int | None:
        node = self.members[member][0]
        return node.executor.final.height if self.is_answering(member) else None

    def is_answering(self, member: int) -> bool:
        node = self.members[member][0]
        return node.is_up and node.paused_until_ms <= self.now_ms

    def apply(self, what: str, data: Any) -> None:
        if what == "post":
            self._post_checkpoint()
            self.post_fault(self.now_ms + POST_EVERY_MS, "post", None)
        else:
            super().apply(what, data)

    def _post_checkpoint(self) -> None:
        """The newest header that has a certificate of its own, by whoever comes first."""
        assert self.onchain is not None, "nobody posts without a chain"
        posted_height = self.onchain.settlement.last().height
        for height in range(self.checkers.height, posted_height, -1):
            _, header = self.checkers.final_headers[height]
            certificate = self.find_certificate(FINALIZE, header.view)
            if certificate is not None and not self.faults.stalled:
                self.onchain.at(self.now_ms + self.leap_ms)
                self.onchain.post(header, certificate)
                self.onchain.pay_out(self.withdrawals)
                return

    def transmit(self, source: Node, peer: int | None, what: str, data: Any) -> None:
        if what == "consensus" and data[:2] == b"\x82\x03":
            message = decode(data)
            assert isinstance(message, Proposal)
            self._proposed_ms.setdefault(message.block.hash(), self.now_ms)
        super().transmit(source, peer, what, data)

    def on_final(self, node: Node, block: Block) -> None:
        super().on_final(node, block)
        height = block.header.height
        if height > self._observed_height:
            self._observed_height = height
            self.final_ms[height] = self.now_ms
            self._observe(self.auditor.final)
        self._heard[height] = self._heard.get(height, 0) + 1
        needed = min(quorum(self.plan.member_count), len(self.honest))
        proposed_ms = self._proposed_ms.get(block.hash())
        if self._heard[height] == needed and proposed_ms is not None:
            self.deliveries.append(Delivery(self.now_ms, height, self.now_ms + node.elapsed_ms - proposed_ms))

    def _observe(self, executed: Executed) -> None:
        assert executed.result is not None, "the auditor has executed the block"
        self.on_block(executed)
        self.withdrawals += [(executed.height, withdrawal) for withdrawal in executed.result.withdrawals]
        self.trade_count += int((executed.result.fills["is_liquidation"] == 0).sum())
