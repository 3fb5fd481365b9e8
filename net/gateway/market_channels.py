"""Channels of markets, prices and the network by name, and the source of each."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from net.gateway import present_explorer, present_market
from net.gateway.backend import Backend, BlockEvent
from net.gateway.channel import Channel
from net.gateway.errors import UNKNOWN_CHANNEL, ApiError
from net.gateway.instruments import Instruments
from net.gateway.market_data import ExpiryView, UnderlyingView
from net.gateway.market_sources import Book, Candle, GroupedBook, InstrumentStates, OptionMarks, Trades
from net.gateway.market_terms import KINDS, RESOLUTIONS
from net.gateway.present_market import index_name, kind_of
from net.gateway.present_text import CURRENCY, e8_text, ppb_text
from net.gateway.sources import Difference, Message, Source, Value

PACES_MS = {"raw": 0, "100ms": 100, "agg2": 1_000}
DEPTHS = ("1", "10", "20")
MARKS_PACE_MS = 1_000
TWAP_MS = 1_800_000
_GROUP_DIGITS_MAX = 6


@dataclass(frozen=True, slots=True)
class _Maker:
    """What a channel's name says, understood: how its source is made, and its pace."""

    make: Callable[[], Source]
    pace_ms: int = 0


def parse_market_channel(name: str, backend: Backend, instruments: Instruments) -> Channel:
    """Raises `ApiError` for a channel that does not exist."""
    return Channel(name, name.partition(".")[0], pace_ms=_find_maker(name, backend, instruments).pace_ms)


def make_market_source(name: str, backend: Backend, instruments: Instruments) -> Source:
    """Of a channel that exists."""
    return _find_maker(name, backend, instruments).make()


def _find_maker(name: str, backend: Backend, instruments: Instruments) -> _Maker:
    head, _, rest = name.partition(".")
    reader = _READERS.get(head)
    maker = reader(rest, backend, instruments) if reader is not None else None
    if maker is None:
        raise ApiError(UNKNOWN_CHANNEL, "channels", f"{name[:100]!r}: see the channels in docs/api.md")
    return maker


_Reader = Callable[[str, Backend, Instruments], _Maker | None]


def _read_book(rest: str, backend: Backend, instruments: Instruments) -> _Maker | None:
    what, _, pace = rest.rpartition(".")
    pace_ms = PACES_MS.get(pace, -1)
    parts = what.split(".")
    if pace_ms < 0 or len(parts) not in (1, 3):
        return None
    market = instruments.number(parts[0], "channels")
    if len(parts) == 1:
        return _Maker(lambda: Book(backend, instruments, market, pace_ms), pace_ms)
    step_ticks = _read_group(parts[1], instruments, market)
    if not step_ticks or parts[2] not in DEPTHS:
        return None
    return _Maker(lambda: GroupedBook(backend, instruments, market, pace_ms, step_ticks, int(parts[2])), pace_ms)


def _read_group(text: str, instruments: Instruments, market: int) -> int:
    """`none`, or whole USD; as ticks, 0 for what is neither."""
    if text == "none":
        return 1
    tick_e8 = instruments.markets[market].tick_e8
    is_number = text.isascii() and text.isdigit() and len(text) <= _GROUP_DIGITS_MAX
    return int(text) * 10**8 // tick_e8 if is_number and int(text) * 10**8 % tick_e8 == 0 else 0


def _read_ticker(rest: str, backend: Backend, instruments: Instruments) -> _Maker | None:
    symbol, _, pace = rest.rpartition(".")
    if pace not in PACES_MS:
        return None
    read = _ticker_of(backend, instruments, instruments.number(symbol, "channels"))
    return _Maker(lambda: Value(read, PACES_MS[pace]), PACES_MS[pace])


def _ticker_of(backend: Backend, instruments: Instruments, market: int) -> Callable[[], Message]:
    return lambda: present_market.ticker(instruments, backend.ticker(market))


def _read_incremental_ticker(rest: str, backend: Backend, instruments: Instruments) -> _Maker:
    read = _ticker_of(backend, instruments, instruments.number(rest, "channels"))
    return _Maker(lambda: Difference(read, ("instrument_name", "timestamp", "x_height")))


def _read_quote(rest: str, backend: Backend, instruments: Instruments) -> _Maker:
    names = ("instrument_name", "timestamp", "best_bid_price", "best_bid_amount", "best_ask_price", "best_ask_amount",
             "x_height")  # fmt: skip
    read = _ticker_of(backend, instruments, instruments.number(rest, "channels"))

    def pick() -> Message:
        ticker = read()
        return {name: ticker[name] for name in names}

    return _Maker(lambda: Value(pick))


def _read_perpetual(rest: str, backend: Backend, instruments: Instruments) -> _Maker | None:
    symbol, _, pace = rest.rpartition(".")
    market = instruments.number(symbol, "channels")
    if pace not in PACES_MS or instruments.markets[market].kind != "perpetual":
        return None

    def read() -> Message:
        view = backend.ticker(market)
        return {
            "timestamp": view.time_ms, "interest": ppb_text(view.current_funding_ppb),
            "index_price": e8_text(view.index_e8) if view.index_e8 else None, "x_height": view.height,
        }  # fmt: skip

    return _Maker(lambda: Value(read, PACES_MS[pace]), PACES_MS[pace])


