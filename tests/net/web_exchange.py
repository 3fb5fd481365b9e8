"""A whole exchange in one process, for tests of the pages: real engine, ledger, service and gateway, blocks of four
validators' certificates, perpetuals, a future and two expiries of options, with a maker and a taker who keep trading.

`python -m tests.net.show_web PORT` serves it to look at; the account of `TRADER` has money.
"""

import random
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import trio
from coincurve import PrivateKey
from nacl.signing import SigningKey

from consensus.messages import ZERO_HASH, Block, Header, keccak
from engine import views
from engine.commands import (
    BUY,
    CANCEL_ALL,
    IMMEDIATE_OR_CANCEL,
    PLACE,
    POST_ONLY_SLIDE,
    SELL,
    SET_MARGIN_MODE,
    Action,
    Command,
    address_of,
)
from engine.params import DEFAULT_MARKETS, ExchangeParams, MarketParams
from engine.payload import InboxEntry, Payload, PriceReport
from engine.state import genesis
from net.feed.facts import NodeFacts
from net.gateway.app import GatewayConfig, serve
from net.gateway.backend import EndpointStatus, NetworkInfo
from net.gateway.limits import Limits
from net.identity import NetworkSigner
from tests.validator.chainlet import (
    CHAIN_ID,
    CONTRACT,
    DOMAIN,
    FOUNDERS,
    MEMBERS,
    NETWORK_KEYS,
    SEEDS,
    SEPARATOR,
    TOKEN,
    certify,
)
from validator.batches import BatchPool
from validator.claims import ClaimsShelf
from validator.executor import Executor, to_commitment
from validator.inbox import Inbox
from validator.ingress import Ingress
from validator.ledger import Ledger
from validator.listings import make_symbol
from validator.node_facts import take_counters
from validator.prechecks import list_expiries
from validator.pricefeed import PathFeed
from validator.recovery import make_genesis_header
from validator.roster import Roster
from validator.sealing import Sealer
from validator.service import Service
from validator.stats import Stats
from validator.store import Store
from validator.uptime import Uptime
from validator.watcher import OnChain

DAY_MS = 86_400_000
BLOCK_S = 0.25
CHECKPOINT_BLOCKS = 20
TRADER = PrivateKey(b"\x77" * 32)
MAKER, QUOTER, TAKER = (PrivateKey(bytes([number]) * 32) for number in (0x41, 0x42, 0x43))
FUNDS_QUOTE = 5_000_000 * 10**6
STRIKES = range(52_000, 70_000, 2_000)
FAR_MS = 1 << 50
PORTFOLIO = 2  # the margin mode


