"""What a node gives its API about accounts beyond `Backend`: plain records and the protocol `AccountData`.

As in `net.gateway.backend` all numbers are integers in the engine's own units, and what does not exist is `None` or
empty. Everything is of the last final block unless it says otherwise.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

from engine.commands import Command
from engine.results import Code

if TYPE_CHECKING:
    from net.gateway.backend import CommandResult, FillView, OrderView


@dataclass(frozen=True, slots=True)
class SessionKeyView:
    """A key that may sign for the account: `scopes` 1 trade, 2 cancel, 4 transfer; 0 quote is no cap of an order."""

    key: bytes
    scopes: int
    valid_until_ms: int
    order_cap_quote: int


@dataclass(frozen=True, slots=True)
class BuilderView:
    """Who may take a fee of the account's orders, and how much at most."""

    owner: bytes
    subaccount: int
    fee_ppm_max: int


@dataclass(frozen=True, slots=True)
class ProtectionView:
    """Market-maker protection (docs/spec.md, ORD-8): limits within a window, and what this window has used of them."""

    window_ms: int
    freeze_ms: int
    quote_max: int
    delta_quote_max: int
    vega_quote_max: int
    window_start_ms: int
    used_quote: int
    used_delta_quote: int
    used_vega_quote: int
    frozen_until_ms: int


@dataclass(frozen=True, slots=True)
class SettingsView:
    """What an account has decided about itself."""

    height: int
    time_ms: int
    mode: int
    cancel_at_ms: int  # 0: the switch is not armed
    keys: tuple[SessionKeyView, ...]
    builders: tuple[BuilderView, ...]
    referrer: tuple[bytes, int] | None
    protection: ProtectionView | None
    nonces: tuple[int, ...]  # spent, ascending


@dataclass(frozen=True, slots=True)
class OfferView:
    """A live offer off the book. `counterparty` may accept it, None: everybody may."""

    offer_id: int
    client_id: int
    market: int
    side: int
    price_ticks: int
    size_lots: int
    owner: bytes
    subaccount: int
    counterparty: tuple[bytes, int] | None
    created_ms: int
    good_till_ms: int


class Kind(StrEnum):
    """Of an entry of an account's log."""

    TRADE = "trade"
    DEPOSIT = "deposit"
    WITHDRAWAL = "withdrawal"
    TRANSFER = "transfer"
    SETTLEMENT = "settlement"  # funding
    DELIVERY = "delivery"  # a market has expired


@dataclass(frozen=True, slots=True)
class HistoryQuery:
    """Which rows of a history are wanted, newest first: of some markets (None: all) and of a span of time."""

    count: int
    markets: frozenset[int] | None = None
    start_ms: int = 0
    end_ms: int = 1 << 62
    order_id: int = 0  # not 0: of this order only
    client_id: int = 0  # not 0: that carry it
    has_trades: bool = False  # of orders: those that traded
    kinds: frozenset[Kind] | None = None  # of movements; None: all
    below_place: int = (1 << 63) - 1  # of movements: a page ends before it


@dataclass(frozen=True, slots=True)
class HoldingsCost:
    """What the lots held in a market have cost, by average cost, and what was realised since the account last held
    none there; fees apart.
    """

    entry_value_quote: int  # signed, of the lots held
    realized_quote: int


@dataclass(frozen=True, slots=True)
class Movement:
    """Money that came to an account or left it. `place` orders them all, newest highest."""

    kind: Kind
    place: int
    height: int
    time_ms: int
    change_quote: int
    asset: int = 0  # above 0 `change_quote` counts lots of this collateral
    other: tuple[bytes, int] | None = None  # of a transfer
    market: int = -1
    position_lots: int = 0  # that was funded or delivered
    price_ticks: int = 0  # of delivery
    fill: FillView | None = None
    index: int = -1  # of the inbox entry or of the withdrawal


@dataclass(frozen=True, slots=True)
class WhatIfOrder:
    """An order that would rest."""

    market: int
    side: int
    size_lots: int
    price_ticks: int


