"""Candles without gaps. Pure."""

from collections.abc import Iterable

from net.gateway.market_data import CandleView


def fill_gaps(views: Iterable[CandleView], resolution_ms: int, end_ms: int) -> list[CandleView]:
    """The same candles, with one of no volume at the last price for each span between them, and after the last up to
    that of `end_ms`.
    """
    found: list[CandleView] = []
    for view in views:
        _extend(found, resolution_ms, view.begin_ms)
        found.append(view)
    _extend(found, resolution_ms, end_ms // resolution_ms * resolution_ms + resolution_ms)
    return found


def _extend(found: list[CandleView], resolution_ms: int, before_ms: int) -> None:
    """Flat candles up to a time, which has one itself."""
    while found and found[-1].begin_ms + resolution_ms < before_ms:
        price_ticks = found[-1].close_ticks
        at_ms = found[-1].begin_ms + resolution_ms
        found.append(CandleView(at_ms, price_ticks, price_ticks, price_ticks, price_ticks, 0, 0))
