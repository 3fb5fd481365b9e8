"""What a node gives its API about markets: plain records and the protocol `MarketData`.

As in `net.gateway.backend` all numbers are integers in the engine's own units, and what does not exist is `None` or
empty. Everything is of the last final block unless it says otherwise.
"""

from typing import Protocol

from engine.params import MarketParams


class MarketData(Protocol):
    """Markets and their history, seen from the API."""

    def markets(self) -> tuple[MarketParams, ...]:
        """Every market ever listed, its number is its position. The same object as long as none is listed and no
        parameter changes; a market's symbol never changes and no two have the same.
        """
