"""One exchange in one process: a validator's own engine, store, ledger, ingress and API, without links and without
agreement. A committee of one certifies each block with a real BLS key, so that proofs and certificates verify like any.

A `Chain` only goes forward. Going back (`dev_revert`) closes it and opens another on files of before, as a node starts.
"""

from collections.abc import Callable
from pathlib import Path

import trio
from nacl.signing import SigningKey

from consensus import crypto
from consensus.messages import FINALIZE, ZERO_HASH, Block, Certificate, Header, keccak, make_bitmap, vote_digest
from engine.payload import InboxEntry, Payload
from net.feed.facts import NodeFacts
from net.gateway.backend import NetworkInfo
from net.identity import NetworkSigner
from testnet.devnet.founding import Founding, derive_keys
from testnet.devnet.prices import Prices
from validator.batches import BatchPool, CheckedBatch
from validator.claims import ClaimsShelf
from validator.config import address_bytes
from validator.executor import Executed, Executor, to_commitment
from validator.inbox import Inbox
from validator.ingress import Ingress
from validator.ledger import Ledger
from validator.node_facts import take_counters
from validator.prechecks import list_expiries
from validator.roster import Roster
from validator.sealing import Sealer, Taken
from validator.service import Service
from validator.stats import Stats
from validator.store import Store
from validator.uptime import Uptime
from validator.watcher import OnChain

MEMBER = 0  # number and index of the only one
# Told of every block: what a record keeps.
OnBlock = Callable[[Block, Certificate, list[CheckedBatch]], None]


