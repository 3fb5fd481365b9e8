"""The whole of a devnet at one height: engine state, database, prices and time. What `dev_revert` goes back to, and
what `--state` and `--dump-state` keep in one file.

The file is a zip: `devnet.json`, `genesis.toml`, `state.snapshot` (the engine's own form, which proves itself against
the header) and `blocks.sqlite`.
"""

import json
import sqlite3
import tempfile
import zipfile
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from consensus.messages import DecodeError, Header
from engine.errors import SnapshotError
from engine.root import commitment_of
from engine.snapshot import decode_snapshot, encode_snapshot
from testnet.devnet.chain import Chain
from testnet.devnet.founding import Founding
from validator.config import ConfigError, load_network, save_toml
from validator.executor import to_commitment

FORMAT = 1
_FACTS, _GENESIS, _STATE, _DATABASE = "devnet.json", "genesis.toml", "state.snapshot", "blocks.sqlite"


class ImageError(Exception):
    """The file is none that a devnet can begin with; the message says why."""


@dataclass(frozen=True, slots=True, eq=False)
class Image:
    """`database` None: there are no blocks yet. `prices`: of `Prices.save`. `record_bytes`: how long a record of the
    run is up to here.
    """

    founding: Founding
    database: Path | None
    time_ms: int
    prices: dict[str, Any]
    record_bytes: int = 0


def take_image(chain: Chain, database: Path, time_ms: int, prices: dict[str, Any], record_bytes: int = 0) -> Image:
    """Copies what the chain goes on changing; the database to a file of that name."""
    chain.store.commit()
    copy_database(chain.database, database)
    founding = replace(chain.founding, head=chain.head, state=chain.executor.final.state.copy())
    return Image(founding, database, time_ms, prices, record_bytes)


def copy_database(source: Path, target: Path) -> None:
    """As of one moment, whoever has it open."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with closing(sqlite3.connect(source)) as old, closing(sqlite3.connect(target)) as new:
        old.backup(new)


def save_image(path: Path, image: Image) -> None:
    """Whole or not at all."""
    founding, scratch = image.founding, path.with_name(path.name + ".new")
    facts = {
        "format": FORMAT, "seed": founding.seed, "epoch": founding.epoch, "head": founding.head.encode().hex(),
        "time_ms": image.time_ms, "prices": image.prices,
    }  # fmt: skip
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, zipfile.ZipFile(scratch, "w", zipfile.ZIP_DEFLATED) as archive:
        genesis = Path(folder) / _GENESIS
        save_toml(genesis, founding.network)
        archive.write(genesis, _GENESIS)
        archive.writestr(_FACTS, json.dumps(facts, indent=1) + "\n")
        archive.writestr(_STATE, encode_snapshot(founding.state))
        if image.database is not None:
            archive.write(image.database, _DATABASE)
    scratch.replace(path)


def load_image(path: Path, folder: Path) -> Image:
    """From a file; the database is unpacked into `folder`. Raises `ImageError`."""
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with zipfile.ZipFile(path) as archive:
            facts = json.loads(archive.read(_FACTS))
            if facts["format"] != FORMAT:
                raise ImageError(f"{path} has format {facts['format']}, this program reads {FORMAT}")
            network = load_network(Path(archive.extract(_GENESIS, folder)))
            state = decode_snapshot(archive.read(_STATE), network.exchange_params())
            has_blocks = _DATABASE in archive.namelist()
            database = Path(archive.extract(_DATABASE, folder)) if has_blocks else None
        head = Header.decode(bytes.fromhex(facts["head"]))
    except FileNotFoundError:
        raise ImageError(f"{path} does not exist: leave it out, or write it with --dump-state") from None
    except (zipfile.BadZipFile, KeyError, ValueError, ConfigError, SnapshotError, DecodeError) as error:
        raise ImageError(f"{path} is no state of a devnet: {error}") from None
    if to_commitment(commitment_of(state)).encode() != head.commitment:
        raise ImageError(f"{path} is damaged: its state is not the one that its header commits to")
    founding = Founding(network, facts["seed"], facts["epoch"], head, state)
    return Image(founding, database, facts["time_ms"], facts["prices"])