@dataclass(frozen=True, slots=True)
class WhatIf:
    """Positions beside those of the account or in their place, orders, and moved prices."""

    lots: Mapping[int, int] = field(default_factory=dict)
    is_added: bool = True
    orders: tuple[WhatIfOrder, ...] = ()
    price_shift_ppm: int = 0
    vol_shift_ppm: int = 0


@dataclass(frozen=True, slots=True)
class UnderlyingRisk:
    """Of one underlying. Greeks in quote: delta and gamma per rise of 100 %, vega and rho per 1.00, theta per day.
    `scenarios`: PnL of each, of portfolio accounts only (docs/portfolio.md, 7.1); liquidation prices in 1e-8, 0: none.
    """

    name: str
    delta_quote: int
    gamma_quote: int
    vega_quote: int
    theta_quote: int
    rho_quote: int
    scenarios: tuple[int, ...]
    liquidation_below_e8: int
    liquidation_above_e8: int


@dataclass(frozen=True, slots=True)
class Simulated:
    """What the account would be. `worst_scenario` -1: not a portfolio account."""

    height: int
    mode: int
    equity_quote: int
    initial_quote: int
    maintenance_quote: int
    worst_scenario: int
    risks: tuple[UnderlyingRisk, ...]


@dataclass(frozen=True, slots=True)
class MarginInputs:
    """All that the engine's margin of an account is computed from, as it lies in its tables: so that whoever has the
    engine computes the same, in any case. `columns` names the numbers of the rows, by table. Mappings are by market.
    """

    height: int
    mode: int
    balance_quote: int
    order_charge_quote: int
    lots: Mapping[int, int]
    open_lots: Mapping[int, tuple[int, int]]
    names: tuple[str, ...]  # of the underlyings
    columns: Mapping[str, tuple[str, ...]]
    markets: Mapping[int, tuple[int, ...]]
    scenarios: Mapping[int, tuple[int, ...]]
    underlyings: tuple[tuple[int, ...], ...]
    expiries: tuple[tuple[int, ...], ...]
    counters: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Judgement:
    """What the rules say of a message now, without executing it."""

    height: int
    time_ms: int
    signer_role: str  # owner, session_key, expired_session_key, nobody, stranger
    scopes: int  # of a session key
    nonce_state: str  # fresh, spent, too_old; unknown_account
    is_expired: bool
    code: Code  # the first rule that is broken as far as it can be said before a block does


class AccountData(Protocol):
    """Accounts and their history, seen from the API."""

    def height(self) -> int:
        """Of the last final block."""

    def subaccounts(self, owner: bytes) -> Sequence[int]:
        """Ascending."""

    def settings(self, owner: bytes, subaccount: int) -> SettingsView | None: ...

    def offers(self) -> Sequence[OfferView]:
        """All that are live, oldest first."""

    def fills(self, owner: bytes, subaccount: int, query: HistoryQuery) -> tuple[Sequence[FillView], bool]:
        """Newest first, and whether there are more."""

    def past_orders(self, owner: bytes, subaccount: int, query: HistoryQuery) -> Sequence[OrderView]:
        """Orders that left the book, newest first: those that the node still knows."""

    def movements(self, owner: bytes, subaccount: int, query: HistoryQuery) -> Sequence[Movement]:
        """Newest first. Those of one place stay together, even if they are more than were asked for."""

    def simulate(self, owner: bytes, subaccount: int, what_if: WhatIf) -> Simulated | Code:
        """A code for what has no answer."""

    def margin_inputs(self, owner: bytes, subaccount: int, markets: Iterable[int]) -> MarginInputs | None:
        """With the rows of these markets and of those that the account holds or has orders in; None without it."""

    def judge(self, command: Command, signer: bytes) -> Judgement: ...

    def commands_by_nonce(self, owner: bytes, subaccount: int, nonce: int) -> Sequence[CommandResult]:
        """Of the message that spent the nonce, else of those that tried to: one result an action, in their order."""

    def commands_by_label(self, owner: bytes, subaccount: int, client_id: int) -> Sequence[CommandResult]:
        """Of the actions that carry a client id, newest first."""
