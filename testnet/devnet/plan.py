"""What a devnet is asked to be."""

from dataclasses import dataclass
from pathlib import Path

DEFAULT_PORT = 8645
TRADER_COUNT = 10


@dataclass(frozen=True, slots=True)
class Plan:
    """`block_interval_ms` 0: time stands still and moves with blocks. `state`: read if it is there, written at the end.
    `source` and `genesis`: of a network to begin with. `has_makers`: bots keep the books alive, and prices move.
    `genesis_out`: for whoever verifies certificates.
    """

    host: str = "127.0.0.1"
    port: int = DEFAULT_PORT
    block_interval_ms: int = 1_000
    seed: int = 1
    has_options: bool = True
    has_makers: bool = False
    state: Path | None = None
    dump_state: Path | None = None
    config_out: Path | None = None
    genesis_out: Path | None = None
    record: Path | None = None
    source: Path | None = None
    genesis: Path | None = None
