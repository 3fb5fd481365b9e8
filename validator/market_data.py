"""What the node gives its API about markets (`net.gateway.market_data.MarketData`), read from the last final state."""

from engine.params import MarketParams
from validator.executor import Executor
from validator.ledger import Ledger
from validator.listings import list_markets


class NodeMarketData:
    """Implements `MarketData`."""

    def __init__(self, executor: Executor, ledger: Ledger) -> None:
        self._executor = executor
        self._ledger = ledger
        self._markets = list_markets(executor.final.state)
        self._markets_of = ledger.listing_changes

    def markets(self) -> tuple[MarketParams, ...]:
        """See `MarketData.markets`."""
        if self._markets_of != self._ledger.listing_changes:
            self._markets = list_markets(self._executor.final.state)
            self._markets_of = self._ledger.listing_changes
        return self._markets