def list_markets(now_ms: int) -> tuple[MarketParams, ...]:
    """Two perpetuals, a future, and options of two expiries around the start price of the path."""
    near_ms = (now_ms // DAY_MS + 9) * DAY_MS + 8 * 3_600_000
    late_ms = near_ms + 35 * DAY_MS
    terms = (500, 250, 2, 5, 1000, 500_000, 1_000_000, 500, 15_000)
    option = (1500, 900, 2, 5, 5000, 3_000, 5_000, 500, 15_000)
    future = MarketParams(
        make_symbol("BTC", "future", late_ms, 0), "0.1", "0.001", 100, *terms, kind="future", expiry_ms=late_ms
    )
    chain = [
        MarketParams(
            make_symbol("BTC", kind, expiry_ms, strike * 10**8), "1", "0.01", 10_000, *option, kind=kind,
            expiry_ms=expiry_ms, strike=str(strike),
        )
        for expiry_ms in (near_ms, late_ms) for strike in STRIKES for kind in ("call", "put")
    ]  # fmt: skip
    return (*DEFAULT_MARKETS, future, *chain)


class WebExchange:
    """One validator's node without a network: it proposes, and the certificates of the four are made on the spot."""

    def __init__(self, folder: Path) -> None:
        now_ms = wall_ms()
        self.params = ExchangeParams(list_markets(now_ms), TOKEN, MEMBERS, CHAIN_ID, CONTRACT, account_orders_max=256)
        state = genesis(self.params, now_ms - 1_000)
        self.head = make_genesis_header(state, 1)
        self.pool = BatchPool(MEMBERS)
        self.executor = Executor(self.params, self.pool, self.head.hash(), state)
        self.store, self.stats = Store(folder / "blocks.sqlite"), Stats(wall_ms)
        self.ledger = Ledger(self.store, self.stats, state)
        self.on_chain = OnChain(endpoints=(EndpointStatus("chain.example", True, "", 812),))
        self.uptime = Uptime(MEMBERS)
        info = NetworkInfo(CHAIN_ID, CONTRACT, DOMAIN, 0, TOKEN, self.params.markets, node_key=NETWORK_KEYS[0])
        self._own, self._others = (
            Sealer(author, NetworkSigner(SEEDS[author], DOMAIN), SEPARATOR, 1) for author in (0, 1)
        )
        self.ingress = Ingress(
            info, receipt_key=SigningKey(SEEDS[0]), state=lambda: self.executor.final.state, wall_ms=wall_ms,
            refusal=lambda: None, backlog=lambda: 0, enqueue=self._own.add_taken,
        )  # fmt: skip
        self.service = Service(
            info, executor=self.executor, ledger=self.ledger, store=self.store, on_chain=self.on_chain,
            claims=ClaimsShelf(folder / "claims"), inbox=Inbox(), uptime=self.uptime, roster=Roster([FOUNDERS]),
            ingress=self.ingress, facts=self._facts,
            counters=lambda: take_counters(self.stats, {}, wall_ms(), self.head.height),
        )  # fmt: skip
        self._feed = PathFeed(7, self.params.markets)
        self._draw = random.Random(5)
        self._nonce = wall_ms() * 1000
        self._turn = 0

    def _facts(self) -> NodeFacts:
        return NodeFacts(
            node_key=NETWORK_KEYS[0], epoch=1, view=self.head.view, peer_count=3, is_syncing=False, refusal=0,
            finality_p50_ms=self.stats.finality_ms(50), finality_p99_ms=self.stats.finality_ms(99),
            commands_per_s=self.stats.commands_per_s(), inbox_count=4, onchain_height=self.on_chain.height,
            onchain_block=self.on_chain.block, onchain_hash=self.on_chain.header_hash,
            onchain_posted_height=self.on_chain.posted_height, endpoints=self.on_chain.endpoints,
        )  # fmt: skip

    async def run(self) -> None:
        """Blocks for ever."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.ingress.run)
            self.add_block(self._deposits())
            self._send(TRADER, [Action(SET_MARGIN_MODE, side=PORTFOLIO)])
            while True:
                self.trade()
                self.add_block()
                await trio.sleep(BLOCK_S)

    def add_block(self, inbox: tuple[InboxEntry, ...] = ()) -> None:
        """What waits becomes a block, final at once."""
        time_ms = wall_ms()
        batches = [sealed for sealer in (self._own, self._others) if (sealed := sealer.seal()) is not None]
        for checked in batches:
            self.pool.add_named(checked)
            batch = checked.batch
            self.store.put_batch(checked.batch_hash, batch.author, batch.sequence, batch.encode())
        refs = tuple((item.batch.author, item.batch.sequence, item.batch_hash) for item in batches)
        payload = Payload(refs, self._reports(time_ms), inbox, 1)
        executed = self.executor.run(self.head.hash(), 1, self.head.height + 1, time_ms, payload)
        assert executed is not None and executed.result is not None
        header = Header(
            1, self.head.view + 1, self.head.height + 1, self.head.hash(), self.head.view, self.head.height % MEMBERS,
            time_ms, keccak(payload.encode()), ZERO_HASH, to_commitment(executed.result).encode(),
        )  # fmt: skip
        block = Block(header, payload.encode())
        assert self.executor.execute(block) == header.commitment
        executed = self.executor.finalise(block.hash())
        absent = header.height % MEMBERS
        certificate = certify(block, tuple(index for index in range(MEMBERS) if index != absent))
        self.ledger.apply(block, certificate, executed, batches, True)
        assert executed.result is not None
        self.service.outcomes.on_final(executed.state, executed.result.receipts, batches)
        self.uptime.add(header.height, certificate)
        self.service.keep_for_proofs(executed)
        self.head = header
        if header.height % CHECKPOINT_BLOCKS == 0:
            self.on_chain.height, self.on_chain.block = header.height - CHECKPOINT_BLOCKS // 2, header.height // 10
            self.on_chain.posted_height = header.height
        self.ledger.publish()

    def _reports(self, time_ms: int) -> tuple[PriceReport, ...]:
        feeds_e8 = self._feed.feeds(time_ms, list_expiries(self.executor.final.state))
        signers = [NetworkSigner(seed, DOMAIN) for seed in SEEDS]
        return tuple(signer.sign_price_report(index, time_ms, feeds_e8) for index, signer in enumerate(signers))

    def _deposits(self) -> tuple[InboxEntry, ...]:
        owners = [address_of(key.public_key) for key in (TRADER, MAKER, QUOTER, TAKER)]
        return tuple(
            InboxEntry(index, 1, TOKEN, owner, 0, owner, FUNDS_QUOTE, bytes(32), wall_ms() // 1000)
            for index, owner in enumerate(owners)
        )

    # the others who trade

    def trade(self) -> None:
        """One turn of maker, quoter and taker."""
        self._turn += 1
        if self._turn % 4 == 1:
            self._send(MAKER, list(self._ladders()))
        if self._turn % 8 == 2:
            chain = self._marks("call", "put")
            for part in (chain[: len(chain) // 2], chain[len(chain) // 2 :]):
                self._send(QUOTER, [action for market, mark in part for action in self._quotes(market, mark)])
        if self._draw.random() < 0.7:
            self._take()

    def _marks(self, *kinds: str) -> list[tuple[int, int]]:
        state = self.executor.final.state
        found = [
            (number, views.market_view(state, number).mark_ticks)
            for number, market in enumerate(self.params.markets) if market.kind in kinds
        ]  # fmt: skip
        return [(number, mark) for number, mark in found if mark]

    def _ladders(self) -> Iterator[Action]:
        for market, mark in self._marks("perpetual", "future"):
            yield Action(CANCEL_ALL, market=market)
            step = max(1, mark // 40_000)
            for side, sign in ((BUY, -1), (SELL, 1)):
                for level in range(14):
                    away = step * (level + 1) + self._draw.randrange(step)
                    size = self._draw.randrange(20, 900) * (level + 2) // 4
                    yield _quote(market, side, mark + sign * away, size)

    def _quotes(self, market: int, mark: int) -> Iterator[Action]:
        yield Action(CANCEL_ALL, market=market)
        width = max(2, mark // 60)
        for side, price in ((BUY, mark - width), (SELL, mark + width)):
            if price > 0:
                yield _quote(market, side, price, self._draw.randrange(300, 900))

    def _take(self) -> None:
        """A small order at the market: perpetuals mostly, options sometimes."""
        markets = self._marks("perpetual") if self._draw.random() < 0.8 else self._marks("call", "put", "future")
        if not markets:
            return
        market, mark = self._draw.choice(markets)
        side = self._draw.choice((BUY, SELL))
        limit = mark * (103 if side == BUY else 97) // 100 or 1
        self._send(TAKER, [
            Action(PLACE, side=side, market=market, price_ticks=limit, size_lots=self._draw.randrange(1, 120),
                   time_in_force=IMMEDIATE_OR_CANCEL)
        ])  # fmt: skip

    def _send(self, key: PrivateKey, actions: list[Action]) -> None:
        self._nonce += 1
        if actions:
            command = Command(address_of(key.public_key), self._nonce, FAR_MS, tuple(actions)).signed(key, SEPARATOR)
            self._others.add(command.encode(), address_of(key.public_key))


def _quote(market: int, side: int, price_ticks: int, size_lots: int) -> Action:
    """Orders that never take come before all others of their block: nobody finds the book empty between two quotes."""
    return Action(
        PLACE, side=side, market=market, price_ticks=price_ticks, size_lots=size_lots, time_in_force=POST_ONLY_SLIDE
    )


def wall_ms() -> int:
    return time.time_ns() // 1_000_000


@asynccontextmanager
async def open_exchange(folder: Path, port: int = 0) -> AsyncIterator[tuple[str, WebExchange]]:
    """Its URL and itself, while its blocks run."""
    exchange = WebExchange(folder)
    async with trio.open_nursery() as nursery:
        config = GatewayConfig("127.0.0.1", port, Limits(shutdown_s=0.1))
        urls = await nursery.start(serve, exchange.service, config)
        nursery.start_soon(exchange.run)
        yield urls[0], exchange
        nursery.cancel_scope.cancel()
