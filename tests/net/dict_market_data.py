"""Markets of the dictionary exchange of `test_gateway_backend`."""

from engine.params import DEFAULT_MARKETS, MarketParams


class DictMarketData:
    """Implements `MarketData`; `listed` may grow."""

    def __init__(self) -> None:
        self.listed: tuple[MarketParams, ...] = DEFAULT_MARKETS

    def markets(self) -> tuple[MarketParams, ...]:
        return self.listed
