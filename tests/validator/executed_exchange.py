"""A whole exchange in one process: the node's own service over a real engine, store and ledger, with blocks made from
whatever its ingress takes. No network and no agreement; every block is certified by three of four members.
"""

import time
from pathlib import Path

import trio
from nacl.signing import SigningKey

from net.feed.facts import NodeFacts
from net.gateway.backend import NetworkInfo
from net.identity import NetworkSigner
from tests.validator.chainlet import (
    BLS_KEYS,
    CHAIN_ID,
    CONTRACT,
    DOMAIN,
    FOUNDERS,
    PARAMS,
    SEEDS,
    SEPARATOR,
    TOKEN,
    Chainlet,
    certify,
)
from validator.batches import CheckedBatch
from validator.claims import ClaimsShelf
from validator.inbox import Inbox
from validator.ingress import Ingress
from validator.ledger import Ledger
from validator.node_facts import take_counters
from validator.roster import Roster
from validator.sealing import Sealer
from validator.service import Service
from validator.stats import Stats
from validator.store import Store
from validator.uptime import Uptime
from validator.watcher import OnChain

BLOCK_INTERVAL_S = 0.02
INFO = NetworkInfo(
    CHAIN_ID, CONTRACT, DOMAIN, 0, TOKEN, PARAMS.markets, node_key=bytes(SigningKey(SEEDS[0]).verify_key)
)


class ExecutedExchange:
    """`service` is what a gateway serves. Traders are funded in the first block."""

    def __init__(self, folder: Path) -> None:
        self.chain = Chainlet()
        self.store, self.stats = Store(folder / "blocks.sqlite"), Stats(self.wall_ms)
        self.ledger = Ledger(self.store, self.stats, self.chain.executor.final.state)
        self.sealer = Sealer(0, NetworkSigner(SEEDS[0], DOMAIN), SEPARATOR, 1)
        self.ingress = Ingress(
            INFO, receipt_key=SigningKey(SEEDS[0]), state=lambda: self.chain.executor.final.state,
            wall_ms=self.wall_ms, refusal=lambda: None, backlog=lambda: self.sealer.waiting_count,
            enqueue=self.sealer.add_taken,
        )  # fmt: skip
        self.uptime = Uptime(len(BLS_KEYS))
        self.service = Service(
            INFO, executor=self.chain.executor, ledger=self.ledger, store=self.store, on_chain=OnChain(),
            claims=ClaimsShelf(folder / "claims"), inbox=Inbox(), uptime=self.uptime, roster=Roster([FOUNDERS]),
            ingress=self.ingress, facts=self._facts,
            counters=lambda: take_counters(self.stats, {}, self.wall_ms(), self.chain.head.height),
        )  # fmt: skip
        self._finalise(lambda: self.chain.fund(), [])

    def wall_ms(self) -> int:
        """The time of the chain, which runs by its own blocks."""
        return self.chain.head.timestamp_ms

    def _facts(self) -> NodeFacts:
        return NodeFacts(
            node_key=INFO.node_key, epoch=1, view=self.chain.head.view, peer_count=3, is_syncing=False, refusal=0,
            finality_p50_ms=0, finality_p99_ms=0, commands_per_s=self.stats.commands_per_s(), inbox_count=3,
            onchain_height=0, onchain_block=0, onchain_hash=bytes(32), onchain_posted_height=0, endpoints=(),
        )  # fmt: skip

    def make_block(self, *others: CheckedBatch) -> None:
        """One block with what waits and with batches of other members, prices included."""
        batches = []
        while (checked := self.sealer.seal()) is not None:
            batches.append(checked)
        batches += others
        self._finalise(lambda: self.chain.add(batches, with_prices=True), batches)

    def _finalise(self, add, batches: list[CheckedBatch]) -> None:
        block = add()
        executed, certificate = self.chain.executor.final, certify(block)
        self.ledger.apply(block, certificate, executed, batches, True)
        self.service.outcomes.on_final(executed.state, executed.result.receipts, batches)
        self.service.keep_for_proofs(executed)
        self.uptime.add(block.header.height, certificate)
        self.store.commit()
        self.ledger.publish()
        self.service.outcomes.publish()

    async def run(self) -> None:
        """Blocks whenever something waits, and one a second anyway. Until cancelled."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.ingress.run)
            nursery.start_soon(self.ledger.keep_index)
            last_s = 0.0
            while True:
                await trio.sleep(BLOCK_INTERVAL_S)
                if self.sealer.waiting_count or time.monotonic() - last_s > 1:
                    last_s = time.monotonic()
                    self.make_block()
