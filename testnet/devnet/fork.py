"""A devnet that begins with the state of a real network: a validator's folder, or a snapshot and the genesis beside it.

The state is not believed: a folder's blocks are executed from its newest snapshot on, as at a validator's start, and
the last block's certificate is verified with the committee of its epoch. A snapshot alone proves only that it is whole.

From there on the devnet's own key is the committee, in an epoch of its own. Chain id and contract stay, because
accounts and parameters hang on them: what somebody signs for the devnet is valid on the network, too.
"""

from pathlib import Path

from consensus.messages import Header, compute_domain
from engine.commands import compute_domain_separator
from engine.errors import SnapshotError
from engine.snapshot import decode_snapshot
from engine.state import EngineState, genesis
from testnet.devnet.founding import Founding
from testnet.devnet.images import Image
from testnet.devnet.prices import Prices
from validator.agreement import Stop
from validator.config import Home, NetworkConfig, address_bytes, load_network
from validator.light import Forged, LightChain, Unknown
from validator.recovery import make_genesis_header, recover
from validator.roster import Roster
from validator.snapshots import read_snapshots
from validator.store import Store

# So that a report of the devnet's member counts, whatever the network's member of that number said last (ORA-1).
REPORT_GAP_MS = 2_000


class ForkError(Exception):
    """There is nothing to begin with; the message says what is missing."""


def fork(source: Path, genesis_path: Path | None, seed: int) -> Image:
    """`source`: a validator's folder, or a snapshot's file. Raises `ForkError`, `ConfigError`."""
    if source.is_dir():
        founding = _read_home(Home(source), seed)
    elif genesis_path is None:
        raise ForkError(f"{source} is a file: name the network's genesis.toml with --genesis")
    else:
        founding = _read_snapshot(source, load_network(genesis_path), seed)
    prices = Prices(seed, founding.network.markets)
    prices.indexes_e8 = read_indexes_e8(founding.state, prices.names)
    return Image(founding, None, founding.head.timestamp_ms + REPORT_GAP_MS, prices.save())


def read_indexes_e8(state: EngineState, names: tuple[str, ...]) -> dict[str, int]:
    """The index of every underlying that has one."""
    rows = zip(names, state.tables.underlyings)
    return {name: int(row["index_e8"]) for name, row in rows if row["index_e8"]}


def _read_home(home: Home, seed: int) -> Founding:
    network = load_network(home.genesis)
    params, founders = network.exchange_params(), network.founders()
    contract = address_bytes(network.contract)
    genesis_state = genesis(params, network.genesis_time_ms)
    genesis_header = make_genesis_header(genesis_state, founders.epoch)
    database = home.data / "blocks.sqlite"
    if not database.exists():
        raise ForkError(f"{database} does not exist: {home.path} is no folder of a validator that has run")
    store = Store(database, is_read_only=True)
    try:
        roster = Roster([founders, *store.seats()])
        found = recover(
            read_snapshots(home.data / "snapshots", params), params, store, genesis_state, genesis_header,
            compute_domain_separator(network.chain_id, contract), count_members=roster.count,
        )  # fmt: skip
        head = _find_head(store, found.state.height, LightChain(compute_domain(network.chain_id, contract), founders))
    except (Stop, Forged, Unknown) as error:
        raise ForkError(f"{home.path} does not hold what its committee certified: {error}") from None
    finally:
        store.close()
    return _found(network, seed, head or genesis_header, found.state)


def _find_head(store: Store, height: int, chain: LightChain) -> Header | None:
    """The header of a height, certified; None for genesis."""
    if height == 0:
        return None
    for seats in store.seats():
        chain.learn(seats)
    final = store.final(height)
    if final is None or not final.is_direct or final.certificate.header_hash != final.block.hash():
        raise ForkError(f"block {height} has no certificate of its own yet: try again")
    chain.verify(final.certificate)
    return final.block.header


def _read_snapshot(path: Path, network: NetworkConfig, seed: int) -> Founding:
    try:
        state = decode_snapshot(path.read_bytes(), network.exchange_params())
    except FileNotFoundError:
        raise ForkError(f"{path} does not exist") from None
    except SnapshotError as error:
        raise ForkError(f"{path} is no snapshot of this network: {error}") from None
    epoch = network.founders().epoch
    header = make_genesis_header(state, epoch)._replace(height=state.height)
    return _found(network, seed, header, state)


def _found(network: NetworkConfig, seed: int, head: Header, state: EngineState) -> Founding:
    return Founding(network, seed, head.epoch + 1, head, state)


def is_forked(founding: Founding) -> bool:
    """Whether the domain is that of a network that others use."""
    return founding.epoch != founding.network.founders().epoch
