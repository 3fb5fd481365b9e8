"""A second copy of the exchange beside the node, for whoever asks: the API of a validator as a process of its own.

It starts where the node's files end, and is told by the node's feed of every block that was stored since. Each block is
executed by the same engine, and a root that differs from the certified one ends the process: it never answers from a
state that the committee did not agree on. What it remembers is in memory; what is older is read from the node's store,
beside the node and without making it wait. It writes nothing.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import NamedTuple

import trio

from consensus.messages import Header, compute_domain
from engine.payload import Payload
from engine.state import genesis
from net.feed.facts import NodeFacts
from net.gateway.backend import NetworkInfo, NodeCounters, Refusal
from validator.agreement import Stop
from validator.batches import BatchPool, CheckedBatch, make_checked
from validator.claims import ClaimsShelf
from validator.config import Home, NetworkConfig, address_bytes
from validator.executor import Executor
from validator.inbox import Inbox
from validator.ledger import Ledger
from validator.order_line import OrderLine
from validator.recovery import make_genesis_header, recover
from validator.roster import Roster, Seats
from validator.service import Service
from validator.snapshots import read_snapshots
from validator.stats import Stats
from validator.store import FinalBlock, Store
from validator.submitter import CHECKPOINT_HEIGHTS_STEP
from validator.uptime import WINDOW_BLOCKS, Uptime
from validator.watcher import OnChain

log = logging.getLogger("hansa.api")

BLOCKS_AT_ONCE = 64
# Further behind than this, states in between are nobody's, and none is kept.
FAR_BLOCKS = 16
# So many blocks may have been told of that are not executed yet before answers would be old.
LAG_BLOCKS_MAX = 20


class StartAnew(Exception):
    """The node's files are not those that this copy was made from, or lack the next block: begin with them again."""


class Told(NamedTuple):
    """What the node said last."""

    facts: NodeFacts
    counters: NodeCounters


class Greeting(NamedTuple):
    """What a node says first: its facts, and the committees that have begun."""

    told: Told
    seats: Sequence[Seats]


