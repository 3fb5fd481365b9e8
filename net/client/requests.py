"""What a trader may ask for: orders, triggers, cancels, money and settings, each one action of a signed message.

Amounts and prices are exact: decimal text, `int` or `Decimal`. Rules of each kind: docs/spec.md.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from engine.commands import (
    ACCEPT,
    ALL_MARKETS,
    AMEND,
    AT_MARKET,
    BUY,
    CANCEL,
    CANCEL_ALL,
    CANCEL_ALL_AFTER,
    COMBO,
    FILL_OR_KILL,
    GOOD_TILL_CANCELLED,
    GOOD_TILL_TIME,
    IMMEDIATE_OR_CANCEL,
    OFFER,
    PLACE,
    POST_ONLY,
    POST_ONLY_SLIDE,
    REDUCE_ONLY,
    SELF_TRADE_SHIFT,
    SELL,
    SET_MARGIN_MODE,
    SET_PROTECTION,
    SET_SESSION,
    TRANSFER,
    TRIGGER,
    TRIGGER_BELOW,
    TRIGGER_ON_LAST,
    UNDER_PROTECTION,
    WITHDRAW,
    Action,
)
from engine.units import parse_price_ticks, parse_quote, parse_size_lots
from net.client.labels import number_label
from net.client.protocol import Exact, HansaError, Network, exact_text, parse_address

TIMES_IN_FORCE = {
    "good_til_cancelled": GOOD_TILL_CANCELLED, "immediate_or_cancel": IMMEDIATE_OR_CANCEL,
    "fill_or_kill": FILL_OR_KILL, "post_only": POST_ONLY, "post_only_slide": POST_ONLY_SLIDE,
    "good_til_time": GOOD_TILL_TIME,
}  # fmt: skip
SELF_TRADES = {"cancel_maker": 0, "cancel_taker": 1, "cancel_both": 2, "decrement": 3}
SCOPES = {"trade": 1, "cancel": 2, "transfer": 4}
MARGIN_MODES = {"cross": 0, "isolated": 1, "portfolio": 2}
_LINK_BEFORE = {"order": 1, "trigger": 2}


@dataclass(frozen=True, slots=True)
class Buy:
    """An order. Without a price it is a market order, of which what is not filled at once is cancelled.

    `time_in_force`: good_til_cancelled, immediate_or_cancel, fill_or_kill, post_only (refused if it would trade),
    post_only_slide (its price moves off the other side instead) or good_til_time (until `good_till_ms`).
    `display_base`: what is shown of it. `mmp`: under market-maker protection. `self_trade`: who gives way to an own
    order: cancel_maker, cancel_taker, cancel_both or decrement.
    """

    instrument_name: str
    amount_base: Exact
    price_usd: Exact | None = None
    time_in_force: str = "good_til_cancelled"
    label: int | str = 0
    reduce_only: bool = False
    mmp: bool = False
    display_base: Exact = 0
    good_till_ms: int = 0
    self_trade: str = "cancel_maker"
    side: int = field(default=BUY, init=False)

    def to_action(self, network: Network) -> Action:
        """Raises `engine.units.UnitError` when price or amount is no multiple of its step."""
        number, market = network.market(self.instrument_name)
        time_in_force = _choose(TIMES_IN_FORCE, "time_in_force", self.time_in_force)
        flags = _flags(self.price_usd, self.reduce_only, self.self_trade) | (UNDER_PROTECTION if self.mmp else 0)
        if self.price_usd is None and time_in_force == GOOD_TILL_CANCELLED:
            time_in_force = IMMEDIATE_OR_CANCEL
        return Action(
            PLACE, side=self.side, time_in_force=time_in_force, flags=flags, market=number,
            price_ticks=0 if self.price_usd is None else parse_price_ticks(exact_text(self.price_usd), market),
            size_lots=parse_size_lots(exact_text(self.amount_base), market), client_id=number_label(self.label),
            display_lots=parse_size_lots(exact_text(self.display_base), market), good_till_ms=self.good_till_ms,
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Sell(Buy):
    """The other side of `Buy`."""

    side: int = field(default=SELL, init=False)


@dataclass(frozen=True, slots=True)
class Trigger:
    """An order that waits off the book until mark (or last) price reaches `trigger_usd`.

    `kind`: stop (the price has run against you) or take (it has run for you). `amount_base` None with `reduce_only`:
    the whole position. `link`: an own trigger's or open order's number, or "order" or "trigger" for the one just before
    it in the same message; linked triggers cancel each other.
    """

    instrument_name: str
    direction: str
    trigger_usd: Exact
    amount_base: Exact | None = None
    price_usd: Exact | None = None
    kind: str = "stop"
    reduce_only: bool = True
    is_on_last: bool = False
    time_in_force: str = "good_til_cancelled"
    label: int | str = 0
    link: int | str = 0
    self_trade: str = "cancel_maker"

    def to_action(self, network: Network) -> Action:
        """Raises `engine.units.UnitError` when price or amount is no multiple of its step."""
        number, market = network.market(self.instrument_name)
        side = _choose({"buy": BUY, "sell": SELL}, "direction", self.direction)
        is_take = _choose({"stop": False, "take": True}, "kind", self.kind)
        time_in_force = _choose(TIMES_IN_FORCE, "time_in_force", self.time_in_force)
        if self.price_usd is None and time_in_force == GOOD_TILL_CANCELLED:
            time_in_force = IMMEDIATE_OR_CANCEL
        flags = _flags(self.price_usd, self.reduce_only, self.self_trade)
        flags |= TRIGGER_ON_LAST if self.is_on_last else 0
        flags |= TRIGGER_BELOW if is_take == (side == BUY) else 0
        link = _choose(_LINK_BEFORE, "link", self.link) if isinstance(self.link, str) else self.link
        return Action(
            TRIGGER, side=side, time_in_force=time_in_force, flags=flags, market=number, link=link,
            price_ticks=0 if self.price_usd is None else parse_price_ticks(exact_text(self.price_usd), market),
            size_lots=0 if self.amount_base is None else parse_size_lots(exact_text(self.amount_base), market),
            client_id=number_label(self.label), trigger_ticks=parse_price_ticks(exact_text(self.trigger_usd), market),
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Edit:
    """A new total size (what is filled included) of an open order, and a new price unless it is None."""

    order_id: str
    amount_base: Exact
    price_usd: Exact | None = None

    def to_action(self, network: Network) -> Action:
        """Raises `engine.units.UnitError` when price or amount is no multiple of its step."""
        number, order_id = _read_order_id(network, self.order_id)
        market = network.markets[number]
        price_ticks = 0 if self.price_usd is None else parse_price_ticks(exact_text(self.price_usd), market)
        size_lots = parse_size_lots(exact_text(self.amount_base), market)
        return Action(AMEND, market=number, order_id=order_id, price_ticks=price_ticks, size_lots=size_lots)


@dataclass(frozen=True, slots=True)
class Cancel:
    """The cancel of one order or trigger."""

    order_id: str

    def to_action(self, network: Network) -> Action:
        number, order_id = _read_order_id(network, self.order_id)
        return Action(CANCEL, market=number, order_id=order_id)


@dataclass(frozen=True, slots=True)
class CancelLabel:
    """The cancel of an order by its label."""

    instrument_name: str
    label: int | str

    def to_action(self, network: Network) -> Action:
        return Action(CANCEL, market=network.market(self.instrument_name)[0], client_id=number_label(self.label))


@dataclass(frozen=True, slots=True)
class CancelAll:
    """The cancel of every order of one market, or of all markets."""

    instrument_name: str | None = None

    def to_action(self, network: Network) -> Action:
        named = self.instrument_name
        return Action(CANCEL_ALL, market=ALL_MARKETS if named is None else network.market(named)[0])


@dataclass(frozen=True, slots=True)
class CancelAllAfter:
    """The cancel of everything at a time, unless another one comes before; 0 disarms."""

    deadline_ms: int

    def to_action(self, network: Network) -> Action:
        return Action(CANCEL_ALL_AFTER, good_till_ms=self.deadline_ms)


@dataclass(frozen=True, slots=True)
class Withdraw:
    """USDC to the owner's own address."""

    amount_usdc: Exact

    def to_action(self, network: Network) -> Action:
        return Action(WITHDRAW, size_lots=parse_quote(exact_text(self.amount_usdc)))


