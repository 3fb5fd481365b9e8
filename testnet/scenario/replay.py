"""`python -m testnet.scenario.replay DIR --members 0 1 2`: replays what these validators have stored.

Each block is executed again and compared with its certificate and the settlement chain, as by `hansa audit`; the first
validator's blocks are inspected besides (`testnet.scenario.inspection`). Works while they run. Prints JSON.
"""

import argparse
import json
import sqlite3
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from testnet.homes import node_home, read_genesis
from validator.compilecache import prepare_compile_cache

if TYPE_CHECKING:
    from contracts.records import CheckpointRecord
    from validator.config import NetworkConfig
    from validator.executor import Executed


def replay(folder: Path, members: list[int], liars: list[int], rpc_url: str) -> dict[str, Any]:
    """What the launcher reads back."""
    from contracts.chain_reader import ask_over_http
    from contracts.checkpoint_log import read_checkpoints
    from testnet.scenario.inspection import Inspector
    from validator.audit_rows import Mismatch

    network = read_genesis(folder)
    checkpoints = list(read_checkpoints(ask_over_http(rpc_url), network.contract)) if rpc_url else []
    inspector = Inspector(network.markets, frozenset(liars))
    blocks, findings = 0, []
    for at, member in enumerate(members):
        data = node_home(folder, member).data
        try:
            blocks += audit_one(data, network, checkpoints, inspector.see if at == 0 else None)
        except (Mismatch, sqlite3.Error, OSError) as error:
            findings.append(f"node{member}: {error}")
    found = asdict(inspector.findings)
    return found | {"settled": len(inspector.findings.settled), "audit_blocks": blocks, "audit_findings": findings}


def audit_one(
    data: Path, network: "NetworkConfig", checkpoints: "list[CheckpointRecord]",
    see: "Callable[[Executed], None] | None",
) -> int:  # fmt: skip
    """How many blocks were replayed; none of a node that began with a snapshot. Raises what an audit raises."""
    from validator.audit import Audit
    from validator.audit_rows import Rows
    from validator.audit_sources import find_sources

    rows = Rows(data / "blocks.sqlite")
    try:
        first_height, last_height = rows.heights()
        if first_height != 1:
            return 0
        sources = find_sources([data], network.exchange_params())
        audit = Audit(
            network, rows, None, sources, checkpoints, lambda tally: see(audit.newest) if see is not None else None
        )
        return audit.run(last_height).blocks
    finally:
        rows.close()


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m testnet.scenario.replay", description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--members", type=int, nargs="+", required=True)
    parser.add_argument("--liars", type=int, nargs="*", default=[])
    parser.add_argument("--rpc", default="", help="settlement chain; empty: it is left out")
    options = parser.parse_args()
    prepare_compile_cache()
    print(json.dumps(replay(options.folder, options.members, options.liars, options.rpc)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