class Chain:
    """`service` is what a gateway serves."""

    def __init__(
        self, folder: Path, founding: Founding, now_ms: Callable[[], int], on_taken: Callable[[], None],
        on_block: OnBlock = lambda *_: None,
    ) -> None:  # fmt: skip
        """`now_ms`: the devnet's time; `on_taken()`: commands wait for a block."""
        self.founding, self.head, self.on_block = founding, founding.head, on_block
        self._now_ms, self._on_taken = now_ms, on_taken
        network, state = founding.network, founding.state
        contract, domain = address_bytes(network.contract), founding.domain
        self._keys = derive_keys(founding.seed)
        self._signer = NetworkSigner(self._keys.network, domain)
        self.info = NetworkInfo(
            network.chain_id, contract, domain, MEMBER, address_bytes(network.token), network.markets,
            node_key=self._signer.network_key,
        )  # fmt: skip
        params, roster = network.exchange_params(), Roster([self._keys.seats(founding.epoch)])
        self.pool = BatchPool(params.validator_count)
        self.executor = Executor(params, self.pool, self.head.hash(), state, count_members=roster.count)
        self.database = folder / "blocks.sqlite"
        self.store, self.stats = Store(self.database), Stats(now_ms)
        self.ledger = Ledger(self.store, self.stats, state)
        self.sealer = Sealer(
            MEMBER, self._signer, self.info.domain_separator, state.batch_sequences.tolist()[MEMBER] + 1
        )
        self.ingress = Ingress(
            self.info, receipt_key=SigningKey(self._keys.network), state=lambda: self.executor.final.state,
            wall_ms=now_ms, refusal=lambda: None, backlog=lambda: self.sealer.waiting_count, enqueue=self._take,
        )  # fmt: skip
        self._uptime, self._inbox = Uptime(1), Inbox(state.inbox_cursor)
        self.service = Service(
            self.info, executor=self.executor, ledger=self.ledger, store=self.store, on_chain=OnChain(),
            claims=ClaimsShelf(folder / "claims"), inbox=self._inbox, uptime=self._uptime, roster=roster,
            ingress=self.ingress, facts=self._facts,
            counters=lambda: take_counters(self.stats, {}, now_ms(), self.head.height),
        )  # fmt: skip
        if self.store.final(self.head.height) is not None:
            self.service.keep_for_proofs(self.executor.final)

    def _take(self, taken: Taken) -> None:
        self.sealer.add_taken(taken)
        self._on_taken()

    def _facts(self) -> NodeFacts:
        return NodeFacts(
            node_key=self.info.node_key, epoch=self.founding.epoch, view=self.head.view, peer_count=0,
            is_syncing=False, refusal=0, finality_p50_ms=self.stats.finality_ms(50),
            finality_p99_ms=self.stats.finality_ms(99), commands_per_s=self.stats.commands_per_s(),
            inbox_count=self.executor.final.state.inbox_cursor, onchain_height=0, onchain_block=0,
            onchain_hash=bytes(32), onchain_posted_height=0, endpoints=(),
        )  # fmt: skip

    @property
    def has_waiting(self) -> bool:
        """Whether commands wait for a block."""
        return self.sealer.waiting_count > 0 or self.pool.has_work(self.executor.final.state.batch_sequences.tolist())

    # blocks

    def make_block(self, time_ms: int, prices: Prices, entries: tuple[InboxEntry, ...] = ()) -> Executed:
        """What waits, the prices and these inbox entries become a block, certified and told at once. `time_ms` is above
        the last block's.
        """
        self._seal()
        state = self.executor.final.state
        refs = self.pool.select(state.batch_sequences.tolist())
        batches = [checked for _, _, name in refs if (checked := self.pool.get(name)) is not None]
        feeds_e8 = prices.feeds(time_ms, list_expiries(state))
        report = self._signer.sign_price_report(MEMBER, time_ms, feeds_e8)
        payload = Payload(refs, (report,), entries, state.l1_block + (1 if entries else 0))
        block = self._propose(time_ms, payload)
        certificate = self._certify(block)
        executed = self.executor.finalise(block.hash())
        self._tell(block, certificate, executed, batches)
        return executed

    def _seal(self) -> None:
        while (checked := self.sealer.seal()) is not None:
            self.pool.add_named(checked)
            batch = checked.batch
            self.store.put_batch(checked.batch_hash, batch.author, batch.sequence, batch.encode())

    def _propose(self, time_ms: int, payload: Payload) -> Block:
        data, parent, epoch = payload.encode(), self.head, self.founding.epoch
        built = self.executor.run(parent.hash(), epoch, parent.height + 1, time_ms, payload)
        if built is None or built.result is None:
            raise AssertionError(f"the devnet built a block that its engine refuses: height {parent.height + 1}")
        self.executor.remember(parent.hash(), time_ms, data, built)
        header = Header(
            epoch, parent.view + 1, parent.height + 1, parent.hash(), parent.view, MEMBER, time_ms, keccak(data),
            ZERO_HASH, to_commitment(built.result).encode(),
        )  # fmt: skip
        block = Block(header, data)
        self.executor.execute(block)
        return block

    def _certify(self, block: Block) -> Certificate:
        """The quorum of one: its signature is the aggregate."""
        epoch, view, name = self.founding.epoch, block.header.view, block.hash()
        digest = vote_digest(self.founding.domain, FINALIZE, epoch, view, name)
        return Certificate(FINALIZE, epoch, view, name, make_bitmap([MEMBER], 1), crypto.sign(self._keys.bls, digest))

    def _tell(self, block: Block, certificate: Certificate, executed: Executed, batches: list[CheckedBatch]) -> None:
        self.head = block.header
        self.ledger.apply(block, certificate, executed, batches, is_live=True)
        if executed.result is not None:
            self.service.outcomes.on_final(executed.state, executed.result.receipts, batches)
        self.pool.drop_through(executed.state.batch_sequences.tolist())
        self.service.keep_for_proofs(executed)
        self._uptime.add(block.header.height, certificate)
        self.on_block(block, certificate, batches)
        self.store.commit()
        self.ledger.publish()
        self.service.outcomes.publish()

    # running

    async def run(self) -> None:
        """What judges commands and keeps indexes, until cancelled."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.ingress.run)
            nursery.start_soon(self.ledger.keep_index)

    def close(self) -> None:
        self.ledger.close()
        self.store.close()