@dataclass(frozen=True, slots=True)
class Transfer:
    """USDC to another subaccount of the owner, or to that of another owner whose account is known."""

    amount_usdc: Exact
    to_subaccount: int
    to_owner: str | None = None

    def to_action(self, network: Network) -> Action:
        data = bytes(24) if self.to_owner is None else parse_address(self.to_owner) + bytes(4)
        return Action(TRANSFER, size_lots=parse_quote(exact_text(self.amount_usdc)), link=self.to_subaccount, data=data)


@dataclass(frozen=True, slots=True)
class SetSession:
    """Lets another key sign for this account until `valid_until_ms`. `scopes`: of trade, cancel, transfer; none revoke.
    `order_cap_usdc`: the most that one order may be worth, 0 without a limit. No key but the owner's can withdraw.
    """

    address: str
    scopes: tuple[str, ...]
    valid_until_ms: int = 0
    order_cap_usdc: Exact = 0

    def to_action(self, network: Network) -> Action:
        scopes = sum({_choose(SCOPES, "scope", scope) for scope in self.scopes})
        return Action(
            SET_SESSION, flags=scopes, good_till_ms=self.valid_until_ms, data=parse_address(self.address) + bytes(4),
            size_lots=parse_quote(exact_text(self.order_cap_usdc)),
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class SetMarginMode:
    """cross, isolated or portfolio margin for the subaccount."""

    mode: str

    def to_action(self, network: Network) -> Action:
        return Action(SET_MARGIN_MODE, side=_choose(MARGIN_MODES, "mode", self.mode))


@dataclass(frozen=True, slots=True)
class SetProtection:
    """Market-maker protection; a window of 0 ends it. In each window of `window_ms` fills of protected orders may add
    up to so much value, absolute delta and vega in USDC (0: no limit); beyond it they are cancelled and refused for
    `freeze_ms` (0: until protection is set again).
    """

    window_ms: int
    freeze_ms: int = 0
    value_usdc: Exact = 0
    delta_usdc: Exact = 0
    vega_usdc: Exact = 0

    def to_action(self, network: Network) -> Action:
        value, delta, vega = (parse_quote(exact_text(x)) for x in (self.value_usdc, self.delta_usdc, self.vega_usdc))
        return Action(
            SET_PROTECTION, size_lots=value, price_ticks=delta, trigger_ticks=vega, display_lots=self.freeze_ms,
            good_till_ms=self.window_ms,
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Combo:
    """The next `legs` (2 to 4) orders of the message all or none, for at most `net_usdc` paid (below 0: received)."""

    legs: int
    net_usdc: Exact

    def to_action(self, network: Network) -> Action:
        return Action(COMBO, side=self.legs, price_ticks=parse_quote(exact_text(self.net_usdc)))


@dataclass(frozen=True, slots=True)
class Offer:
    """A block offer off the book until `good_till_ms`, for everybody (`counterparty` 0) or one account's number."""

    instrument_name: str
    direction: str
    amount_base: Exact
    price_usd: Exact
    good_till_ms: int
    counterparty: int = 0
    label: int | str = 0

    def to_action(self, network: Network) -> Action:
        number, market = network.market(self.instrument_name)
        return Action(
            OFFER, side=_choose({"buy": BUY, "sell": SELL}, "direction", self.direction), market=number,
            price_ticks=parse_price_ticks(exact_text(self.price_usd), market), client_id=number_label(self.label),
            size_lots=parse_size_lots(exact_text(self.amount_base), market), good_till_ms=self.good_till_ms,
            link=self.counterparty,
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Accept:
    """Trades all of an offer; `direction` is yours, the other one than the offer's."""

    order_id: str
    direction: str

    def to_action(self, network: Network) -> Action:
        number, order_id = _read_order_id(network, self.order_id)
        side = _choose({"buy": BUY, "sell": SELL}, "direction", self.direction)
        return Action(ACCEPT, side=side, market=number, order_id=order_id)


Request = (
    Buy | Trigger | Edit | Cancel | CancelLabel | CancelAll | CancelAllAfter | Withdraw | Transfer | SetSession
    | SetMarginMode | SetProtection | Combo | Offer | Accept
)  # fmt: skip


def _flags(price_usd: Exact | None, is_reduce_only: bool, self_trade: str) -> int:
    flags = _choose(SELF_TRADES, "self_trade", self_trade) << SELF_TRADE_SHIFT
    return flags | (REDUCE_ONLY if is_reduce_only else 0) | (AT_MARKET if price_usd is None else 0)


def _choose(options: Mapping[str, int], what: str, name: str) -> int:
    if name not in options:
        raise HansaError(0, f"{what} {name!r}", "one of " + ", ".join(options))
    return options[name]


def _read_order_id(network: Network, order_id: str) -> tuple[int, int]:
    """(market, number) of `BTC-PERPETUAL-17`."""
    instrument_name, _, digits = order_id.rpartition("-")
    if not (digits.isascii() and digits.isdigit()):
        raise HansaError(0, f"{order_id!r} is no order id", "such as BTC-PERPETUAL-17")
    return network.market(instrument_name)[0], int(digits)
