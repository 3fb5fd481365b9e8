"""Channels of one account: its orders, trades, changes, summary, protection, and what became of its commands.

Deribit's names mean the account of the connection's `public/auth`; names that end with an address mean all subaccounts
of that owner. Nothing here is secret. Everything is told once a block, so every interval is the same.
"""

from collections.abc import Iterable, Sequence
from typing import Any

from net.gateway import present_account, present_settings
from net.gateway.backend import Backend, BlockEvent, FillView, OrderView
from net.gateway.channel import Channel
from net.gateway.errors import NO_LOGIN, UNKNOWN_CHANNEL, ApiError
from net.gateway.instruments import Instruments
from net.gateway.present_market import kind_of
from net.gateway.present_text import CURRENCY
from net.gateway.sources import Source

Account = tuple[bytes, int]
PACES = ("raw", "100ms", "agg2")
COMMANDS_PREFIX = "x.commands."
_ADDRESS_CHARS = 42
_KINDS = ("any", "future", "option", "spot", "future_combo", "option_combo")
_LISTED = ("orders", "trades", "changes")
_NOT_SUMMARY = ("x_height",)


def parse_user_channel(name: str, instruments: Instruments, account: Account | None) -> Channel:
    """Raises `ApiError` for a channel that does not exist, or that needs an account."""
    if name.startswith(COMMANDS_PREFIX):
        return Channel(name, "x.commands", owner=_read_address(name, name.removeprefix(COMMANDS_PREFIX)))
    topic, _, rest = name.removeprefix("user.").partition(".")
    if topic in _LISTED[:2] and rest.startswith("0x") and len(rest) == _ADDRESS_CHARS:
        return Channel(name, f"user.{topic}", owner=_read_address(name, rest))
    if topic not in (*_LISTED, "portfolio", "mmp_trigger") or not rest:
        raise _unknown(name)
    if account is None:
        hint = "say whose account with public/auth and grant_type x_owner, or name the owner as in user.orders.0x…"
        raise ApiError(NO_LOGIN, "channels", hint)
    owner, subaccount = account
    if topic not in _LISTED:
        return Channel(name, f"user.{topic}", owner=owner, subaccount=subaccount, currency=rest)
    what, _, pace = rest.rpartition(".")
    if pace not in PACES:
        raise _unknown(name)
    is_single = topic == "orders" and pace == "raw"
    only_kind, _, currency = what.partition(".")
    if only_kind in _KINDS and currency:
        return Channel(name, f"user.{topic}", owner=owner, subaccount=subaccount, only_kind=only_kind,
                       currency=currency, is_single=is_single)  # fmt: skip
    market = instruments.number(what, "channels")
    return Channel(name, f"user.{topic}", market, owner, subaccount, is_single=is_single)


def _unknown(name: str) -> ApiError:
    return ApiError(UNKNOWN_CHANNEL, "channels", f"{name[:100]!r}: see the channels in docs/api.md")


def _read_address(name: str, text: str) -> bytes:
    try:
        address = bytes.fromhex(text.removeprefix("0x"))
    except ValueError:
        address = b""
    if len(address) != 20:
        raise ApiError(UNKNOWN_CHANNEL, "channels", f"{name[:100]!r} ends with no address")
    return address


