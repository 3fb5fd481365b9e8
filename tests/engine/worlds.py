"""Whole days at the exchange from small integers: blocks with every kind of action, good and hostile.

A `World` turns drawn numbers into a `Script`: blocks in a form that can be cut and written down as JSON. It looks at
the reference exchange to aim: at resting orders, open positions, live offers. Prices wander and jump, so that orders
fill, stops fire, auctions are called, expiries settle, margins break and insurance runs dry.
"""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np

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
    DELIST,
    FILL_OR_KILL,
    GOOD_TILL_CANCELLED,
    GOOD_TILL_TIME,
    IMMEDIATE_OR_CANCEL,
    LIST,
    OFFER,
    PLACE,
    POST_ONLY,
    POST_ONLY_SLIDE,
    REDUCE_ONLY,
    SELL,
    SET_FEES,
    SET_MARGIN_MODE,
    SET_PARAMETER,
    SET_PHASE,
    SET_PROTECTION,
    SET_SESSION,
    TRANSFER,
    TRIGGER,
    TRIGGER_BELOW,
    TRIGGER_ON_LAST,
    UNDER_PROTECTION,
    WITHDRAW,
    Action,
    Command,
)  # fmt: skip
from engine.params import CollateralParams, ExchangeParams, FeeTier, MarketParams
from engine.payload import InboxEntry, PriceReport
from engine.tables import KIND_CALL, KIND_PUT, PHASE_CONTINUOUS, PHASE_SETTLED
from tests.engine.blocks import CONTRACT, FOREVER_MS, START_MS, TOKEN, USD, trader
from tests.engine.forced_entries import make_forced

COIN = bytes.fromhex("33" * 20)
GOVERNOR_KEY = bytes.fromhex("55" * 20)
TRADERS = 6
VALIDATORS = 4
OFFSET = 1 << 32
E8 = 10**8
SOON_MS, LATER_MS = START_MS + 1_500_000, START_MS + 40_000_000
EXTREMES = (0, 1, 2, -1, (1 << 63) - 1, -(1 << 63), 1 << 40, 1 << 24, 500_001, 3_000_001)
BIG_FIELDS = (
    "price_ticks", "size_lots", "client_id", "order_id", "trigger_ticks", "display_lots", "good_till_ms", "link",
)  # fmt: skip
SMALL_FIELDS = ("kind", "side", "time_in_force", "flags", "market")
Draw = Callable[[int], int]


def make_market(symbol: str, tick: str, lot: str, unit: int, **changes: Any) -> MarketParams:
    values = {
        "symbol": symbol, "tick_size": tick, "lot_size": lot, "quote_per_tick_lot": unit, "initial_margin_bps": 500,
        "maintenance_margin_bps": 250, "maker_fee_bps": 2, "taker_fee_bps": 5, "price_band_bps": 1000,
        "size_lots_max": 3_000, "position_lots_max": 5_000, "oracle_step_bps_max": 700, "oracle_stale_ms": 15_000,
        "impact_quote": 2_000 * USD, "reference_move_bps": 20,
    }  # fmt: skip
    return MarketParams(**(values | changes))


