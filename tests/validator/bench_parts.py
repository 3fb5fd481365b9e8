"""What a command costs one node, part by part, in one process and without a network: `make bench-parts`. CPU time, so
that other programs disturb little.

The load is that of `make bench-net`: whole blocks of messages with 1, 20 and 100 actions are drawn, signed, sealed,
checked, executed, remembered and committed to the store. What is missing here is agreement, links and the gateway.
Exit code 1 when the engine takes less of the load than it should.
"""

import json
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.table import Table

from validator.allocator import keep_large_blocks_mapped
from validator.compilecache import prepare_compile_cache

RESULTS = Path("build/results/bench-parts.json")
ACCEPTED_SHARE_MIN = 0.6  # with one action a message, a first cycle of cancels that find nothing weighs most


def main() -> int:
    prepare_compile_cache()
    from tests.validator.bench_parts_node import ACTIONS_PER_BLOCK, measure  # numba reads where its cache is

    keep_large_blocks_mapped()  # as a node does
    found = {}
    for actions_per_message in ACTIONS_PER_BLOCK:
        with tempfile.TemporaryDirectory() as folder:
            found[actions_per_message] = measure(Path(folder), actions_per_message)
    table = Table("µs of CPU a command", *(f"messages of {count}" for count in found))
    for part in next(iter(found.values()))[0]:
        table.add_row(part, *(f"{cpu_us[part]:.2f}" for cpu_us, _ in found.values()))
    table.add_row("accepted by the engine", *(f"{share:.0%}" for _, share in found.values()))
    Console().print(table)
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    RESULTS.write_text(json.dumps({count: cpu_us for count, (cpu_us, _) in found.items()}, indent=1) + "\n")
    return 0 if all(share >= ACCEPTED_SHARE_MIN for _, share in found.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
