"""`hansa claims`: claims files made from stored blocks, and mirrored from nodes that serve them."""

import sqlite3
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import cyclopts
from cyclopts import Parameter

if TYPE_CHECKING:
    from engine.state import EngineState
    from validator.audit_rows import Rows, StoredBlock
    from validator.config import Home, NetworkConfig

app = cyclopts.App(name="claims", help="Files that prove every account of a checkpoint: mirror, write.")
EXIT_FAILED = 1


class CommandError(Exception):
    """What is wrong, and what to do."""


@app.command
def mirror(
    url: Annotated[str, Parameter(help="A node's API")],
    folder: Annotated[Path, Parameter(help="Where the files are kept; what is there is not fetched again")],
) -> int:
    """Fetch all claims files that a node serves, and its withdrawals file, and check them.

    For example:

        hansa claims mirror http://127.0.0.1:8645 claims
    """
    from validator.claims_mirror import MirrorError, mirror_node

    try:
        mirror_node(url, folder)
    except (MirrorError, OSError) as error:
        print(f"hansa: {error}", file=sys.stderr)
        return EXIT_FAILED
    return 0


@app.command
def write(
    *,
    home: Annotated[Path, Parameter(help="A node's folder, running or not")],
    height: Annotated[int, Parameter(help="Of the certified header: that of the contract's last checkpoint")],
    out: Annotated[Path | None, Parameter(help="The file to write; without it one named by its root, here")] = None,
) -> int:
    """Make the claims file of any height whose blocks are stored, by replaying them. Everything is checked on the way,
    as `hansa audit` does.

    For example:

        hansa claims write --home .hansa-testnet/node0 --height 480
    """
    from validator.compilecache import prepare_compile_cache

    prepare_compile_cache()
    from contracts.claims_file import read_claims
    from validator.audit_rows import Mismatch, Rows
    from validator.claims import encode_state
    from validator.config import ConfigError, Home, load_network
    from validator.files import write_whole
    from validator.store import FinalBlock

    place = Home(home)
    try:
        network = load_network(place.genesis)
        rows = Rows(place.data / "blocks.sqlite")
        try:
            stored = _find_certified(rows, height)
            state = _replay(place, network, rows, height)
        finally:
            rows.close()
        data = encode_state(state, FinalBlock(stored.block, stored.certificate, True))
        path = out or Path(state.account_root.hex())
        write_whole(path, data)
    except (CommandError, ConfigError, Mismatch, sqlite3.OperationalError, OSError) as error:
        print(f"hansa: {error}", file=sys.stderr)
        return EXIT_FAILED
    print(f"{path}: {read_claims(data).account_count} accounts of height {height}")
    return 0


def _find_certified(rows: "Rows", height: int) -> "StoredBlock":
    first_height, last_height = rows.heights()
    if not first_height <= height <= last_height:
        raise CommandError(f"the store has the heights {first_height} to {last_height}, not {height}")
    (stored,) = rows.blocks(height, height)
    if not stored.is_direct:
        later = next((item for item in rows.blocks(height, last_height) if item.is_direct), None)
        hint = "no later one has" if later is None else f"the next that has is {later.block.header.height}"
        raise CommandError(f"height {height} has no certificate of its own, so no contract took it: {hint}")
    return stored


def _replay(place: "Home", network: "NetworkConfig", rows: "Rows", height: int) -> "EngineState":
    """From the newest snapshot that is not above the height."""
    from validator.audit import Audit
    from validator.snapshots import read_snapshots

    states = read_snapshots(place.data / "snapshots", network.exchange_params())
    start = next((state for state in states if state.height <= height), None)
    if start is None and rows.heights()[0] > 1:
        raise CommandError(f"no snapshot is below height {height}, and older blocks are not there: ask another node")
    audit = Audit(network, rows, start, {})
    audit.run(height)
    return audit.state
