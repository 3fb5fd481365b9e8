"""`hansa uptime --home`: participation read from a node's folder, running or not."""

import json
import sqlite3
import sys
from pathlib import Path

from net.gateway.backend import UptimeView
from net.gateway.present import uptime as present_uptime
from validator.config import ConfigError, Home, load_network
from validator.store import Store
from validator.uptime import Uptime

EXIT_FAILED = 1


def print_uptime(home: Path, block_count: int) -> int:
    """The same JSON as `public/x_get_uptime`, over the last `block_count` certificates."""
    place = Home(home)
    try:
        uptime = Uptime(len(load_network(place.genesis).validators), block_count)
        store = Store(place.data / "blocks.sqlite", is_read_only=True)
        uptime.restore(store.direct_certificates(block_count))
        store.close()
    except (ConfigError, sqlite3.OperationalError) as error:
        print(f"hansa: {error}. Is --home the folder of a node that has run?", file=sys.stderr)
        return EXIT_FAILED
    first_height, last_height = uptime.heights
    view = UptimeView(first_height, last_height, uptime.block_count, tuple(uptime.signed_counts))
    print(json.dumps(present_uptime(view), indent=2))
    return 0
