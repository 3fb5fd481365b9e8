"""A copy of the exchange beside the node: the same answers from the same blocks, and none from others."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from consensus.messages import Block, Commitment
from engine.commands import BUY, IMMEDIATE_OR_CANCEL, POST_ONLY, SELL, WITHDRAW, command_id
from engine.payload import keccak
from engine.tree import AccountProof, verify_account_proof
from net.feed.facts import NodeFacts
from net.gateway import backend
from net.gateway.backend import NodeCounters, Refusal, Status
from tests.validator.chainlet import (
    FOUNDERS,
    GENESIS_STATE,
    MARK_TICKS,
    NETWORK_KEYS,
    OWNERS,
    SEPARATOR,
    Chainlet,
    certify,
    describe_network,
    seal,
    sign,
)
from tests.validator.test_ledger import place
from validator.agreement import Stop
from validator.batches import CheckedBatch
from validator.config import Home
from validator.ledger import Ledger
from validator.mirror import LAG_BLOCKS_MAX, Greeting, Mirror, StartAnew, Told
from validator.order_line import OrderLine
from validator.snapshots import write_snapshot
from validator.stats import Stats
from validator.store import Store

NETWORK = describe_network()
FACTS = NodeFacts(NETWORK_KEYS[0], 1, 5, 3, False, 0, 90, 120, 7, 0, 0, 0, b"", 0, ())
TOLD = Told(FACTS, NodeCounters(0, 0, 0, {}, {}, ()))


class Writer:
    """A node as far as its files go: blocks are executed, remembered and committed."""

    def __init__(self, folder: Path) -> None:
        self.home = Home(folder)
        self.chain = Chainlet()
        self.store = Store(self.home.data / "blocks.sqlite")
        self.ledger = Ledger(self.store, Stats(lambda: 0), GENESIS_STATE)
        self.keep(self.chain.fund(), [])

    def keep(self, block: Block, batches: list[CheckedBatch]) -> None:
        for checked in batches:
            batch = checked.batch
            self.store.put_batch(checked.batch_hash, batch.author, batch.sequence, batch.encode())
        self.ledger.apply(block, certify(block), self.chain.executor.final, batches, is_live=True)
        self.store.commit()

    def run(self, *batches: CheckedBatch) -> None:
        self.keep(self.chain.add(list(batches)), list(batches))

    def mirror(self) -> Mirror:
        made = Mirror(
            self.home, NETWORK, 0, Greeting(TOLD, ()), OrderLine(self.home.path / "no.sock", SEPARATOR), lambda: 0
        )
        made.is_connected = True
        return made


@pytest.fixture
def writer(tmp_path: Path) -> Iterator[Writer]:
    made = Writer(tmp_path)
    yield made
    made.store.close()


def trade(writer: Writer, nonce: int, ticks: int = MARK_TICKS) -> bytes:
    """A block with a trade and an order that rests; the name of the taker's command."""
    taker = place(1, nonce, BUY, 2, IMMEDIATE_OR_CANCEL, ticks)
    commands = [place(0, nonce, SELL, 3, POST_ONLY, ticks), taker]
    writer.run(seal(nonce % 4, nonce, [command.encode() for command in commands]))
    return command_id(taker, SEPARATOR)


async def follow(mirror: Mirror, writer: Writer) -> None:
    mirror.head_height = writer.chain.head.height
    await mirror.follow()


def shown(ledger: Ledger, state_root: bytes, name: bytes) -> tuple[object, ...]:
    """What clients may ask of a ledger."""
    return (
        state_root, ledger.result(name, 0), [ledger.orders.open_of(owner, 0) for owner in OWNERS],
        [(trade.number, trade.row.tobytes()) for trade in ledger.history.fills_of_market(0, 99)],
    )  # fmt: skip


async def test_the_copy_tells_what_the_node_tells(writer: Writer) -> None:
    trade(writer, 1)
    mirror = writer.mirror()
    for nonce in range(2, 6):
        name = trade(writer, nonce, MARK_TICKS + nonce)
        await follow(mirror, writer)
        head = writer.chain.head.commitment
        own = writer.chain.executor.final.state
        assert mirror.executor.final.state.state_root == own.state_root
        assert Commitment.decode(head).state_root == own.state_root
        assert shown(mirror.ledger, own.state_root, name) == shown(writer.ledger, own.state_root, name)
    result = mirror.service.command_status(name)
    assert result is not None and (result.status, result.filled_lots) == (Status.CERTIFIED, 2)
    assert mirror.service.ticker(0).volume_24h_lots == writer.store.market_day(0, 0)[0] > 0
    mirror.close()


async def test_what_is_older_than_the_copy_is_read_from_the_nodes_files(writer: Writer) -> None:
    names = [trade(writer, nonce) for nonce in range(1, 5)]
    withdrawal = sign(2, WITHDRAW, 9, size_lots=10**6)
    writer.run(seal(0, 9, [withdrawal.encode()]))
    mirror = writer.mirror()
    for name in names:
        assert mirror.service.command_status(name) == writer.ledger.result(name, 0)
    traded = writer.ledger.history.fills_of_market(0, 99)
    assert [trade.trade_id for trade in mirror.service.trades(0, 99)] == [trade.number for trade in traded] != []
    assert [row.amount_quote for row in mirror.service.withdrawals(OWNERS[2])] == [10**6]
    mirror.close()


