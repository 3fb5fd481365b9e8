"""`hansa audit`: one node's whole history replayed and compared, while the node runs or long after."""

import json
import sqlite3
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from validator.compilecache import prepare_compile_cache

if TYPE_CHECKING:
    from contracts.records import CheckpointRecord
    from validator.audit import Tally
    from validator.config import Home, NetworkConfig, NodeConfig

EXIT_MISMATCH = 1
EXIT_USAGE = 2
PROGRESS_S = 1.0
LOG_S = 10.0


class AuditError(Exception):
    """Why there can be no audit, and what to do."""


class Progress:
    """Height and speed on stderr: a line that is written anew in a terminal, now and then a line elsewhere."""

    def __init__(self, last_height: int) -> None:
        self._last_height = last_height
        self._is_terminal = sys.stderr.isatty()
        # Counted from the first block on, which waits for the engine's kernels.
        self._began_s: float | None = None
        self._next_s = 0.0

    def on_block(self, tally: "Tally") -> None:
        now_s = time.monotonic()
        if self._began_s is None:
            self._began_s, self._next_s = now_s, now_s + PROGRESS_S
        if now_s < self._next_s:
            return
        self._next_s = now_s + (PROGRESS_S if self._is_terminal else LOG_S)
        line = f"height {tally.last_height} of {self._last_height}, {self.rate(tally):.0f} blocks/s"
        print(line, end="\r" if self._is_terminal else "\n", file=sys.stderr, flush=True)

    def rate(self, tally: "Tally") -> float:
        """Blocks a second."""
        began_s = time.monotonic() if self._began_s is None else self._began_s
        return max(tally.blocks - 1, 0) / max(time.monotonic() - began_s, 1e-9)


def run_audit(
    home: Path, from_snapshot: Path | None, compare: tuple[Path, ...], rpc: str | None, contract: str | None,
    is_offline: bool, as_json: bool,
) -> int:  # fmt: skip
    """0: everything agrees; 1: something does not, and its place is named; 2: there is nothing to audit."""
    from validator.audit_rows import Mismatch
    from validator.config import ConfigError, Home, load_network, load_node

    place = Home(home)
    try:
        network = load_network(place.genesis)
        checkpoints = None if is_offline else _read_chain(network, _find_rpc(load_node, place.config, rpc), contract)
        tally, progress = _replay(place, network, from_snapshot, compare, checkpoints or [])
    except (AuditError, ConfigError, sqlite3.OperationalError, OSError) as error:
        print(f"hansa: {error}", file=sys.stderr)
        return EXIT_USAGE
    except Mismatch as found:
        if as_json:
            print(json.dumps({"agrees": False, "height": found.height, "table": found.table, "field": found.field,
                              "reason": found.reason}, indent=2))  # fmt: skip
        else:
            print(f"MISMATCH at {found}")
        return EXIT_MISMATCH
    _report(tally, progress.rate(tally), checkpoints, as_json)
    return 0


def _replay(
    place: "Home", network: "NetworkConfig", from_snapshot: Path | None, compare: tuple[Path, ...],
    checkpoints: list["CheckpointRecord"],
) -> "tuple[Tally, Progress]":  # fmt: skip
    prepare_compile_cache()
    from engine.errors import SnapshotError
    from engine.snapshot import decode_snapshot
    from validator.audit import Audit
    from validator.audit_rows import Rows
    from validator.audit_sources import find_sources

    rows = Rows(place.data / "blocks.sqlite")
    try:
        first_height, last_height = rows.heights()
        params = network.exchange_params()
        start = None
        if from_snapshot is not None:
            try:
                start = decode_snapshot(from_snapshot.read_bytes(), params)
            except SnapshotError as error:
                raise AuditError(f"{from_snapshot}: {error}") from None
        begin = 1 if start is None else start.height + 1
        if start is None and first_height > 1:
            raise AuditError(
                f"the store begins at height {first_height}: give --from-snapshot FILE of that height or above, such"
                f" as one in {place.data / 'snapshots'}"
            )
        if not begin <= last_height:
            raise AuditError(f"there are no blocks from height {begin} on: the store ends at height {last_height}")
        sources = find_sources([place.data, *(_data_folder(path) for path in compare)], params)
        progress = Progress(last_height)
        audit = Audit(network, rows, start, sources, checkpoints, progress.on_block)
        return audit.run(last_height), progress
    finally:
        rows.close()


def _data_folder(path: Path) -> Path:
    """A node's home stands for what lies in its data folder."""
    return path / "data" if (path / "data").is_dir() else path


def _find_rpc(load_node: "Callable[[Path], NodeConfig]", config: Path, rpc: str | None) -> str:
    if rpc is not None:
        return rpc
    urls = load_node(config).rpc_urls
    if not urls:
        raise AuditError(f"{config} names no endpoint of the settlement chain: give --rpc URL, or --offline")
    return urls[0]


def _read_chain(network: "NetworkConfig", rpc: str, contract: str | None) -> "list[CheckpointRecord]":
    from contracts.chain_reader import ask_over_http
    from contracts.checkpoint_log import read_checkpoints
    from contracts.records import ChainError

    try:
        return list(read_checkpoints(ask_over_http(rpc), contract or network.contract))
    except ChainError as error:
        raise AuditError(f"{rpc}: {error}. To leave the chain out: --offline") from None


def _report(
    tally: "Tally", rate: float, checkpoints: "list[CheckpointRecord] | None", as_json: bool
) -> None:  # fmt: skip
    if as_json:
        figures = asdict(tally) | {"agrees": True, "blocks_per_s": round(rate, 1), "is_offline": checkpoints is None}
        print(json.dumps(figures, indent=2))
        return
    print(f"blocks       {tally.blocks}, heights {tally.first_height} to {tally.last_height}, {rate:.0f} blocks/s")
    print(f"certificates {tally.certificates}, each of a quorum")
    print(f"batches      {tally.batches} with {tally.commands} commands, {tally.withdrawals} withdrawals")
    print(f"states       {len(tally.sources)} snapshots and claims files compared")
    if checkpoints is None:
        print("chain        not compared (--offline)")
    else:
        above = sum(checkpoint.height > tally.last_height for checkpoint in checkpoints)
        print(
            f"chain        {tally.checkpoints} of {len(checkpoints)} checkpoints compared, {above} are above the store"
        )
    print("everything agrees")
