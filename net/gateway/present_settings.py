"""Settings, offers and margins in another case as JSON, with Deribit's field names where it has the thing."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from engine.params import MarketParams
from engine.units import format_price, format_quote, format_size
from net.gateway.account_actions import MARGIN_MODELS, MS_PER_S, SCOPES
from net.gateway.account_data import MarginInputs, OfferView, ProtectionView, SettingsView, Simulated, UnderlyingRisk
from net.gateway.instruments import Instruments
from net.gateway.market_data import TickerView
from net.gateway.present_text import CURRENCY, DIRECTIONS, hexed, price_or_none

_MARGIN_NAMES = {number: name for name, number in MARGIN_MODELS.items()}
_NO_SCENARIO = -1


def _protection(settings: SettingsView) -> ProtectionView:
    assert settings.protection is not None
    return settings.protection


def protection(settings: SettingsView) -> dict[str, Any]:
    """Limits of 0 are none."""
    view = _protection(settings)
    return {
        "interval": view.window_ms // MS_PER_S, "frozen_time": view.freeze_ms // MS_PER_S,
        "quantity_limit": format_quote(view.quote_max), "delta_limit": format_quote(view.delta_quote_max),
        "vega_limit": format_quote(view.vega_quote_max), "x_scope": "account", "x_height": settings.height,
    }  # fmt: skip


def protection_status(settings: SettingsView) -> dict[str, Any]:
    """A window that is over has used nothing."""
    view = _protection(settings)
    is_running = settings.time_ms < view.window_start_ms + view.window_ms

    def used(number: int) -> str:
        return format_quote(number if is_running else 0)

    is_frozen = view.frozen_until_ms > settings.time_ms
    return {
        "frozen_until": view.frozen_until_ms if is_frozen else 0, "x_is_frozen": is_frozen,
        "x_used_quantity": used(view.used_quote), "x_used_delta": used(view.used_delta_quote),
        "x_used_vega": used(view.used_vega_quote), "x_scope": "account", "x_height": settings.height,
    }  # fmt: skip


def session_keys(settings: SettingsView) -> dict[str, Any]:
    keys = [
        {
            "key": hexed(key.key), "scopes": [name for name, bit in SCOPES.items() if key.scopes & bit],
            "x_valid_until_ms": key.valid_until_ms, "is_expired": key.valid_until_ms < settings.time_ms,
            "x_order_cap": format_quote(key.order_cap_quote) if key.order_cap_quote else None,
        }
        for key in settings.keys
    ]  # fmt: skip
    builders = [
        {"builder": hexed(view.owner), "subaccount": view.subaccount, "x_fee_ppm_max": view.fee_ppm_max}
        for view in settings.builders
    ]
    referrer = None if settings.referrer is None else hexed(settings.referrer[0])
    return {"keys": keys, "builders": builders, "referrer": referrer, "x_height": settings.height}


def offer(instruments: Instruments, view: OfferView, height: int) -> dict[str, Any]:
    market = instruments.markets[view.market]
    return {
        "offer_id": instruments.order_id_text(view.market, view.offer_id), "instrument_name": market.symbol,
        "direction": DIRECTIONS[view.side], "price": format_price(view.price_ticks, market),
        "amount": format_size(view.size_lots, market), "label": str(view.client_id or ""), "state": "open",
        "creation_timestamp": view.created_ms, "x_good_till_ms": view.good_till_ms, "x_owner": hexed(view.owner),
        "x_subaccount": view.subaccount,
        "x_counterparty": None if view.counterparty is None else hexed(view.counterparty[0]), "x_height": height,
    }  # fmt: skip


def margin_preview(before: Simulated, after: Simulated) -> dict[str, Any]:
    """`is_enough` is the rule for a new order (docs/spec.md, MAR-4) at the marks of now."""
    return {
        "equity": format_quote(after.equity_quote), "initial_margin": format_quote(after.initial_quote),
        "maintenance_margin": format_quote(after.maintenance_quote),
        "initial_margin_change": format_quote(after.initial_quote - before.initial_quote),
        "is_enough": after.equity_quote >= after.initial_quote, "x_height": after.height,
    }  # fmt: skip


def price_limits(market: MarketParams, ticker: TickerView) -> dict[str, Any]:
    """Beyond them an order is refused; none without a mark."""
    return {
        "min_price": price_or_none(market, ticker.sell_limit_ticks),
        "max_price": price_or_none(market, ticker.buy_limit_ticks),
    }


def simulated(view: Simulated) -> dict[str, Any]:
    """An account as it would be. Scenarios by number: docs/portfolio.md, 7.1; the last is the basis contingency."""
    equity_quote, initial_quote = view.equity_quote, view.initial_quote
    return {
        "currency": CURRENCY, "margin_model": _MARGIN_NAMES[view.mode], "equity": format_quote(equity_quote),
        "margin_balance": format_quote(equity_quote), "initial_margin": format_quote(initial_quote),
        "maintenance_margin": format_quote(view.maintenance_quote),
        "available_funds": format_quote(max(0, equity_quote - initial_quote)),
        "delta_total": format_quote(sum(risk.delta_quote for risk in view.risks)),
        "x_worst_scenario": None if view.worst_scenario == _NO_SCENARIO else view.worst_scenario,
        "x_risks": [_risk(risk) for risk in view.risks], "x_height": view.height,
    }  # fmt: skip


def margin_inputs(instruments: Instruments, view: MarginInputs) -> dict[str, Any]:
    """Integers in the engine's own units, which the names of the columns tell."""

    def named(values: Mapping[int, Any]) -> dict[str, Any]:
        return {instruments.markets[market].symbol: value for market, value in values.items()}

    return {
        "mode": view.mode, "balance_quote": view.balance_quote, "order_charge_quote": view.order_charge_quote,
        "positions": named(view.lots), "open_orders": named(view.open_lots), "names": list(view.names),
        "columns": {table: list(names) for table, names in view.columns.items()}, "markets": named(view.markets),
        "scenarios": named(view.scenarios), "underlyings": list(view.underlyings), "expiries": list(view.expiries),
        "counters": list(view.counters), "x_height": view.height,
    }  # fmt: skip


def _risk(risk: UnderlyingRisk) -> dict[str, Any]:
    def index(price_e8: int) -> str | None:
        return f"{Decimal(price_e8).scaleb(-8):f}" if price_e8 else None

    return {
        "underlying": risk.name, "delta": format_quote(risk.delta_quote), "gamma": format_quote(risk.gamma_quote),
        "vega": format_quote(risk.vega_quote), "theta": format_quote(risk.theta_quote),
        "rho": format_quote(risk.rho_quote), "scenarios": [format_quote(number) for number in risk.scenarios],
        "liquidation_index_below": index(risk.liquidation_below_e8),
        "liquidation_index_above": index(risk.liquidation_above_e8),
    }  # fmt: skip