async def test_pages_that_the_node_writes_meanwhile_are_found(writer: Writer) -> None:
    mirror = writer.mirror()
    names = [trade(writer, nonce) for nonce in range(1, 4)]
    await follow(mirror, writer)
    writer.ledger.history.index._at_once = 1
    writer.ledger.history.settle()
    writer.store.commit()
    mirror.ledger.history.index.follow_store()
    assert mirror.ledger.history.index.taken_over > 0
    assert all(mirror.service.command_status(name) == writer.ledger.result(name, 0) for name in names)
    mirror.close()


async def test_a_copy_begins_with_the_newest_snapshot(writer: Writer) -> None:
    trade(writer, 1)
    write_snapshot(writer.home.data / "snapshots", writer.chain.executor.final.state)
    trade(writer, 2)
    mirror = writer.mirror()
    assert mirror.height == writer.chain.head.height
    await follow(mirror, writer)
    assert mirror.executor.final.state.state_root == writer.chain.executor.final.state.state_root
    mirror.close()


def path_of(proof: backend.AccountProof) -> AccountProof:
    """As the engine knows it."""
    hashes = tuple(name for name, _, _ in proof.siblings)
    sums = tuple(claims.to_bytes(16, "big") + debt.to_bytes(16, "big") for _, claims, debt in proof.siblings)
    digest = keccak(proof.holdings + proof.aux_hash)
    return AccountProof(
        proof.index, proof.owner, proof.subaccount, proof.claims, proof.debt, digest, proof.holdings, proof.aux_hash,
        hashes, sums,
    )  # fmt: skip


async def test_a_proof_of_the_copy_is_the_nodes(writer: Writer) -> None:
    mirror = writer.mirror()
    for nonce in range(1, 9):  # of every height while it is the last one, and later of those that may be a checkpoint
        trade(writer, nonce)
        await follow(mirror, writer)
        proof = await mirror.service.account_proof(OWNERS[0], 0)
        assert proof is not None and proof.finalised.header == writer.chain.head
        committed = Commitment.decode(proof.finalised.header.commitment)
        assert verify_account_proof(path_of(proof), committed.account_root, committed.account_sums)
    checkpoint = (mirror.height - 1) // 4 * 4
    earlier = await mirror.service.account_proof(OWNERS[0], 0, checkpoint)
    assert earlier is not None and earlier.finalised.header.height == checkpoint < mirror.height
    kept = mirror.service._proof_states[checkpoint].state
    root = kept.state_root
    for nonce in range(9, 40):  # far behind: states in between are given up, and those kept for proofs are not touched
        trade(writer, nonce)
    await follow(mirror, writer)
    assert (kept.state_root, kept.height) == (root, checkpoint)
    assert mirror.executor.final.state.state_root == writer.chain.executor.final.state.state_root
    mirror.close()


async def test_a_wrong_root_ends_the_copy(writer: Writer) -> None:
    mirror = writer.mirror()
    block = writer.chain.add([])
    commitment = Commitment.decode(block.header.commitment)._replace(state_root=b"\7" * 32).encode()
    forged = Block(block.header._replace(commitment=commitment), block.payload)
    writer.store.put_final(forged, certify(forged))
    writer.store.commit()
    with pytest.raises(Stop, match="another root"):
        await follow(mirror, writer)
    mirror.close()


async def test_a_gap_in_the_nodes_store_means_beginning_anew(writer: Writer) -> None:
    mirror = writer.mirror()
    writer.chain.add([])
    writer.run()
    with pytest.raises(StartAnew):
        await follow(mirror, writer)
    mirror.close()


async def test_a_block_on_its_way_to_the_disk_is_waited_for(writer: Writer) -> None:
    mirror = writer.mirror()
    mirror.head_height = mirror.height + 1
    await mirror.follow()
    assert mirror.height == writer.chain.head.height
    writer.run()
    await mirror.follow()
    assert mirror.height == writer.chain.head.height == mirror.head_height
    mirror.close()


async def test_a_copy_that_lags_or_is_alone_takes_no_orders(writer: Writer) -> None:
    mirror = writer.mirror()
    assert mirror.service.status().is_syncing is False
    mirror.head_height = mirror.height + LAG_BLOCKS_MAX + 1
    assert (mirror.facts().is_syncing, mirror.facts().refusal) == (True, Refusal.SYNCING)
    mirror.head_height = mirror.height
    mirror.is_connected = False
    assert mirror.service.status().is_syncing
    submission = await mirror.service.submit(place(0, 1, BUY, 1)).wait()
    assert submission.refusal == Refusal.SYNCING
    mirror.close()


def test_the_founders_are_those_of_genesis() -> None:
    assert NETWORK.founders() == FOUNDERS