class Mirror:
    """`service` answers the API. `told` keeps it up to date, `follow` brings it to a height."""

    def __init__(
        self, home: Home, network: NetworkConfig, number: int, greeting: Greeting, line: OrderLine,
        wall_ms: Callable[[], int],
    ) -> None:  # fmt: skip
        """`number`: the node's; `line`: the way to it. Raises `Stop`, `StoreError`, `sqlite3.OperationalError`."""
        told = greeting.told
        self._home, self._number, self._told = home, number, told
        self._line, self._wall_ms = line, wall_ms
        self.store = Store(home.data / "blocks.sqlite", is_mirror=True)
        self._file = _identify(home)
        contract = address_bytes(network.contract)
        self.info = NetworkInfo(
            chain_id=network.chain_id, contract=contract, network_id=compute_domain(network.chain_id, contract),
            node_index=number, token=address_bytes(network.token), markets=network.markets,
            node_key=told.facts.node_key,
        )  # fmt: skip
        self._recover(network, greeting.seats)
        self.uptime = self._make_uptime()
        self._on_chain, self._claims = OnChain(), ClaimsShelf(home.data / "claims")
        self._inbox = Inbox(self.executor.final.state.inbox_cursor)
        self.service = Service(
            self.info, executor=self.executor, ledger=self.ledger, store=self.store, on_chain=self._on_chain,
            claims=self._claims, inbox=self._inbox, uptime=self.uptime, roster=self.roster, ingress=line,
            facts=self.facts, counters=lambda: self._told.counters, ask=line.ask,
        )  # fmt: skip
        self.on_told(told)

    def _recover(self, network: NetworkConfig, seats: Sequence[Seats]) -> None:
        params, founders = network.exchange_params(), network.founders()
        genesis_state = genesis(params, network.genesis_time_ms)
        genesis_header = make_genesis_header(genesis_state, founders.epoch)
        self.roster = Roster([founders, *self.store.seats(), *seats])
        self._separator = self.info.domain_separator
        snapshots = read_snapshots(self._home.data / "snapshots", params)
        recovered = recover(
            snapshots, params, self.store, genesis_state, genesis_header, self._separator,
            count_members=self.roster.count,
        )  # fmt: skip
        self._pool = BatchPool(params.validator_count)
        self.executor = Executor(
            params, self._pool, recovered.final_hash, recovered.state, count_members=self.roster.count
        )
        self._is_kept = False  # whether somebody may still look at the last state
        self.ledger = Ledger(self.store, Stats(self._wall_ms), recovered.state)
        last = self.store.final(self.height)
        self._epoch = founders.epoch if last is None else last.block.header.epoch
        # Until the node says that there is more.
        self.head_height = self.height
        self.is_connected = False

    def _make_uptime(self) -> Uptime:
        uptime = Uptime(self.roster.count(self._epoch))
        certificates = self.store.direct_certificates(WINDOW_BLOCKS)
        uptime.restore(
            (height, certificate)
            for height, certificate in certificates
            if certificate.epoch == self._epoch and height <= self.height
        )
        return uptime

    @property
    def height(self) -> int:
        return self.executor.final.height

    # what the node tells

    def check_files(self) -> None:
        """Raises `StartAnew` when the node's store was replaced by another file."""
        if _identify(self._home) != self._file:
            raise StartAnew("the node's store is another file now")

    def learn(self, seats: Seats) -> None:
        """A committee that has begun."""
        self.roster.learn(seats)

    def on_told(self, told: Told) -> None:
        """News of the node and of the settlement chain as it sees it."""
        facts, on_chain = told.facts, self._on_chain
        if self.roster.seats(facts.epoch) is None:
            facts = replace(facts, epoch=self._told.facts.epoch)  # its committee is told of next
        self._told = Told(facts, told.counters)
        is_posted = facts.onchain_posted_height != on_chain.posted_height
        on_chain.height, on_chain.block = facts.onchain_height, facts.onchain_block
        on_chain.header_hash, on_chain.posted_height = facts.onchain_hash, facts.onchain_posted_height
        on_chain.endpoints = facts.endpoints
        if is_posted:
            self.service.keep_checkpoint(on_chain.posted_height)
        self._claims.look_again()
        self._read_inbox(facts.inbox_count)

    def _read_inbox(self, count: int) -> None:
        """Entries that wait for a block. The node has stored them with its last blocks, or will with the next."""
        if count > self._inbox.count:
            seen, entries = self.store.chain(self.executor.final.state.inbox_cursor)
            news = [entry for entry in entries if entry.index >= self._inbox.count]
            if news and news[0].index == self._inbox.count:
                self._inbox.extend(self._wall_ms(), seen.block, news)

    def facts(self) -> NodeFacts:
        """What the node said last, if that is still so; a copy that lags is as good as a node that does."""
        facts = self._told.facts
        if self.is_at_head or facts.refusal == Refusal.HALTED:
            return facts
        return replace(facts, is_syncing=True, refusal=int(Refusal.SYNCING))

    @property
    def is_at_head(self) -> bool:
        """Whether the node is there and this copy has executed what it stored, but for the last few blocks."""
        return self.is_connected and not self.is_behind

    @property
    def is_behind(self) -> bool:
        """Whether the node has told of more blocks that are not executed here than an answer may miss."""
        return self.head_height - self.height > LAG_BLOCKS_MAX

    # blocks

    async def follow(self) -> None:
        """Execute what the node has stored up to `head_height`. Raises `Stop`, `StartAnew`."""
        # Verdicts that the node gave before these blocks have arrived, too: a client hears of them first.
        await trio.lowlevel.checkpoint()
        while self.height < self.head_height:
            finals = list(self.store.finals(self.height + 1, min(BLOCKS_AT_ONCE, self.head_height - self.height)))
            if not finals:
                return  # a greeting may name a block that is on its way to the disk
            for final in finals:
                if final.block.header.height != self.height + 1:
                    raise StartAnew(f"the node's store has no block {self.height + 1}")
                self._take(final, is_far=self.head_height - final.block.header.height > FAR_BLOCKS)
                await trio.lowlevel.checkpoint()

    def _take(self, final: FinalBlock, is_far: bool) -> None:
        block, header = final.block, final.block.header
        batches = self._read_batches(final)
        run = self.executor.execute if self._is_kept else self.executor.advance
        if run(block) != header.commitment:
            raise Stop(
                f"block {header.height} gives another root here than the committee certified: this API answers nothing"
                " more. Compare `hansa audit` of this node with others before it is started again"
            )
        executed = self.executor.finalise(block.hash())
        self.ledger.apply(block, final.certificate, executed, batches, is_live=not is_far)
        if executed.result is not None:
            self.service.outcomes.on_final(executed.state, executed.result.receipts, batches)
        self._pool.drop_through(executed.state.batch_sequences.tolist())
        self._inbox.forget_before(executed.state.inbox_cursor)
        self._note_epoch(header)
        if final.is_direct:
            self.uptime.add(header.height, final.certificate)
        # What is kept is copied for the next block; of the others the next is executed in their tables.
        self._is_kept = final.is_direct and not is_far and header.height % CHECKPOINT_HEIGHTS_STEP == 0
        if self._is_kept:
            self.service.keep_for_proofs(executed)
        self.ledger.publish()
        self.service.outcomes.publish()

    def _read_batches(self, final: FinalBlock) -> list[CheckedBatch]:
        """The batches that a block names, in its order."""
        found = []
        for _, _, batch_hash in Payload.decode(final.block.payload).batch_refs:
            checked = make_checked(self.store.batch_of(batch_hash), self._separator)
            if checked.batch.author == self._number:
                checked = replace(checked, sources=self._line.find_sources(checked))
            self._pool.add_named(checked)
            found.append(checked)
        return found

    def _note_epoch(self, header: Header) -> None:
        if header.epoch != self._epoch:
            self._epoch = header.epoch
            self.uptime.begin(self.roster.count(header.epoch))

    def close(self) -> None:
        self.store.close()


def _identify(home: Home) -> tuple[int, int]:
    found = (home.data / "blocks.sqlite").stat()
    return found.st_dev, found.st_ino
