"""Sources of market channels that are more than one value: books, trades, candles, marks, states of instruments."""

from collections.abc import Callable, Sequence
from typing import Any

from engine.units import format_price, format_quote, format_size
from net.gateway import present_market
from net.gateway.backend import Backend, BlockEvent
from net.gateway.book import WHOLE_BOOK_LEVELS, BookMirror
from net.gateway.instruments import Instruments
from net.gateway.present_market import PHASES, percent_text
from net.gateway.present_text import e8_text
from net.gateway.sources import Paced, Source


class Book(Paced):
    """A whole book and its changes."""

    def __init__(self, backend: Backend, instruments: Instruments, market: int, pace_ms: int) -> None:
        super().__init__(pace_ms)
        self._backend, self._instruments, self._market = backend, instruments, market
        self._mirror: BookMirror | None = None
        backend.watch_book(market)

    def mirror(self) -> BookMirror:
        if self._mirror is None:
            self._mirror = BookMirror(self._backend.book(self._market, WHOLE_BOOK_LEVELS))
        return self._mirror

    def take(self, event: BlockEvent) -> None:
        self.mirror().add(event, event.book_changes.get(self._market, ()))

    def changes(self) -> Sequence[object]:
        mirror = self.mirror()
        change = mirror.flush()
        if change is None:
            return []
        previous_id, levels = change
        return [present_market.book_message(self._instruments, "change", mirror, levels, previous_id)]

    def again(self) -> Sequence[object]:
        mirror = self.mirror()
        return [present_market.book_message(self._instruments, "snapshot", mirror, mirror.levels(), None)]

    def reset(self) -> None:
        self._mirror = None

    def close(self) -> None:
        self._backend.forget_book(self._market)


class GroupedBook(Book):
    """The best levels of a book, in steps of so many ticks; every message has all of them."""

    def __init__(
        self, backend: Backend, instruments: Instruments, market: int, pace_ms: int, step_ticks: int, depth: int
    ) -> None:
        super().__init__(backend, instruments, market, pace_ms)
        self._step_ticks, self._depth = step_ticks, depth

    def changes(self) -> Sequence[object]:
        return [] if self.mirror().flush() is None else self.again()

    def again(self) -> Sequence[object]:
        mirror, step_ticks = self.mirror(), self._step_ticks
        sides: tuple[dict[int, int], dict[int, int]] = ({}, {})
        for _, side, price_ticks, size_lots in mirror.levels():
            # Bids are rounded down and asks up, so that nobody reads a better price than there is.
            grouped_ticks = (price_ticks // step_ticks if side == 0 else -(-price_ticks // step_ticks)) * step_ticks
            if grouped_ticks in sides[side] or len(sides[side]) < self._depth:
                sides[side][grouped_ticks] = sides[side].get(grouped_ticks, 0) + size_lots
        market = self._instruments.markets[self._market]
        bids, asks = (
            [[format_price(ticks, market), format_size(lots, market)] for ticks, lots in side.items()] for side in sides
        )
        return [
            {"instrument_name": market.symbol, "timestamp": mirror.time_ms, "change_id": mirror.change_id,
             "bids": bids, "asks": asks}
        ]  # fmt: skip


class Trades(Paced):
    """The trades of a block in some markets, or of several while it is held."""

    def __init__(self, instruments: Instruments, is_meant: Callable[[int], bool]) -> None:
        super().__init__(0)
        self._instruments, self._is_meant = instruments, is_meant
        self._untold: list[object] = []

    def take(self, event: BlockEvent) -> None:
        self._untold += [
            present_market.trade(self._instruments, trade)
            for market in event.traded_markets if self._is_meant(market)
            for trade in event.trades_of(market)
        ]  # fmt: skip

    def changes(self) -> Sequence[object]:
        found, self._untold = self._untold, []
        return [found] if found else []

    def reset(self) -> None:
        self._untold = []


class Candle(Source):
    """The candle that a block's trades are in."""

    def __init__(self, instruments: Instruments, market: int, resolution_ms: int) -> None:
        self._instruments, self._market, self._resolution_ms = instruments, market, resolution_ms

    def on_block(self, event: BlockEvent) -> Sequence[object]:
        if self._market not in event.traded_markets:
            return []
        views = self._instruments.data.candles(self._market, (event.time_ms, event.time_ms), self._resolution_ms)
        market = self._instruments.markets[self._market]
        return [
            {
                "tick": view.begin_ms, "open": format_price(view.open_ticks, market),
                "high": format_price(view.high_ticks, market), "low": format_price(view.low_ticks, market),
                "close": format_price(view.close_ticks, market), "volume": format_size(view.volume_lots, market),
                "cost": format_quote(view.turnover * market.quote_per_tick_lot),
            }
            for view in views
        ]  # fmt: skip


class OptionMarks(Paced):
    """Mark and volatility of every option of an underlying that trades."""

    def __init__(self, backend: Backend, instruments: Instruments, underlying: str, pace_ms: int) -> None:
        super().__init__(pace_ms)
        self._backend, self._instruments, self._underlying = backend, instruments, underlying

    def changes(self) -> Sequence[object]:
        return self.again()

    def again(self) -> Sequence[object]:
        found = [self._show(number) for number in self._list_options()]
        return [found] if found else []

    def _list_options(self) -> list[int]:
        phases = self._instruments.data.phases()
        return [
            number for number, market in enumerate(self._instruments.markets)
            if present_market.kind_of(market) == "option" and market.underlying_name == self._underlying
            and PHASES[phases[number]] != "settled"
        ]  # fmt: skip

    def _show(self, number: int) -> dict[str, Any]:
        view = self._backend.ticker(number)
        return {
            "instrument_name": self._instruments.markets[number].symbol, "timestamp": view.time_ms,
            "mark_price": e8_text(view.mark_e8) if view.mark_e8 else None, "iv": percent_text(view.mark_vol_ppb),
        }  # fmt: skip


class InstrumentStates(Source):
    """Markets that were listed or have ended."""

    def __init__(self, instruments: Instruments, is_meant: Callable[[int], bool]) -> None:
        self._instruments, self._is_meant = instruments, is_meant
        self._known = self._read()

    def _read(self) -> list[str]:
        return ["settled" if PHASES[phase] == "settled" else "created" for phase in self._instruments.data.phases()]

    def on_block(self, event: BlockEvent) -> Sequence[object]:
        before, self._known = self._known, self._read()
        if before == self._known:
            return []
        known = dict(enumerate(before))
        return [
            {"instrument_name": self._instruments.markets[number].symbol, "state": state, "timestamp": event.time_ms}
            for number, state in enumerate(self._known) if known.get(number) != state and self._is_meant(number)
        ]  # fmt: skip