def make_world_params(**changes: Any) -> ExchangeParams:
    """Two perpetuals, a spot market, two expiries with futures and options; limits so tight that they are met."""
    option = {"initial_margin_bps": 1500, "maintenance_margin_bps": 900, "price_band_bps": 400}
    markets = (
        make_market("BTC-PERPETUAL", "0.1", "0.001", 100, auction_move_bps=250, auction_ms=3_000),
        make_market("ETH-PERPETUAL", "0.1", "0.01", 1000, oi_low_quote=20_000 * USD, oi_high_quote=200_000 * USD),
        make_market("BTC-SPOT", "0.1", "0.001", 100, kind="spot", initial_margin_bps=1500, maintenance_margin_bps=1000),
        make_market("BTC-SOON", "0.1", "0.001", 100, kind="future", expiry_ms=SOON_MS, auction_ms=2_000),
        make_market("BTC-SOON-C", "1", "0.01", 10_000, kind="call", expiry_ms=SOON_MS, strike="50000", **option),
        make_market("BTC-SOON-P", "1", "0.01", 10_000, kind="put", expiry_ms=SOON_MS, strike="50000", **option),
        make_market("BTC-LATER-C", "1", "0.01", 10_000, kind="call", expiry_ms=LATER_MS, strike="52000", **option),
    )
    values = {
        "markets": markets, "token": TOKEN, "validator_count": VALIDATORS, "chain_id": 31337, "contract": CONTRACT,
        "accounts_max": 256, "account_orders_max": 24, "book_orders_max": 60, "governor": GOVERNOR_KEY,
        "collaterals": (CollateralParams(COIN, "BTC-SPOT", 1000, 5_000),),
        "fee_tiers": (FeeTier(0, 0, 0), FeeTier(20_000 * USD, 1000, 5000), FeeTier(200_000 * USD, 2000, 11_000)),
        "halt_gap_ms": 120_000, "resume_ms": 2_000, "insurance_cover": 40, "markets_max": 800, "orders_max": 4096,
        "positions_max": 4096, "triggers_max": 512, "offers_max": 64, "sessions_max": 256, "blocks_max": 4096,
    }  # fmt: skip
    return ExchangeParams(**(values | changes))


@dataclass
class Step:
    """One block as data: absolute time, `reports` (validator, time, feeds), `deposits` (inbox entries: kind, token,
    sender, subaccount, amount, then if they are not the usual ones data and beneficiary), `messages` (author, bytes,
    signer)."""

    time_ms: int
    seed: int
    reports: list = field(default_factory=list)
    deposits: list = field(default_factory=list)
    messages: list = field(default_factory=list)


@dataclass
class Script:
    """A run: the changes of the parameters and the blocks."""

    changes: dict = field(default_factory=dict)
    steps: list = field(default_factory=list)

    def to_json(self) -> str:
        return json.dumps(asdict(self), indent=1)

    @classmethod
    def from_json(cls, text: str) -> "Script":
        raw = json.loads(text)
        return cls(raw["changes"], [Step(**step) for step in raw["steps"]])


def build_block(parent: Any, step: Step) -> Any:
    """The `BlockInput` of a step on top of a reference exchange. Batches hold at most 128 messages of one author."""
    from engine.intake import decode_batch
    from tests.engine.agreement import BatchInput, BlockInput  # which imports this module

    reports = tuple(PriceReport(v, time_ms, tuple(feeds), bytes([v]) * 64) for v, time_ms, feeds in step.reports)
    inbox = tuple(
        InboxEntry(
            index=parent.inbox_cursor + at, kind=kind, token=bytes.fromhex(token),
            beneficiary=bytes.fromhex(rest[1] if rest[1:] else owner), subaccount=sub, sender=bytes.fromhex(owner),
            amount=amount, data=bytes.fromhex(rest[0]) if rest else bytes(32), time_s=1_700_000_000,
        )
        for at, (kind, token, owner, sub, amount, *rest) in enumerate(step.deposits)
    )  # fmt: skip
    queues: dict[int, list] = {}
    for author, raw, signer in step.messages:
        queues.setdefault(author, []).append((bytes.fromhex(raw), bytes.fromhex(signer)))
    batches, sequences = [], list(parent.batch_sequences)
    for author, queue in queues.items():
        for first in range(0, len(queue), 8):
            part = queue[first : first + 8]
            sequences[author] += 1
            messages, actions = decode_batch(b"".join(raw for raw, _ in part))
            signers = np.frombuffer(b"".join(signer for _, signer in part), dtype=np.uint8).reshape(-1, 20)
            batches.append(BatchInput(author, sequences[author], messages, actions, signers))
    return BlockInput(
        parent.height + 1, step.time_ms, step.seed.to_bytes(32, "big"), reports, inbox, parent.l1_block, tuple(batches)
    )


