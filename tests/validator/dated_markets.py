"""A real chain with a perpetual, and a future and options that end after two hours; the ledger of who follows it."""

from pathlib import Path

from engine.commands import PLACE, Command
from engine.params import ExchangeParams, MarketParams
from engine.payload import InboxEntry
from engine.state import genesis
from net.gateway.market_data import TickerView
from tests.validator.chainlet import (
    CHAIN_ID,
    CONTRACT,
    FOUNDERS,
    MEMBERS,
    OWNERS,
    SEPARATOR,
    TOKEN,
    TRADERS,
    Chainlet,
    certify,
    seal,
)
from validator.explorer import NodeExplorer
from validator.ledger import Ledger
from validator.market_data import NodeMarketData
from validator.roster import Roster
from validator.stats import Stats
from validator.store import Store
from validator.watcher import OnChain

START_MS, HOUR_MS, MINUTE_MS = 1_799_996_400_000, 3_600_000, 60_000  # 2027-01-15 07:00 UTC
EXPIRY_MS = START_MS + 2 * HOUR_MS
E8, SHIFT = 10**8, 1 << 32
INDEX_E8, FORWARD_E8 = 50_000 * E8, 50_100 * E8
SURFACE_E8 = (10_000, 10_000, 0, 0, 10_000_000)
A, B, RHO, M, SIGMA = SURFACE_E8
FEEDS_E8 = (INDEX_E8, FORWARD_E8, A + SHIFT, B, RHO + SHIFT, M + SHIFT, SIGMA)
PERPETUAL, FUTURE, CALL, PUT = range(4)


def market(symbol: str, kind: str, expiry_ms: int = 0, strike: str = "0") -> MarketParams:
    return MarketParams(
        symbol, "0.1", "0.001", 100, 500, 250, 2, 5, 1000, 500_000, 1_000_000, 500, 15_000, kind=kind,
        expiry_ms=expiry_ms, strike=strike,
    )  # fmt: skip


MARKETS = (
    market("BTC-PERPETUAL", "perpetual"), market("BTC-15JAN27T0900", "future", EXPIRY_MS),
    market("BTC-15JAN27T0900-50000-C", "call", EXPIRY_MS, "50000"),
    market("BTC-15JAN27T0900-50000-P", "put", EXPIRY_MS, "50000"),
)  # fmt: skip
PARAMS = ExchangeParams(MARKETS, TOKEN, MEMBERS, CHAIN_ID, CONTRACT, governor=OWNERS[2])


class Exchange:
    """A chain, the ledger that follows it, and what the API reads."""

    def __init__(self, folder: Path) -> None:
        self.chain = Chainlet(genesis(PARAMS, START_MS))
        self.store = Store(folder / "blocks.sqlite")
        self.ledger = Ledger(self.store, Stats(lambda: START_MS), self.chain.executor.final.state)
        self.data = NodeMarketData(self.chain.executor, self.ledger, self.store)
        self.explorer = NodeExplorer(self.ledger, self.store, Roster([FOUNDERS]), OnChain())
        self._sequence = 0
        self._nonce = 0
        entries = tuple(
            InboxEntry(index, 1, TOKEN, owner, 0, owner, 10**12, bytes(32), 0) for index, owner in enumerate(OWNERS)
        )
        self.add(inbox=entries)

    def add(self, *orders: tuple[int, int, int, int, int], inbox: tuple[InboxEntry, ...] = (), step_ms: int = 100,
            feeds_e8: tuple[int, ...] = FEEDS_E8) -> None:  # fmt: skip
        """A block of orders: trader, market, side, price_ticks, size_lots."""
        records = [
            self.sign(trader, PLACE, market=number, side=side, price_ticks=ticks, size_lots=lots)
            for trader, number, side, ticks, lots in orders
        ]
        self.add_records(records, inbox, step_ms, feeds_e8)

    def add_records(
        self, records: list[bytes], inbox: tuple[InboxEntry, ...] = (), step_ms: int = 100,
        feeds_e8: tuple[int, ...] = FEEDS_E8,
    ) -> None:  # fmt: skip
        batches = []
        if records:
            self._sequence += 1
            batches = [seal(0, self._sequence, records)]
        block = self.chain.add(batches, inbox, True, feeds_e8, step_ms)
        for checked in batches:
            self.store.put_batch(checked.batch_hash, 0, checked.batch.sequence, checked.batch.encode())
        self.ledger.apply(block, certify(block), self.chain.executor.final, batches, is_live=True)
        self.store.commit()

    def sign(self, trader: int, kind: int, **fields: int) -> bytes:
        self._nonce += 1
        valid_ms = START_MS + 100 * HOUR_MS
        command = Command.of(kind, OWNERS[trader], self._nonce, valid_ms, **fields)
        return command.signed(TRADERS[trader], SEPARATOR).encode()

    def ticker(self, number: int) -> TickerView:
        return self.data.ticker(number)