class UserFeed(Source):
    """What one user channel tells, and what it told last."""

    def __init__(self, channel: Channel, backend: Backend, instruments: Instruments) -> None:
        self._channel = channel
        self._backend = backend
        self._instruments = instruments
        self._last: object = None

    def on_block(self, event: BlockEvent) -> Sequence[object]:
        """Messages that a block makes."""
        channel = self._channel
        if channel.kind == "user.orders":
            orders = self._show_orders(event, self._orders(event))
            return orders if channel.is_single else [orders] if orders else []
        if channel.kind == "user.trades":
            trades = [self._show_fill(*item) for item in self._fills(event)]
            return [trades] if trades else []
        if channel.kind == "user.changes":
            return self._show_changes(event)
        if channel.kind == "user.mmp_trigger":
            return self._show_trigger(event)
        if channel.kind == "x.commands":
            results = [
                present_account.command_result(self._instruments, item) for item in event.results_of(channel.owner)
            ]
            return [results] if results else []
        return self.snapshot()

    def snapshot(self) -> Sequence[object]:
        """The account's summary, if it is another than was told last; nothing of channels that only tell changes."""
        channel = self._channel
        # Other currencies than the one that there is are nobody's money: their channels stay silent.
        if channel.kind != "user.portfolio" or channel.currency.upper() not in (CURRENCY, "ANY"):
            return []
        account = self._backend.account(channel.owner, channel.subaccount or 0)
        if account is None:
            return []
        summary = present_account.account_summary(self._instruments, account)
        known = {name: value for name, value in summary.items() if name not in (*_NOT_SUMMARY, "x_positions")}
        positions = [{**item, "x_height": 0} for item in summary["x_positions"]]
        if self._last == (known, positions):
            return []
        self._last = known, positions
        return [summary]

    def again(self) -> Sequence[object]:
        """The same for somebody who was told nothing yet."""
        self._last = None
        return self.snapshot()

    def _is_wanted(self, market: int) -> bool:
        channel, params = self._channel, self._instruments.markets[market]
        if channel.market >= 0:
            return market == channel.market
        is_currency = channel.currency.lower() in ("any", CURRENCY.lower(), params.underlying_name.lower())
        return is_currency and channel.only_kind in ("any", kind_of(params))

    def _orders(self, event: BlockEvent) -> list[OrderView]:
        subaccount = self._channel.subaccount
        return [
            view for view in event.orders_of(self._channel.owner)
            if subaccount in (None, view.subaccount) and self._is_wanted(view.market)
        ]  # fmt: skip

    def _fills(self, event: BlockEvent) -> list[tuple[FillView, int]]:
        subaccount = self._channel.subaccount
        return [
            (entry.fill, entry.subaccount) for entry in event.fills_of(self._channel.owner)
            if subaccount in (None, entry.subaccount) and self._is_wanted(entry.fill.market)
        ]  # fmt: skip

    def _show_orders(self, event: BlockEvent, views: Iterable[OrderView]) -> list[dict[str, Any]]:
        return [present_account.order(self._instruments, view, event.height) for view in views]

    def _show_fill(self, fill: FillView, subaccount: int) -> dict[str, Any]:
        return present_account.fill(self._instruments, fill) | {"x_subaccount": subaccount}

    def _show_changes(self, event: BlockEvent) -> list[object]:
        """One message an instrument: its orders, trades and the position that they left."""
        orders, fills = self._orders(event), self._fills(event)
        account = self._backend.account(self._channel.owner, self._channel.subaccount or 0)
        positions = {item.market: item for item in account.positions} if account else {}
        return [
            {
                "instrument_name": self._instruments.markets[market].symbol,
                "orders": self._show_orders(event, (view for view in orders if view.market == market)),
                "trades": [self._show_fill(*item) for item in fills if item[0].market == market],
                "positions": [
                    present_account.position(self._instruments, positions[market], event.height)
                ] if market in positions and any(fill.market == market for fill, _ in fills) else [],
            }
            for market in sorted({view.market for view in orders} | {fill.market for fill, _ in fills})
        ]  # fmt: skip

    def _show_trigger(self, event: BlockEvent) -> list[object]:
        """Only an own trade trips protection."""
        owner, subaccount = self._channel.owner, self._channel.subaccount or 0
        if not any(entry.subaccount == subaccount for entry in event.fills_of(owner)):
            return []
        settings = self._backend.account_data.settings(owner, subaccount)
        if settings is None or settings.protection is None:
            return []
        until_ms = settings.protection.frozen_until_ms
        if until_ms <= settings.time_ms or until_ms == self._last:
            return []
        self._last = until_ms
        return [present_settings.protection_status(settings) | {"index_name": self._channel.currency}]
