"""Traders of a scenario: makers around the price that everybody sees, takers, two who dare more than they have, and
one who has money and waits for somebody to use it.

What they send depends on the run, so it is signed while it runs. Everything is drawn from one seed.
"""

import random
from dataclasses import dataclass
from typing import Protocol

from coincurve import PrivateKey

from engine.commands import BUY, CANCEL_ALL, IMMEDIATE_OR_CANCEL, PLACE, SELL, WITHDRAW, Command, address_of
from engine.state import EngineState
from engine.tree import list_positions
from engine.views import find_account
from testnet.sim.exchange import EXPIRY_MS, Exchange

MAKERS, TAKERS = 4, 3
RICH_QUOTE, DARING_QUOTE = 1_000_000 * 10**6, 3_000 * 10**6
DARING_TIMES = 13  # what the daring hold, in their deposits; twenty is the most at an initial margin of 5 %
EAGER_SHARE, CLEAN_SHARE, WITHDRAW_SHARE = 0.4, 0.07, 0.02
BPS = 10_000
PEOPLE = MAKERS + TAKERS + 3
CROWD_KEYS = tuple(bytes([131 + number]) * 32 for number in range(PEOPLE))


class Crowd(Protocol):
    """Who trades in a run."""

    def deposits(self) -> list[tuple[bytes, int]]:
        """Owner and quote, before anything else happens."""

    def next_message(self, state: EngineState, feeds_e8: list[int]) -> tuple[bytes, bytes]:
        """Record and signer of the next message; `state` is the newest final one, `feeds_e8` the price of each
        underlying.
        """


@dataclass(slots=True)
class Person:
    """`side`: of the daring, what they hold; None: both."""

    role: str
    key: PrivateKey
    owner: bytes
    deposit_quote: int
    side: int | None = None
    nonce: int = 0


class Market:
    """The traders of one scenario."""

    def __init__(self, seed: int, exchange: Exchange, keys: tuple[bytes, ...], withdraw_after_ms: int) -> None:
        """`keys`: at least as many as there are people."""
        self._rng = random.Random(seed ^ 0xC0DE)
        self._params, self._separator = exchange.params, exchange.separator
        roles = [("maker", None)] * MAKERS + [("taker", None)] * TAKERS + [("daring", BUY), ("daring", SELL)]
        *self._people, self.bystander = (
            make_person(key, role, side) for key, (role, side) in zip(keys, [*roles, ("bystander", None)])
        )
        self._withdraw_from_ms = exchange.state.time_ms + withdraw_after_ms

    def deposits(self) -> list[tuple[bytes, int]]:
        return [(person.owner, person.deposit_quote) for person in (*self._people, self.bystander)]

    def next_message(self, state: EngineState, feeds_e8: list[int]) -> tuple[bytes, bytes]:
        daring = [known for known in self._people if known.side is not None]
        eager = [known for known in daring if not self._holds_enough(known, state, feeds_e8[0])]
        usual = self._people[: MAKERS + TAKERS]
        person = self._rng.choice(eager if eager and self._rng.random() < EAGER_SHARE else usual)
        person.nonce += 1
        may_withdraw = state.time_ms >= self._withdraw_from_ms
        command = self._draw(person, feeds_e8, may_withdraw).signed(person.key, self._separator)
        return command.encode(), person.owner

    def _holds_enough(self, person: Person, state: EngineState, price_e8: int) -> bool:
        account = find_account(state, person.owner)
        if account is None:
            return True
        rows = [state.tables.positions[row] for row in list_positions(state.tables, account)]
        held_lots = sum(abs(int(row["lots"])) for row in rows if int(row["market"]) == 0)
        return held_lots * self._lot_quote(0, price_e8) >= person.deposit_quote * DARING_TIMES

    def _lot_quote(self, market: int, price_e8: int) -> int:
        return price_e8 // self._params.markets[market].tick_e8 * self._params.markets[market].quote_per_tick_lot

    def _draw(self, person: Person, feeds_e8: list[int], may_withdraw: bool) -> Command:
        rng, owner, nonce = self._rng, person.owner, person.nonce
        if person.side is not None:
            return self._place(
                person, 0, feeds_e8, person.side, away_bps=-80, size_lots=rng.randint(20, 60), is_now=True
            )
        draw, market = rng.random(), rng.choice(self._traded())
        if draw < CLEAN_SHARE:
            return Command.of(CANCEL_ALL, owner, nonce, EXPIRY_MS, market=market)
        if draw < CLEAN_SHARE + WITHDRAW_SHARE and may_withdraw:
            return Command.of(WITHDRAW, owner, nonce, EXPIRY_MS, size_lots=rng.randint(1, 10**8))
        side, is_maker = rng.choice((BUY, SELL)), person.role == "maker"
        away_bps = rng.randint(2, 40) if is_maker else -rng.randint(20, 60)
        size_lots = rng.randint(100, 300) if is_maker else rng.randint(1, 30)
        return self._place(person, market, feeds_e8, side, away_bps, size_lots, is_now=not is_maker)

    def _traded(self) -> list[int]:
        """Perpetuals and futures; options are listed to settle, and nobody here can price them."""
        return [at for at, market in enumerate(self._params.markets) if market.kind in ("perpetual", "future")]

    def _place(
        self, person: Person, market: int, feeds_e8: list[int], side: int, away_bps: int, size_lots: int, is_now: bool
    ) -> Command:
        """`away_bps` from the price on the order's own side; negative: across it."""
        listed = self._params.markets[market]
        price_e8 = feeds_e8[self._params.underlyings.index(listed.underlying_name)]
        price_e8 += price_e8 * (away_bps if side == SELL else -away_bps) // BPS
        return Command.of(
            PLACE, person.owner, person.nonce, EXPIRY_MS, market=market, side=side, size_lots=size_lots,
            price_ticks=price_e8 // listed.tick_e8, client_id=person.nonce,
            time_in_force=IMMEDIATE_OR_CANCEL if is_now else 0,
        )  # fmt: skip


def make_person(secret: bytes, role: str, side: int | None) -> Person:
    key = PrivateKey(secret)
    return Person(role, key, address_of(key.public_key), RICH_QUOTE if side is None else DARING_QUOTE, side)
