"""Blocks from catching up that agreement has finalised meanwhile are passed over; the rest of the range is executed."""

import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from consensus import crypto
from consensus.messages import Block, Certificate
from engine.params import DEFAULT_MARKETS
from net.identity import derive_network_key
from validator.agreement import Stop
from validator.catchup import Accept
from validator.config import Home, NetworkConfig, NodeConfig, PeerAddress, ValidatorEntry
from validator.keys import Keys
from validator.node import Node

BLOCKS = 5
KEYS = Keys(crypto.derive_secret(secrets.token_bytes(32)), secrets.token_bytes(32), secrets.token_bytes(32))
ENTRY = ValidatorEntry(
    operator="0x" + "11" * 20, bls_key=crypto.derive_public_key(KEYS.bls).hex(),
    network_key=derive_network_key(KEYS.network).hex(),
)  # fmt: skip
NETWORK = NetworkConfig(
    name="alone", chain_id=1, contract="0x" + "22" * 20, token="0x" + "33" * 20,
    genesis_time_ms=time.time_ns() // 1_000_000 - 60_000, validators=(ENTRY,), markets=DEFAULT_MARKETS,
    min_interval_ms=1, accounts_max=1 << 10, orders_max=1 << 10, positions_max=1 << 10,
)  # fmt: skip
CONFIG = NodeConfig(
    index=0, rpc_urls=("http://127.0.0.1:1",), listen_port=1, api_port=2, peers=(PeerAddress("127.0.0.1", 1),),
    price_source="path:seed=1,noise_bps=2", metrics_port=0,
)  # fmt: skip


@contextmanager
def open_node(folder: Path) -> Iterator[Node]:
    """A whole validator, a committee of its own, without its tasks: nothing happens that the test does not do."""
    (folder / "data").mkdir(parents=True)
    node = Node(Home(folder), NETWORK, CONFIG, KEYS, is_warm=True)
    try:
        yield node
    finally:
        node._journal.close()
        node.store.close()
        node._signer.close()


def make_blocks(node: Node) -> list[tuple[Block, Certificate]]:
    """What the committee agrees on: a block for each of a few price reports."""
    node.agreement.start(None)
    give_up_s = time.monotonic() + 60
    while node.executor.final.height < BLOCKS:
        assert time.monotonic() < give_up_s
        now_ms = time.time_ns() // 1_000_000
        node.reports.add(node._network_signer.sign_price_report(0, now_ms, node._price_feed.feeds(now_ms, [])), now_ms)
        node.agreement.tick()
    found = [node.store.final(height) for height in range(1, BLOCKS + 1)]
    return [(final.block, final.certificate) for final in found if final is not None]


@pytest.fixture(scope="module")
def finals(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[Block, Certificate]]:
    with open_node(tmp_path_factory.mktemp("committee")) as node:
        made = make_blocks(node)
    assert len(made) == BLOCKS
    return made


@pytest.mark.parametrize("overtaken", range(BLOCKS + 1))
def test_a_range_that_was_overtaken_is_taken_from_where_the_head_is(
    tmp_path: Path, finals: list[tuple[Block, Certificate]], overtaken: int
) -> None:
    blocks, certificate = tuple(block for block, _ in finals), finals[-1][1]
    with open_node(tmp_path / "node") as node:
        node.agreement.start(None)
        for block, own in finals[:overtaken]:
            assert node.executor.execute(block) == block.header.commitment
            node._finalise(block, own)
        node.accept_range(Accept(blocks, (), certificate))
        assert node.executor.final.height == BLOCKS
        assert node.executor.final_hash == blocks[-1].hash()
        node.agreement.tick()
        last = node.store.newest_direct()
        assert last is not None
        assert last.block == blocks[-1]


def test_a_range_whose_execution_differs_still_stops_the_node(
    tmp_path: Path, finals: list[tuple[Block, Certificate]]
) -> None:
    """Passing over is for what is final already, not for what does not fit."""
    blocks = tuple(block for block, _ in finals)
    with open_node(tmp_path / "node") as node:
        node.agreement.start(None)
        with pytest.raises(Stop, match="differs"):
            node.accept_range(Accept(blocks[1:], (), finals[-1][1]))
