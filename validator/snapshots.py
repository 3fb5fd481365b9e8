"""Engine states on disk, one file a height, written whole or not at all; the newest readable one starts a node."""

import os
from collections.abc import Iterator
from pathlib import Path

from engine.errors import SnapshotError
from engine.params import ExchangeParams
from engine.snapshot import decode_snapshot, encode_snapshot
from engine.state import EngineState

KEEP_COUNT = 3


def write_snapshot(folder: Path, state: EngineState) -> Path:
    """Durable before it has its name: write aside, fsync, rename, fsync the folder. Prunes all but the newest three."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{state.height:012d}.snapshot"
    aside = path.with_suffix(".partial")
    with aside.open("wb") as handle:
        handle.write(encode_snapshot(state))
        handle.flush()
        os.fsync(handle.fileno())
    aside.rename(path)
    descriptor = os.open(folder, os.O_RDONLY)
    os.fsync(descriptor)
    os.close(descriptor)
    for old in sorted(folder.glob("*.snapshot"))[:-KEEP_COUNT]:
        old.unlink()
    return path


def read_snapshots(folder: Path, params: ExchangeParams) -> Iterator[EngineState]:
    """The snapshots that decode, newest first; a damaged one is passed over, because blocks can replace it."""
    for path in sorted(folder.glob("*.snapshot"), reverse=True):
        try:
            yield decode_snapshot(path.read_bytes(), params)
        except SnapshotError:
            continue
