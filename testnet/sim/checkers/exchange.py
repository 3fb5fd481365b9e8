"""What must hold of the exchange on top of agreement: payloads, results, money, prices, liquidations, funding, and that
nobody is left out.

Stands between the checkers of agreement and the auditor, who executes every final block once more.
"""

from collections.abc import Callable, Sequence

from consensus.messages import Block, Header
from engine.payload import InboxEntry, Payload
from engine.state import EngineState
from testnet.sim.checkers.censorship import CensorshipChecker
from testnet.sim.checkers.liquidations import FundingChecker, LiquidationChecker
from testnet.sim.checkers.money import check_money
from testnet.sim.checkers.payloads import PayloadChecker
from testnet.sim.checkers.prices import PriceChecker
from testnet.sim.exchange import Auditor, Exchange, Shared


class ExchangeChecker:
    def __init__(
        self,
        exchange: Exchange,
        auditor: Auditor,
        shared: Shared,
        deposits: Sequence[InboxEntry],
        get_now_ms: Callable[[], int],
        get_wall_ms: Callable[[], int],
        is_quiet: bool,
    ) -> None:
        """`deposits` grows with the settlement chain; `is_quiet`: nothing goes wrong in this run but liars."""
        self._auditor = auditor
        self._deposits = deposits
        self._get_now_ms = get_now_ms
        self._is_quiet = is_quiet
        self._payloads = PayloadChecker(
            exchange.domain,
            exchange.network_keys,
            auditor.find_batch,
            shared.verify_report,
            get_wall_ms,
        )
        self._censorship = CensorshipChecker()
        self.prices = PriceChecker(exchange.params)
        self.liquidations = LiquidationChecker(exchange.params, self.prices, exchange.state.time_ms)
        self.funding = FundingChecker()

    def expect_faults(self) -> None:
        """Something outside the plan is about to go wrong: inclusion is not asked of this run."""
        self._is_quiet = False

    def on_sealed(self, author: int, sequence: int) -> None:
        """See `CensorshipChecker`."""
        if self._is_quiet:
            self._censorship.on_sealed(author, sequence, self._get_now_ms())

    def execute(self, parent: Header, block: Block) -> bytes:
        """The auditor's commitment of a block that is final for the first time."""
        self._payloads.on_first_final(block)
        before = self._auditor.state
        commitment = self._auditor.execute(parent, block)
        if commitment:
            check_money(commitment, self._deposits, block.header.height)
            self._check_market(block, before)
            self._censorship.on_first_final(self._auditor.state.batch_sequences.tolist(), self._get_now_ms())
        return commitment

    def _check_market(self, block: Block, before: EngineState) -> None:
        height, time_ms, payload = block.header.height, block.header.timestamp_ms, Payload.decode(block.payload)
        state, result = self._auditor.state, self._auditor.final.result
        assert result is not None, "a block was just executed"
        self.prices.on_first_final(height, time_ms, payload.price_reports, state, result)
        self.liquidations.on_first_final(height, time_ms, before, state, result)
        self.funding.on_first_final(height, time_ms, before, state, result)
