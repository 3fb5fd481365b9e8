"""Parameters that choose markets and times: currency, kind, index, timestamps."""

from collections.abc import Iterator

from net.gateway.api import Call
from net.gateway.errors import HISTORY_NOT_KEPT, NUMBER_OVERFLOW, UNKNOWN_VALUE, ApiError
from net.gateway.market_data import UnderlyingView
from net.gateway.market_terms import KINDS
from net.gateway.params import I64_MAX
from net.gateway.present_market import PHASES, index_name, kind_of
from net.gateway.present_text import CURRENCY

_ANY = "ANY"


def read_selection(call: Call) -> tuple[str, str]:
    """`currency` and `kind`, which may both be left out. USDC means all, for all are paid in it."""
    currency = call.params.text("currency", _ANY).upper()
    kind = call.params.choice("kind", dict(zip(KINDS, KINDS, strict=True)), "any")
    return _ANY if currency == CURRENCY else currency, kind


def select_markets(call: Call, is_settled: bool | None = False) -> Iterator[int]:
    """Markets of these; `is_settled` None: ended or not. A currency stands for those that are about it."""
    currency, kind = read_selection(call)
    phases = call.backend.market_data.phases()
    for number, market in enumerate(call.instruments.markets):
        is_meant = currency in (_ANY, market.underlying_name)
        has_ended = PHASES[phases[number]] == "settled"
        if is_meant and kind in ("any", kind_of(market)) and is_settled in (None, has_ended):
            yield number


def read_index(call: Call, param: str = "index_name") -> UnderlyingView:
    """The underlying that `btc_usdc` means, or `btc_usd`."""
    text = call.params.text(param)
    name, _, money = text.lower().partition("_")
    for view in call.backend.market_data.underlyings():
        if view.name.lower() == name and money in ("usdc", "usd"):
            return view
    raise ApiError(UNKNOWN_VALUE, param, f"{text[:40]!r} is none of {', '.join(list_indexes(call))}")


def read_currency(call: Call) -> UnderlyingView:
    """The underlying that `currency` names."""
    text = call.params.text("currency")
    for view in call.backend.market_data.underlyings():
        if view.name == text.upper():
            return view
    raise ApiError(UNKNOWN_VALUE, "currency", f"{text[:40]!r}: markets are about "
                   + ", ".join(view.name for view in call.backend.market_data.underlyings()))  # fmt: skip


def list_indexes(call: Call) -> list[str]:
    return [index_name(view.name) for view in call.backend.market_data.underlyings()]


def read_span_ms(call: Call, is_required: bool = True, longest_ms: int = I64_MAX) -> tuple[int, int]:
    """`start_timestamp` and `end_timestamp`, both included. At most the newest `longest_ms` up to now.
    Raises `ApiError` for a span that this node cannot know.
    """
    begin_ms = call.params.integer("start_timestamp", 0, I64_MAX, None if is_required else 0)
    end_ms = call.params.integer("end_timestamp", 0, I64_MAX, None if is_required else I64_MAX)
    if end_ms < begin_ms:
        raise ApiError(NUMBER_OVERFLOW, "end_timestamp", "not before start_timestamp")
    if end_ms < call.backend.market_data.history_begins_ms():
        raise ApiError(HISTORY_NOT_KEPT, "end_timestamp")
    if longest_ms < I64_MAX:
        end_ms = min(end_ms, max(begin_ms, call.backend.status().time_ms))
    return max(begin_ms, end_ms - longest_ms), end_ms
