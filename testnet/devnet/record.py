"""A run on disk: where it began, then every block with its batches and its certificate, so that anybody can execute it
again and compare each root.

A sequence of CBOR items. The first: `[NAME, VERSION, genesis.toml, seed, epoch, head header, engine snapshot]`; each
further one: `[block, certificate, [batch, ...]]` in the forms that agreement and batches have on the wire
(docs/protocol.md). Everything that a devnet does is in its blocks: prices as reports, deposits as inbox entries, time
as the header's. So the methods that a devnet adds need no item of their own.
"""

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path

import cbor2

from consensus import crypto
from consensus.messages import FINALIZE, Block, Certificate, DecodeError, Header, vote_digest
from engine.commands import compute_domain_separator
from engine.errors import SnapshotError
from engine.payload import Batch
from engine.snapshot import decode_snapshot, encode_snapshot
from testnet.devnet.founding import Founding, derive_keys
from validator.batches import BatchPool, CheckedBatch, make_checked
from validator.config import ConfigError, address_bytes, load_network, save_toml
from validator.executor import Executor
from validator.roster import Roster

NAME, VERSION = "hansa/devnet-record", 1


class RecordError(Exception):
    """The file is no record; the message says why."""


class Recorder:
    """Appends to a file."""

    def __init__(self, path: Path, founding: Founding) -> None:
        """Replaces the file. Raises `OSError`."""
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("wb")
        with tempfile.TemporaryDirectory() as folder:
            genesis = Path(folder) / "genesis.toml"
            save_toml(genesis, founding.network)
            text = genesis.read_text()
        head, state = founding.head.encode(), encode_snapshot(founding.state)
        cbor2.dump([NAME, VERSION, text, founding.seed, founding.epoch, head, state], self._file)

    def add(self, block: Block, certificate: Certificate, batches: list[CheckedBatch]) -> None:
        """The next block."""
        data = [checked.batch.encode() for checked in batches]
        cbor2.dump([block.to_cbor(), certificate.to_cbor(), data], self._file)

    @property
    def size_bytes(self) -> int:
        return self._file.tell()

    def cut(self, size_bytes: int) -> None:
        """Forget what came behind so many bytes: the run went back."""
        self._file.seek(size_bytes)
        self._file.truncate()

    def close(self) -> None:
        self._file.close()


@dataclass(frozen=True, slots=True)
class Replayed:
    """How far a replay came. `fault`: what the first wrong block does not keep; empty: all are as recorded."""

    height: int
    block_count: int
    state_root: bytes
    fault: str = ""


def replay(path: Path, until_height: int = 0) -> Replayed:
    """Execute a record, up to a height or to its end, and compare every root and certificate. Raises `RecordError`."""
    with path.open("rb") as file:
        founding = _read_head(file, path)
        return _replay(founding, _read_blocks(file, path), until_height)


def _read_head(file: BufferedReader, path: Path) -> Founding:
    try:
        name, version, text, seed, epoch, head, state = cbor2.load(file)
        if (name, version) != (NAME, VERSION):
            raise RecordError(f"{path} is {name!r}, version {version!r}: this program reads {NAME!r}, {VERSION}")
        with tempfile.TemporaryDirectory() as folder:
            genesis = Path(folder) / "genesis.toml"
            genesis.write_text(text)
            network = load_network(genesis)
        return Founding(
            network, seed, epoch, Header.decode(head), decode_snapshot(state, network.exchange_params())
        )  # fmt: skip
    except (cbor2.CBORDecodeError, ValueError, TypeError, ConfigError, SnapshotError, DecodeError) as error:
        raise RecordError(f"{path} is no record of a devnet: {error}") from None


def _read_blocks(file: BufferedReader, path: Path) -> Iterator[tuple[Block, Certificate, list[Batch]]]:
    while file.peek(1):
        at_bytes = file.tell()
        try:
            block, certificate, batches = cbor2.load(file)
            yield Block.from_cbor(block), Certificate.from_cbor(certificate), [Batch.decode(data) for data in batches]
        except (cbor2.CBORDecodeError, ValueError, TypeError, DecodeError) as error:
            raise RecordError(f"{path} is damaged from byte {at_bytes} on: {error}") from None


def _replay(
    founding: Founding, blocks: Iterator[tuple[Block, Certificate, list[Batch]]], until_height: int
) -> Replayed:  # fmt: skip
    network, state, parent = founding.network, founding.state, founding.head
    seats = derive_keys(founding.seed).seats(founding.epoch)
    key = seats.committee.members[0].bls_key
    params = network.exchange_params()
    pool = BatchPool(params.validator_count)
    executor = Executor(params, pool, parent.hash(), state, count_members=Roster([seats]).count)
    count = 0
    for block, certificate, batches in blocks:
        header = block.header
        if until_height and header.height > until_height:
            break
        for batch in batches:
            pool.add_named(make_checked(batch, _separator(founding)))
        fault = ""
        if header.parent_hash != parent.hash() or header.height != parent.height + 1:
            fault = f"block {header.height} does not follow block {parent.height}"
        elif not _is_certified(founding, key, block, certificate):
            fault = f"the certificate of block {header.height} is not that of this block by the recorded committee"
        elif executor.advance(block) != header.commitment:
            fault = f"block {header.height} gives another root here than the one that was recorded"
        if fault:
            return Replayed(parent.height, count, executor.final.state.state_root, fault)
        executor.finalise(block.hash())
        pool.drop_through(executor.final.state.batch_sequences.tolist())
        parent, count = header, count + 1
    return Replayed(parent.height, count, executor.final.state.state_root)


def _separator(founding: Founding) -> bytes:
    return compute_domain_separator(founding.network.chain_id, address_bytes(founding.network.contract))


def _is_certified(founding: Founding, key: bytes, block: Block, certificate: Certificate) -> bool:
    header = block.header
    stated = (certificate.kind, certificate.epoch, certificate.view, certificate.header_hash, certificate.signers())
    if stated != (FINALIZE, founding.epoch, header.view, block.hash(), [0]):
        return False
    digest = vote_digest(founding.domain, FINALIZE, founding.epoch, header.view, block.hash())
    return crypto.verify_aggregate([key], digest, certificate.signature)