def session_key(who: int) -> bytes:
    return bytes([0xB0, who]) * 10


class World:
    """Makes the next step of a run from numbers that `draw(bound)` gives, and from what it sees."""

    def __init__(self, draw: Draw) -> None:
        self.draw = draw
        self.index_e8 = [50_000 * E8, 3_000 * E8]
        self.trend_bps = 0
        self.boldness = self.pick(1, 1, 3, 8)
        self.nonce = 0
        self.client_id = 0
        self.past: list[tuple[Command, bytes]] = []

    def one_in(self, chances: int) -> bool:
        return self.draw(chances) == 0

    def pick(self, *items: Any) -> Any:
        return items[self.draw(len(items))]

    # -- prices -------------------------------------------------------------------------------------------------------

    def move_prices(self) -> None:
        """A step of the walk; now and then a trend begins or ends."""
        if self.one_in(12):
            self.trend_bps = self.pick(0, 0, -250, 250, -600, 600)
        for at, price_e8 in enumerate(self.index_e8):
            reach = self.pick(5, 5, 20, 20, 60, 200, 700) if not self.one_in(20) else 2000
            moved = price_e8 * (self.draw(2 * reach + 1) - reach + self.trend_bps) // 10_000
            self.index_e8[at] = max(price_e8 + moved, 100 * E8)

    def make_surface(self, number: int) -> list[int]:
        """Five feeds of an expiry's surface: sound ones mostly, more variance for later expiries."""
        scale = 1 + 12 * number
        a_e8, b_e8 = (200_000 + self.draw(20_000)) * scale, 400_000 * scale
        surface = [a_e8 + OFFSET, b_e8, OFFSET - 20_000_000, OFFSET, 5_000_000]
        if self.one_in(12):
            surface[self.draw(5)] = self.pick(0, 1, OFFSET, OFFSET - 2 * E8, 20 * E8)
        return surface

    def make_reports(self, x: Any, time_ms: int) -> list:
        feeds = list(self.index_e8[: len(x.underlyings)])
        for number, expiry in enumerate(x.expiries):
            base_e8 = self.index_e8[expiry.underlying]
            feeds.append(0 if self.one_in(15) else base_e8 + base_e8 * (self.draw(41) - 20) // 10_000)
            feeds += self.make_surface(number)
        if self.one_in(12):
            return []
        made = []
        for validator in range(VALIDATORS if not self.one_in(9) else 2):
            spread = self.pick(0, 1, 2, 40)
            bias = spread * (validator - 1)
            own = [value + value * bias // 10_000 if at < 2 else value for at, value in enumerate(feeds)]
            if self.one_in(30):
                own[self.draw(len(own))] = self.pick(0, 1, 1 << 48, (1 << 48) + 1)
            late_ms = self.pick(0, 0, 0, 10, 900, -900, 11_000) if self.one_in(8) else 0
            made.append([validator, time_ms - late_ms, own[: len(own) - (1 if self.one_in(60) else 0)]])
        if self.one_in(10):
            made.append(made[0])
        return made

    # -- blocks -------------------------------------------------------------------------------------------------------

    def next_time_ms(self, now_ms: int) -> int:
        kind = self.draw(80)
        if kind < 62:
            return now_ms + 200 + self.draw(2_500)
        if kind < 76:
            return now_ms + 5_000 + self.draw(60_000)
        return now_ms + (119_000 if kind < 79 else 121_000 + self.draw(1_000_000))

    def first_step(self, x: Any, funded_usd: int) -> Step:
        """Everybody gets money, some get coins, insurance a little."""
        step = Step(START_MS + 1_000, 0)
        while len(step.reports) < VALIDATORS:
            step.reports = self.make_reports(x, step.time_ms)
        for who in range(TRADERS):
            step.deposits.append([1, TOKEN.hex(), trader(who).hex(), 0, (funded_usd + who) * USD])
            if who % 2:
                step.deposits.append([1, COIN.hex(), trader(who).hex(), 0, (funded_usd // 100 + 1) * 1000])
        step.deposits.append([1, TOKEN.hex(), (2).to_bytes(20, "big").hex(), 0, funded_usd * USD // 50])
        return step

    def next_step(self, x: Any, actions: int) -> Step:
        step = Step(self.next_time_ms(x.time_ms), self.draw(1 << 30))
        self.move_prices()
        if not self.one_in(6):
            step.reports = self.make_reports(x, step.time_ms)
        self.x, self.now_ms = x, step.time_ms
        if self.one_in(8):
            step.deposits.append(self.make_deposit())
        while self.one_in(4):
            owner = self.pick(*[trader(self.draw(TRADERS))] * 9, GOVERNOR_KEY, trader(40))
            keys = [*(session_key(number) for number in range(TRADERS)), bytes(20)]
            step.deposits.append(make_forced(self, owner, keys, COIN))
        for _ in range(actions):
            command, signer = self.make_command()
            step.messages.append([self.draw(VALIDATORS), command.encode().hex(), signer.hex()])
        return step

    def make_deposit(self) -> list:
        token = self.pick(TOKEN, TOKEN, COIN, bytes(20))
        owner = self.pick(*(trader(who) for who in range(TRADERS)), (2).to_bytes(20, "big"), GOVERNOR_KEY, trader(40))
        amount = self.pick(USD, 50 * USD, 3_000 * USD, 777, 5000, 0, 1 << 57)
        return [self.pick(1, 1, 1, 1, 9), token.hex(), owner.hex(), self.pick(0, 0, 1, 7), amount]

    def make_command(self) -> tuple[Command, bytes]:
        """A message and who signed it."""
        if self.past and self.one_in(40):
            return self.past[self.draw(len(self.past))]
        who = self.draw(TRADERS)
        owner, signer = trader(who), trader(who)
        if self.one_in(14):
            signer = self.pick(*[session_key(who)] * 3, session_key(0), bytes(20), trader(0))
        found = self.x.find_account(owner, 0)
        keys = (
            [item.key for item in self.x.accounts[found].sessions if not item.is_builder] if found is not None else []
        )
        if keys and self.one_in(3):
            signer = self.pick(*keys)
        subaccount = self.pick(1, 2) if self.one_in(5) else 0
        if self.x.find_account(owner, subaccount) is None and not self.one_in(8):
            subaccount = 0
        if self.one_in(30):
            actions = (self.make_governance(),)
            owner = signer = GOVERNOR_KEY
            subaccount = 0
        else:
            actions = self.make_actions(owner, subaccount)
        if self.one_in(12):
            actions = self.spoil(actions)
        self.nonce += 1
        nonce = self.nonce if not self.one_in(25) else max(self.nonce - self.draw(150), 0)
        expiry_ms = FOREVER_MS if not self.one_in(25) else self.now_ms + self.draw(3) - 1
        command = Command(owner, nonce, expiry_ms, actions[:64], subaccount)
        self.past = [*self.past[-40:], (command, signer)]
        return command, signer

    def spoil(self, actions: tuple[Action, ...]) -> tuple[Action, ...]:
        """One field of one action replaced by something extreme."""
        at = self.draw(len(actions))
        if self.one_in(3):
            changed = replace(actions[at], **{self.pick(*SMALL_FIELDS): self.draw(256)})
        else:
            changed = replace(actions[at], **{self.pick(*BIG_FIELDS): self.pick(*EXTREMES)})
        return (*actions[:at], changed, *actions[at + 1 :])

    # -- actions ------------------------------------------------------------------------------------------------------

    def make_actions(self, owner: bytes, subaccount: int) -> tuple[Action, ...]:
        index = self.x.find_account(owner, subaccount)
        self.index = index if index is not None else -1
        kind = self.draw(106)
        if kind < 52:
            return (self.make_place(),)
        if kind < 58:
            return tuple(self.make_place() for _ in range(1 + self.draw(5)))
        if kind < 64:
            return (self.make_cancel(),)
        if kind < 72:
            return (self.make_amend(),)
        if kind < 79:
            return (self.make_trigger(),)
        if kind < 83:
            return self.make_bracket()
        if kind < 89:
            return self.make_combo()
        if kind < 92:
            return (self.make_offer(),)
        if kind < 95:
            return (self.make_accept(),)
        return (self.make_setting(),)

    def open_market(self) -> int:
        markets = [at for at, row in enumerate(self.x.markets) if row.phase != PHASE_SETTLED]
        if not markets or self.one_in(40):
            return self.draw(len(self.x.markets) + 2)
        return self.pick(*[markets[0]] * 6, markets[-1], *markets)

    def near_ticks(self, market: int, side: int) -> int:
        """A price around the mark, on a coarse grid so that prices meet."""
        if market >= len(self.x.markets):
            return 1 + self.draw(1000)
        row = self.x.markets[market]
        if row.kind in (KIND_CALL, KIND_PUT):
            centre, grid = max(row.mark_e8 // row.tick_e8, 1), max(self.index_e8[0] // row.tick_e8 // 800, 1)
        else:
            mark_e8 = row.mark_e8 or self.index_e8[row.underlying]
            centre, grid = mark_e8 // row.tick_e8, max(mark_e8 // row.tick_e8 // 2000, 1)
        steps = self.draw(12) - (7 if side == BUY else 4)
        if self.one_in(12):
            steps *= 25
        return max(centre // grid * grid + steps * grid, 1)

    def size_lots(self, market: int) -> int:
        scale = self.pick(1, 1, 4, 20, 100)
        size = 1 + self.draw(25) * scale * self.boldness
        is_option = market < len(self.x.markets) and self.x.markets[market].kind in (KIND_CALL, KIND_PUT)
        return max(size // 5, 1) if is_option else size

    def next_client_id(self) -> int:
        if not self.one_in(4):
            return 0
        self.client_id += 1
        return self.client_id if not self.one_in(4) else max(self.client_id - self.draw(30), 1)

    def make_place(self, **changes: Any) -> Action:
        market, side = self.open_market(), self.draw(2)
        times = (GOOD_TILL_CANCELLED,) * 5 + (IMMEDIATE_OR_CANCEL,) * 2
        time_in_force = self.pick(*times, FILL_OR_KILL, POST_ONLY, POST_ONLY_SLIDE, GOOD_TILL_TIME)
        size_lots, price_ticks, flags = self.size_lots(market), self.near_ticks(market, side), self.draw(4) << 2
        if self.one_in(6):
            flags |= REDUCE_ONLY
        if self.one_in(5):
            flags |= UNDER_PROTECTION
        if self.one_in(6):
            flags, price_ticks = flags & ~UNDER_PROTECTION | AT_MARKET, 0
            time_in_force = self.pick(IMMEDIATE_OR_CANCEL, FILL_OR_KILL, IMMEDIATE_OR_CANCEL, GOOD_TILL_CANCELLED)
        can_rest = time_in_force not in (IMMEDIATE_OR_CANCEL, FILL_OR_KILL)
        if not can_rest and not self.one_in(10):
            flags &= ~UNDER_PROTECTION
        values = {
            "market": market, "side": side, "time_in_force": time_in_force, "flags": flags, "price_ticks": price_ticks,
            "size_lots": size_lots, "client_id": self.next_client_id(),
            "display_lots": 1 + self.draw(size_lots) if can_rest and self.one_in(5) else 0,
            "good_till_ms": self.now_ms + self.pick(1, 500, 3_000, 60_000) if time_in_force == GOOD_TILL_TIME else 0,
            "link": self.make_builder() if self.one_in(20) else 0,
        }  # fmt: skip
        return Action(PLACE, **(values | changes))

    def make_builder(self) -> int:
        """A builder and its fee: sometimes one that the account approved."""
        approved = [item for item in self.x.accounts[self.index].sessions if item.is_builder] if self.index >= 0 else []
        if approved:
            owner = approved[self.draw(len(approved))].key
            found = self.x.find_account(owner, 0)
            return (0 if found is None else found) << 16 | self.draw(402)
        return self.account_of(self.draw(TRADERS)) << 16 | self.draw(400)

    def account_of(self, who: int) -> int:
        found = self.x.find_account(trader(who), 0)
        return 0 if found is None else found

    def own_items(self) -> list:
        if self.index < 0:
            return []
        return self.x.own_orders(self.index) + self.x.own_triggers(self.index) + self.x.own_offers(self.index)

    def make_cancel(self) -> Action:
        items = self.own_items()
        if self.one_in(5):
            return Action(CANCEL_ALL, market=self.pick(ALL_MARKETS, ALL_MARKETS, self.open_market()))
        if not items or self.one_in(8):
            return Action(CANCEL, market=self.open_market(), order_id=self.draw(1 << 30), client_id=self.draw(3))
        item = items[self.draw(len(items))]
        if item.client_id and self.one_in(2):
            return Action(CANCEL, market=item.market, client_id=item.client_id)
        return Action(CANCEL, market=item.market, order_id=item.order_id, client_id=self.pick(0, 0, item.client_id))

    def make_amend(self) -> Action:
        orders = self.x.own_orders(self.index) if self.index >= 0 else []
        if not orders:
            return self.make_place()
        order = orders[self.draw(len(orders))]
        price_ticks = self.pick(0, 0, order.price, self.near_ticks(order.market, order.side))
        size_lots = order.filled + max(order.lots + self.draw(21) - 12, 0)
        named = (
            {"order_id": order.order_id} if not order.client_id or self.one_in(2) else {"client_id": order.client_id}
        )
        return Action(AMEND, market=order.market, price_ticks=price_ticks, size_lots=size_lots, **named)

    def make_trigger(self, **changes: Any) -> Action:
        market, side = self.open_market(), self.draw(2)
        positions = self.x.accounts[self.index].positions if self.index >= 0 else {}
        flags = self.pick(0, TRIGGER_BELOW) | self.pick(0, 0, TRIGGER_ON_LAST) | self.draw(4) << 2
        size_lots = self.size_lots(market)
        if positions and not self.one_in(3):
            market = self.pick(*positions)
            side, flags = (SELL if positions[market] > 0 else BUY), flags | REDUCE_ONLY
            size_lots = self.pick(0, size_lots)
        time_in_force, price_ticks = GOOD_TILL_CANCELLED, self.near_ticks(market, side)
        if self.one_in(2):
            flags, price_ticks, time_in_force = flags | AT_MARKET, 0, IMMEDIATE_OR_CANCEL
        own = self.own_items()
        link = own[self.draw(len(own))].order_id if own and self.one_in(4) else 0
        values = {
            "market": market, "side": side, "time_in_force": time_in_force, "flags": flags, "price_ticks": price_ticks,
            "size_lots": size_lots, "client_id": self.next_client_id(), "link": link,
            "trigger_ticks": self.near_ticks(market, self.draw(2)),
        }  # fmt: skip
        return Action(TRIGGER, **(values | changes))

    def make_bracket(self) -> tuple[Action, ...]:
        """An order with a stop and a target that cancel each other."""
        entry = self.make_place()
        common = {"market": entry.market, "side": 1 - entry.side if entry.side < 2 else 0, "size_lots": 0}
        common |= {"flags": REDUCE_ONLY | AT_MARKET, "price_ticks": 0, "time_in_force": IMMEDIATE_OR_CANCEL}
        stop = self.make_trigger(**(common | {"link": 1}))
        target = self.make_trigger(**(common | {"link": self.pick(2, 2, 1), "flags": common["flags"] | TRIGGER_BELOW}))
        return entry, stop, target

    def aim_combo(self) -> tuple[Action, ...]:
        """A combination of what rests in different markets, small enough to be had."""
        legs: list[Action] = []
        for market, row in enumerate(self.x.markets):
            side = self.draw(2)
            others = [o for o in self.x.book(market, 1 - side) if o.account != self.index and not o.flags & REDUCE_ONLY]
            if row.phase == PHASE_CONTINUOUS and others and len(legs) < 3:
                price_ticks, size_lots = self.x.band(market)[side], 1 + self.draw(min(others[0].lots, 3))
                values = {"market": market, "side": side, "price_ticks": price_ticks, "size_lots": size_lots}
                legs.append(Action(PLACE, time_in_force=FILL_OR_KILL, **values))
        if len(legs) < 2:
            return (self.make_place(),)
        return Action(COMBO, side=len(legs), price_ticks=self.pick(1_000_000 * USD, 1_000_000 * USD, 100 * USD)), *legs

    def make_combo(self) -> tuple[Action, ...]:
        if not self.one_in(3):
            return self.aim_combo()
        count = self.pick(2, 2, 2, 3, 4, 1)
        legs = []
        for _ in range(count):
            leg = self.make_place(
                time_in_force=self.pick(FILL_OR_KILL, FILL_OR_KILL, GOOD_TILL_CANCELLED, POST_ONLY), display_lots=0,
                good_till_ms=0, size_lots=1 + self.draw(6), link=0,
            )  # fmt: skip
            far = self.near_ticks(leg.market, leg.side) * (103 if leg.side == BUY else 97) // 100
            legs.append(replace(leg, price_ticks=0 if leg.flags & AT_MARKET else max(far, 1)))
        limit = self.pick(0, 10_000 * USD, 1_000_000 * USD, -5_000 * USD)
        good_till_ms = self.pick(0, 0, 0, self.now_ms, self.now_ms + 1)
        return Action(COMBO, side=count, price_ticks=limit, good_till_ms=good_till_ms), *legs

    def make_offer(self) -> Action:
        market, side = self.open_market(), self.draw(2)
        return Action(
            OFFER, market=market, side=side, price_ticks=self.near_ticks(market, side),
            size_lots=self.size_lots(market), client_id=self.draw(3),
            good_till_ms=self.now_ms + self.pick(0, 1, 5_000, 90_000),
            link=self.pick(0, 0, self.account_of(self.draw(TRADERS)), self.draw(80)),
        )  # fmt: skip

    def make_accept(self) -> Action:
        offers = list(self.x.offers.values())
        if not offers:
            return self.make_offer()
        offer = offers[self.draw(len(offers))]
        side = 1 - offer.side if not self.one_in(8) else self.draw(3)
        return Action(ACCEPT, market=offer.market, side=side, order_id=offer.order_id)

    def make_setting(self) -> Action:
        kind = self.draw(10)
        who = self.draw(TRADERS)
        system = self.pick(1, 2, 3, 5).to_bytes(20, "big")
        padded = self.pick(*[trader(who)] * 6, system, GOVERNOR_KEY) + bytes(4)
        if kind == 0:
            deadline_ms = self.pick(0, self.now_ms + 999, self.now_ms + 1_000 + who * 700)
            return Action(CANCEL_ALL_AFTER, good_till_ms=deadline_ms)
        if kind in (1, 2):
            data = self.pick(bytes(24), bytes(24), padded, trader(77) + bytes(4))
            amount = self.pick(0, 1, 20, 20 * USD, 700 * USD, 90_000 * USD)
            subaccount = self.pick(0, 1, 1, 2, 3, 1 << 33)
            return Action(TRANSFER, market=self.pick(0, 0, 0, 1, 2), size_lots=amount, data=data, link=subaccount)
        if kind == 3:
            amount = self.pick(0, 1, 5, 10 * USD, 500 * USD, 80_000 * USD)
            return Action(WITHDRAW, market=self.pick(0, 0, 0, 1, 5), size_lots=amount)
        if kind == 4:
            return Action(SET_MARGIN_MODE, side=self.pick(0, 0, 1, 2, 2, 3))
        if kind == 5:
            key = self.pick(*(session_key(number) for number in range(TRADERS)), bytes(20)) + bytes(4)
            return Action(
                SET_SESSION, flags=self.pick(0, 1, 1, 1, 2, 3, 4, 7, 9), data=key,
                good_till_ms=self.now_ms + self.pick(0, 1, 60_000, 10_000_000),
                size_lots=self.pick(0, 0, 1_000 * USD, 20_000 * USD, -1),
            )  # fmt: skip
        if kind in (6, 7):
            return Action(
                SET_PROTECTION, size_lots=self.pick(0, 3_000 * USD, 100 * USD, -1),
                price_ticks=self.pick(0, 0, 2_000 * USD), trigger_ticks=self.pick(0, 0, 10 * USD),
                display_lots=self.pick(0, 1_000, 60_000), good_till_ms=self.pick(0, 500, 5_000, 86_400_001),
            )  # fmt: skip
        if kind == 8:
            link = self.pick(0, 1, 1, 2)
            size = self.pick(0, 100, 400, 70_000) if link else self.pick(0, 0, 5)
            return Action(SET_FEES, link=link, data=self.pick(padded, padded, trader(60) + bytes(4)), size_lots=size)
        return self.make_trigger()

    def make_governance(self) -> Action:
        kind, market, count = self.draw(8), self.open_market(), len(self.x.markets)
        if kind == 0 and count < len(self.x.params.markets) + 3:
            is_option = self.one_in(2)
            return Action(
                LIST, market=self.draw(count), side=self.pick(KIND_CALL, KIND_PUT) if is_option else self.pick(0, 1, 4),
                link=self.pick(0, 1, 2, 9), good_till_ms=self.pick(LATER_MS, LATER_MS, self.now_ms + 3_600_000, 0),
                price_ticks=self.index_e8[0] // E8 // 1000 * 1000 * E8 if is_option else 0,
                trigger_ticks=self.pick(0, 0, 10**7, 3), size_lots=self.pick(0, 0, 10**5, 10**6),
                display_lots=self.pick(0, 600_000, 1 << 24),
            )  # fmt: skip
        if kind in (1, 2, 3):
            number = self.pick(*range(1, 19), 32, 40)
            value = self.pick(0, 1, 2, 5, 100, 240, 260, 600, 1_100, 3_500, 15_000, 100_000 * USD)
            value = 6_000 if number == 2 else value
            return Action(SET_PARAMETER, market=ALL_MARKETS if number == 32 else market, link=number, size_lots=value)
        if kind == 4:
            return Action(DELIST, market=market, good_till_ms=self.pick(0, self.now_ms + 3_600_000, self.now_ms + 5))
        if kind == 5 and self.one_in(3):
            return Action(SET_PHASE, market=ALL_MARKETS, side=self.pick(2, 2, 1))
        return Action(SET_PHASE, market=market, side=self.pick(0, 0, 0, 0, 1, 1, 2, 3, 4))


def split_message(raw: str) -> tuple[Callable[[list], str], list]:
    """A function that rebuilds a message (hex) from a list of its actions, and the actions."""
    command = Command.decode(bytes.fromhex(raw))
    return lambda actions: replace(command, actions=tuple(actions)).encode().hex(), list(command.actions)
