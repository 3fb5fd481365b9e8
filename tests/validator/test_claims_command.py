"""A claims file of any certified height, from the disk of a node that no longer runs."""

from dataclasses import replace
from pathlib import Path

import pytest

from consensus.messages import Block
from contracts.claims_file import read_claims
from engine.commands import BUY, PLACE, SELL
from engine.params import DEFAULT_MARKETS
from engine.payload import Payload
from tests.validator.chainlet import (
    BLS_KEYS,
    CHAIN_ID,
    CONTRACT,
    MARK_TICKS,
    NETWORK_KEYS,
    OWNERS,
    TOKEN,
    Chainlet,
    certify,
    seal,
    sign,
)
from validator.claims_command import RebuildError, rebuild, write_claims
from validator.config import Home, NetworkConfig, ValidatorEntry, save_toml
from validator.snapshots import write_snapshot
from validator.store import Store

NETWORK = NetworkConfig(
    "test", CHAIN_ID, "0x" + CONTRACT.hex(), "0x" + TOKEN.hex(), 1_000,
    tuple(ValidatorEntry("0x" + bytes(20).hex(), bls.hex(), key.hex()) for bls, key in zip(BLS_KEYS, NETWORK_KEYS)),
    DEFAULT_MARKETS, validators_max=4,
)  # fmt: skip
BLOCKS = 6


class Disk:
    """What a killed node leaves; the block of height 3 has no certificate of its own."""

    def __init__(self, path: Path, first_height: int = 1, snapshot_height: int = 0) -> None:
        self.home = Home(path)
        save_toml(self.home.genesis, NETWORK)
        self.roots: dict[int, bytes] = {}
        chain = Chainlet()
        store = Store(self.home.data / "blocks.sqlite")
        for height in range(1, BLOCKS + 1):
            block = chain.fund() if height == 1 else self._trade(chain, height)
            self.roots[height] = chain.executor.final.state.account_root
            if height >= first_height:
                self._put(store, chain, block)
            if height == snapshot_height:
                write_snapshot(self.home.data / "snapshots", chain.executor.final.state)
        store.put_final(chain.blocks[2], certify(chain.blocks[3]))
        store.close()

    @staticmethod
    def _trade(chain: Chainlet, height: int) -> Block:
        fields = {"market": 0, "price_ticks": MARK_TICKS, "size_lots": height}
        records = [
            sign(0, PLACE, height, side=BUY, **fields).encode(), sign(1, PLACE, height, side=SELL, **fields).encode()
        ]  # fmt: skip
        return chain.add([seal(0, height, records)])

    @staticmethod
    def _put(store: Store, chain: Chainlet, block: Block) -> None:
        height = block.header.height
        for checked in [] if height == 1 else [chain.pool.get(ref) for ref in _batches(block)]:
            assert checked is not None
            store.put_batch(checked.batch_hash, checked.batch.author, checked.batch.sequence, checked.batch.encode())
        store.put_final(block, certify(block))


def _batches(block: Block) -> list[bytes]:
    return [batch_hash for _, _, batch_hash in Payload.decode(block.payload).batch_refs]


@pytest.mark.parametrize("height", [1, 2, 4, 5, BLOCKS])
def test_every_certified_height_gives_its_claims(tmp_path: Path, height: int) -> None:
    disk = Disk(tmp_path)
    file = read_claims(rebuild(disk.home, height))
    assert (file.height, file.account_root) == (height, disk.roots[height])
    (index,) = file.accounts_of(OWNERS[0])
    assert file.account(index).positions == (((0, sum(range(2, height + 1))),) if height > 1 else ())


def test_without_a_height_it_is_the_newest(tmp_path: Path) -> None:
    assert read_claims(rebuild(Disk(tmp_path).home, None)).height == BLOCKS


def test_a_snapshot_below_replaces_the_blocks_before_it(tmp_path: Path) -> None:
    disk = Disk(tmp_path, first_height=4, snapshot_height=4)
    assert read_claims(rebuild(disk.home, 4)).account_root == disk.roots[4]
    assert read_claims(rebuild(disk.home, 6)).account_root == disk.roots[6]


def test_what_the_disk_lacks_is_told(tmp_path: Path) -> None:
    disk = Disk(tmp_path / "whole")
    with pytest.raises(RebuildError, match="no certificate of height 3 itself"):
        rebuild(disk.home, 3)
    with pytest.raises(RebuildError, match="no certified block of height 7"):
        rebuild(disk.home, 7)
    with pytest.raises(RebuildError, match="blocks after height 0 are not on this disk"):
        rebuild(Disk(tmp_path / "late", first_height=4, snapshot_height=5).home, 4)


def test_the_command_writes_the_file_or_says_why_not(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    disk, out = Disk(tmp_path / "node"), tmp_path / "claims"
    assert write_claims(disk.home.path, 5, out) == 0
    assert read_claims(out.read_bytes()).height == 5
    assert "height 5, " in capsys.readouterr().out
    assert write_claims(disk.home.path, 3, tmp_path / "none") == 1
    assert write_claims(tmp_path / "nobody", 3, tmp_path / "none") == 1
    (tmp_path / "empty").mkdir()
    save_toml(Home(tmp_path / "empty").genesis, replace(NETWORK, name="empty"))
    assert write_claims(tmp_path / "empty", None, tmp_path / "none") == 1
    assert "Is --home the folder of a node that has run?" in capsys.readouterr().err
    assert not (tmp_path / "none").exists()