def _read_trades(rest: str, backend: Backend, instruments: Instruments) -> _Maker | None:
    what, _, pace = rest.rpartition(".")
    if pace not in PACES_MS:
        return None
    kind, _, currency = what.partition(".")
    if kind in KINDS and currency:
        return _Maker(lambda: Trades(instruments, _is_meant(instruments, kind, currency)))
    market = instruments.number(what, "channels")
    return _Maker(lambda: Trades(instruments, lambda number: number == market))


def _is_meant(instruments: Instruments, kind: str, currency: str) -> Callable[[int], bool]:
    def decide(number: int) -> bool:
        market = instruments.markets[number]
        is_currency = currency.upper() in ("ANY", CURRENCY, market.underlying_name.upper())
        return is_currency and kind in ("any", kind_of(market))

    return decide


def _read_chart(rest: str, backend: Backend, instruments: Instruments) -> _Maker | None:
    topic, _, what = rest.partition(".")
    symbol, _, resolution = what.rpartition(".")
    if topic != "trades" or resolution not in RESOLUTIONS:
        return None
    market = instruments.number(symbol, "channels")
    return _Maker(lambda: Candle(instruments, market, RESOLUTIONS[resolution]))


def _find_underlying(name: str, backend: Backend) -> UnderlyingView | None:
    base, _, money = name.lower().partition("_")
    views = backend.market_data.underlyings()
    return next((view for view in views if view.name.lower() == base and money in ("usdc", "usd")), None)


def _read_index(rest: str, backend: Backend, instruments: Instruments) -> _Maker | None:
    found = _find_underlying(rest, backend)
    if found is None:
        return None
    number = found.number

    def read() -> Message | None:
        view = backend.market_data.underlyings()[number]
        shown = {"index_name": index_name(view.name), "price": e8_text(view.index_e8), "timestamp": view.index_ms}
        return shown if view.index_e8 else None

    return _Maker(lambda: Value(read))


def _read_marks(rest: str, backend: Backend, instruments: Instruments) -> _Maker | None:
    topic, _, what = rest.partition(".")
    found = _find_underlying(what, backend)
    if topic != "options" or found is None:
        return None
    name = found.name
    return _Maker(lambda: OptionMarks(backend, instruments, name, MARKS_PACE_MS), MARKS_PACE_MS)


def _read_expiration(rest: str, backend: Backend, instruments: Instruments) -> _Maker | None:
    found = _find_underlying(rest, backend)
    if found is None:
        return None
    number = found.number
    return _Maker(lambda: Value(lambda: _show_expiration(backend, number), 1_000), 1_000)


def _show_expiration(backend: Backend, underlying: int) -> Message | None:
    """Of the next expiry. `is_estimated`: the half hour over which it settles has not begun."""
    views = backend.market_data.expiries()
    waiting = [view for view in views if view.underlying == underlying and not view.settle_e8]
    if not waiting:
        return None
    view: ExpiryView = min(waiting, key=lambda item: item.expiry_ms)
    left_ms = max(view.expiry_ms - backend.status().time_ms, 0)
    return {
        "price": e8_text(view.delivery_e8) if view.delivery_e8 else None, "seconds": left_ms // 1000,
        "is_estimated": left_ms > TWAP_MS, "x_expiration_timestamp": view.expiry_ms,
    }  # fmt: skip


def _read_states(rest: str, backend: Backend, instruments: Instruments) -> _Maker | None:
    topic, _, what = rest.partition(".")
    kind, _, currency = what.partition(".")
    if topic != "state" or kind not in KINDS or not currency:
        return None
    return _Maker(lambda: InstrumentStates(instruments, _is_meant(instruments, kind, currency)))


def _read_platform(rest: str, backend: Backend, instruments: Instruments) -> _Maker | None:
    if rest:
        return None

    def read() -> Message:
        status = backend.status()
        return {"price_index": "all", "locked": status.is_halted, "maintenance": status.is_syncing}

    return _Maker(lambda: Value(read))


class _Blocks(Source):
    def on_block(self, event: BlockEvent) -> list[object]:
        return [present_market.block(event)]


class _Rounds(Source):
    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    def on_block(self, event: BlockEvent) -> list[object]:
        view = self._backend.explorer.block(event.height)
        finality_ms = time.time_ns() // 1_000_000 - event.time_ms
        return [] if view is None else [present_explorer.round_notice(view, finality_ms)]


def _read_own(rest: str, backend: Backend, instruments: Instruments) -> _Maker | None:
    def read_checkpoint() -> dict[str, Any] | None:
        shown = present_explorer.checkpoint(backend.status())
        return shown if shown["height"] or shown["posted_height"] else None

    makers: dict[str, Callable[[], Source]] = {
        "blocks": _Blocks, "rounds": lambda: _Rounds(backend), "checkpoints": lambda: Value(read_checkpoint),
    }  # fmt: skip
    return _Maker(makers[rest]) if rest in makers else None


_READERS: dict[str, _Reader] = {
    "book": _read_book, "ticker": _read_ticker, "incremental_ticker": _read_incremental_ticker, "quote": _read_quote,
    "perpetual": _read_perpetual, "trades": _read_trades, "chart": _read_chart, "deribit_price_index": _read_index,
    "price_index": _read_index, "markprice": _read_marks, "estimated_expiration_price": _read_expiration,
    "instrument": _read_states, "platform_state": _read_platform, "x": _read_own,
}  # fmt: skip
