"""`hansa claims`: everybody's proofs for one certified header, out of the disk of one node that no longer runs.

Nodes keep claims files of checkpoints (`validator.claims`). After a freeze only the last checkpoint pays, and anybody
may have posted any certified header as the last one. So its state is made again here: newest state on disk below it,
then every block up to it, each root compared with the one that the committee certified.
"""

import sqlite3
import sys
from pathlib import Path

from contracts.claims_file import read_claims
from engine.commands import compute_domain_separator
from engine.state import genesis
from validator.agreement import Stop
from validator.claims import encode_state
from validator.config import ConfigError, Home, address_bytes, load_network
from validator.files import write_whole
from validator.recovery import make_genesis_header, recover
from validator.roster import Roster
from validator.snapshots import read_snapshots
from validator.store import FinalBlock, Store

EXIT_FAILED = 1


class RebuildError(Exception):
    """This disk does not give that state; the message says what to do."""


def write_claims(home: Path, height: int | None, out: Path) -> int:
    """Print what was written; exit status 1 with a reason if nothing was."""
    try:
        data = rebuild(Home(home), height)
        write_whole(out, data)
    except (ConfigError, RebuildError, Stop, OSError) as error:
        print(f"hansa: {error}", file=sys.stderr)
        return EXIT_FAILED
    except (sqlite3.Error, KeyError) as error:
        print(
            f"hansa: {home} cannot be read ({error!r}). Is --home the folder of a node that has run?", file=sys.stderr
        )
        return EXIT_FAILED
    file = read_claims(data)
    print(f"{out}: height {file.height}, {file.account_count} accounts, header 0x{file.header_hash.hex()}")
    return 0


def rebuild(home: Home, height: int | None) -> bytes:
    """A claims file. Raises `RebuildError`, `ConfigError`, `sqlite3.Error`; `Stop` if the disk contradicts itself."""
    network = load_network(home.genesis)
    params = network.exchange_params()
    store = Store(home.data / "blocks.sqlite", is_read_only=True)
    try:
        final = _find(store, height)
        target_height = final.block.header.height
        genesis_state, founders = genesis(params, network.genesis_time_ms), network.founders()
        snapshots = read_snapshots(home.data / "snapshots", params)
        recovered = recover(
            (state for state in snapshots if state.height <= target_height), params, store, genesis_state,
            make_genesis_header(genesis_state, founders.epoch),
            compute_domain_separator(network.chain_id, address_bytes(network.contract)),
            count_members=Roster([founders, *store.seats()]).count, up_to_height=target_height,
        )  # fmt: skip
    finally:
        store.close()
    if recovered.state.height != target_height:
        raise RebuildError(
            f"the blocks after height {recovered.state.height} are not on this disk: take another former validator's"
        )
    return encode_state(recovered.state, final)


def _find(store: Store, height: int | None) -> FinalBlock:
    """The block, with the certificate that the contract takes."""
    final = store.newest_direct() if height is None else store.final(height)
    if final is None:
        raise RebuildError(f"no certified block of height {height} is on this disk: take another former validator's")
    if not final.is_direct:
        raise RebuildError(f"this disk has no certificate of height {height} itself: take another former validator's")
    return final
