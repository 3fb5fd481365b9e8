"""Engine states on disk, one file a height, written whole or not at all: what starts a node, and what late ones fetch.

A snapshot is offered to peers in chunks. One that somebody fetches right now is not pruned, however old it is. Chunks
that we fetch lie in a folder of their own until all are there, so that a restart goes on where it was.

Snapshots are of heights that all nodes agree on, so that a late one can fetch the same bytes from several. Between them
the newest state is kept too, as the one *head*, which nobody is offered: a start replays what came after it.
"""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from consensus.messages import Header, keccak
from engine.errors import SnapshotError
from engine.params import ExchangeParams
from engine.root import commitment_of
from engine.snapshot import decode_snapshot, encode_snapshot
from engine.state import EngineState
from net.wire import SNAPSHOT_CHUNK_BYTES, SNAPSHOT_CHUNKS_MAX, Chunk, SnapshotOffer
from validator.executor import to_commitment
from validator.files import write_whole
from validator.rotation import find_epoch_root
from validator.store import Store

KEEP_COUNT = 3
PINNED_MS = 120_000
HEAD_BLOCKS_MIN = 25
# Of the time between two heads, writing them may take a hundredth.
HEAD_REST_RATIO = 100


def write_snapshot(folder: Path, state: EngineState, pinned: frozenset[int] = frozenset()) -> Path:
    """Durable before it has its name. Prunes all but the newest three and those of pinned heights."""
    path = write_bytes(folder, state.height, encode_snapshot(state))
    for old in sorted(folder.glob("*.snapshot"))[:-KEEP_COUNT]:
        if int(old.stem) not in pinned:
            old.unlink()
    return path


def write_head(folder: Path, state: EngineState) -> Path:
    """Durable before it has its name; replaces the head before it."""
    path = write_bytes(folder, state.height, encode_snapshot(state), "head")
    for old in folder.glob("*.head"):
        if old != path:
            old.unlink()
    return path


@dataclass(slots=True)
class HeadPace:
    """When the next head is due. Times are of the caller's monotonic clock."""

    _height: int = 0
    _rested_ms: int = 0

    def is_due(self, height: int, now_ms: int) -> bool:
        return height >= self._height + HEAD_BLOCKS_MIN and now_ms >= self._rested_ms

    def on_written(self, height: int, began_ms: int, ended_ms: int) -> None:
        self._height = height
        self._rested_ms = ended_ms + HEAD_REST_RATIO * (ended_ms - began_ms)


def write_bytes(folder: Path, height: int, data: bytes, kind: str = "snapshot") -> Path:
    """Durable and whole before it has its name."""
    path = folder / f"{height:012d}.{kind}"
    write_whole(path, data)
    return path


def read_snapshots(folder: Path, params: ExchangeParams) -> Iterator[EngineState]:
    """Head and snapshots that decode, newest first; a damaged one is passed over, because blocks can replace it."""
    paths = [*folder.glob("*.head"), *folder.glob("*.snapshot")]
    for path in sorted(paths, key=lambda path: path.name, reverse=True):
        try:
            yield decode_snapshot(path.read_bytes(), params)
        except SnapshotError:
            continue


def is_state_of(data: bytes, params: ExchangeParams, header: Header) -> bool:
    """Whether these bytes are the state after a block: every word of its commitment recomputed. Runs in any thread."""
    try:
        state = decode_snapshot(data, params)
    except SnapshotError:
        return False
    return state.height == header.height and to_commitment(commitment_of(state)).encode() == header.commitment


@dataclass(slots=True)
class _Offered:
    offer: SnapshotOffer
    path: Path
    asked_ms: int


@dataclass(slots=True)
class SnapshotShelf:
    """Our own snapshots as peers see them. `now_ms` is the caller's monotonic clock."""

    folder: Path
    _offered: dict[bytes, _Offered] = field(default_factory=dict)

    def offer(self, store: Store, above_height: int, now_ms: int) -> SnapshotOffer | None:
        """The newest snapshot above a height whose block we hold with a certificate of its own."""
        for path in sorted(self.folder.glob("*.snapshot"), reverse=True):
            height = int(path.stem)
            if height <= above_height:
                return None
            known = next((item for item in self._offered.values() if item.path == path), None)
            if known is None:
                known = self._read(store, path, height, now_ms)
            if known is not None:
                known.asked_ms = now_ms
                return known.offer
        return None

    def _read(self, store: Store, path: Path, height: int, now_ms: int) -> _Offered | None:
        final = store.final(height)
        if final is None or not final.is_direct:
            return None
        data = path.read_bytes()
        hashes = tuple(keccak(data[at : at + SNAPSHOT_CHUNK_BYTES]) for at in range(0, len(data), SNAPSHOT_CHUNK_BYTES))
        if not 0 < len(hashes) <= SNAPSHOT_CHUNKS_MAX:
            return None
        root = find_epoch_root(store, final.block.header.epoch)
        if root is None and final.block.header.epoch > 1:
            return None  # nobody could begin that epoch with it
        offer = SnapshotOffer(final.block, final.certificate, len(data), hashes, root)
        self._offered = {name: item for name, item in self._offered.items() if item.path.exists()}
        self._offered[offer.name()] = known = _Offered(offer, path, now_ms)
        return known

    def chunk(self, name: bytes, index: int, now_ms: int) -> Chunk | None:
        """Part of a snapshot that we offered."""
        known = self._offered.get(name)
        if known is None or index >= len(known.offer.chunk_hashes):
            return None
        known.asked_ms = now_ms
        try:
            with known.path.open("rb") as handle:
                handle.seek(index * SNAPSHOT_CHUNK_BYTES)
                return Chunk(name, index, handle.read(SNAPSHOT_CHUNK_BYTES))
        except FileNotFoundError:
            return None

    def pinned(self, now_ms: int) -> frozenset[int]:
        """Heights that somebody is fetching."""
        return frozenset(
            int(known.path.stem) for known in self._offered.values() if now_ms - known.asked_ms < PINNED_MS
        )


@dataclass(frozen=True, slots=True)
class IncomingChunks:
    """What we have of a snapshot that we fetch: `folder`/NAME/INDEX, each written whole or not at all."""

    folder: Path

    def keep(self, offer: SnapshotOffer, index: int, data: bytes) -> None:
        place = self.folder / offer.name().hex()
        place.mkdir(parents=True, exist_ok=True)
        aside = place / f"{index}.partial"
        aside.write_bytes(data)
        aside.rename(place / str(index))

    def held(self, offer: SnapshotOffer) -> list[int]:
        """Indices of the chunks that are there and whole. What belongs to other offers is deleted."""
        place = self.folder / offer.name().hex()
        for other in self.folder.glob("*"):
            if other != place:
                shutil.rmtree(other, ignore_errors=True)
        return [index for index in range(len(offer.chunk_hashes)) if self._is_whole(place, offer, index)]

    @staticmethod
    def _is_whole(place: Path, offer: SnapshotOffer, index: int) -> bool:
        try:
            return keccak((place / str(index)).read_bytes()) == offer.chunk_hashes[index]
        except FileNotFoundError:
            return False

    def assemble(self, offer: SnapshotOffer) -> bytes:
        place = self.folder / offer.name().hex()
        return b"".join((place / str(index)).read_bytes() for index in range(len(offer.chunk_hashes)))

    def clear(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)
