"""What the load consists of: market makers who place, cancel and amend around one price, and takers who hit them.

Of a hundred actions 40 place, 40 cancel, 5 amend and 15 take. A maker repeats a cycle of 85: it places forty orders,
cancels the forty of an earlier cycle (of some of them only the name is left, because they were filled), and amends
five of those first. Earlier is the last cycle or, where a message is longer than a cycle, the one before: a block
executes cancels first, so what a message places it cannot cancel. Every sixteenth cycle begins with cancelling
everything, so the book stays bounded whatever was refused. Nothing depends on an answer: everything can be signed
before it is sent.
"""

from dataclasses import dataclass

import numpy as np

from engine.commands import (
    ACTION,
    AMEND,
    BUY,
    CANCEL,
    CANCEL_ALL,
    GOOD_TILL_CANCELLED,
    IMMEDIATE_OR_CANCEL,
    PLACE,
    POST_ONLY,
    SELL,
)

MAKER_SLOTS, TAKER_SLOTS = 17, 3  # messages of twenty
PLACED_PER_CYCLE = 40
AMENDED_PER_CYCLE = 5
PAIRS_PER_AMEND = 6
CYCLE = 2 * PLACED_PER_CYCLE + AMENDED_PER_CYCLE
CYCLES_PER_SWEEP = 16
MAKER_TICKS_MAX = 120
TAKER_REACH_TICKS = 400
# In ticks of the two markets of `engine.params.DEFAULT_MARKETS`, at the prices that the bench's validators report.
MID_TICKS = (600_000, 300_000)
PRICES_USD = {"BTC": "60000", "ETH": "3000"}


def _make_cycle() -> tuple[np.ndarray, np.ndarray]:
    """Kind of each action of a maker's cycle, and which of the forty orders it is about."""
    kinds, orders = [], []
    for pair in range(PLACED_PER_CYCLE):
        kinds += [PLACE, CANCEL]
        orders += [pair, pair]
        amended, remainder = divmod(pair + 1, PAIRS_PER_AMEND)
        if remainder == 0 and amended <= AMENDED_PER_CYCLE:
            kinds.append(AMEND)
            orders.append(PLACED_PER_CYCLE - amended)
    return np.array(kinds, dtype=np.int64), np.array(orders, dtype=np.int64)


_KINDS, _ORDERS = _make_cycle()


@dataclass(slots=True)
class Trader:
    """One account of the load and how far its stream has come. `node`: whom it sends to."""

    number: int
    owner: bytes
    subaccount: int
    key: bytes
    is_maker: bool
    node: int
    nonce: int = 1
    action_count: int = 0

    @property
    def market(self) -> int:
        return self.number % len(MID_TICKS)

    def draw(self, count: int, actions_per_message: int) -> np.ndarray:
        """The next `count` actions."""
        first = self.action_count
        self.action_count += count
        at = np.arange(first, first + count, dtype=np.int64)
        if not self.is_maker:
            return _draw_taker(at, self.market)
        return _draw_maker(at, self.market, 1 + actions_per_message // CYCLE)


def _draw_maker(at: np.ndarray, market: int, cycles_back: int) -> np.ndarray:
    """The first cycles' cancels have nothing to cancel."""
    cycle, place = at // CYCLE + cycles_back, at % CYCLE
    kinds, order = _KINDS[place], _ORDERS[place]
    actions = np.zeros(len(at), dtype=ACTION)
    sweeps = (place == 0) & (cycle % CYCLES_PER_SWEEP == cycles_back)
    places, changes = (kinds == PLACE) & ~sweeps, kinds == AMEND
    actions["kind"] = np.where(sweeps, CANCEL_ALL, kinds)
    actions["market"] = market
    # Orders of even numbers buy. Client ids grow for ever, because used ones are refused for a while.
    is_sell = order % 2
    away = 1 + (cycle * 31 + order * 17 + changes * 7) % MAKER_TICKS_MAX
    priced = places | changes
    actions["side"] = np.where(places, np.where(is_sell, SELL, BUY), 0)
    actions["time_in_force"] = np.where(places, POST_ONLY, GOOD_TILL_CANCELLED)
    actions["price_ticks"] = np.where(priced, MID_TICKS[market] + np.where(is_sell, away, -away), 0)
    actions["size_lots"] = np.where(priced, 40 + (cycle * 13 + order * 7) % 100, 0)
    actions["client_id"] = np.where(sweeps, 0, (cycle - cycles_back * (kinds != PLACE)) * PLACED_PER_CYCLE + order + 1)
    return actions


def _draw_taker(at: np.ndarray, market: int) -> np.ndarray:
    actions = np.zeros(len(at), dtype=ACTION)
    is_sell = (at * 2_654_435_761 >> 7) % 2
    actions["kind"] = PLACE
    actions["market"] = market
    actions["side"] = np.where(is_sell, SELL, BUY)
    actions["time_in_force"] = IMMEDIATE_OR_CANCEL
    actions["price_ticks"] = MID_TICKS[market] + np.where(is_sell, -TAKER_REACH_TICKS, TAKER_REACH_TICKS)
    actions["size_lots"] = 1 + at % 20
    return actions


def schedule(traders: list[Trader], count: int, first: int = 0) -> np.ndarray:
    """Whose turn each of `count` messages is, as positions in `traders`: of twenty messages three are of takers, and
    makers and takers take turns among themselves. `first`: how many were scheduled before.
    """
    makers = np.array([at for at, trader in enumerate(traders) if trader.is_maker], dtype=np.int64)
    takers = np.array([at for at, trader in enumerate(traders) if not trader.is_maker], dtype=np.int64)
    number = np.arange(first, first + count, dtype=np.int64)
    turn, slot = np.divmod(number, MAKER_SLOTS + TAKER_SLOTS)
    # The takers' slots are spread: 6, 12 and 18.
    is_taker = (slot > 0) & (slot % 6 == 0)
    taker_turn = turn * TAKER_SLOTS + slot // 6 - 1
    maker_turn = turn * MAKER_SLOTS + slot - slot // 6
    turns: np.ndarray = np.where(is_taker, takers[taker_turn % len(takers)], makers[maker_turn % len(makers)])
    return turns
